//! The course of a treatment: depth against what was set and allowed, or each pulse against what was set, zone by zone.
use std::fmt::Write as _;

use ingestor::read::{DepthPoint, PulsePoint, Span, Trace};

use super::{Scale, escape};
use crate::render::Svg;
use crate::text::{Texts, fill};
use crate::time::thousandths;

/// No more than a phone is wide and a half, so that its letters are some on one.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// About how many lines the grid has.
const GRID_LINES: usize = 5;
/// Room above the greatest value.
const HEADROOM: f64 = 1.1;

/// Where a time and a value stand.
struct Plane {
    span: Span,
    max: f64,
}

impl Plane {
    fn x(&self, at_us: i64) -> f64 {
        let whole = (self.span.to_us - self.span.from_us) as f64;
        let at = ((at_us - self.span.from_us) as f64).clamp(0.0, whole.max(0.0));
        Scale::new((0.0, whole), (LEFT, WIDTH - RIGHT)).at(at)
    }

    fn scale(&self) -> Scale {
        Scale::new((0.0, self.max), (HEIGHT - BOTTOM, TOP))
    }

    fn y(&self, value: f64) -> f64 {
        self.scale().at(value.clamp(0.0, self.max))
    }

    /// The frame: lines of the grid with their values, the times at both ends.
    fn frame(&self, unit: &str, time: &impl Fn(i64) -> String) -> String {
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

/// Draws strokes in millimetres, or pulses in J/cm² where there are no strokes; `None`: there is nothing to draw. `time` says a
/// time in words.
pub(crate) fn course(trace: &Trace, span: Span, texts: &Texts, time: impl Fn(i64) -> String) -> Option<Svg> {
    let (inner, title, description) = if !trace.strokes.is_empty() {
        (
            strokes(trace, span, texts, &time),
            texts.get("course.depth"),
            depth_in_words(trace, texts),
        )
    } else if !trace.pulses.is_empty() {
        let words = fill(
            texts.get("course.fluence_words"),
            &[("n", &trace.pulses.len().to_string())],
        );
        (pulses(trace, span, texts, &time), texts.get("course.fluence"), words)
    } else {
        return None;
    };
    let markup = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\
         <title>{}</title><desc>{}</desc>{inner}</svg>",
        escape(title),
        escape(&description)
    );
    Some(Svg { markup, description })
}

fn depth_in_words(trace: &Trace, texts: &Texts) -> String {
    let strokes: u64 = trace.strokes.iter().map(|point| point.strokes).sum();
    let over: u64 = trace.strokes.iter().map(|point| point.over_limit).sum();
    let deepest = trace
        .strokes
        .iter()
        .filter_map(|point| point.greatest_um)
        .max()
        .unwrap_or(0);
    let said = [
        ("n", strokes.to_string()),
        ("mm", thousandths(deepest)),
        ("over", over.to_string()),
    ];
    fill(
        texts.get("course.depth_words"),
        &said.each_ref().map(|(name, value)| (*name, value.as_str())),
    )
}

/// Steps that follow one another in one zone.
fn runs(points: &[DepthPoint], step_us: i64) -> impl Iterator<Item = &[DepthPoint]> {
    points.chunk_by(move |a, b| a.zone == b.zone && b.at_us - a.at_us <= 3 * step_us)
}

fn strokes(trace: &Trace, span: Span, texts: &Texts, time: &impl Fn(i64) -> String) -> String {
    let mm = |um: i64| um as f64 / 1_000.0;
    let values = |p: &DepthPoint| [p.greatest_um, p.limit_um, p.set_greatest_um];
    let greatest = trace.strokes.iter().flat_map(values).flatten().max().unwrap_or(0);
    let plane = Plane {
        span,
        max: (mm(greatest) * HEADROOM).max(0.1),
    };
    let mut svg = plane.frame(texts.get("course.depth_unit"), time);
    let mut names = Names::default();
    for run in runs(&trace.strokes, trace.step_us) {
        let line = |value: &dyn Fn(&DepthPoint) -> Option<i64>| -> Vec<(f64, f64, f64)> {
            let point = |p: &DepthPoint| {
                let y = plane.y(mm(value(p)?));
                Some((plane.x(p.at_us), plane.x(p.at_us + trace.step_us), y))
            };
            run.iter().filter_map(point).collect()
        };
        let (low, high) = (line(&|p| p.least_um), line(&|p| p.greatest_um));
        let back = low.iter().rev().flat_map(|(x0, x1, y)| [(*x1, *y), (*x0, *y)]);
        let there = high.iter().flat_map(|(x0, x1, y)| [(*x0, *y), (*x1, *y)]);
        let outline: Vec<(f64, f64)> = there.chain(back).collect();
        let _ = write!(svg, "<polygon class=\"band\" points=\"{}\"/>", joined(&outline));
        for (class, value) in [
            ("set", line(&|p| p.set_greatest_um)),
            ("limit", line(&|p| p.limit_um)),
            ("trace", line(&|p| p.mean_um)),
        ] {
            let points: Vec<(f64, f64)> = value.iter().flat_map(|(x0, x1, y)| [(*x0, *y), (*x1, *y)]).collect();
            if !points.is_empty() {
                let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", joined(&points));
            }
        }
        for over in run.iter().filter(|p| p.over_limit > 0) {
            let y = plane.y(mm(over.greatest_um.unwrap_or(0)));
            let _ = write!(
                svg,
                "<circle class=\"first\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>",
                plane.x(over.at_us)
            );
        }
        if let Some(first) = run.first() {
            names.put(&mut svg, first.zone.as_deref(), plane.x(first.at_us), texts);
        }
    }
    svg
}

fn pulses(trace: &Trace, span: Span, texts: &Texts, time: &impl Fn(i64) -> String) -> String {
    let joules = |mj: i64| mj as f64 / 1_000.0;
    let values = |p: &PulsePoint| [p.fluence_set, p.fluence_measured];
    let greatest = trace.pulses.iter().flat_map(values).flatten().max().unwrap_or(0);
    let plane = Plane {
        span,
        max: (joules(greatest) * HEADROOM).max(1.0),
    };
    let mut svg = plane.frame(texts.get("course.fluence_unit"), time);
    let mut names = Names::default();
    for pulse in &trace.pulses {
        let x = plane.x(pulse.at_us);
        if let Some(set) = pulse.fluence_set {
            let y = plane.y(joules(set));
            let _ = write!(
                svg,
                "<line class=\"set\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                x - 4.0,
                x + 4.0
            );
        }
        if let Some(measured) = pulse.fluence_measured {
            let y = plane.y(joules(measured));
            let _ = write!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
        }
        names.put(&mut svg, pulse.zone.as_deref(), x, texts);
    }
    svg
}

/// Where names of zones stand: two rows, each taken up to somewhere.
#[derive(Default)]
struct Names<'z> {
    last: Option<Option<&'z str>>,
    taken: [f64; 2],
}

