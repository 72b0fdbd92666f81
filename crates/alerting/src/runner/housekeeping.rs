//! What the thread looks at now and then: deadlines, new rules and registries, its cursor, what is old.
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use spool::{NewRecord, Offset};
use telemetry::UnixMicros;

use super::Runner;
use super::commit::Pending;
use super::rotas::Said;
use crate::store::StoreError;
use crate::store::retain::Cut;
use crate::{intake, metrics};

/// Longest sleep when there is nothing to read.
const IDLE: Duration = Duration::from_millis(100);
/// How often the spool's cursor is moved: it only lets segments go, the offset that counts is in the file.
const CURSOR_EVERY: Duration = Duration::from_secs(2);
/// After how long a deadline that a tick did not move gets another one.
const TICK_AGAIN: Duration = Duration::from_secs(5);
/// How often the registry's version is looked at: whoever changes it waits for that.
const LOOK_AT_REGISTRY_EVERY: Duration = Duration::from_millis(100);
/// How often gauges are drawn.
const GAUGES_EVERY: Duration = Duration::from_secs(1);
/// How often what is old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// The same while there is more than one transaction takes.
const FORGET_MORE: Duration = Duration::from_millis(500);
/// Pages of a receiver that is not configured are given up when they are due for so long: time to see a wrong name.
const ORPHANS_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;
/// How much faster than our own time the calendar by which things are forgotten may run. A process that was off for a month
/// has caught up after a day; a wall clock that jumps by years is seen by somebody before it has cost the journal a week.
const CALENDAR_PACE: u32 = 24;
/// How far the calendar goes on before that is put into the file.
const CALENDAR_STEP: Duration = Duration::from_secs(3_600);

/// The time by which things are forgotten: the wall clock's, but only so far after the last as time really passed.
struct Calendar {
    at: UnixMicros,
    moved: Instant,
    kept: UnixMicros,
}

/// Where the calendar stands `passed` after it stood at `at`.
fn calendar(at: UnixMicros, passed: Duration, wall: UnixMicros) -> UnixMicros {
    wall.min(at.plus(passed.saturating_mul(CALENDAR_PACE)))
}

/// When things were last done.
pub(super) struct Last {
    /// See [`Calendar`]; not read yet at first.
    calendar: Option<Calendar>,
    cursor: Instant,
    registry: Instant,
    gauges: Instant,
    /// The tick that was logged last, so that one deadline logs one.
    tick: Option<(UnixMicros, Instant)>,
    /// When what is old is looked for next.
    forget: Instant,
    /// Versions that stand in the log as announced.
    versions: Option<[String; 3]>,
    rotas: Said,
}

impl Last {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            calendar: None,
            cursor: now,
            registry: now,
            gauges: now,
            tick: None,
            forget: now,
            versions: None,
            rotas: Said::default(),
        }
    }
}

impl Runner {
    pub(super) fn versions(&self) -> (String, String) {
        (
            self.shared.rules().version.clone(),
            self.shared.registry.current().version().to_string(),
        )
    }

    /// Puts "judged by these from here on" into the log, if that does not stand there. What the log did not take is tried
    /// again: until then the old rules hold.
    pub(super) fn announce(&self, last: &mut Last) {
        let (rules, registry) = self.versions();
        let versions = [rules, registry, self.shared.plan().version.clone()];
        if last.versions.as_ref() == Some(&versions) {
            return;
        }
        let record = intake::encode_configured(self.now(), &versions[0], &versions[1]);
        if self.append(&record) {
            self.shared.announced(&versions[1]);
            last.versions = Some(versions);
        }
    }

