//! What was in force when an alert was raised, and what raised it. Kept with the alert: rules and registry move on, and the
//! question "by which limit?" is asked weeks later.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use telemetry::{SkinType, UnixMicros};

use super::Engine;
use super::Moment;
use super::raise::Finding;
use crate::id::{Cause, Trigger};
use crate::rules::Scope;

/// What was in force when an alert was raised, and what raised it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Raised {
    /// Version of the rules.
    pub rules: String,
    /// Version of the registry.
    pub registry: String,
    /// Model of the device; empty: none.
    pub model: String,
    /// Skin type that a pulse was judged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skin_type: Option<SkinType>,
    /// The rule's parameters as they hold for this device, zone and skin type.
    #[schemars(with = "Map<String, Value>")]
    pub parameters: Value,
    /// Whose they are: the rule's own, or an override for what.
    pub parameters_of: String,
    /// Limits and policy of the registry for this device, zone and skin type; `null`: the registry does not know it.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub limits: Value,
    /// What happened first, without session.
    #[schemars(with = "Cause")]
    pub cause: Value,
    /// The frame that showed it: boot and sequence number of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<(u64, u64)>,
    /// When the gateway received that frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<UnixMicros>,
    /// Where it stands in alerting's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_at: Option<UnixMicros>,
}

/// What happened, without the session that only the engine needs.
fn cause(cause: &Cause) -> Value {
    match cause {
        Cause::Reading { boot, ordinal, .. } => json!({"reading": {"boot": boot, "ordinal": ordinal}}),
        other => json!(other),
    }
}

impl Engine {
    pub(super) fn raised(&self, finding: &Finding, skin_type: Option<SkinType>, moment: &Moment<'_>) -> Raised {
        let facts = self.fleet.facts(moment.key);
        let (mut parameters, mut parameters_of, mut limits) = (json!({}), "the rule".to_owned(), Value::Null);
        if let Some(facts) = &facts {
            let scope = Scope {
                tenant: &moment.key.tenant,
                clinic: &facts.clinic,
                device: &moment.key.device,
                model: &facts.model,
                zone: finding.zone,
                skin_type,
            };
            if let Some((said, of)) = self.rules.said(finding.kind, Some(&scope)) {
                (parameters, parameters_of) = (said, of);
            }
            limits = facts.in_force(finding.zone, skin_type);
        } else if let Some((said, of)) = self.rules.said(finding.kind, None) {
            (parameters, parameters_of) = (said, of);
        }
        Raised {
            rules: self.rules.version.clone(),
            registry: self.fleet.version(),
            model: facts.as_ref().map(|facts| facts.model.to_string()).unwrap_or_default(),
            skin_type,
            parameters,
            parameters_of,
            limits,
            cause: cause(&finding.cause),
            frame: match moment.trigger {
                Trigger::Frame { boot, sequence, .. } => Some((boot, sequence)),
                _ => None,
            },
            received_at: moment.received_at,
            logged_at: moment.received_at.map(|_| self.clock),
        }
    }
}
