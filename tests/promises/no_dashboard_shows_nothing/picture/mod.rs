//! Pictures of dashboards with their data, for the documentation: drawn from the shipped JSON and from the same answers that the
//! test has just judged. Grafana draws better; this shows what is on each dashboard, and that it is not empty.
mod bars;
mod chart;
mod frame;
mod look;
mod svg;
mod table;
mod timeline;

use serde_json::Value;

use self::svg::Svg;
use super::grafana::{Dashboard, list, text};
use super::influxql::Series;

/// Pixels of the whole width, of a row, and between panels.
const WIDTH: f64 = 1440.0;
const ROW: f64 = 34.0;
const GAP: f64 = 8.0;
const HEAD: f64 = 64.0;
const TITLE: f64 = 30.0;

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// What a dashboard showed.
pub(crate) struct Shown<'a> {
    pub(crate) dashboard: &'a Dashboard,
    /// By panel, by query.
    pub(crate) answers: Vec<Vec<Vec<Series>>>,
    /// By annotation.
    pub(crate) annotations: Vec<Vec<Series>>,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// What was chosen, in words.
    pub(crate) chosen: String,
}

/// The picture as SVG.
pub(crate) fn draw(shown: &Shown<'_>) -> String {
    let panels = shown.dashboard.panels();
    let bottom = panels
        .iter()
        .map(|panel| grid(panel, "y") + grid(panel, "h"))
        .fold(0.0, f64::max);
    let mut svg = Svg::new(WIDTH, HEAD + bottom * ROW + GAP);
    let (title, what) = (shown.dashboard.title(), text(&shown.dashboard.json, "description"));
    svg.text(GAP + 8.0, 28.0, 20.0, "#ffffff", "start", title);
    svg.text(GAP + 8.0, 50.0, 13.0, look::DIM, "start", what);
    svg.text(WIDTH - GAP - 8.0, 28.0, 13.0, look::DIM, "end", &shown.chosen);
    let span = format!("{} to {} UTC", look::minute(shown.from_ms), look::minute(shown.to_ms));
    svg.text(WIDTH - GAP - 8.0, 50.0, 13.0, look::DIM, "end", &span);
    for (panel, answers) in panels.iter().zip(&shown.answers) {
        let unit = (WIDTH - GAP) / 24.0;
        let area = Area {
            x: GAP + grid(panel, "x") * unit,
            y: HEAD + grid(panel, "y") * ROW,
            w: grid(panel, "w") * unit - GAP,
            h: grid(panel, "h") * ROW - GAP,
        };
        draw_panel(&mut svg, panel, answers, area, shown);
    }
    svg.finish()
}

fn grid(panel: &Value, key: &str) -> f64 {
    panel["gridPos"][key].as_f64().unwrap()
}

fn draw_panel(svg: &mut Svg, panel: &Value, answers: &[Vec<Series>], area: Area, shown: &Shown<'_>) {
    svg.rect(area, look::PANEL, 3.0);
    svg.text(
        area.x + 10.0,
        area.y + 20.0,
        13.5,
        look::TEXT,
        "start",
        text(panel, "title"),
    );
    let inner = Area {
        x: area.x + 10.0,
        y: area.y + TITLE,
        w: area.w - 20.0,
        h: area.h - TITLE - 8.0,
    };
    let fields = frame::fields(list(panel, "/targets"), answers);
    match text(panel, "type") {
        "stat" => bars::stat(svg, panel, &fields, inner),
        "bargauge" => bars::gauge(svg, panel, &fields, inner),
        "timeseries" => chart::draw(svg, panel, &fields, inner, shown),
        "state-timeline" => timeline::draw(svg, panel, &fields, inner, (shown.from_ms, shown.to_ms)),
        "table" => table::draw(svg, panel, answers, inner, shown.to_ms),
        other => panic!("no picture of a panel of type {other}"),
    }
}