    pub(super) fn append(&self, record: &[u8]) -> bool {
        let records = [NewRecord { lane: 0, bytes: record }];
        let appended = self.log.append(&records, self.clock.now());
        let synced = appended.map(|appended| self.log.sync_appended(&appended));
        match synced {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "cannot append to alerting's log");
                false
            }
            Err(error) => {
                tracing::error!(error = %error, "cannot append to alerting's log");
                false
            }
        }
    }

    pub(super) fn idle(&mut self, pending: &mut Pending, last: &mut Last, stop: &AtomicBool) -> bool {
        if pending.is_old() && !self.commit(&[], pending, stop) {
            return false;
        }
        self.housekeeping(last);
        let beyond = self.reader.position();
        let _ = self.log.wait_durable(beyond, IDLE);
        true
    }

    /// What is looked at now and then, whether there is traffic or not.
    pub(super) fn housekeeping(&mut self, last: &mut Last) {
        let now = self.now();
        let deadlines = [self.engine.next_deadline(), self.planner.next_deadline()];
        let due = deadlines.into_iter().flatten().min().filter(|due| *due <= now);
        let logged = |(at, when): (UnixMicros, Instant)| Some(at) == due && when.elapsed() < TICK_AGAIN;
        if let Some(due) = due
            && !last.tick.is_some_and(logged)
            && self.append(&intake::encode_tick(now))
        {
            last.tick = Some((due, Instant::now()));
        }
        if last.registry.elapsed() >= LOOK_AT_REGISTRY_EVERY {
            last.registry = Instant::now();
            self.announce(last);
        }
        if last.gauges.elapsed() >= GAUGES_EVERY {
            last.gauges = Instant::now();
            self.gauges();
            self.look_at_rotas(&mut last.rotas);
        }
        if Instant::now() >= last.forget {
            let wait = if self.forget(last) { FORGET_MORE } else { FORGET_EVERY };
            last.forget = Instant::now() + wait;
        }
        if last.cursor.elapsed() >= CURSOR_EVERY {
            last.cursor = Instant::now();
            self.move_cursor();
        }
    }

    /// Moves the calendar, first from where the file says that it stood.
    fn calendar(&self, last: &mut Last) -> Result<UnixMicros, StoreError> {
        let wall = self.now();
        let known = match last.calendar.take() {
            Some(known) => known,
            None => {
                let at = match self.store.calendar()? {
                    Some(at) => at,
                    None => {
                        self.store.keep_calendar(wall)?;
                        wall
                    }
                };
                let moved = Instant::now();
                Calendar { at, moved, kept: at }
            }
        };
        let at = calendar(known.at, known.moved.elapsed(), wall);
        let mut kept = known.kept;
        if at.since(kept) >= CALENDAR_STEP {
            self.store.keep_calendar(at)?;
            kept = at;
        }
        let moved = Instant::now();
        last.calendar = Some(Calendar { at, moved, kept });
        Ok(at)
    }

    /// Forgets what is old. `true`: there is more of it.
    fn forget(&self, last: &mut Last) -> bool {
        let now = match self.calendar(last) {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(error = %error, "cannot tell what is old, trying again");
                return false;
            }
        };
        // By whole days, so that a day's rows are cut off in few pieces, each of which leaves a row behind.
        let day = DAY_US * now.minus(self.config.journal_keep).0.div_euclid(DAY_US);
        let cut = Cut {
            journal: UnixMicros(day),
            resolved: now.minus(self.config.resolved_keep),
        };
        let names: Vec<String> = self.config.receivers.iter().map(|r| r.name.clone()).collect();
        let orphans = self.store.forget_orphans(&names, now.minus(ORPHANS_AFTER), self.now());
        let gone = match orphans.and_then(|orphans| Ok((self.store.forget(cut, self.now())?, orphans))) {
            Ok((gone, orphans)) => {
                if orphans > 0 {
                    let (receiver, reason) = metrics::NO_RECEIVER;
                    ::metrics::counter!(metrics::UNDELIVERED, "receiver" => receiver, "reason" => reason)
                        .increment(orphans as u64);
                    tracing::error!(
                        pages = orphans,
                        "pages wait for receivers that are not configured, given up"
                    );
                }
                gone
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot forget what is old, trying again");
                return false;
            }
        };
        for (kind, rows) in [
            ("journal", gone.journal),
            ("alert", gone.alerts),
            ("fact", gone.facts),
            ("outlet", gone.outlet),
        ] {
            ::metrics::counter!(metrics::FORGOTTEN, "kind" => kind).increment(rows);
        }
        gone.more
    }

    pub(super) fn gauges(&self) {
        let mut counts = [0u32; crate::lifecycle::State::ALL.len()];
        for alert in self.engine.alerts() {
            let at = crate::lifecycle::State::ALL.iter().position(|s| *s == alert.state());
            if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
        }
        for (state, count) in crate::lifecycle::State::ALL.iter().zip(counts) {
            ::metrics::gauge!(metrics::ALERTS, "state" => state.as_str()).set(f64::from(count));
        }
        if let Ok(pages) = self.store.waiting_pages() {
            ::metrics::gauge!(metrics::OUTBOX).set(pages as f64);
        }
    }

    /// Lets the log's segments go up to what is committed.
    pub(super) fn move_cursor(&mut self) {
        let Ok((_, Some(next))) = self.store.position() else {
            return;
        };
        if let Err(error) = self.reader.commit(Offset(next)) {
            tracing::warn!(error = %error, "cannot move the cursor of alerting's log, its segments stay for now");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_jumps_by_years_moves_the_calendar_by_little_and_a_true_one_is_followed() {
        let at = UnixMicros(1_000 * DAY_US);
        let hour = Duration::from_secs(3_600);
        let years = UnixMicros(9_000 * DAY_US);
        assert_eq!(calendar(at, hour, years), UnixMicros(1_001 * DAY_US));
        assert_eq!(calendar(at, hour, at.plus(hour)), at.plus(hour));
        // Back to the truth: at once.
        assert_eq!(calendar(years, hour, at), at);
    }
}
