//! Who is signed in: a bounded table, by the digest of what the cookie holds.
use std::collections::HashMap;
use std::time::Duration;

use telemetry::UnixMicros;

/// Most sessions at the same time; at the bound the oldest ends.
pub(crate) const MAX_SESSIONS: usize = 1_024;

/// Somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The name of the person.
    pub(crate) name: String,
    /// Digest of the hash that the person's password had.
    pub(crate) password: [u8; 32],
    /// When they signed in.
    pub(crate) since: UnixMicros,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<[u8; 32], Session>);

impl Sessions {
    /// Begins a session. Returns how many others ended: those that are over, and the oldest at the bound.
    pub(crate) fn begin(&mut self, key: [u8; 32], session: Session, longest: Duration) -> usize {
        let before = self.0.len();
        let now = session.since;
        self.0.retain(|_, other| !is_over(other, now, longest));
        while self.0.len() >= MAX_SESSIONS {
            let oldest = self.0.iter().min_by_key(|(_, other)| other.since).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            self.0.remove(&oldest);
        }
        let ended = before - self.0.len();
        self.0.insert(key, session);
        ended
    }

    /// The session behind a cookie, if it is not over.
    pub(crate) fn get(&self, key: &[u8; 32], now: UnixMicros, longest: Duration) -> Option<&Session> {
        self.0.get(key).filter(|session| !is_over(session, now, longest))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8; 32], &Session)> {
        self.0.iter()
    }

    /// One from before a restart.
    pub(super) fn put_back(&mut self, key: [u8; 32], session: Session) {
        self.0.insert(key, session);
    }

    /// Ends a session.
    pub(crate) fn end(&mut self, key: &[u8; 32]) {
        self.0.remove(key);
    }
}

fn is_over(session: &Session, now: UnixMicros, longest: Duration) -> bool {
    now >= session.since.plus(longest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(100);

    fn session(since_s: i64) -> Session {
        Session {
            name: "anna".to_owned(),
            password: [0; 32],
            since: UnixMicros(since_s * 1_000_000),
        }
    }

    fn key(n: usize) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn a_session_is_there_until_its_time_is_over_or_it_is_ended() {
        let mut sessions = Sessions::default();
        sessions.begin(key(1), session(0), LONGEST);
        assert!(sessions.get(&key(1), UnixMicros(99_999_999), LONGEST).is_some());
        assert!(sessions.get(&key(1), UnixMicros(100_000_000), LONGEST).is_none());
        assert!(sessions.get(&key(2), UnixMicros(0), LONGEST).is_none());
        sessions.end(&key(1));
        assert!(sessions.get(&key(1), UnixMicros(0), LONGEST).is_none());
    }

    #[test]
    fn the_table_never_holds_more_than_its_bound_and_the_oldest_goes() {
        let mut sessions = Sessions::default();
        let mut ended = 0;
        for n in 0..MAX_SESSIONS + 3 {
            ended += sessions.begin(key(n), session(i64::try_from(n).unwrap() / 100), LONGEST);
        }
        assert_eq!((sessions.0.len(), ended), (MAX_SESSIONS, 3));
        let late = UnixMicros(12_000_000);
        assert!(sessions.get(&key(MAX_SESSIONS + 2), late, LONGEST).is_some());
        // What is over makes room first.
        assert_eq!(sessions.begin(key(9_999), session(200), LONGEST), MAX_SESSIONS);
    }
}
