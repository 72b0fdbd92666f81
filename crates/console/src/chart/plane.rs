//! Where a time and a value stand in a course, with the frame around it.
use std::fmt::Write as _;

use ingestor::read::Span;

use super::{Scale, escape};

/// No more than a phone is wide and a half, so that its letters are some on one.
pub(super) const WIDTH: f64 = 520.0;
pub(super) const HEIGHT: f64 = 312.0;
pub(super) const LEFT: f64 = 56.0;
pub(super) const RIGHT: f64 = 12.0;
pub(super) const TOP: f64 = 46.0;
pub(super) const BOTTOM: f64 = 30.0;
/// About how many lines the grid has.
const GRID_LINES: usize = 5;

/// Where a time and a value stand.
pub(super) struct Plane {
    pub(super) span: Span,
    pub(super) max: f64,
}

impl Plane {
    pub(super) fn x(&self, at_us: i64) -> f64 {
        let whole = (self.span.to_us - self.span.from_us) as f64;
        let at = ((at_us - self.span.from_us) as f64).clamp(0.0, whole.max(0.0));
        Scale::new((0.0, whole), (LEFT, WIDTH - RIGHT)).at(at)
    }

    fn scale(&self) -> Scale {
        Scale::new((0.0, self.max), (HEIGHT - BOTTOM, TOP))
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.scale().at(value.clamp(0.0, self.max))
    }

    /// The frame: lines of the grid with their values, the times at both ends.
    pub(super) fn frame(&self, unit: &str, time: &impl Fn(i64) -> String) -> String {
        let mut svg = String::new();
        for value in self.scale().ticks(GRID_LINES) {
            let y = self.y(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                number(value)
            );
        }
        let _ = write!(svg, "<text x=\"4\" y=\"14\">{}</text>", escape(unit));
        for (at, x, anchor) in [
            (self.span.from_us, LEFT, "start"),
            (self.span.to_us, WIDTH - RIGHT, "end"),
        ] {
            let (y, text) = (HEIGHT - 8.0, escape(&time(at)));
            let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
        }
        svg
    }
}

/// A number as short as it may be.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Points as an attribute.
pub(super) fn joined(points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}
