//! What a course points at: the reading of an alert, and what its rule allows; with what it was like before and after, in words.
use std::fmt::Write as _;

use alerting::proof::Bound;
use ingestor::read::Trace;

use super::plane::{BOTTOM, HEIGHT, Plane, TOP};
use crate::text::{Texts, fill};

/// See the module. Values are in mm or J/cm².
pub(crate) struct Mark<'a> {
    /// When, in microseconds since 1970-01-01 UTC.
    pub(crate) at_us: i64,
    /// What was read.
    pub(crate) value: Option<f64>,
    /// What the rule allows.
    pub(crate) bound: Option<Bound>,
    /// Where it allows that; `None`: it does not say.
    pub(crate) zone: Option<&'a str>,
    /// Unit of the values.
    pub(crate) unit: &'a str,
}

/// Some readings in short.
#[derive(Default)]
struct Half {
    readings: u64,
    most: Option<f64>,
}

impl Half {
    fn count(&mut self, readings: u64, most: Option<i64>) {
        self.readings += readings;
        let most = most.map(|most| most as f64 / 1_000.0);
        self.most = self.most.max_by(most);
    }
}

/// The greater of two that may not be there.
trait MaxBy {
    fn max_by(self, other: Self) -> Self;
}

impl MaxBy for Option<f64> {
    fn max_by(self, other: Self) -> Self {
        [self, other].into_iter().flatten().reduce(f64::max)
    }
}

impl Mark<'_> {
    /// Lower and upper limit in a zone where this was set.
    pub(super) fn limits(&self, zone: Option<&str>, set: Option<f64>) -> [Option<f64>; 2] {
        if self.zone.is_some_and(|own| zone.is_some_and(|zone| zone != own)) {
            return [None, None];
        }
        match self.bound {
            Some(Bound::Most(limit)) => [None, Some(limit)],
            Some(Bound::OffSet(off)) => [set.map(|set| (set - off).max(0.0)), set.map(|set| set + off)],
            None => [None, None],
        }
    }

    /// A line where it was, and a ring where the reading is known.
    pub(super) fn draw(&self, svg: &mut String, plane: &Plane) {
        let x = plane.x(self.at_us);
        let _ = write!(
            svg,
            "<line class=\"moment\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
            HEIGHT - BOTTOM
        );
        if let Some(value) = self.value {
            let y = plane.y(value);
            let _ = write!(svg, "<circle class=\"first\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\"/>");
        }
    }

    /// What it was like before and after it.
    pub(super) fn in_words(&self, trace: &Trace, texts: &Texts) -> String {
        let mut halves = [Half::default(), Half::default()];
        let [before, after] = &mut halves;
        for point in &trace.strokes {
            // A step that ends after it has it within.
            let half = if point.at_us + trace.step_us <= self.at_us {
                &mut *before
            } else {
                &mut *after
            };
            half.count(point.strokes, point.greatest_um);
        }
        for pulse in &trace.pulses {
            let half = if pulse.at_us < self.at_us {
                &mut *before
            } else {
                &mut *after
            };
            half.count(1, pulse.fluence_measured);
        }
        let of = texts.get(if trace.strokes.is_empty() {
            "picture.pulses"
        } else {
            "picture.strokes"
        });
        let mut said = Vec::new();
        for (half, key) in halves.iter().zip(["around.before", "around.after"]) {
            let (n, when) = (half.readings.to_string(), texts.get(key));
            said.push(match half.most {
                Some(most) => {
                    let most = format!("{most:.2} {}", self.unit);
                    fill(
                        texts.get("around.most"),
                        &[("when", when), ("n", &n), ("of", of), ("most", &most)],
                    )
                }
                None => fill(texts.get("around.none"), &[("when", when)]),
            });
        }
        said.push(texts.get("around.legend").to_owned());
        said.join(" ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ingestor::read::{DepthPoint, Span};

    use super::*;
    use crate::chart::course::Course;

    fn point(second: i64, zone: &str, greatest_um: i64) -> DepthPoint {
        DepthPoint {
            at_us: second * 1_000_000,
            zone: Some(zone.to_owned()),
            strokes: 10,
            unread: 0,
            least_um: Some(greatest_um - 100),
            mean_um: Some(greatest_um - 50),
            greatest_um: Some(greatest_um),
            set_least_um: Some(800),
            set_greatest_um: Some(800),
            limit_um: Some(5_000),
            over_limit: 0,
        }
    }

    fn drawn(strokes: Vec<DepthPoint>) -> crate::render::Svg {
        let trace = Trace {
            step_us: 1_000_000,
            strokes,
            ..Trace::default()
        };
        let mark = Mark {
            at_us: 60_500_000,
            value: Some(1.9),
            bound: Some(Bound::Most(1.5)),
            zone: Some("cheek"),
            unit: "mm",
        };
        let course = Course {
            trace: &trace,
            span: Span {
                from_us: 0,
                to_us: 120_000_000,
            },
            mark: Some(mark),
        };
        course.draw(&Texts::english().unwrap(), &|at| at.to_string()).unwrap()
    }

    #[test]
    fn a_spike_and_a_trend_read_differently() {
        let spike = (0..120).map(|s| point(s, "cheek", if s == 60 { 1_900 } else { 800 }));
        let trend = (0..120).map(|s| point(s, "cheek", 700 + 20 * s));
        let said = drawn(spike.collect()).description;
        assert!(
            said.contains("600 strokes, 0.80 mm at most") && said.contains("1.90 mm"),
            "{said}"
        );
        let said = drawn(trend.collect()).description;
        assert!(said.contains("1.88 mm") && said.contains("3.08 mm"), "{said}");
        let nothing_before = drawn(vec![point(60, "cheek", 1_900)]).description;
        assert!(nothing_before.contains("nothing was read"), "{nothing_before}");
    }

    #[test]
    fn the_limit_is_the_rules_and_stands_in_its_zone_only() {
        let both = drawn(vec![point(10, "chin", 900), point(60, "cheek", 1_900)]).markup;
        let count = |what: &str| both.matches(what).count();
        assert_eq!(
            (
                count("class=\"limit\""),
                count("class=\"moment\""),
                count("class=\"first\"")
            ),
            (1, 1, 1)
        );
    }
}
