//! The course of a treatment: depth against what was set and allowed, or each pulse against what was set, zone by zone.
use std::fmt::Write as _;

use ingestor::read::{DepthPoint, PulsePoint, Span, Trace};

use super::escape;
use super::mark::Mark;
use super::plane::{BOTTOM, HEIGHT, Plane, TOP, WIDTH, joined};
use crate::render::Svg;
use crate::text::{Texts, fill};
use crate::time::thousandths;

/// Room above the greatest value.
const HEADROOM: f64 = 1.1;

/// What is drawn, and how.
pub(crate) struct Course<'a> {
    /// The readings.
    pub(crate) trace: &'a Trace,
    /// From when to when.
    pub(crate) span: Span,
    /// What it points at, if it does.
    pub(crate) mark: Option<Mark<'a>>,
}

/// Draws strokes in millimetres, or pulses in J/cm² where there are no strokes; `None`: there is nothing to draw. `time` says a
/// time in words.
pub(crate) fn course(trace: &Trace, span: Span, texts: &Texts, time: impl Fn(i64) -> String) -> Option<Svg> {
    let mark = None;
    Course { trace, span, mark }.draw(texts, &time)
}

impl Course<'_> {
    /// The picture; `None`: there is nothing to draw. `time` says a time in words.
    pub(crate) fn draw(&self, texts: &Texts, time: &impl Fn(i64) -> String) -> Option<Svg> {
        let (inner, title, description) = if !self.trace.strokes.is_empty() {
            (
                self.strokes(texts, time),
                texts.get("course.depth"),
                depth_in_words(self.trace, texts),
            )
        } else if !self.trace.pulses.is_empty() {
            let words = fill(
                texts.get("course.fluence_words"),
                &[("n", &self.trace.pulses.len().to_string())],
            );
            (self.pulses(texts, time), texts.get("course.fluence"), words)
        } else {
            return None;
        };
        let description = match &self.mark {
            Some(mark) => mark.in_words(self.trace, texts),
            None => description,
        };
        let markup = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\
             <title>{}</title><desc>{}</desc>{inner}</svg>",
            escape(title),
            escape(&description)
        );
        Some(Svg { markup, description })
    }

    fn strokes(&self, texts: &Texts, time: &impl Fn(i64) -> String) -> String {
        let (trace, mark) = (self.trace, self.mark.as_ref());
        let limits = |p: &DepthPoint| match mark {
            Some(mark) => mark.limits(p.zone.as_deref(), p.set_greatest_um.map(mm)),
            None => [None, p.limit_um.map(mm)],
        };
        let values = |p: &DepthPoint| [p.greatest_um.map(mm), limits(p)[1], p.set_greatest_um.map(mm)];
        let greatest = trace.strokes.iter().flat_map(values).flatten().fold(0.0, f64::max);
        let plane = Plane {
            span: self.span,
            max: (greatest * HEADROOM).max(0.1),
        };
        let mut svg = plane.frame(texts.get("course.depth_unit"), time);
        let mut names = Names::default();
        for run in runs(&trace.strokes, trace.step_us) {
            let line = |value: &dyn Fn(&DepthPoint) -> Option<f64>| -> Vec<(f64, f64, f64)> {
                let point = |p: &DepthPoint| {
                    let y = plane.y(value(p)?);
                    Some((plane.x(p.at_us), plane.x(p.at_us + trace.step_us), y))
                };
                run.iter().filter_map(point).collect()
            };
            let (low, high) = (line(&|p| p.least_um.map(mm)), line(&|p| p.greatest_um.map(mm)));
            let back = low.iter().rev().flat_map(|(x0, x1, y)| [(*x1, *y), (*x0, *y)]);
            let there = high.iter().flat_map(|(x0, x1, y)| [(*x0, *y), (*x1, *y)]);
            let outline: Vec<(f64, f64)> = there.chain(back).collect();
            let _ = write!(svg, "<polygon class=\"band\" points=\"{}\"/>", joined(&outline));
            for (class, value) in [
                ("set", line(&|p| p.set_greatest_um.map(mm))),
                ("limit", line(&|p| limits(p)[0])),
                ("limit", line(&|p| limits(p)[1])),
                ("trace", line(&|p| p.mean_um.map(mm))),
            ] {
                let points: Vec<(f64, f64)> = value.iter().flat_map(|(x0, x1, y)| [(*x0, *y), (*x1, *y)]).collect();
                if !points.is_empty() {
                    let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", joined(&points));
                }
            }
            for over in run.iter().filter(|p| mark.is_none() && p.over_limit > 0) {
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
        if let Some(mark) = mark {
            mark.draw(&mut svg, &plane);
        }
        svg
    }

    fn pulses(&self, texts: &Texts, time: &impl Fn(i64) -> String) -> String {
        let (trace, mark) = (self.trace, self.mark.as_ref());
        let joules = mm;
        let limit = |p: &PulsePoint| mark?.limits(p.zone.as_deref(), p.fluence_set.map(joules))[1];
        let values = |p: &PulsePoint| [p.fluence_set.map(joules), p.fluence_measured.map(joules), limit(p)];
        let greatest = trace.pulses.iter().flat_map(values).flatten().fold(0.0, f64::max);
        let plane = Plane {
            span: self.span,
            max: (greatest * HEADROOM).max(1.0),
        };
        let mut svg = plane.frame(texts.get("course.fluence_unit"), time);
        let mut names = Names::default();
        for pulse in &trace.pulses {
            let x = plane.x(pulse.at_us);
            for (class, value) in [("set", pulse.fluence_set.map(joules)), ("limit", limit(pulse))] {
                let Some(value) = value else { continue };
                let y = plane.y(value);
                let _ = write!(
                    svg,
                    "<line class=\"{class}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
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
        if let Some(mark) = mark {
            mark.draw(&mut svg, &plane);
        }
        svg
    }
}

/// Thousandths as a number.
fn mm(um: i64) -> f64 {
    um as f64 / 1_000.0
}

fn depth_in_words(trace: &Trace, texts: &Texts) -> String {
    let strokes: u64 = trace.strokes.iter().map(|point| point.strokes).sum();
    let over: u64 = trace.strokes.iter().map(|point| point.over_limit).sum();
    let deepest = trace.strokes.iter().filter_map(|point| point.greatest_um).max();
    let deepest = deepest.map_or_else(String::new, |um| {
        fill(texts.get("course.depth_deepest"), &[("mm", &thousandths(um))])
    });
    // None beyond a limit that nobody told is no good news: nothing is said then.
    let beyond = if trace.strokes.iter().any(|point| point.limit_um.is_some()) {
        fill(texts.get("course.depth_beyond"), &[("over", &over.to_string())])
    } else {
        String::new()
    };
    fill(
        texts.get("course.depth_words"),
        &[("n", &strokes.to_string()), ("deepest", &deepest), ("beyond", &beyond)],
    )
}

/// Steps that follow one another in one zone.
fn runs(points: &[DepthPoint], step_us: i64) -> impl Iterator<Item = &[DepthPoint]> {
    points.chunk_by(move |a, b| a.zone == b.zone && b.at_us - a.at_us <= 3 * step_us)
}

/// Where names of zones stand: two rows, each taken up to somewhere.
#[derive(Default)]
struct Names<'z> {
    last: Option<Option<&'z str>>,
    taken: [f64; 2],
}

impl<'z> Names<'z> {
    /// Height of the rows.
    const ROWS: [f64; 2] = [18.0, 38.0];
    /// Width of a letter, at most about.
    const LETTER: f64 = 9.5;

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
        // 1.4 mm of 1.54 mm in 236 px above 282, at 1 s of 20 s in 452 px after 56.
        assert!(svg.contains("cx=\"78.6\" cy=\"67.5\""), "{svg}");
        assert!(course(&Trace::default(), span, &texts, |at| at.to_string()).is_none());
    }

    #[test]
    fn what_was_not_told_of_a_course_is_not_said_of_it() {
        let texts = Texts::english().unwrap();
        let words = |point: DepthPoint| {
            let trace = Trace {
                step_us: 1_000_000,
                strokes: vec![point],
                ..Trace::default()
            };
            depth_in_words(&trace, &texts)
        };
        let whole = point(0, "cheek", 1_400, 2);
        assert_eq!(
            words(whole.clone()),
            "10 strokes, the deepest 1.400 mm, 2 beyond the device's own limit."
        );
        let no_limit = DepthPoint {
            limit_um: None,
            over_limit: 0,
            ..whole.clone()
        };
        assert_eq!(words(no_limit.clone()), "10 strokes, the deepest 1.400 mm.");
        let unread = DepthPoint {
            greatest_um: None,
            ..no_limit
        };
        assert_eq!(words(unread), "10 strokes.");
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
