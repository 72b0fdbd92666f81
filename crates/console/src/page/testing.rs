//! An alert as the engine keeps it, for the tests of view models.
#![allow(clippy::unwrap_used)]
use alerting::engine::Alert;
use serde_json::json;

/// A firing alert of one stroke that was far too deep.
pub(super) fn alert() -> Alert {
    serde_json::from_value(json!({
        "id": "00112233445566778899aabbccddeeff", "rule": "depth-above-limit", "kind": "depth_above_limit", "priority": "high",
        "what_to_do": "Stop.", "tenant": "acme", "clinic": "north", "device": "pen-1", "zone": "cheek", "visit": null, "session": null,
        "what_happened": "one stroke 2.400 mm deep, the limit is 1.000 mm", "event_time": 1, "decided_at": 2, "updated_at": 3,
        "class": "live", "value": 2400.0, "told": 2400.0, "limit": 1000.0, "violations": 1, "acknowledged_by": null,
        "life": { "confirmed": true, "active": true },
    }))
    .unwrap()
}
