//! The readings around an alert as a picture is drawn from: least and most by column, what was set, the limit, and the reading that
//! crossed it. Out of the evidence alone; bounded, however many frames were kept.
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{Body, Pulse, UnixMicros, Zone};

use crate::engine::Alert;
use crate::id::{Opaque, TransitionId};
use crate::intake::{self, Input, Said};
use crate::rules::Kind;
use crate::store::KeptFrame;

/// Most columns of a trace; readings beyond are drawn together.
pub const MAX_COLUMNS: usize = 240;
/// Most readings that are looked at: some hundred frames.
const MAX_READINGS: usize = 200_000;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Depth of strokes, in mm.
    Depth,
    /// Fluence of pulses, in J/cm².
    Fluence,
    /// Energy of pulses, in J.
    Energy,
    /// Temperature of the skin, in °C.
    SkinTemperature,
    /// Temperature of the tip, in °C.
    TipTemperature,
}

impl Quantity {
    /// The unit of a trace's values.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Depth => "mm",
            Self::Fluence => "J/cm²",
            Self::Energy => "J",
            Self::SkinTemperature | Self::TipTemperature => "°C",
        }
    }

    /// From an alert's unit to this one's.
    const fn scale(self) -> f64 {
        match self {
            Self::Depth | Self::Fluence | Self::Energy => 1e-3,
            Self::SkinTemperature | Self::TipTemperature => 1.0,
        }
    }
}

/// What the rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than this.
    Most(f64),
    /// No further than this from what was set.
    OffSet(f64),
}

/// Some readings, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AlertTraceColumn")]
pub struct Column {
    /// Ordinal of the first of them within its session.
    pub from: u64,
    /// Ordinal of the last.
    pub to: u64,
    /// When the first was.
    pub at: UnixMicros,
    /// The least; `None`: none was read.
    pub least: Option<f64>,
    /// The most.
    pub most: Option<f64>,
    /// What was set, the last that was.
    pub set: Option<f64>,
    /// Where they were; `None`: it was not told, or not in one zone.
    pub zone: Option<Zone>,
}

impl Column {
    /// Lower and upper limit for these readings: a limit of one zone says nothing about readings in another.
    pub fn limits(&self, bound: Option<Bound>, zone: Option<Zone>) -> [Option<f64>; 2] {
        if let (Some(own), Some(here)) = (zone, self.zone)
            && own != here
        {
            return [None, None];
        }
        match bound {
            Some(Bound::Most(limit)) => [None, Some(limit)],
            Some(Bound::OffSet(off)) => [self.set.map(|set| (set - off).max(0.0)), self.set.map(|set| set + off)],
            None => [None, None],
        }
    }
}

/// The reading that crossed first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Crossing {
    /// Its ordinal.
    pub ordinal: u64,
    /// When.
    pub at: UnixMicros,
    /// What was read.
    pub value: Option<f64>,
}

/// The readings around an alert, as a picture is drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AlertTrace")]
pub struct Trace {
    /// What was measured.
    pub quantity: Quantity,
    /// Unit of every value here.
    pub unit: &'static str,
    /// Strokes, or pulses.
    #[schemars(extend("enum" = ["strokes", "pulses"]))]
    pub of: &'static str,
    /// The readings, oldest first, at most [`MAX_COLUMNS`].
    pub columns: Vec<Column>,
    /// How many readings there are.
    pub readings: u64,
    /// How many of them the device did not read.
    pub unread: u64,
    /// What the rule allows, where it is a bound of this quantity.
    pub bound: Option<Bound>,
    /// In which zone it allows that; `None`: in all.
    pub zone: Option<Zone>,
    /// The reading that crossed first, where one did.
    pub first: Option<Crossing>,
}

/// One stroke or pulse.
#[derive(Clone, Copy)]
struct Point {
    at: UnixMicros,
    value: Option<f64>,
    set: Option<f64>,
    zone: Option<Zone>,
}

