//! What a dashboard is made of, without Grafana's JSON around it.

/// A dashboard.
pub(super) struct Dashboard {
    /// Its id in addresses and file name; never changed, people have it in their bookmarks.
    pub(super) uid: &'static str,
    /// The folder that it stands in.
    pub(super) folder: &'static str,
    pub(super) title: &'static str,
    /// Whom it is for, in a sentence.
    pub(super) what: &'static str,
    pub(super) store: Store,
    /// The range that is shown first, as `now-24h`.
    pub(super) from: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) panels: Vec<Panel>,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// InfluxDB, asked in InfluxQL.
    Influx,
    /// Prometheus or what speaks as it does.
    Prometheus,
}

/// What is chosen at the top of a dashboard, from the answers of a query.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) query: String,
    /// Several, and all of them at first.
    pub(super) several: bool,
    /// The last answer first: for what is read from newest to oldest.
    pub(super) newest_first: bool,
}

/// What is drawn over every graph.
pub(super) struct Annotation {
    pub(super) name: &'static str,
    pub(super) colour: &'static str,
    pub(super) query: String,
    pub(super) text: &'static str,
    pub(super) tags: &'static str,
    /// The column with the end of a band, in milliseconds.
    pub(super) until: Option<&'static str>,
}

/// One panel.
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What one sees, and what to do about it.
    pub(super) what: &'static str,
    pub(super) kind: Kind,
    /// Width of 24, height in rows of 30 pixels.
    pub(super) size: (u32, u32),
    /// Grafana's name of the unit.
    pub(super) unit: &'static str,
    pub(super) decimals: Option<u32>,
    pub(super) range: (Option<f64>, Option<f64>),
    /// What stands where there is no value.
    pub(super) nothing: Option<&'static str>,
    /// From a value on, a colour; the first one is the base.
    pub(super) steps: Vec<(Option<f64>, &'static str)>,
    pub(super) queries: Vec<Query>,
    pub(super) columns: Vec<Column>,
    pub(super) merge: bool,
    /// Points are hours apart.
    pub(super) hourly: bool,
    pub(super) words: Vec<(&'static str, &'static str, &'static str)>,
}

/// How it is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One large value, or a few.
    Stat,
    /// Lines over time.
    Lines,
    /// Points over time.
    Points,
    /// Stacked bars over time.
    Bars,
    /// A bar for each value, standing.
    Columns,
    /// A bar for each value, lying, with its name.
    Ranking,
    /// Rows.
    Table,
    /// A row of coloured stretches for each series.
    Timeline,
}

/// One query of a panel.
pub(super) struct Query {
    pub(super) text: String,
    /// Name of its series.
    pub(super) name: &'static str,
    pub(super) table: bool,
}

/// What is special about one column, line or bar, by its name.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) looks: Vec<Look>,
}

/// How a [`Column`] differs.
pub(super) enum Look {
    Colour(&'static str),
    Unit(&'static str),
    Dashed,
    Stepped,
    Width(u32),
    /// A band down to this other line.
    BandDownTo(&'static str),
    Hidden,
    /// Title and address.
    Link(&'static str, &'static str),
    /// The cell's background takes the colour of its value.
    Coloured,
    /// A bar in the cell, up to this value.
    Gauge(f64),
    Steps(Vec<(Option<f64>, &'static str)>),
    Decimals(u32),
    ShownAs(&'static str),
    Nothing(&'static str),
}
