//! An explanation as text for people.
use std::fmt::Write as _;

use serde_json::Value;
use telemetry::UnixMicros;

use super::explain::{Delay, Explanation, Told};
use super::readings::FrameShown;
use crate::engine::Raised;
use crate::notify::rfc3339;

/// The explanation as text, a line a fact.
pub fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = whole(explanation, &mut out);
    out
}

fn whole(explanation: &Explanation, out: &mut String) -> std::fmt::Result {
    let alert = &explanation.alert;
    let zone = alert
        .zone
        .map(|zone| format!(", zone {}", zone.as_str()))
        .unwrap_or_default();
    writeln!(out, "alert {}: {} ({})", alert.id, alert.rule, alert.priority.as_str())?;
    writeln!(
        out,
        "  {} at {}/{}{zone}: {}",
        alert.device, alert.tenant, alert.clinic, alert.what_happened
    )?;
    write!(out, "  now {}", alert.state.as_str())?;
    // Without a unit the two are no worst value and no limit.
    if !alert.unit.is_empty() {
        write!(
            out,
            ", worst {} {}, limit {} {}",
            alert.value, alert.unit, alert.limit, alert.unit
        )?;
    }
    writeln!(out)?;
    for what in &explanation.missing {
        writeln!(out, "  not known: {what}")?;
    }
    if let Some(raised) = &explanation.raised {
        in_force(raised, out)?;
    }
    writeln!(out, "\nwhat caused it")?;
    for frame in &explanation.evidence {
        evidence(frame, out)?;
    }
    writeln!(out, "\nhow long each step took")?;
    for delay in &explanation.delays {
        writeln!(out, "  {}  {:>12}  {}", rfc3339(delay.at), after(delay), delay.reached)?;
    }
    writeln!(out, "\nsteps")?;
    for step in &explanation.steps {
        let page = if step.page { ", a person had to be told" } else { "" };
        writeln!(
            out,
            "  {}  {} -> {} ({}){page}",
            rfc3339(step.at),
            step.from,
            step.to,
            step.why
        )?;
    }
    writeln!(out, "\nwho was told")?;
    for page in &explanation.told {
        told(page, out)?;
    }
    for held in &explanation.held {
        let until = held
            .until
            .map(|at| format!(", at the longest until {}", rfc3339(at)))
            .unwrap_or_default();
        writeln!(out, "  {}  {}{until}", rfc3339(held.at), held.by)?;
    }
    if !explanation.happenings.is_empty() {
        writeln!(out, "\nwhat people did, and what else happened")?;
    }
    for happening in &explanation.happenings {
        let who = happening
            .who
            .as_ref()
            .map(|who| format!(" by {who}"))
            .unwrap_or_default();
        let said = happening
            .text
            .as_ref()
            .map(|text| format!(": {text:?}"))
            .unwrap_or_default();
        writeln!(
            out,
            "  {}  {}{who}{said}  {}",
            rfc3339(happening.at),
            happening.what,
            plain(&happening.says)
        )?;
    }
    Ok(())
}

fn in_force(raised: &Raised, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nin force when it was raised")?;
    writeln!(
        out,
        "  rules {}, registry {}, model {}",
        raised.rules, raised.registry, raised.model
    )?;
    if let Some(skin) = raised.skin_type {
        writeln!(out, "  skin type {}", skin.as_str())?;
    }
    writeln!(
        out,
        "  parameters of {}: {}",
        raised.parameters_of,
        plain(&raised.parameters)
    )?;
    writeln!(out, "  limits and policy: {}", plain(&raised.limits))
}

/// `name value, name value`.
fn plain(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            });
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Null => "not known".to_owned(),
        other => other.to_string(),
    }
}

fn evidence(shown: &FrameShown, out: &mut String) -> std::fmt::Result {
    let Some(frame) = &shown.frame else {
        return writeln!(
            out,
            "  log {}: {}",
            shown.offset,
            shown.missing.as_deref().unwrap_or("nothing is kept")
        );
    };
    writeln!(
        out,
        "  log {}: {} {}, boot {}, sequence {}: {}: {}",
        shown.offset,
        rfc3339(frame.event_time),
        frame.device,
        frame.boot,
        frame.sequence,
        frame.body,
        frame.says
    )?;
    for reading in &frame.readings {
        let mark = if reading.first {
            "  <- the first that violated the rule"
        } else {
            ""
        };
        let read = reading.read.as_deref().unwrap_or("not read");
        let set = reading
            .set
            .as_ref()
            .map(|set| format!(", set {set}"))
            .unwrap_or_default();
        writeln!(
            out,
            "    {:>8}  {}  {read}{set}{mark}",
            reading.ordinal,
            rfc3339(reading.at)
        )?;
    }
    Ok(())
}

fn after(delay: &Delay) -> String {
    format!("{:+.3} s", delay.after_us as f64 / 1e6)
}

fn told(page: &Told, out: &mut String) -> std::fmt::Result {
    let at = |at: Option<UnixMicros>| at.map_or("?".to_owned(), rfc3339);
    let by = if page.by.is_empty() {
        String::new()
    } else {
        format!(", {}", page.by)
    };
    let digest = if page.in_digest { ", in a digest" } else { "" };
    writeln!(
        out,
        "  {}  page {} to {}{by}{digest}",
        at(page.planned_at),
        page.page,
        page.receiver
    )?;
    if let Some(instead) = &page.instead_of {
        writeln!(out, "    instead of {instead}")?;
    }
    for tried in &page.attempts {
        match (&tried.reason, tried.failed_at) {
            (Some(reason), failed) => {
                writeln!(
                    out,
                    "    {}  attempt {} failed at {}: {reason}",
                    rfc3339(tried.at),
                    tried.attempt,
                    at(failed)
                )?;
            }
            (None, _) => writeln!(out, "    {}  attempt {}", rfc3339(tried.at), tried.attempt)?,
        }
    }
    let says = page.says.as_ref().map(|says| format!(": {says}")).unwrap_or_default();
    let repeat = if page.possible_repeat {
        ", it may have come more than once"
    } else {
        ""
    };
    let when = page.at.map(|at| format!(" at {}", rfc3339(at))).unwrap_or_default();
    writeln!(
        out,
        "    {}{when} after {} attempts{says}{repeat}",
        page.outcome.as_str(),
        page.attempts_in_all
    )
}