impl<'z> Names<'z> {
    /// Height of the rows.
    const ROWS: [f64; 2] = [16.0, 30.0];
    /// Width of a letter, at most about.
    const LETTER: f64 = 7.5;

    /// Names a zone where it begins, if there is room: the table beside the picture has them all.
    fn put(&mut self, svg: &mut String, zone: Option<&'z str>, x: f64, texts: &Texts) {
        if self.last.replace(zone) == Some(zone) {
            return;
        }
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
            HEIGHT - BOTTOM
        );
        let name = zone.unwrap_or_else(|| texts.get("zone.none"));
        let key = format!("zone.{name}");
        let name = if zone.is_some() { texts.get(&key) } else { name };
        let wide = name.chars().count() as f64 * Self::LETTER;
        // At the right edge it stands before its line.
        let (from, at, anchor) = if x + wide > WIDTH {
            (x - 2.0 - wide, x - 2.0, "end")
        } else {
            (x, x + 2.0, "start")
        };
        for (row, taken) in Self::ROWS.iter().zip(&mut self.taken) {
            if from >= *taken {
                *taken = from + wide + Self::LETTER;
                let text = escape(name);
                let _ = write!(
                    svg,
                    "<text x=\"{at:.1}\" y=\"{row}\" text-anchor=\"{anchor}\">{text}</text>"
                );
                return;
            }
        }
    }
}