/// The readings of the frames that were kept, of the alert's device and session. `None`: there are none.
pub fn trace(alert: &Alert, evidence: &BTreeMap<TransitionId, Vec<KeptFrame>>) -> Option<Trace> {
    let first = first(alert);
    let mut seen = BTreeSet::new();
    let (mut strokes, mut pulses) = (BTreeMap::new(), BTreeMap::new());
    let frames = evidence.values().flatten().filter(|frame| seen.insert(frame.0));
    for bytes in frames.filter_map(|frame| frame.1.as_deref()) {
        let Ok(Input::Frame(frame)) = intake::decode(bytes) else {
            continue;
        };
        let Said::Telemetry(said) = &frame.said else { continue };
        let boot = said.header.boot.0;
        // Ordinals begin anew with each session.
        let session = said.header.session.as_ref().map(|session| Opaque(*session.id.bytes()));
        let another = alert.session.is_some() && session != alert.session;
        let elsewhere =
            frame.admitted.device.as_str() != alert.device || frame.admitted.tenant.as_str() != alert.tenant;
        if another || elsewhere || first.is_some_and(|(wanted, _)| wanted != boot) {
            continue;
        }
        match &said.body {
            Body::Strokes(batch) => {
                let set = batch.setpoint.map(|set| f64::from(set.get()) * 1e-3);
                for stroke in batch.strokes().take(MAX_READINGS.saturating_sub(strokes.len())) {
                    let point = Point {
                        at: frame.admitted.event_time(stroke.uptime),
                        value: stroke.depth_um.map(|depth| f64::from(depth) * 1e-3),
                        set,
                        zone: batch.zone,
                    };
                    strokes.insert((boot, stroke.ordinal), point);
                }
            }
            Body::Pulses(batch) => {
                for pulse in batch.pulses.iter().take(MAX_READINGS.saturating_sub(pulses.len())) {
                    let at = frame.admitted.event_time(pulse.uptime);
                    pulses.insert((boot, pulse.ordinal), (at, pulse.clone()));
                }
            }
            _ => {}
        }
    }
    if strokes.is_empty() {
        let quantity = quantity(alert.kind, pulses.values().map(|(_, pulse)| pulse))?;
        let points = pulses
            .iter()
            .map(|(key, (at, pulse))| (*key, point(quantity, *at, pulse)));
        return Some(drawn(alert, quantity, "pulses", &points.collect(), first));
    }
    Some(drawn(alert, Quantity::Depth, "strokes", &strokes, first))
}

/// Boot and ordinal of the reading that crossed first.
fn first(alert: &Alert) -> Option<(u64, u64)> {
    let cause = &alert.raised.as_ref()?.cause["reading"];
    Some((cause["boot"].as_u64()?, cause["ordinal"].as_u64()?))
}

/// What to draw of pulses: what the rule is about, else fluence, else energy.
fn quantity<'p>(kind: Kind, mut pulses: impl Iterator<Item = &'p Pulse> + Clone) -> Option<Quantity> {
    let mut others = pulses.clone();
    others.next()?;
    Some(match kind {
        Kind::SkinTooHot => Quantity::SkinTemperature,
        Kind::TipTooHot => Quantity::TipTemperature,
        _ if pulses.any(|p| p.fluence_measured.is_some() || p.fluence_set.is_some()) => Quantity::Fluence,
        _ => Quantity::Energy,
    })
}

fn point(quantity: Quantity, at: UnixMicros, pulse: &Pulse) -> Point {
    let milli = |value: u32| f64::from(value) * 1e-3;
    let celsius = |value: telemetry::MilliCelsius| f64::from(value.get()) * 1e-3;
    let (value, set) = match quantity {
        Quantity::Fluence => (
            pulse.fluence_measured.map(|f| milli(f.get())),
            pulse.fluence_set.map(|f| milli(f.get())),
        ),
        Quantity::SkinTemperature => (pulse.skin_temperature.map(celsius), None),
        Quantity::TipTemperature => (pulse.tip_temperature.map(celsius), None),
        Quantity::Depth | Quantity::Energy => (
            pulse.energy_measured.map(|e| milli(e.get())),
            pulse.energy_set.map(|e| milli(e.get())),
        ),
    };
    let zone = pulse.zone;
    Point { at, value, set, zone }
}

fn bound(alert: &Alert, quantity: Quantity) -> Option<Bound> {
    let limit = alert.limit * quantity.scale();
    match (alert.kind, quantity) {
        (Kind::DepthAboveLimit | Kind::DepthSetpointAboveLimit, Quantity::Depth)
        | (Kind::PulseAboveLimit | Kind::PulseAboveSet, Quantity::Fluence)
        | (Kind::SkinTooHot, Quantity::SkinTemperature)
        | (Kind::TipTooHot, Quantity::TipTemperature) => Some(Bound::Most(limit)),
        (Kind::DepthOffSetpoint, Quantity::Depth) => Some(Bound::OffSet(limit)),
        _ => None,
    }
}

