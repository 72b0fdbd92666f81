//! The one thread that reads the log, applies what stands in it, and commits before anything leaves.
//!
//! What moves no alert is committed rarely: the log still holds it, and the engine computes the same from it again. What
//! moves one is committed at once.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use service::clock::Clock;
use service::health::Condition;
use spool::{Item, NewRecord, Offset, Reader, Record, Spool};
use telemetry::{GatewayId, UnixMicros};
use tokio::sync::watch;

use crate::config::Config;
use crate::engine::{Engine, Outcome, Transition};
use crate::handle::Shared;
use crate::id;
use crate::intake::{self, Input};
use crate::metrics;
use crate::notify;
use crate::registry_fleet::RegistryFleet;
use crate::store::journal::Entry;
use crate::store::retain::Cut;
use crate::store::{Batch, Leaving, Store, StoreError};

/// Most inputs of one batch.
const MAX_INPUTS: usize = 1_024;
/// Most bytes of one batch.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Inputs after which a transaction is due although no alert moved: what a restart has to read again.
const COMMIT_EVERY_INPUTS: usize = 16_384;
/// Time after which a transaction is due although no alert moved.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Longest sleep when there is nothing to read.
const IDLE: Duration = Duration::from_millis(100);
/// How often the spool's cursor is moved: it only lets segments go, the offset that counts is in the file.
const CURSOR_EVERY: Duration = Duration::from_secs(2);
/// How often the registry's version is looked at.
const LOOK_AT_REGISTRY_EVERY: Duration = Duration::from_secs(1);
/// How often what is old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// Pages of a receiver that is not configured are given up when they are due for so long: time to see a wrong name.
const ORPHANS_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// The same while there is more than one transaction takes.
const FORGET_MORE: Duration = Duration::from_millis(500);
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;
/// First and longest wait after a failed transaction.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Entries about unreadable records in one transaction; what is beyond is counted.
const MAX_ENTRIES: usize = 256;
/// Longest error text in the journal, in bytes.
const MAX_ERROR_BYTES: usize = 300;

/// What the thread owns.
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) log: Spool,
    pub(crate) reader: Reader,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) condition: Condition,
    pub(crate) gateway: GatewayId,
    /// Somebody takes transitions.
    pub(crate) has_outlet: bool,
    /// Tells senders and outlet that something was committed.
    pub(crate) wake: watch::Sender<u64>,
}

/// What was applied and is not committed.
#[derive(Default)]
struct Pending {
    transitions: Vec<Transition>,
    entries: Vec<Entry>,
    /// Commands that wait for their answer, and their rows of the journal: one each, none is ever left out.
    commands: Vec<([u8; 16], Entry)>,
    inputs: usize,
    since: Option<Instant>,
}

/// When things were last done.
struct Last {
    cursor: Instant,
    registry: Instant,
    /// The tick that was logged last, so that one deadline logs one.
    tick: Option<UnixMicros>,
    /// When what is old is looked for next.
    forget: Instant,
    /// Versions that stand in the log as announced.
    versions: Option<(String, String)>,
}