fn joined(points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn point(at_us: i64, zone: &str, greatest_um: i64, over: u64) -> DepthPoint {
        DepthPoint {
            at_us,
            zone: Some(zone.to_owned()),
            strokes: 10,
            unread: 0,
            least_um: Some(greatest_um - 200),
            mean_um: Some(greatest_um - 100),
            greatest_um: Some(greatest_um),
            set_least_um: Some(800),
            set_greatest_um: Some(800),
            limit_um: Some(1_000),
            over_limit: over,
        }
    }

    #[test]
    fn a_course_shows_each_zone_once_a_pause_as_a_pause_and_what_was_too_deep() {
        let texts = Texts::english().unwrap();
        let strokes = vec![
            point(0, "cheek", 900, 0),
            point(1_000_000, "cheek", 1_400, 2),
            // A pause in the same zone, and then another zone.
            point(10_000_000, "cheek", 900, 0),
            point(11_000_000, "chin", 900, 0),
        ];
        let trace = Trace {
            step_us: 1_000_000,
            strokes,
            ..Trace::default()
        };
        let span = Span {
            from_us: 0,
            to_us: 20_000_000,
        };
        let svg = course(&trace, span, &texts, |at| at.to_string()).unwrap().markup;
        let count = |what: &str| svg.matches(what).count();
        assert_eq!((count("class=\"band\""), count("class=\"first\"")), (3, 1));
        assert_eq!((count(">Cheek<"), count(">Chin<")), (1, 1));
        // 1.4 mm of 1.54 mm in 236 px above 270, at 1 s of 20 s in 452 px after 56.
        assert!(svg.contains("cx=\"78.6\" cy=\"55.5\""), "{svg}");
        assert!(course(&Trace::default(), span, &texts, |at| at.to_string()).is_none());
    }

    /// Where a text begins and ends, by what a letter takes at most.
    fn reach(text: &str) -> (String, f64, f64) {
        let part = |before: &str, after: &str| {
            text.split_once(before)
                .unwrap()
                .1
                .split_once(after)
                .unwrap()
                .0
                .to_owned()
        };
        let x: f64 = part("x=\"", "\"").parse().unwrap();
        let wide = part(">", "<").chars().count() as f64 * Names::LETTER;
        let from = if text.contains("\"end\"") { x - wide } else { x };
        (part("y=\"", "\""), from, from + wide)
    }

    #[test]
    fn names_of_zones_stand_within_the_picture_and_none_upon_another() {
        let texts = Texts::english().unwrap();
        let zones = ["forehead", "cheek", "chin", "nose", "periorbital"];
        let strokes = (0..60).map(|n| point(n * 1_000_000, zones[n as usize % zones.len()], 900, 0));
        let trace = Trace {
            step_us: 1_000_000,
            strokes: strokes.collect(),
            ..Trace::default()
        };
        let span = Span {
            from_us: 0,
            to_us: 60_000_000,
        };
        let svg = course(&trace, span, &texts, |at| at.to_string()).unwrap().markup;
        let rows = Names::ROWS.map(|row| format!("y=\"{row}\""));
        let names = svg
            .split("<text")
            .skip(1)
            .filter(|text| rows.iter().any(|row| text.contains(row)));
        let mut names: Vec<_> = names.map(reach).collect();
        names.sort_by(|a, b| (&a.0, a.1).partial_cmp(&(&b.0, b.1)).unwrap());
        assert!(names.len() > 6, "{names:?}");
        assert!(
            names.iter().all(|(_, from, to)| *from >= 0.0 && *to <= WIDTH),
            "{names:?}"
        );
        for pair in names.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            assert!(pair[0].2 <= pair[1].1, "{pair:?}");
        }
    }

    #[test]
    fn a_zone_that_a_device_made_up_is_text_and_no_markup() {
        let texts = Texts::english().unwrap();
        let trace = Trace {
            step_us: 1,
            strokes: vec![point(0, "<script>", 900, 0)],
            ..Trace::default()
        };
        let span = Span { from_us: 0, to_us: 10 };
        let svg = course(&trace, span, &texts, |at| format!("<{at}>")).unwrap().markup;
        assert!(!svg.contains("<script"), "{svg}");
        assert!(!svg.contains("<0>"), "{svg}");
    }
}
