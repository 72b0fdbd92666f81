//! Whether a device is there: in a treatment, on line, silent, off line, or never heard.
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use crate::engine::state::{Heard, Open, Visit};
use crate::id::Opaque;

/// A device that was heard so lately is on line whatever its connection: outside a session it has to say something every 60 s.
pub const ONLINE_WITHIN: Duration = Duration::from_secs(130);

/// What is remembered of a device that tells whether it is there; the rest of its row is not read.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Clinic that it was last heard from.
    pub clinic: String,
    /// Newest frame.
    pub heard: Option<Heard>,
    /// When its gateway last received anything from it.
    pub received_at: UnixMicros,
    /// Whether its newest frame was in a session.
    pub in_session: bool,
    /// Whether it is told as silent in that session.
    pub silent: bool,
    /// That session.
    pub session: Option<Opaque>,
    /// The visit that it is or was last used for.
    pub visit: Option<Visit>,
    /// Its open alerts.
    pub open: Vec<Open>,
}

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// In a treatment, and not heard for too long: nobody watches over it.
    Silent,
    /// In a treatment.
    InSession,
    /// Connected, or heard within [`ONLINE_WITHIN`].
    OnLine,
    /// Heard once, not now.
    OffLine,
    /// Never heard.
    NeverSeen,
}

impl Presence {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Silent,
        Self::InSession,
        Self::OnLine,
        Self::OffLine,
        Self::NeverSeen,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::InSession => "in_session",
            Self::OnLine => "on_line",
            Self::OffLine => "off_line",
            Self::NeverSeen => "never_seen",
        }
    }
}

/// Whether a device is there, from what was heard of it and whether it is connected to this process now.
pub fn presence(seen: Option<&Seen>, connected: bool, now: UnixMicros) -> Presence {
    let heard = seen.filter(|seen| seen.received_at != UnixMicros::default());
    match heard {
        None if connected => Presence::OnLine,
        None => Presence::NeverSeen,
        Some(seen) if seen.in_session && seen.silent => Presence::Silent,
        Some(seen) if seen.in_session => Presence::InSession,
        Some(seen) if connected || now.since(seen.received_at) <= ONLINE_WITHIN => Presence::OnLine,
        Some(_) => Presence::OffLine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_what_was_heard_of_it_and_not_what_its_connection_promises() {
        let at = |received: i64, in_session, silent| Seen {
            received_at: UnixMicros(received),
            in_session,
            silent,
            ..Seen::default()
        };
        let now = UnixMicros(1_000_000_000);
        let told = |seen: Option<Seen>, connected| presence(seen.as_ref(), connected, now);
        assert_eq!(
            [told(None, false), told(None, true)],
            [Presence::NeverSeen, Presence::OnLine]
        );
        // A row that only says that it was expected is no sign of life.
        assert_eq!(told(Some(Seen::default()), false), Presence::NeverSeen);
        assert_eq!(told(Some(at(1, true, true)), true), Presence::Silent);
        assert_eq!(told(Some(at(1, true, false)), false), Presence::InSession);
        assert_eq!(told(Some(at(869_999_999, false, false)), false), Presence::OffLine);
        assert_eq!(told(Some(at(870_000_000, false, false)), false), Presence::OnLine);
        assert_eq!(told(Some(at(1, false, false)), true), Presence::OnLine);
    }
}
