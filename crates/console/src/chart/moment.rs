//! The moment of an alert: least and most of each column of readings, what was set, the limit, and the reading that crossed it.
use alerting::proof::{Bound, Column, Trace};

use super::across::Across;
use super::{Drawing, Scale};
use crate::render::Svg;
use crate::text::{Texts, fill};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 308.0;
/// Where the readings are: left, top, right, bottom.
const FIELD: (f64, f64, f64, f64) = (46.0, 22.0, 510.0, 262.0);
/// Width of a letter, at most about.
const LETTER: f64 = 10.0;
/// Most columns of which each reading is a dot, as long as each is one reading.
const DOTS: usize = 120;

/// A value with its unit, as people write it.
pub(crate) fn value(trace: &Trace, value: f64) -> String {
    format!("{value:.2} {}", trace.unit)
}

/// Everything that the picture shows, in one paragraph.
pub(crate) fn description(trace: &Trace, texts: &Texts) -> String {
    let mut said = Vec::new();
    let of = texts.get(&["picture.", trace.of].concat()).to_owned();
    let count = trace.readings.to_string();
    said.push(fill(texts.get("picture.readings"), &[("n", &count), ("of", &of)]));
    let least = trace.columns.iter().filter_map(|c| c.least).reduce(f64::min);
    let most = trace.columns.iter().filter_map(|c| c.most).reduce(f64::max);
    if let (Some(least), Some(most)) = (least, most) {
        let (least, most) = (value(trace, least), value(trace, most));
        said.push(fill(texts.get("picture.range"), &[("least", &least), ("most", &most)]));
    }
    let not_kept: u64 = Across::new(&trace.columns, (0.0, 1.0)).gaps().map(|gap| gap.2).sum();
    if not_kept > 0 {
        said.push(fill(texts.get("picture.not_kept"), &[("n", &not_kept.to_string())]));
    }
    if trace.unread > 0 {
        let unread = trace.unread.to_string();
        said.push(fill(texts.get("picture.unread"), &[("n", &unread)]));
    }
    let sets: Vec<f64> = trace.columns.iter().filter_map(|c| c.set).collect();
    if let (Some(low), Some(high)) = (
        sets.iter().copied().reduce(f64::min),
        sets.iter().copied().reduce(f64::max),
    ) {
        let set = match high - low < 0.005 {
            true => value(trace, low),
            false => format!("{low:.2} – {}", value(trace, high)),
        };
        said.push(fill(texts.get("picture.set"), &[("set", &set)]));
    }
    match trace.bound {
        Some(Bound::Most(limit)) => said.push(fill(texts.get("picture.limit"), &[("limit", &value(trace, limit))])),
        Some(Bound::OffSet(off)) => said.push(fill(texts.get("picture.off_set"), &[("limit", &value(trace, off))])),
        None => {}
    }
    let elsewhere = |c: &Column| c.zone.is_some() && c.zone != trace.zone;
    if let (Some(_), Some(zone)) = (trace.bound, trace.zone.filter(|_| trace.columns.iter().any(elsewhere))) {
        let zone = texts.get(&["zone.", zone.as_str()].concat()).to_owned();
        said.push(fill(texts.get("picture.in_zone"), &[("zone", &zone)]));
    }
    if let Some(first) = trace.first {
        let ordinal = first.ordinal.to_string();
        let read = match first.value {
            Some(read) => value(trace, read),
            None => texts.get("picture.not_read").to_owned(),
        };
        said.push(fill(
            texts.get("picture.first"),
            &[("ordinal", &ordinal), ("value", &read)],
        ));
    }
    said.join(" ")
}

/// The values that must be on the paper.
fn range(trace: &Trace) -> (f64, f64) {
    let columns = trace.columns.iter().flat_map(|c| [c.least, c.most, c.set]).flatten();
    let bounds = trace
        .columns
        .iter()
        .flat_map(|c| c.limits(trace.bound, trace.zone))
        .flatten();
    let (mut low, mut high) = columns
        .chain(bounds)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    // Depths and energies begin at nothing; temperatures do not.
    if low >= 0.0 && low < high / 2.0 {
        low = 0.0;
    }
    let air = ((high - low) * 0.08).max(0.05);
    if low != 0.0 {
        low -= air;
    }
    high += air;
    (low, high)
}

