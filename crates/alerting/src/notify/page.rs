//! What a page says: what happened, where, what to do. No session, no visit, nothing about the client.
use serde_json::{Value, json};
use telemetry::{Admitted, ClinicId, ClockQuality, Content, DeviceId, GatewayId, Origin, TenantId, UnixMicros, proto};

use super::rfc3339;
use crate::engine::{Alert, Transition, Why};
use crate::id::TransitionId;
use crate::intake::{Class, priority_to_wire};
use crate::lifecycle::State;
use crate::rules::Kind;

/// What a page tells of an alert.
pub(crate) struct Tells<'a> {
    /// The step of the alert.
    pub(crate) transition: TransitionId,
    /// Its state.
    pub(crate) state: State,
    /// Why the step was made.
    pub(crate) why: Why,
    /// When, by the input log.
    pub(crate) decided_at: UnixMicros,
    /// Where in the plan; `None`: news, or there is no plan.
    pub(crate) place: Option<Place<'a>>,
}

/// Why this person is told now.
pub(crate) struct Place<'a> {
    /// The chain.
    pub(crate) chain: &'a str,
    /// Its step, from 1.
    pub(crate) step: u32,
    /// How often the chain began anew.
    pub(crate) repetition: u32,
    /// Why, in words.
    pub(crate) because: String,
}

/// The state of a test page, beside those of alerts.
pub(crate) const TEST: &str = "test";

/// The body of a page, without what differs between attempts: what stands in the outbox. Every receiver makes its own shape
/// and its words of this and of nothing else; the sender adds `link`, under which a person can look and act.
pub(crate) fn body(a: &Alert, tells: &Tells<'_>) -> Value {
    let zone = a.zone.map(|z| z.as_str());
    let place = match zone {
        Some(zone) => format!("device {} at {}, zone {zone}", a.device, a.clinic),
        None if a.kind == Kind::PageUndelivered => format!("receiver {}", a.device),
        None if a.kind == Kind::HeartbeatMissing => format!("heartbeat {}", a.device),
        None if a.kind == Kind::RotaEnds => format!("rota {}", a.device),
        None if a.clinic.is_empty() => format!("gateway {}", a.device),
        None => format!("device {} at {}", a.device, a.clinic),
    };
    let mut what = a.what_happened.clone();
    if a.class != Class::Live {
        what = format!("{what} (happened {}, told later)", rfc3339(a.event_time));
    }
    let mut body = json!({
        "alert_id": a.id, "transition_id": tells.transition, "rule": a.rule, "kind": a.kind, "priority": a.priority,
        "state": tells.state, "why": tells.why, "tenant": a.tenant, "clinic": a.clinic, "device": a.device, "zone": zone,
        "value": a.value, "limit": a.limit, "unit": a.kind.unit(), "what_happened": what, "where": place,
        "what_to_do": a.what_to_do, "event_time": rfc3339(a.event_time), "decided_at": rfc3339(tells.decided_at),
        "class": a.class,
    });
    if let Some(place) = &tells.place {
        body["chain"] = json!(place.chain);
        body["step"] = json!(place.step);
        body["repetition"] = json!(place.repetition);
        body["because"] = json!(place.because);
    }
    body
}

/// Adds what differs between receivers and attempts, and gives what may be missing a name, so that templates can ask for it.
pub(super) fn complete(body: &mut Value, receiver: &str, possible_repeat: bool) {
    body["receiver"] = json!(receiver);
    body["possible_repeat"] = json!(possible_repeat);
    // A copy for a fallback says for whom, and why; news is of no step.
    let missing = [
        "link",
        "fallback_for",
        "fallback_reason",
        "chain",
        "step",
        "repetition",
        "because",
    ];
    for field in missing {
        if body.get(field).is_none() {
            body[field] = Value::Null;
        }
    }
}

/// Whether a page says that this receiver does not take its pages.
pub(super) fn is_about_receiver(body: &Value, receiver: &str) -> bool {
    body["kind"] == json!(Kind::PageUndelivered) && body["device"] == receiver
}

/// The body of a test page. Its alert exists only here; nothing but its ids differs from one to the next.
pub(super) fn test_body(receiver: &str, alert: &str, page: &str, at: UnixMicros) -> Value {
    json!({
        "alert_id": alert, "transition_id": page, "rule": "test-page", "kind": TEST, "priority": "medium", "state": TEST,
        "why": TEST, "tenant": "", "clinic": "", "device": "", "zone": null, "value": 0.0, "limit": 0.0, "unit": "",
        "what_happened": format!("This is a test page for receiver {receiver}: nothing happened"), "where": "no device",
        "what_to_do": "Nothing, if it came to the right person.", "event_time": rfc3339(at), "decided_at": rfc3339(at),
        "class": "live",
    })
}

/// The transition as a message for the store; `None` for a gateway's alert, which is no tenant's.
pub fn outlet_message(t: &Transition, gateway: &GatewayId) -> Option<Admitted> {
    let a = &t.alert;
    let priority = priority_to_wire(a.priority);
    let message = proto::AlertTransition {
        transition_id: t.id.0.to_vec(),
        alert_id: a.id.0.to_vec(),
        rule: a.rule.clone(),
        priority: priority as i32,
        from_state: t.from.as_str().to_owned(),
        to_state: t.to.as_str().to_owned(),
        event_time_us: t.event_time.0,
        decided_at_us: t.decided_at.0,
        zone: a.zone.map_or("", |z| z.as_str()).to_owned(),
        value: a.value,
        limit: a.limit,
        unit: a.kind.unit().to_owned(),
        raised_at_us: Some(a.decided_at.0),
    };
    Some(Admitted {
        recorded_by: None,
        tenant: TenantId::new(&a.tenant).ok()?,
        clinic: ClinicId::new(&a.clinic).ok()?,
        device: DeviceId::new(&a.device).ok()?,
        content: Content::Alert,
        payload: prost::Message::encode_to_vec(&message).into(),
        received_at: t.decided_at,
        anchor: None,
        clock: ClockQuality::Received,
        origin: Origin::Internal,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: gateway.clone(),
        retained: false,
    })
}
