//! An alert as lists and its own page show it.
use alerting::api::Shown;
use alerting::engine::Alert;
use registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;

/// An alert as lists and its own page show it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AlertRow")]
pub(crate) struct Row {
    /// What everybody is shown of an alert.
    #[serde(flatten)]
    pub(crate) alert: Shown,
    /// What people call its clinic; `null`: the registry does not know it.
    pub(crate) clinic_name: Option<String>,
    /// A person still has to say that they know.
    pub(crate) waits: bool,
    /// When it was acknowledged.
    pub(crate) acknowledged_at_us: Option<i64>,
    /// What a form carries of what was seen, so that nobody acknowledges what they have not seen.
    pub(crate) seen: String,
}

/// How much worse a reading is than what was seen before it has to be looked at again, as a share of its limit.
const WORSE: f64 = 0.2;

/// What the worst value was that a page showed.
fn seen(alert: &Alert) -> String {
    format!("{:.3}", alert.value)
}

/// Whether readings are far worse now than on the page that somebody acts from. What cannot be read was seen by nobody: a form of
/// somebody else's making gets no favour by it, and none of ours says that.
pub(crate) fn is_worse_than(seen: &str, alert: &Alert) -> bool {
    if seen.is_empty() || !alert.kind.is_about_readings() {
        return false;
    }
    let Ok(seen) = seen.parse::<f64>() else { return true };
    (alert.value - seen).abs() > WORSE * alert.limit.abs().max(f64::EPSILON)
}

/// What people call the clinic of an alert.
fn clinic_name(alert: &Alert, registry: &Registry) -> Option<String> {
    let (tenant, clinic) = (alert.tenant.parse().ok()?, alert.clinic.parse().ok()?);
    registry.clinic(&tenant, &clinic).map(|clinic| clinic.name.clone())
}

impl Row {
    /// An alert, with the names that the registry knows.
    pub(crate) fn new(alert: Alert, registry: &Registry) -> Self {
        Self {
            clinic_name: clinic_name(&alert, registry),
            waits: alert.life.needs_person(),
            acknowledged_at_us: alert.acknowledged_at.map(|at| at.0),
            seen: seen(&alert),
            alert: Shown::from(alert),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_deeper_is_no_news_and_much_deeper_is() {
        let mut alert = crate::page::testing::alert();
        let before = seen(&alert);
        assert!(!is_worse_than(&before, &alert));
        alert.value += alert.limit * 0.1;
        assert!(!is_worse_than(&before, &alert));
        alert.value += alert.limit * 0.2;
        assert!(is_worse_than(&before, &alert));
        assert!(is_worse_than("what?", &alert));
        // A form by hand that does not say what was seen acts on what there is.
        assert!(!is_worse_than("", &alert));
    }
}
