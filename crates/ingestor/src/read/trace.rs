//! The course of a session, or of a device's last minutes: strokes in steps of time by zone, and each pulse.

use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{DeviceKey, SessionId};

use super::Reader;
use super::ask::{Fold, Only, Question, Row, Take};
use crate::schema::{PULSE, STROKE_WINDOW};
use crate::store::ReadError;

/// Most steps of time of one trace: more than a picture has columns.
pub const MAX_STEPS: i64 = 600;
/// Most pulses of one trace: an hour at more than one a second.
pub const MAX_PULSES: usize = 5_000;
/// Most points: in each step several zones may have been treated.
const MAX_POINTS: usize = 4 * MAX_STEPS as usize;
/// Shortest step, in nanoseconds: a batch is a second of strokes at most, so that strokes without a pause fill every step.
const SHORTEST_NS: i64 = 1_000_000_000;

const FOLDS: &[(Fold, &str, &str)] = &[
    (Fold::Sum, "count", "strokes"),
    (Fold::Sum, "unread", "unread_sum"),
    (Fold::Least, "depth_min_um", "least"),
    (Fold::Greatest, "depth_max_um", "greatest"),
    (Fold::Sum, "depth_sum_um", "depth_sum"),
    (Fold::Sum, "over_limit", "over"),
    (Fold::Least, "setpoint_um", "set_least"),
    (Fold::Greatest, "setpoint_um", "set_greatest"),
    (Fold::Least, "limit_um", "limit_least"),
];

const PULSE_FIELDS: &[&str] = &[
    "ordinal",
    "energy_set_mj",
    "energy_measured_mj",
    "fluence_set_mj_per_cm2",
    "fluence_measured_mj_per_cm2",
    "width_us",
    "filter_cutoff_nm",
    "skin_type",
    "skin_temperature_mdegc",
    "tip_temperature_mdegc",
    "fired",
];

/// Which stretch of time, in microseconds since 1970-01-01 UTC; the end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after it.
    pub to_us: i64,
}

/// A trace.
#[derive(Debug, Clone, PartialEq, Serialize, Default, JsonSchema)]
pub struct Trace {
    /// Length of a step, in microseconds.
    pub step_us: i64,
    /// Strokes by step and zone, in the order of time.
    pub strokes: Vec<DepthPoint>,
    /// Pulses, in the order of time.
    pub pulses: Vec<PulsePoint>,
    /// There was more than a trace holds: what is here is the first of it.
    pub cut: bool,
}

/// The strokes of one step in one zone.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DepthPoint {
    /// Start of the step, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Zone; `None`: not told.
    pub zone: Option<String>,
    /// Strokes, read or not.
    pub strokes: u64,
    /// Strokes that the sensor did not read.
    pub unread: u64,
    /// Shallowest, in micrometres; `None`: none was read.
    pub least_um: Option<i64>,
    /// Mean of those that were read, in micrometres.
    pub mean_um: Option<i64>,
    /// Deepest, in micrometres.
    pub greatest_um: Option<i64>,
    /// Depth that was set; where it changed within the step, the lowest, in micrometres.
    pub set_least_um: Option<i64>,
    /// Depth that was set; where it changed within the step, the greatest, in micrometres.
    pub set_greatest_um: Option<i64>,
    /// Limit that the device enforced; the lowest within the step, in micrometres.
    pub limit_um: Option<i64>,
    /// Strokes deeper than that limit.
    pub over_limit: u64,
}

/// One pulse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default, JsonSchema)]
pub struct PulsePoint {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Zone; `None`: not told.
    pub zone: Option<String>,
    /// Ordinal within its session.
    pub ordinal: Option<i64>,
    /// Energy that was set, in millijoules.
    pub energy_set_mj: Option<i64>,
    /// Energy that was measured, in millijoules.
    pub energy_measured_mj: Option<i64>,
    /// Fluence that was set, in mJ/cm².
    pub fluence_set: Option<i64>,
    /// Fluence that was measured, in mJ/cm².
    pub fluence_measured: Option<i64>,
    /// Width of the pulse, in microseconds.
    pub width_us: Option<i64>,
    /// Cut-off filter, in nanometres.
    pub filter_cutoff_nm: Option<i64>,
    /// Fitzpatrick skin type.
    pub skin_type: Option<String>,
    /// Skin temperature, in thousandths of a degree Celsius.
    pub skin_temperature_mdegc: Option<i64>,
    /// Tip temperature, in thousandths of a degree Celsius.
    pub tip_temperature_mdegc: Option<i64>,
    /// Whether the unit believes that it fired.
    pub fired: Option<bool>,
}

