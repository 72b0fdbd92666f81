//! What happened, in a sentence for the person who is paged: no session, no visit, nothing about the client.
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
    format!("{how} {} deep, allowed are {}", mm(value), mm(limit))
}

fn depth_off(value: f64, limit: f64) -> String {
    format!(
        "repeated strokes {} off the set depth, tolerated are {}",
        mm(value),
        mm(limit)
    )
}

fn setpoint(value: f64, limit: f64) -> String {
    format!("depth is set to {}, allowed are {}", mm(value), mm(limit))
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

pub(super) fn overdue(overdue: Overdue) -> String {
    match overdue {
        Overdue::ByTime { hours: None, .. } => "used without any good sterilization on record".to_owned(),
        Overdue::ByTime {
            hours: Some(hours),
            limit,
        } => {
            format!("used {hours:.1} h after its last good sterilization, allowed are {limit:.1} h")
        }
        Overdue::ByUses { uses, limit } => {
            format!("used for visit {uses} since its last good sterilization, allowed are {limit}")
        }
    }
}

pub(super) fn indicator_overdue(hours: f64, limit: f64, on_record: bool) -> String {
    let since = if on_record {
        "its last passed biological indicator"
    } else {
        "its first cycle here, without any passed biological indicator on record"
    };
    format!("sterilizer used {hours:.0} h after {since}; allowed are {limit:.0} h")
}

/// Of what keeps coming and going.
pub(super) fn flapping(what: &str) -> String {
    let minutes = super::flapping::FLAPS_WITHIN.as_secs() / 60;
    format!("{what}; it keeps coming and going and is told once until it has been quiet for {minutes} min")
}
