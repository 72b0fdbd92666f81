//! When a connection has waited long enough, as a pure function of the time.

use std::time::{Duration, Instant};

use super::close::CloseReason;
use super::config::EndpointConfig;

/// The clocks of one connection.
#[derive(Debug)]
pub(crate) struct Deadlines {
    idle_limit: Duration,
    packet_timeout: Duration,
    write_timeout: Duration,
    last_packet: Instant,
    partial_since: Option<Instant>,
    unwritten_since: Option<Instant>,
    paused_until: Option<Instant>,
    drain_by: Option<Instant>,
}

impl Deadlines {
    pub(crate) fn new(idle_limit: Duration, config: &EndpointConfig, now: Instant) -> Deadlines {
        Deadlines {
            idle_limit,
            packet_timeout: config.packet_timeout,
            write_timeout: config.write_timeout,
            last_packet: now,
            partial_since: None,
            unwritten_since: None,
            paused_until: None,
            drain_by: None,
        }
    }

    /// A whole packet came, or we are the ones who do not read: silence starts anew.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_packet = now;
        self.partial_since = None;
    }

    /// A packet has been begun and not finished.
    pub(crate) fn partial(&mut self, now: Instant) {
        self.partial_since.get_or_insert(now);
    }

    /// Bytes wait to be taken by the client; `progress`: it took some just now.
    pub(crate) fn unwritten(&mut self, now: Instant, progress: bool) {
        if progress {
            self.unwritten_since = Some(now);
        } else {
            self.unwritten_since.get_or_insert(now);
        }
    }

    /// Nothing waits to be written.
    pub(crate) fn written(&mut self) {
        self.unwritten_since = None;
    }

    /// Do not read until `until`.
    pub(crate) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// The connection is to end by `by` whatever is in flight.
    pub(crate) fn drain(&mut self, by: Instant) {
        self.drain_by.get_or_insert(by);
    }

    /// When to look again at the latest; ends a pause that is over.
    ///
    /// # Errors
    /// The reason to close the connection with now.
    pub(crate) fn look(&mut self, now: Instant) -> Result<Instant, CloseReason> {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let due = [
            (Some(self.last_packet + self.idle_limit), CloseReason::KeepAlive),
            (
                self.partial_since.map(|at| at + self.packet_timeout),
                CloseReason::PacketTimeout,
            ),
            (
                self.unwritten_since.map(|at| at + self.write_timeout),
                CloseReason::WriteTimeout,
            ),
            (self.drain_by, CloseReason::ServerShuttingDown),
        ];
        let mut next = self.paused_until;
        for (at, reason) in due {
            let Some(at) = at else { continue };
            if at <= now {
                return Err(reason);
            }
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        Ok(next.unwrap_or(now + self.idle_limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> (Deadlines, Instant) {
        let now = Instant::now();
        (Deadlines::new(15 * SECOND, &EndpointConfig::default(), now), now)
    }

    #[test]
    fn silence_ends_a_connection_at_its_idle_limit_and_a_packet_starts_it_anew() {
        let (mut deadlines, now) = start();
        assert_eq!(deadlines.look(now), Ok(now + 15 * SECOND));
        deadlines.heard(now + 10 * SECOND);
        assert_eq!(deadlines.look(now + 24 * SECOND), Ok(now + 25 * SECOND));
        assert_eq!(deadlines.look(now + 25 * SECOND), Err(CloseReason::KeepAlive));
    }

    #[test]
    fn bytes_that_trickle_in_do_not_keep_a_connection_alive() {
        let (mut deadlines, now) = start();
        for second in 1..15 {
            deadlines.partial(now + second * SECOND);
        }
        assert_eq!(deadlines.look(now + 15 * SECOND), Err(CloseReason::KeepAlive));
        let mut patient = Deadlines::new(600 * SECOND, &EndpointConfig::default(), now);
        patient.partial(now);
        patient.partial(now + 29 * SECOND);
        assert_eq!(patient.look(now + 30 * SECOND), Err(CloseReason::PacketTimeout));
    }

    #[test]
    fn a_client_that_takes_a_little_has_time_and_one_that_takes_nothing_has_not() {
        let (mut deadlines, now) = start();
        deadlines.unwritten(now, false);
        deadlines.unwritten(now + 9 * SECOND, true);
        assert_eq!(deadlines.look(now + 10 * SECOND), Ok(now + 15 * SECOND));
        deadlines.heard(now + 10 * SECOND);
        assert_eq!(deadlines.look(now + 19 * SECOND), Err(CloseReason::WriteTimeout));
        deadlines.written();
        assert!(deadlines.look(now + 19 * SECOND).is_ok());
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let (mut deadlines, now) = start();
        deadlines.pause(now + SECOND);
        assert_eq!(deadlines.look(now), Ok(now + SECOND));
        assert!(deadlines.is_paused());
        assert_eq!(deadlines.look(now + SECOND), Ok(now + 15 * SECOND));
        assert!(!deadlines.is_paused());
    }
}
