//! Silence: judged by what a gateway has received, never by our own clock, so that neither a restart nor a cut link floods.
use std::time::Duration;

use telemetry::UnixMicros;

use super::{Ruleset, Scope};
use crate::fleet::Facts;

/// When a device that was last received at `received_at` counts as silent, on the clock of its gateway. `None`: the rule is
/// off.
pub fn due(rules: &Ruleset, facts: &Facts, scope: &Scope<'_>, received_at: UnixMicros) -> Option<UnixMicros> {
    let own = rules.device_silent.as_ref()?.params(scope).silent_after_s;
    let registry = facts.policy.silent_in_session_after;
    let after = own.map_or(registry, |s| registry.min(Duration::from_secs(u64::from(s))));
    Some(received_at.plus(after))
}