/// The picture.
pub(crate) fn draw(trace: &Trace, texts: &Texts) -> Svg {
    let (left, top, right, bottom) = FIELD;
    let x = Across::new(&trace.columns, (left, right));
    let y = Scale::new(range(trace), (bottom, top));
    let mut paper = Drawing::new(WIDTH, HEIGHT, texts.get("picture.title"), &description(trace, texts));
    for tick in y.ticks(5) {
        paper.line("grid", (left, y.at(tick)), (right, y.at(tick)));
        paper.text("", (left - 6.0, y.at(tick) + 4.0), "end", &format!("{tick:.1}"));
    }
    ordinals(&mut paper, &x);
    let of = texts.get(match trace.of {
        "pulses" => "picture.axis_pulses",
        _ => "picture.axis_strokes",
    });
    paper.text("", (right, HEIGHT - 6.0), "end", of);
    paper.text("", (4.0, top), "start", trace.unit);
    for run in &x.runs {
        let columns = trace.columns.get(run.columns.0..run.columns.1).unwrap_or_default();
        let piece = Piece { columns, x: &x, y };
        piece.readings(&mut paper, trace.columns.len() <= DOTS);
        piece.steps(&mut paper, "set", |column| column.set);
        piece.steps(&mut paper, "limit", |c| c.limits(trace.bound, trace.zone)[0]);
        piece.steps(&mut paper, "limit", |c| c.limits(trace.bound, trace.zone)[1]);
    }
    labels(&mut paper, trace, (&x, y), texts);
    if let Some(first) = trace.first {
        let at = (x.at(first.ordinal as f64 + 0.5), y.at(first.value.unwrap_or(f64::NAN)));
        paper.line("first", (at.0, at.1 - 22.0), (at.0, at.1 - 10.0));
        paper.circle("first", at, 8.0);
    }
    paper.end()
}

/// Names the ordinals at the ends of the runs, as far as there is room, and marks what was not kept.
fn ordinals(paper: &mut Drawing, x: &Across) {
    let (left, top, right, bottom) = FIELD;
    for (from, to, _) in x.gaps() {
        paper.path("gap", &[(from, top), (to, top), (to, bottom), (from, bottom)], true);
        paper.text("", ((from + to) / 2.0, (top + bottom) / 2.0), "middle", "…");
    }
    let Some(last) = x.runs.last() else { return };
    let wide = |ordinal: u64| ordinal.to_string().len() as f64 * LETTER;
    let end = right - wide(last.to) - LETTER;
    let mut taken = left - LETTER;
    paper.text("", (right, bottom + 19.0), "end", &last.to.to_string());
    for run in &x.runs {
        if run.x.0 >= taken && run.x.0 + wide(run.from) <= end {
            paper.text("", (run.x.0, bottom + 19.0), "start", &run.from.to_string());
            taken = run.x.0 + wide(run.from) + LETTER;
        }
    }
}

/// Columns that follow one another without a hole.
struct Piece<'a> {
    columns: &'a [Column],
    x: &'a Across,
    y: Scale,
}

impl Piece<'_> {
    /// Where a column is.
    fn middle(&self, column: &Column) -> f64 {
        (self.x.at(column.from as f64) + self.x.at(column.to as f64 + 1.0)) / 2.0
    }

    /// Dots where each column is one reading, else the band between least and most, piece by piece where some were not read.
    fn readings(&self, paper: &mut Drawing, few: bool) {
        let y = self.y;
        if few && self.columns.iter().all(|c| c.from == c.to) {
            let read = |c: &Column| Some((self.middle(c), y.at(c.most?)));
            let read: Vec<(f64, f64)> = self.columns.iter().filter_map(read).collect();
            paper.path("trace", &read, false);
            for at in read {
                paper.circle("dot", at, 3.0);
            }
            return;
        }
        for piece in self.columns.split(|c| c.least.is_none()) {
            let upper = piece.iter().map(|c| (self.middle(c), y.at(c.most.unwrap_or(0.0))));
            let lower = piece
                .iter()
                .rev()
                .map(|c| (self.middle(c), y.at(c.least.unwrap_or(0.0))));
            let around: Vec<(f64, f64)> = upper.chain(lower).collect();
            paper.path("band", &around, true);
        }
    }

    /// A line that changes in steps, as what is set does; not drawn where there is none.
    fn steps(&self, paper: &mut Drawing, class: &str, of: impl Fn(&Column) -> Option<f64>) {
        let mut line: Vec<(f64, f64)> = Vec::new();
        for column in self.columns {
            match of(column) {
                Some(value) => {
                    line.push((self.x.at(column.from as f64), self.y.at(value)));
                    line.push((self.x.at(column.to as f64 + 1.0), self.y.at(value)));
                }
                None => paper.path(class, &std::mem::take(&mut line), false),
            }
        }
        paper.path(class, &line, false);
    }
}