/// Why the thread ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file could not be read at a restart of the engine.
    #[error("cannot go on from alerting's file")]
    Store(#[source] StoreError),
    /// A sender gave up its file.
    #[error("cannot send pages")]
    Send(#[source] StoreError),
    /// The thread could not be started or panicked.
    #[error("alerting's thread ended: {0}")]
    Thread(String),
}

impl Runner {
    /// Runs until `stop`.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> Result<(), RunError> {
        let mut pending = Pending::default();
        let now = Instant::now();
        let mut last = Last {
            cursor: now,
            registry: now,
            forget: now,
            tick: None,
            versions: None,
        };
        self.announce(&mut last);
        self.gauges();
        self.condition.green();
        while !stop.load(Ordering::Acquire) {
            let items = match self.reader.read(MAX_INPUTS, MAX_BYTES) {
                Ok(items) => items,
                Err(error) => {
                    tracing::error!(error = %error, "cannot read alerting's log, trying again");
                    self.condition.red("alerting's log cannot be read");
                    std::thread::sleep(RETRY.1);
                    continue;
                }
            };
            if items.is_empty() {
                self.idle(&mut pending, &mut last, stop);
                continue;
            }
            if !self.apply(&items, &mut pending) {
                self.start_over(&mut pending)?;
                continue;
            }
            if pending.is_due() {
                self.commit(&items, &mut pending, stop);
            }
            self.housekeeping(&mut last);
        }
        self.commit(&[], &mut pending, stop);
        self.move_cursor();
        Ok(())
    }

    /// Applies items in order. `false`: state that was put away could not be read; start over from the file.
    fn apply(&mut self, items: &[Item], pending: &mut Pending) -> bool {
        let started = Instant::now();
        pending.since.get_or_insert(started);
        for item in items {
            match item {
                Item::Gap(gap) => {
                    ::metrics::counter!(metrics::INPUTS_MISSING, "reason" => gap.reason.as_str())
                        .increment(gap.count());
                    tracing::warn!(
                        from = gap.from.0,
                        to = gap.to.0,
                        reason = gap.reason.as_str(),
                        "log has a gap"
                    );
                    let body = json!({"from": gap.from.0, "to": gap.to.0, "reason": gap.reason.as_str()});
                    pending.entry(Entry::new(self.now(), "gap", &body));
                }
                Item::Record(record) => {
                    if !self.apply_record(record, pending) {
                        return false;
                    }
                }
            }
        }
        pending.inputs += items.len();
        ::metrics::histogram!(metrics::EVALUATE).record(started.elapsed().as_secs_f64());
        if let Some(record) = items.last().and_then(Item::record) {
            let lag = self.now().since(record.appended_at.into());
            ::metrics::gauge!(metrics::LAG).set(lag.as_secs_f64());
        }
        true
    }

    fn apply_record(&mut self, record: &Record, pending: &mut Pending) -> bool {
        let mut input = match intake::decode(&record.bytes) {
            Ok(input) => input,
            Err(error) => {
                ::metrics::counter!(metrics::INPUTS_REJECTED).increment(1);
                let text: String = with_sources(&error).chars().take(MAX_ERROR_BYTES).collect();
                pending.entry(Entry::new(
                    self.now(),
                    "rejected",
                    &json!({"offset": record.offset.0, "error": text}),
                ));
                return true;
            }
        };
        if let Input::Watermark { logged_at, .. } = &mut input {
            *logged_at = record.appended_at.into();
        }
        ::metrics::counter!(metrics::INPUTS, "kind" => input.kind()).increment(1);
        if matches!(input, Input::Configured { .. }) {
            self.configure();
            // What is judged by from here on; what was announced may be older when the program was started again since.
            let (rules, registry) = self.versions();
            let body = json!({"rules": rules, "registry": registry});
            pending.entry(Entry::new(self.now(), "configured", &body));
        }
        match self.engine.apply(record.offset.0, &input, &self.store) {
            Ok(outcome) => {
                self.applied(&input, outcome, pending);
                true
            }
            Err(error) => {
                tracing::error!(error = %error, source = ?error.source, "state cannot be read, starting over from the file");
                false
            }
        }
    }

    fn applied(&self, input: &Input, outcome: Outcome, pending: &mut Pending) {
        if outcome.duplicate {
            ::metrics::counter!(metrics::DUPLICATES).increment(1);
        }
        if let Input::Acknowledge {
            command,
            at,
            actor,
            alert,
            comment,
        } = input
        {
            let body = json!({"command": id::hex(command), "alert": alert, "actor": actor, "at_us": at.0,
                "effect": outcome.acknowledged});
            let entry = Entry::new(self.now(), "acknowledge", &body).with_text(*alert, comment);
            pending.commands.push((*command, entry));
        }
        for t in &outcome.transitions {
            let labels = [("rule", t.alert.kind.as_str()), ("to", t.to.as_str())];
            ::metrics::counter!(metrics::TRANSITIONS, &labels).increment(1);
        }
        pending.transitions.extend(outcome.transitions);
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    fn versions(&self) -> (String, String) {
        (
            self.shared.rules().version.clone(),
            self.shared.registry.current().version().to_string(),
        )
    }

    /// Judges by the current rules and registry from here on.
    fn configure(&mut self) {
        let fleet = RegistryFleet(self.shared.registry.current());
        self.engine.configure(self.shared.rules(), Arc::new(fleet));
    }

    /// Puts "judged by these from here on" into the log, if that does not stand there. What the log did not take is tried
    /// again: until then the old rules hold.
    fn announce(&self, last: &mut Last) {
        let versions = self.versions();
        if last.versions.as_ref() == Some(&versions) {
            return;
        }
        let record = intake::encode_configured(self.now(), &versions.0, &versions.1);
        if self.append(&record) {
            last.versions = Some(versions);
        }
    }

    fn append(&self, record: &[u8]) -> bool {
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

    fn idle(&mut self, pending: &mut Pending, last: &mut Last, stop: &AtomicBool) {
        if pending.is_old() {
            self.commit(&[], pending, stop);
        }
        self.housekeeping(last);
        let beyond = self.reader.position();
        let _ = self.log.wait_durable(beyond, IDLE);
    }

    /// What is looked at now and then, whether there is traffic or not.
    fn housekeeping(&mut self, last: &mut Last) {
        let now = self.now();
        let due = self
            .engine
            .next_deadline()
            .filter(|due| *due <= now && last.tick != Some(*due));
        if let Some(due) = due
            && self.append(&intake::encode_tick(now))
        {
            last.tick = Some(due);
        }
        if last.registry.elapsed() >= LOOK_AT_REGISTRY_EVERY {
            last.registry = Instant::now();
            self.announce(last);
            self.gauges();
        }
        if Instant::now() >= last.forget {
            let wait = if self.forget() { FORGET_MORE } else { FORGET_EVERY };
            last.forget = Instant::now() + wait;
        }
        if last.cursor.elapsed() >= CURSOR_EVERY {
            last.cursor = Instant::now();
            self.move_cursor();
        }
    }

    /// Forgets what is old. `true`: there is more of it.
    fn forget(&self) -> bool {
        let now = self.now();
        // By whole days, so that a day's rows are cut off in few pieces, each of which leaves a row behind.
        let day = DAY_US * now.minus(self.config.journal_keep).0.div_euclid(DAY_US);
        let cut = Cut {
            journal: UnixMicros(day),
            resolved: now.minus(self.config.resolved_keep),
        };
        let names: Vec<String> = self.config.receivers.iter().map(|r| r.name.clone()).collect();
        let orphans = self.store.forget_orphans(&names, now.minus(ORPHANS_AFTER), now);
        let gone = match orphans.and_then(|orphans| Ok((self.store.forget(cut, now)?, orphans))) {
            Ok((gone, orphans)) => {
                if orphans > 0 {
                    ::metrics::counter!(metrics::UNDELIVERED, "receiver" => "none", "reason" => "no_receiver")
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

    fn gauges(&self) {
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
    fn move_cursor(&mut self) {
        let Ok((_, Some(next))) = self.store.position() else {
            return;
        };
        if let Err(error) = self.reader.commit(Offset(next)) {
            tracing::warn!(error = %error, "cannot move the cursor of alerting's log, its segments stay for now");
        }
    }

    /// Commits what is pending; tries again until it is done or the process ends, because nothing may leave before.
    fn commit(&mut self, items: &[Item], pending: &mut Pending, stop: &AtomicBool) {
        if pending.is_empty() && !self.engine.is_changed() {
            return;
        }
        let started = Instant::now();
        let taken = std::mem::take(pending);
        let changes = self.engine.take_changes();
        let leaving = taken.transitions.iter().map(|t| self.leaving(items, t)).collect();
        let (commands, mut entries): (Vec<_>, Vec<_>) = taken.commands.into_iter().unzip();
        entries.extend(taken.entries);
        let batch = Batch {
            changes,
            leaving,
            entries,
            evidence_max: self.config.evidence_max.as_u64(),
            next: self.reader.position().0,
            now: self.now(),
        };
        let Some(dropped) = self.commit_until(&batch, stop) else {
            return;
        };
        ::metrics::counter!(metrics::EVIDENCE_DROPPED).increment(dropped);
        self.condition.green();
        ::metrics::histogram!(metrics::COMMIT).record(started.elapsed().as_secs_f64());
        if !batch.leaving.is_empty() {
            self.wake.send_modify(|n| *n += 1);
            self.gauges();
        }
        self.shared.answer(&commands);
    }

    /// Tries until it is done. `None`: the process ends first; not committed is not consumed, so the next start computes the
    /// same again from the log.
    fn commit_until(&self, batch: &Batch<'_>, stop: &AtomicBool) -> Option<u64> {
        let mut wait = RETRY.0;
        loop {
            let error = match self.store.commit(batch) {
                Ok(dropped) => return Some(dropped),
                Err(error) => error,
            };
            ::metrics::counter!(metrics::COMMIT_FAILED).increment(1);
            tracing::error!(error = %error, source = ?std::error::Error::source(&error), "cannot commit, pages wait");
            self.condition.red("alerting's file cannot be written: no page leaves");
            if stop.load(Ordering::Acquire) {
                return None;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RETRY.1);
        }
    }

    fn leaving<'t>(&self, items: &[Item], t: &'t Transition) -> Leaving<'t> {
        let find = |offset: u64| {
            let here = items.iter().filter_map(Item::record).find(|r| r.offset.0 == offset);
            here.map(|r| r.bytes.clone()).or_else(|| self.look_back(offset))
        };
        Leaving {
            transition: t,
            pages: notify::pages(&self.config.receivers, t, self.config.digest_after, self.now()),
            // Without anybody who takes them they would only pile up.
            outlet: (self.has_outlet.then(|| notify::outlet_message(t, &self.gateway)))
                .flatten()
                .map(|m| m.encode()),
            evidence: t.evidence.iter().map(|&offset| (offset, find(offset))).collect(),
        }
    }

    /// A frame that was read earlier; what is trimmed is said to be trimmed.
    fn look_back(&self, offset: u64) -> Option<Vec<u8>> {
        let items = self.log.read_range(Offset(offset), 1, MAX_BYTES).ok()?;
        items.into_iter().find_map(|item| match item {
            Item::Record(record) if record.offset.0 == offset => Some(record.bytes),
            _ => None,
        })
    }

    /// Forgets everything that is not committed and goes on from the file.
    fn start_over(&mut self, pending: &mut Pending) -> Result<(), RunError> {
        self.condition
            .red("state could not be read, starting over from the file");
        std::thread::sleep(RETRY.1);
        *pending = Pending::default();
        let (snapshot, next) = self.store.load().map_err(RunError::Store)?;
        let fleet = RegistryFleet(self.shared.registry.current());
        self.engine = Engine::new(self.shared.rules(), Arc::new(fleet), snapshot);
        let next = next.map_or_else(|| self.reader.committed(), Offset);
        self.reader.seek(next);
        self.condition.green();
        Ok(())
    }
}

impl Pending {
    fn entry(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    fn is_empty(&self) -> bool {
        self.inputs == 0
    }

    fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= COMMIT_EVERY)
    }

    /// Whether somebody waits for the transaction, or too much would be read again.
    fn is_due(&self) -> bool {
        !self.transitions.is_empty() || !self.commands.is_empty() || self.inputs >= COMMIT_EVERY_INPUTS || self.is_old()
    }
}

/// An error with its sources, for the journal.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