/// The shortest step of whole milliseconds in which a span has at most [`MAX_STEPS`] steps, in nanoseconds.
pub fn step_ns(span: Span) -> i64 {
    let length_ns = span.to_us.saturating_sub(span.from_us).max(1).saturating_mul(1_000);
    // Steps are aligned to 1970: a span touches one more than it has.
    let step = length_ns / (MAX_STEPS - 1) + 1;
    let milliseconds = (step + 999_999) / 1_000_000;
    SHORTEST_NS.max(milliseconds * 1_000_000)
}

impl Reader {
    /// The trace of a device in a span, of one session or of whatever it did.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn trace(&self, device: &DeviceKey, session: Option<SessionId>, span: Span) -> Result<Trace, ReadError> {
        let mut only = vec![Only::Is("device", device.device.to_string())];
        only.extend(session.map(|session| Only::Is("session", session.to_hex())));
        let width_ns = step_ns(span);
        let question = |measurement, take| Question {
            measurement,
            tenant: device.tenant.clone(),
            from_ns: span.from_us.saturating_mul(1_000),
            to_ns: span.to_us.saturating_mul(1_000),
            only: only.clone(),
            take,
        };
        let steps = question(
            &STROKE_WINDOW,
            Take::Steps {
                width_ns,
                folds: FOLDS,
                limit: MAX_POINTS + 1,
            },
        );
        let pulses = question(
            &PULSE,
            Take::Rows {
                fields: PULSE_FIELDS,
                newest_first: false,
                limit: MAX_PULSES + 1,
            },
        );
        let (steps, pulses) = tokio::try_join!(self.ask(steps), self.ask(pulses))?;
        Ok(Trace {
            step_us: width_ns / 1_000,
            cut: steps.len() > MAX_POINTS || pulses.len() > MAX_PULSES,
            strokes: steps.iter().take(MAX_POINTS).map(depth).collect(),
            pulses: pulses.iter().take(MAX_PULSES).map(pulse).collect(),
        })
    }
}

fn zone(row: &Row) -> Option<String> {
    row.text("zone").filter(|zone| zone != "unspecified")
}

fn depth(row: &Row) -> DepthPoint {
    let (strokes, unread) = (row.count("strokes"), row.count("unread_sum"));
    let read = i64::try_from(strokes.saturating_sub(unread)).unwrap_or(i64::MAX);
    DepthPoint {
        at_us: row.time_us(),
        zone: zone(row),
        strokes,
        unread,
        least_um: row.integer("least"),
        mean_um: row
            .integer("depth_sum")
            .filter(|_| read > 0)
            .map(|sum| (sum + read / 2) / read),
        greatest_um: row.integer("greatest"),
        set_least_um: row.integer("set_least"),
        set_greatest_um: row.integer("set_greatest"),
        limit_um: row.integer("limit_least"),
        over_limit: row.count("over"),
    }
}

fn pulse(row: &Row) -> PulsePoint {
    PulsePoint {
        at_us: row.time_us(),
        zone: zone(row),
        ordinal: row.integer("ordinal"),
        energy_set_mj: row.integer("energy_set_mj"),
        energy_measured_mj: row.integer("energy_measured_mj"),
        fluence_set: row.integer("fluence_set_mj_per_cm2"),
        fluence_measured: row.integer("fluence_measured_mj_per_cm2"),
        width_us: row.integer("width_us"),
        filter_cutoff_nm: row.integer("filter_cutoff_nm"),
        skin_type: row.text("skin_type"),
        skin_temperature_mdegc: row.integer("skin_temperature_mdegc"),
        tip_temperature_mdegc: row.integer("tip_temperature_mdegc"),
        fired: row.yes("fired"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_any_length_has_no_more_steps_than_a_picture_has_columns() {
        let step = |seconds: i64| {
            let span = Span {
                from_us: 7,
                to_us: 7 + seconds * 1_000_000,
            };
            step_ns(span) / 1_000_000
        };
        // 599 s fit into a second each, aligned; ten minutes do not.
        assert_eq!(
            [step(0), step(598), step(600), step(1_800)],
            [1_000, 1_000, 1_002, 3_006]
        );
        for seconds in [1, 598, 599, 600, 601, 1_800, 86_400] {
            assert!(seconds * 1_000 / step(seconds) < MAX_STEPS, "{seconds} s");
        }
    }
}