/// What is set stands at the right, the limit where it begins.
fn labels(paper: &mut Drawing, trace: &Trace, (x, y): (&Across, Scale), texts: &Texts) {
    let last = trace.columns.iter().rev().find_map(|c| c.set);
    if let Some(set) = last {
        let text = fill(texts.get("picture.set_label"), &[("set", &value(trace, set))]);
        paper.text("set-text", (FIELD.2 - 4.0, y.at(set) - 5.0), "end", &text);
    }
    let upper = |c: &Column| Some((c.from, c.limits(trace.bound, trace.zone)[1]?));
    if let Some((from, limit)) = trace.columns.iter().find_map(upper) {
        let text = fill(texts.get("picture.limit_label"), &[("limit", &value(trace, limit))]);
        // Where it begins so far to the right that there is no room, it stands before that.
        let (from, room) = (x.at(from as f64), text.chars().count() as f64 * LETTER);
        let (at, anchor) = match from + room > FIELD.2 {
            true => (from - 4.0, "end"),
            false => (from + 4.0, "start"),
        };
        paper.text("limit-text", (at, y.at(limit) - 5.0), anchor, &text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alerting::proof::{Crossing, Quantity};
    use telemetry::{UnixMicros, Zone};

    use super::*;

    fn trace(columns: Vec<Column>) -> Trace {
        Trace {
            quantity: Quantity::Depth,
            unit: "mm",
            of: "strokes",
            readings: columns.len() as u64,
            columns,
            unread: 1,
            bound: Some(Bound::Most(1.5)),
            zone: None,
            first: Some(Crossing {
                ordinal: 2,
                at: UnixMicros(0),
                value: Some(1.9),
            }),
        }
    }

    fn column(n: u64, read: Option<f64>, wide: u64) -> Column {
        Column {
            from: n * wide,
            to: n * wide + wide - 1,
            at: UnixMicros(0),
            least: read.map(|read| read - 0.1),
            most: read,
            set: Some(0.8),
            zone: None,
        }
    }

    #[test]
    fn a_limit_of_one_zone_is_not_drawn_over_the_readings_of_another_and_the_words_say_so() {
        let texts = Texts::english().unwrap();
        let zones = [Zone::Jaw, Zone::Jaw, Zone::Periorbital];
        let columns = zones.iter().zip(0..).map(|(zone, n)| Column {
            zone: Some(*zone),
            ..column(n, Some(0.8), 9)
        });
        let trace = Trace {
            zone: Some(Zone::Periorbital),
            ..trace(columns.collect())
        };
        let drawn = draw(&trace, &texts);
        assert!(
            drawn.description.contains("of this zone: Around the eyes."),
            "{}",
            drawn.description
        );
        let (_, limit) = drawn.markup.split_once("class=\"limit\" d=\"M").unwrap();
        let points = limit.split_once('"').unwrap().0.split('L');
        let places: Vec<f64> = points
            .map(|point| point.split_once(' ').unwrap().0.parse().unwrap())
            .collect();
        let third = FIELD.0 + (FIELD.2 - FIELD.0) * 2.0 / 3.0;
        assert!(places.iter().all(|x| *x >= third - 1.0), "{places:?}");
        assert_eq!(drawn.markup.matches("class=\"limit\"").count(), 1);
    }

    #[test]
    fn the_description_says_all_that_the_picture_shows() {
        let texts = Texts::english().unwrap();
        let columns = vec![column(0, Some(0.8), 1), column(1, None, 1), column(2, Some(1.9), 1)];
        let said = description(&trace(columns), &texts);
        for part in [
            "3 strokes",
            "0.70 mm",
            "1.90 mm",
            "1 of them",
            "0.80 mm",
            "1.50 mm",
            "number 2",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn a_band_is_drawn_in_pieces_and_nothing_is_drawn_where_nothing_was_read() {
        let texts = Texts::english().unwrap();
        let columns = vec![column(0, Some(0.8), 9), column(1, None, 9), column(2, Some(1.9), 9)];
        let svg = draw(&trace(columns), &texts).markup;
        assert_eq!(svg.matches("class=\"band\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("<circle class=\"first\"").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let nothing = Trace {
            columns: Vec::new(),
            first: None,
            ..trace(Vec::new())
        };
        assert!(!draw(&nothing, &texts).markup.contains("NaN"));
    }
}