fn drawn(
    alert: &Alert,
    quantity: Quantity,
    of: &'static str,
    points: &BTreeMap<(u64, u64), Point>,
    first: Option<(u64, u64)>,
) -> Trace {
    let keyed: Vec<(u64, Point)> = points.iter().map(|(key, point)| (key.1, *point)).collect();
    let crossing = first.and_then(|key| {
        let point = points.get(&key)?;
        Some(Crossing {
            ordinal: key.1,
            at: point.at,
            value: point.value,
        })
    });
    Trace {
        quantity,
        unit: quantity.unit(),
        of,
        columns: columns(&keyed),
        readings: points.len() as u64,
        unread: points.values().filter(|point| point.value.is_none()).count() as u64,
        bound: bound(alert, quantity),
        zone: alert.zone,
        first: crossing,
    }
}

/// Readings drawn together, at most [`MAX_COLUMNS`]. What was not kept lies between two columns and never within one, and so does a
/// change of zone, unless there are more of them than columns.
fn columns(keyed: &[(u64, Point)]) -> Vec<Column> {
    let runs: Vec<&[(u64, Point)]> = keyed.chunk_by(|a, b| b.0 == a.0 + 1 && b.1.zone == a.1.zone).collect();
    if runs.len() > MAX_COLUMNS / 2 {
        let wide = keyed.len().div_ceil(MAX_COLUMNS).max(1);
        return keyed.chunks(wide).filter_map(column).collect();
    }
    // The last column of each run may be a narrow one: there is room for as many.
    let wide = keyed.len().div_ceil(MAX_COLUMNS - runs.len()).max(1);
    runs.into_iter()
        .flat_map(|run| run.chunks(wide))
        .filter_map(column)
        .collect()
}

fn column(chunk: &[(u64, Point)]) -> Option<Column> {
    let (from, start) = *chunk.first()?;
    let (to, _) = *chunk.last()?;
    let values = || chunk.iter().filter_map(|(_, point)| point.value);
    Some(Column {
        from,
        to,
        at: start.at,
        least: values().reduce(f64::min),
        most: values().reduce(f64::max),
        set: chunk.iter().rev().find_map(|(_, point)| point.set),
        zone: start
            .zone
            .filter(|_| chunk.iter().all(|(_, point)| point.zone == start.zone)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(ordinals: impl Iterator<Item = u64>) -> Vec<(u64, Point)> {
        let point = Point {
            at: UnixMicros(0),
            value: Some(0.5),
            set: None,
            zone: None,
        };
        ordinals.map(|ordinal| (ordinal, point)).collect()
    }

    #[test]
    fn a_column_is_of_one_zone_and_a_limit_holds_in_its_own_only() {
        let mut both = points(0..600);
        for (ordinal, point) in &mut both {
            point.zone = Some(if *ordinal < 301 { Zone::Jaw } else { Zone::Periorbital });
        }
        let drawn = columns(&both);
        assert!(
            drawn
                .iter()
                .all(|column| column.zone.is_some() && (column.to < 301) == (column.from < 301))
        );
        let limited = |zone| {
            let limits = drawn
                .iter()
                .map(|column| column.limits(Some(Bound::Most(0.5)), zone)[1]);
            limits.map(|limit| limit.is_some()).collect::<Vec<_>>()
        };
        let eyes: Vec<bool> = drawn.iter().map(|column| column.from >= 301).collect();
        assert_eq!(limited(Some(Zone::Periorbital)), eyes);
        assert_eq!(limited(None), vec![true; drawn.len()]);
    }

    #[test]
    fn no_column_reaches_over_readings_that_were_not_kept() {
        let drawn = columns(&points((0..300).chain(900..901).chain(2_000..2_500)));
        let held: u64 = drawn.iter().map(|c| c.to - c.from + 1).sum();
        assert_eq!(held, 801);
        assert!(drawn.len() <= MAX_COLUMNS, "{}", drawn.len());
        // More holes than there is room for: the columns are bounded all the same.
        assert!(columns(&points((0..1_000).map(|n| n * 2))).len() <= MAX_COLUMNS);
        assert!(columns(&[]).is_empty());
    }
}
