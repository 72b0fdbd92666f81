//! A treatment by zone: from its trace, so that the table and the picture cannot disagree.
use ingestor::read::{DepthPoint, PulsePoint, Trace};
use schemars::JsonSchema;
use serde::Serialize;

/// One zone of a treatment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub(crate) struct ZoneRow {
    /// The zone; `None`: not told.
    pub(crate) zone: Option<String>,
    /// When it was first treated, in microseconds since 1970-01-01 UTC, to the step of the trace.
    pub(crate) from_us: i64,
    /// When it was last treated, in microseconds since 1970-01-01 UTC, to the step of the trace.
    pub(crate) to_us: i64,
    /// Strokes, read or not.
    pub(crate) strokes: u64,
    /// Strokes that the sensor did not read.
    pub(crate) unread: u64,
    /// Mean depth of the read ones, in micrometres.
    pub(crate) mean_um: Option<i64>,
    /// Deepest stroke, in micrometres.
    pub(crate) greatest_um: Option<i64>,
    /// Lowest and greatest depth that was set, in micrometres.
    pub(crate) set_um: Option<(i64, i64)>,
    /// Lowest and greatest of the device's own limits in force, in micrometres.
    pub(crate) limit_um: Option<(i64, i64)>,
    /// Strokes deeper than the device's own limit; 0 also where it told none, and `limit_um` is `null` then.
    pub(crate) over_limit: u64,
    /// Pulses.
    pub(crate) pulses: u64,
    /// Pulses that the unit says it did not fire.
    pub(crate) unfired: u64,
    /// Lowest and greatest fluence that was set, in mJ/cm².
    pub(crate) fluence_set: Option<(i64, i64)>,
    /// Greatest fluence that was measured, in mJ/cm².
    pub(crate) fluence_greatest: Option<i64>,
    /// Lowest and greatest energy that was set, in millijoules.
    pub(crate) energy_set_mj: Option<(i64, i64)>,
    /// Narrowest and widest pulse, in microseconds.
    pub(crate) width_us: Option<(i64, i64)>,
    /// Lowest and greatest cut-off of the filter, in nanometres.
    pub(crate) filter_cutoff_nm: Option<(i64, i64)>,
    /// Warmest that the skin was read, in thousandths of a degree Celsius.
    pub(crate) skin_temperature_greatest_mdegc: Option<i64>,
    #[serde(skip)]
    depth_sum: i64,
}

/// A row for each zone, in the order in which they were first treated.
pub(crate) fn by_zone(trace: &Trace) -> Vec<ZoneRow> {
    let mut rows: Vec<ZoneRow> = Vec::new();
    for point in &trace.strokes {
        let row = row_of(
            &mut rows,
            point.zone.as_deref(),
            point.at_us,
            point.at_us + trace.step_us,
        );
        strokes(row, point);
    }
    for pulse in &trace.pulses {
        let row = row_of(&mut rows, pulse.zone.as_deref(), pulse.at_us, pulse.at_us);
        pulses(row, pulse);
    }
    for row in &mut rows {
        let read = i64::try_from(row.strokes - row.unread).unwrap_or(i64::MAX);
        row.mean_um = (read > 0).then(|| (row.depth_sum + read / 2) / read);
    }
    rows.sort_by_key(|row| row.from_us);
    rows
}

fn row_of<'r>(rows: &'r mut Vec<ZoneRow>, zone: Option<&str>, from_us: i64, to_us: i64) -> &'r mut ZoneRow {
    let known = rows.iter().position(|row| row.zone.as_deref() == zone);
    let at = known.unwrap_or_else(|| {
        rows.push(ZoneRow {
            zone: zone.map(str::to_owned),
            from_us,
            ..ZoneRow::default()
        });
        rows.len() - 1
    });
    let row = &mut rows[at];
    row.from_us = row.from_us.min(from_us);
    row.to_us = row.to_us.max(to_us);
    row
}

fn strokes(row: &mut ZoneRow, point: &DepthPoint) {
    row.strokes += point.strokes;
    row.unread += point.unread;
    row.over_limit += point.over_limit;
    let read = i64::try_from(point.strokes.saturating_sub(point.unread)).unwrap_or(0);
    row.depth_sum += point.mean_um.unwrap_or(0).saturating_mul(read);
    row.greatest_um = row.greatest_um.max(point.greatest_um);
    let set = point.set_least_um.zip(point.set_greatest_um);
    row.set_um = wider(row.set_um, set);
    row.limit_um = wider(row.limit_um, alone(point.limit_um));
}

