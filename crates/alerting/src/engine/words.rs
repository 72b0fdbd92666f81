//! What happened, in a sentence for the person who is paged: no session, no visit, nothing about the client.
use telemetry::{FaultCode, Pulse};

use crate::plural::counted;
use crate::rules::sterilization::Overdue;
use crate::rules::{Kind, Violation};

/// Micrometres as millimetres.
fn mm(um: f64) -> String {
    format!("{:.3} mm", um / 1_000.0)
}

/// Of a depth rule.
pub(super) fn depth(kind: Kind, v: &Violation) -> String {
    match kind {
        Kind::DepthOffSetpoint => depth_off(v.value, v.limit),
        Kind::DepthSetpointAboveLimit => setpoint(v.value, v.limit),
        _ => depth_above(v.value, v.limit, v.single),
    }
}

fn depth_above(value: f64, limit: f64, single: bool) -> String {
    let how = if single { "one stroke" } else { "repeated strokes" };
    format!("{how} {} deep, the limit is {}", mm(value), mm(limit))
}

fn depth_off(value: f64, limit: f64) -> String {
    format!(
        "repeated strokes {} off the set depth, the tolerance is {}",
        mm(value),
        mm(limit)
    )
}

fn setpoint(value: f64, limit: f64) -> String {
    format!("depth is set to {}, the limit is {}", mm(value), mm(limit))
}

/// Of a rule over seconds or sessions of strokes.
pub(super) fn pen(kind: Kind, v: &Violation) -> String {
    let (value, limit) = (v.value, v.limit);
    match kind {
        Kind::DepthDrift => format!(
            "depth is about {} off its factory calibration; up to {} is ignored",
            mm(value),
            mm(limit)
        ),
        Kind::DepthBaselineShift => format!(
            "over its last sessions the depth is {} off its factory calibration, the limit is {}",
            mm(value),
            mm(limit)
        ),
        Kind::DepthSensorStuck => format!("the depth sensor repeats one reading, {value:.0} strokes so far"),
        Kind::DepthSensorJitter => format!(
            "depth readings of one second are {} apart, up to {} is noise",
            mm(value),
            mm(limit)
        ),
        Kind::StrokeRateOff if value < limit => {
            format!("{value:.1} strokes a second, a working motor makes {limit:.1} at least")
        }
        Kind::StrokeRateOff => format!("{value:.1} strokes a second, a working motor makes {limit:.1} at most"),
        _ => format!("needles go in {} deep on average, hardly at all", mm(value)),
    }
}

/// Of a pulse or the lamp that made it.
pub(super) fn pulse(kind: Kind, v: &Violation, pulse: &Pulse) -> String {
    let (value, limit) = (v.value, v.limit);
    match kind {
        Kind::FluenceInconsistent => format!(
            "fluence is {:.0} % off energy over area, {:.0} % are tolerated: is the right tip told?",
            value / 10.0,
            limit / 10.0
        ),
        Kind::PulseWithoutEnergy => {
            "a pulse fired and no energy was measured: how much it carried is not known".to_owned()
        }
        Kind::PulseUnfired => format!("{value:.0} or more of the last {limit:.0} pulses were set and did not fire"),
        Kind::PulseStacking => format!(
            "two pulses on one zone within {:.2} s, at least {:.2} s are asked for",
            1.0 / value,
            1.0 / limit
        ),
        Kind::SkinTooHot => format!("skin at {value:.1} °C, the limit is {limit:.1} °C"),
        Kind::TipTooHot => format!("tip at {value:.1} °C, the limit is {limit:.1} °C: cooling fails"),
        Kind::FilterMismatch => format!(
            "a pulse through a filter from {value:.0} nm, {} asks for {limit:.0} nm at least",
            pulse.skin_type.map_or_else(
                || "the strictest skin type (none was told)".to_owned(),
                |s| format!("skin type {s}")
            )
        ),
        Kind::LampWorn => format!("the lamp has fired {value:.0} shots, it is made for {limit:.0}"),
        _ => format!(
            "the lamp gives {:.0} % more or less than is set, {:.0} % are tolerated",
            value / 10.0,
            limit / 10.0
        ),
    }
}

