//! Short ways to say a panel.

use super::model::{Column, Kind, Look, Panel, Query};

pub(super) const GREEN: &str = "green";
pub(super) const YELLOW: &str = "yellow";
pub(super) const ORANGE: &str = "orange";
pub(super) const RED: &str = "red";
pub(super) const BLUE: &str = "blue";
pub(super) const GREY: &str = "#8e8e8e";
pub(super) const DARK: &str = "#3a3f47";
pub(super) const PURPLE: &str = "purple";

impl Panel {
    fn new(kind: Kind, title: &'static str, what: &'static str) -> Self {
        Self {
            title,
            what,
            kind,
            size: (12, 9),
            unit: "short",
            decimals: None,
            range: (None, None),
            nothing: None,
            steps: vec![(None, BLUE)],
            queries: Vec::new(),
            columns: Vec::new(),
            merge: false,
            hourly: false,
            words: Vec::new(),
        }
    }

    pub(super) fn stat(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Stat, title, what).size(6, 5)
    }

    pub(super) fn lines(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Lines, title, what)
    }

    pub(super) fn points(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Points, title, what)
    }

    pub(super) fn bars(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Bars, title, what)
    }

    pub(super) fn columns(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Columns, title, what)
    }

    pub(super) fn ranking(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Ranking, title, what)
    }

    pub(super) fn table(title: &'static str, what: &'static str) -> Self {
        let mut table = Self::new(Kind::Table, title, what).size(24, 9);
        // A cell without a value has no colour.
        table.steps = vec![(None, "transparent")];
        table
    }

    pub(super) fn timeline(title: &'static str, what: &'static str) -> Self {
        Self::new(Kind::Timeline, title, what)
    }

    pub(super) fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    pub(super) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(super) fn decimals(mut self, decimals: u32) -> Self {
        self.decimals = Some(decimals);
        self
    }

    pub(super) fn from(mut self, least: f64) -> Self {
        self.range.0 = Some(least);
        self
    }

    pub(super) fn to(mut self, most: f64) -> Self {
        self.range.1 = Some(most);
        self
    }

    /// What is shown when InfluxQL counts nothing: it then answers nothing, and not 0.
    pub(super) fn nothing(mut self, text: &'static str) -> Self {
        self.nothing = Some(text);
        self
    }

    /// Green, or whatever `base` is, and another colour from each of these values on.
    pub(super) fn steps(mut self, base: &'static str, steps: &[(f64, &'static str)]) -> Self {
        self.steps = scale(base, steps);
        self
    }

    pub(super) fn ask(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.queries.push(Query {
            text: text.into(),
            name,
            table: matches!(self.kind, Kind::Table),
        });
        self
    }

    pub(super) fn column(mut self, name: &'static str, looks: Vec<Look>) -> Self {
        self.columns.push(Column { name, looks });
        self
    }

    /// The rows of several queries become one row for each set of tags.
    pub(super) fn merged(mut self) -> Self {
        self.merge = true;
        self.column("Time", vec![Look::Hidden])
    }

    /// From roll-ups by the hour: a line goes on across a night.
    pub(super) fn hourly(mut self) -> Self {
        self.hourly = true;
        self
    }

    /// A value, the text that stands for it and its colour.
    pub(super) fn words(mut self, words: &[(&'static str, &'static str, &'static str)]) -> Self {
        self.words.extend_from_slice(words);
        self
    }
}

pub(super) fn scale(base: &'static str, steps: &[(f64, &'static str)]) -> Vec<(Option<f64>, &'static str)> {
    let above = steps.iter().map(|&(from, colour)| (Some(from), colour));
    std::iter::once((None, base)).chain(above).collect()
}