fn pulses(row: &mut ZoneRow, pulse: &PulsePoint) {
    row.pulses += 1;
    row.unfired += u64::from(pulse.fired == Some(false));
    row.fluence_set = wider(row.fluence_set, alone(pulse.fluence_set));
    row.fluence_greatest = row.fluence_greatest.max(pulse.fluence_measured);
    row.energy_set_mj = wider(row.energy_set_mj, alone(pulse.energy_set_mj));
    row.width_us = wider(row.width_us, alone(pulse.width_us));
    row.filter_cutoff_nm = wider(row.filter_cutoff_nm, alone(pulse.filter_cutoff_nm));
    row.skin_temperature_greatest_mdegc = row.skin_temperature_greatest_mdegc.max(pulse.skin_temperature_mdegc);
}

fn alone(value: Option<i64>) -> Option<(i64, i64)> {
    value.map(|value| (value, value))
}

fn wider(known: Option<(i64, i64)>, more: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (known, more) {
        (Some((low, high)), Some((least, greatest))) => Some((low.min(least), high.max(greatest))),
        (known, more) => known.or(more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_us: i64, zone: Option<&str>, (strokes, unread): (u64, u64), mean_um: i64) -> DepthPoint {
        DepthPoint {
            at_us,
            zone: zone.map(str::to_owned),
            strokes,
            unread,
            least_um: Some(mean_um - 50),
            mean_um: Some(mean_um),
            greatest_um: Some(mean_um + 50),
            set_least_um: Some(mean_um),
            set_greatest_um: Some(mean_um + 10),
            limit_um: None,
            over_limit: unread,
        }
    }

    #[test]
    fn a_zone_that_is_treated_twice_is_one_row_with_the_mean_of_its_strokes() {
        let trace = Trace {
            step_us: 10,
            strokes: vec![
                point(100, Some("cheek"), (10, 0), 500),
                point(110, None, (4, 1), 300),
                point(200, Some("cheek"), (40, 10), 900),
            ],
            ..Trace::default()
        };
        let rows = by_zone(&trace);
        assert_eq!(rows.len(), 2);
        let cheek = &rows[0];
        assert_eq!(
            (cheek.zone.as_deref(), cheek.from_us, cheek.to_us),
            (Some("cheek"), 100, 210)
        );
        // (10 * 500 + 30 * 900) / 40
        assert_eq!((cheek.strokes, cheek.unread, cheek.mean_um), (50, 10, Some(800)));
        assert_eq!(
            (cheek.greatest_um, cheek.set_um, cheek.over_limit),
            (Some(950), Some((500, 910)), 10)
        );
        assert_eq!((rows[1].zone.as_deref(), rows[1].strokes), (None, 4));
    }

    #[test]
    fn what_light_was_made_in_a_zone_stands_with_its_least_and_greatest() {
        let pulse = |width_us: i64, filter: i64, energy: i64, skin: Option<i64>| PulsePoint {
            zone: Some("cheek".to_owned()),
            energy_set_mj: Some(energy),
            width_us: Some(width_us),
            filter_cutoff_nm: Some(filter),
            skin_temperature_mdegc: skin,
            fired: Some(true),
            ..PulsePoint::default()
        };
        let trace = Trace {
            pulses: vec![
                pulse(20_000, 530, 40_000, Some(33_500)),
                pulse(30_000, 530, 28_800, Some(36_250)),
                pulse(25_000, 560, 30_000, None),
            ],
            ..Trace::default()
        };
        let rows = by_zone(&trace);
        assert_eq!((rows.len(), rows[0].pulses, rows[0].limit_um), (1, 3, None));
        assert_eq!(rows[0].width_us, Some((20_000, 30_000)));
        assert_eq!(rows[0].filter_cutoff_nm, Some((530, 560)));
        assert_eq!(rows[0].energy_set_mj, Some((28_800, 40_000)));
        assert_eq!(rows[0].skin_temperature_greatest_mdegc, Some(36_250));
    }
}