pub(super) fn above_set(value: f64, limit: f64) -> String {
    format!(
        "a pulse of {:.2} J/cm², set fluence with tolerance is {:.2} J/cm²",
        value / 1_000.0,
        limit / 1_000.0
    )
}

pub(super) fn above_limit(value: f64, limit: f64, skin_known: bool) -> String {
    let of = if skin_known {
        "for this skin type"
    } else {
        "for the strictest skin type (none was told)"
    };
    format!(
        "a pulse of {:.2} J/cm², allowed {of} are {:.2} J/cm²",
        value / 1_000.0,
        limit / 1_000.0
    )
}

pub(super) fn too_soon(days: u32, least: u32) -> String {
    let verb = if least == 1 { "is" } else { "are" };
    format!(
        "treated {} after the last treatment, at least {least} {verb} asked for",
        counted(days, "day", "days")
    )
}

pub(super) fn untold(visits: u32) -> String {
    format!("for {visits} visits in a row nobody told when the client was last treated: the interval was not judged")
}

/// What a device says of itself. `vendor`: the maker's number of the newest.
pub(super) fn faults(codes: impl Iterator<Item = Option<FaultCode>>, vendor: Option<u32>) -> String {
    let names: Vec<&str> = codes
        .map(|c| c.map_or("a fault that is not known here", FaultCode::as_str))
        .collect();
    let maker = vendor.map_or(String::new(), |number| format!(" (maker's number {number})"));
    format!("the device reports: {}{maker}", names.join(", "))
}

pub(super) fn overdue(overdue: Overdue) -> String {
    match overdue {
        Overdue::ByTime { hours: None, .. } => "used without any good sterilization on record".to_owned(),
        Overdue::ByTime {
            hours: Some(hours),
            limit,
        } => {
            format!("used {hours:.1} h after its last good sterilization, the limit is {limit:.1} h")
        }
        Overdue::ByUses { uses, limit } => {
            format!("used for visit {uses} since its last good sterilization, the limit is {limit}")
        }
    }
}

pub(super) fn indicator_overdue(sterilizer: &str, hours: f64, limit: f64, on_record: bool) -> String {
    let since = if on_record {
        "its last passed biological indicator"
    } else {
        "its first cycle here, without any passed biological indicator on record"
    };
    format!("sterilizer {sterilizer} used {hours:.0} h after {since}; the limit is {limit:.0} h")
}

/// Of a log that fills.
pub(super) fn backlog(log: &str, gateway: &str, percent: u32) -> String {
    format!("the {log} log at {gateway} is {percent} % full of what its reader has not taken")
}

/// Of messages that a gateway did not let in.
pub(super) fn refused(messages: u64, within_s: u32, reason: &str) -> String {
    format!("{messages} of its messages were refused within {within_s} s ({reason}): what they said was not judged")
}

/// Of what keeps coming and going.
pub(super) fn flapping(what: &str) -> String {
    let minutes = super::flapping::FLAPS_WITHIN.as_secs() / 60;
    format!("{what}; it keeps coming and going and is told once until it has been quiet for {minutes} min")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_and_a_sterilizer_is_named() {
        assert_eq!(
            too_soon(1, 28),
            "treated 1 day after the last treatment, at least 28 are asked for"
        );
        assert_eq!(
            too_soon(0, 1),
            "treated 0 days after the last treatment, at least 1 is asked for"
        );
        assert_eq!(
            indicator_overdue("autoclave-1", 170.2, 168.0, true),
            "sterilizer autoclave-1 used 170 h after its last passed biological indicator; the limit is 168 h"
        );
    }
}
