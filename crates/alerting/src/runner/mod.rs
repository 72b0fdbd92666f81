//! The one thread that reads the log, applies what stands in it, and commits before anything leaves.
//!
//! What moves no alert is committed rarely: the log still holds it, and the engine computes the same from it again. What
//! moves one is committed at once.
pub(crate) mod commit;
mod housekeeping;
mod judged;
mod rotas;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use service::clock::Clock;
use service::health::Condition;
use spool::{Item, LookBack, Reader, Record, Spool};
use telemetry::{GatewayId, UnixMicros};
use tokio::sync::watch;

use crate::config::Config;
use crate::deadman::Alive;
use crate::engine::{Engine, Outcome};
use crate::handle::Shared;
use crate::id::{self, AlertId, SilenceId};
use crate::intake::{self, Action, Input};
use crate::metrics;
use crate::paging::{Event, Planner};
use crate::store::journal::{Entry, EntryKind};
use crate::store::{Store, StoreError};

use self::commit::Pending;
use self::housekeeping::Last;
use self::judged::Judged;

/// Most inputs of one batch: some 30 ms of work. A batch in which an alert moves costs a transaction with its sync, so behind a
/// backlog larger ones go through faster; without one a batch is what has just come.
const MAX_INPUTS: usize = 8_192;
/// Most bytes of one batch.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Transitions after which a transaction is made in the middle of a batch, so that a thousand devices that go wrong at once do
/// not take the memory of all their alerts twice over, and the first pages do not wait for the last.
const MAX_TRANSITIONS: usize = 256;
/// First and longest wait after a failed transaction.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How long a stop goes on with what is in the log; what is behind that is judged after the next start.
const CATCH_UP: Duration = Duration::from_secs(8);
/// Longest error text in the journal, in bytes.
const MAX_ERROR_BYTES: usize = 300;

/// What the thread owns.
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    pub(crate) planner: Planner,
    pub(crate) store: Store,
    pub(crate) log: Spool,
    pub(crate) reader: Reader,
    /// Where frames that were read earlier are looked up, as evidence.
    pub(crate) earlier: LookBack,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) condition: Condition,
    pub(crate) gateway: GatewayId,
    /// Somebody takes transitions.
    pub(crate) has_outlet: bool,
    /// There is a way down to devices.
    pub(crate) advises: bool,
    /// Tells senders and outlet that something was committed.
    pub(crate) wake: watch::Sender<u64>,
    /// Told with every turn in which nothing failed.
    pub(crate) alive: Arc<Alive>,
}

/// Why items were not all applied.
enum Broken {
    /// State that was put away could not be read: start over from the file.
    State,
    /// The process ends and a transaction could not be made: what was applied since the last is computed again by the next.
    Stopped,
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
    /// Runs until `stop`, and then to where the log was durable at that moment, for at most [`CATCH_UP`].
    pub(crate) fn run(mut self, stop: &AtomicBool) -> Result<(), RunError> {
        let mut pending = Pending::default();
        let mut last = Last::new(Instant::now());
        self.announce(&mut last);
        self.gauges();
        self.condition.green();
        let mut stopping = None;
        loop {
            if stop.load(Ordering::Acquire) {
                let (upto, until) = *stopping.get_or_insert_with(|| (self.log.durable(), Instant::now() + CATCH_UP));
                if self.reader.position() >= upto || Instant::now() >= until {
                    break;
                }
            }
            let items = match self.reader.read(MAX_INPUTS, MAX_BYTES) {
                Ok(items) => items,
                Err(error) => {
                    tracing::error!(error = %error, "cannot read alerting's log, trying again");
                    self.condition.red("alerting's log cannot be read");
                    std::thread::sleep(RETRY.1);
                    continue;
                }
            };
            self.alive.now();
            if items.is_empty() {
                if !self.idle(&mut pending, &mut last, stop) {
                    return Ok(());
                }
                continue;
            }
            match self.apply(&items, &mut pending, stop) {
                Ok(()) => {}
                Err(Broken::State) => {
                    self.start_over(&mut pending)?;
                    continue;
                }
                Err(Broken::Stopped) => return Ok(()),
            }
            // Nothing may be committed after what could not be: it would stand before it in the file, and never be judged.
            if pending.is_due() && !self.commit(&items, &mut pending, stop) {
                return Ok(());
            }
            self.housekeeping(&mut last);
        }
        self.commit(&[], &mut pending, stop);
        self.move_cursor();
        Ok(())
    }

    /// Applies items in order.
    fn apply(&mut self, items: &[Item], pending: &mut Pending, stop: &AtomicBool) -> Result<(), Broken> {
        let started = Instant::now();
        for item in items {
            self.apply_item(item, pending)?;
            if pending.transitions.len() >= MAX_TRANSITIONS && !self.commit(items, pending, stop) {
                return Err(Broken::Stopped);
            }
        }
        for (kind, count) in std::mem::take(&mut pending.kinds) {
            ::metrics::counter!(metrics::INPUTS, "kind" => kind).increment(count);
        }
        ::metrics::histogram!(metrics::EVALUATE).record(started.elapsed().as_secs_f64());
        if let Some(record) = items.last().and_then(Item::record) {
            let lag = self.now().since(record.appended_at.into());
            ::metrics::gauge!(metrics::LAG).set(lag.as_secs_f64());
        }
        Ok(())
    }

    fn apply_item(&mut self, item: &Item, pending: &mut Pending) -> Result<(), Broken> {
        match item {
            Item::Gap(gap) => {
                ::metrics::counter!(metrics::INPUTS_MISSING, "reason" => gap.reason.as_str()).increment(gap.count());
                tracing::warn!(
                    from = gap.from.0,
                    to = gap.to.0,
                    reason = gap.reason.as_str(),
                    "log has a gap"
                );
                let body = json!({"from": gap.from.0, "to": gap.to.0, "reason": gap.reason.as_str()});
                pending.entry(Entry::new(self.now(), EntryKind::Gap, &body));
            }
            Item::Record(record) => {
                if !self.apply_record(record, pending) {
                    return Err(Broken::State);
                }
            }
        }
        pending.applied(item);
        Ok(())
    }

    /// `false`: state that was put away could not be read.
    fn apply_record(&mut self, record: &Record, pending: &mut Pending) -> bool {
        let mut input = match intake::decode(&record.bytes) {
            Ok(input) => input,
            Err(error) => {
                ::metrics::counter!(metrics::INPUTS_REJECTED).increment(1);
                let text: String = with_sources(&error).chars().take(MAX_ERROR_BYTES).collect();
                pending.entry(Entry::new(
                    self.now(),
                    EntryKind::Rejected,
                    &json!({"offset": record.offset.0, "error": text}),
                ));
                return true;
            }
        };
        if let Input::Watermark { logged_at, .. } | Input::Refused { logged_at, .. } = &mut input {
            *logged_at = record.appended_at.into();
        }
        *pending.kinds.entry(input.kind()).or_default() += 1;
        if matches!(input, Input::Configured { .. }) {
            self.configure();
            // What is judged by from here on; what was announced may be older when the program was started again since.
            let judged = Judged::new(
                &self.shared.rules(),
                &self.shared.registry.current(),
                &self.shared.plan(),
            );
            let Ok(before) = self.judged_before(pending) else {
                return false;
            };
            pending.entry(Entry::new(
                self.now(),
                EntryKind::Configured,
                &judged.row(before.as_ref()),
            ));
            pending.judged = Some(judged);
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

    fn applied(&mut self, input: &Input, outcome: Outcome, pending: &mut Pending) {
        self.plan(input, &outcome);
        pending.pages |= self.planner.is_changed();
        if outcome.duplicate {
            ::metrics::counter!(metrics::DUPLICATES).increment(1);
        }
        if outcome.merged > 0 {
            ::metrics::counter!(metrics::MERGED).increment(outcome.merged);
        }
        if let Some((id, entry)) = said(input, &outcome, self.now()) {
            match id {
                Some(command) => pending.commands.push((command, entry)),
                None => pending.entry(entry),
            }
        }
        for t in &outcome.transitions {
            let labels = [("rule", t.alert.kind.as_str()), ("to", t.to.as_str())];
            ::metrics::counter!(metrics::TRANSITIONS, &labels).increment(1);
        }
        pending.transitions.extend(outcome.transitions);
    }

    /// Moves what is told, by the log's clock alone.
    fn plan(&mut self, input: &Input, outcome: &Outcome) {
        let now = self.engine.clock();
        let mut tell = |event: &Event<'_>| self.planner.apply(event, now, &self.engine);
        if !outcome.transitions.is_empty() {
            tell(&Event::Transitions(&outcome.transitions));
        }
        match input {
            Input::Command(command) if outcome.effect => match &command.action {
                Action::Acknowledge(alert) => tell(&Event::Acknowledged {
                    alert: *alert,
                    by: &command.actor,
                }),
                Action::Unacknowledge(alert) => tell(&Event::Unacknowledged {
                    alert: *alert,
                    by: &command.actor,
                }),
                Action::Silence(what) => tell(&Event::Silence {
                    id: SilenceId(command.id),
                    by: &command.actor,
                    what,
                    at: command.at,
                }),
                Action::EndSilence(id) => tell(&Event::EndSilence(SilenceId(*id))),
                Action::Assign { .. } | Action::Annotate(_) => {}
            },
            Input::Told(told) => {
                tell(&Event::Told {
                    alert: told.alert,
                    transition: told.transition,
                });
                if let Some(by) = &told.acknowledged_by {
                    tell(&Event::Acknowledged { alert: told.alert, by });
                }
            }
            Input::Tick { .. } => tell(&Event::Tick),
            _ => {}
        }
    }

    /// What was judged by until now; `None`: nothing is known of that.
    fn judged_before(&self, pending: &Pending) -> Result<Option<Judged>, ()> {
        if pending.judged.is_some() {
            return Ok(pending.judged.clone());
        }
        let kept = self.store.judged_by().map_err(|error| {
            tracing::error!(error = %error, "cannot read what was judged by, starting over from the file");
        })?;
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()))
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// Judges by the current rules and registry from here on.
    fn configure(&mut self) {
        self.engine.configure(self.shared.rules(), self.shared.fleet());
        self.planner.configure(self.shared.plan(), self.engine.clock());
    }
}

/// How an action stands in the journal.
const fn kind_of(action: &Action) -> EntryKind {
    match action {
        Action::Acknowledge(_) => EntryKind::Acknowledge,
        Action::Unacknowledge(_) => EntryKind::Unacknowledge,
        Action::Assign { .. } => EntryKind::Assign,
        Action::Annotate(_) => EntryKind::Annotate,
        Action::Silence(_) => EntryKind::Silence,
        Action::EndSilence(_) => EntryKind::EndSilence,
    }
}

/// What people and other instances said, for the journal: with the id of the command that waits for its answer.
fn said(input: &Input, outcome: &Outcome, now: UnixMicros) -> Option<(Option<[u8; 16]>, Entry)> {
    match input {
        Input::Command(command) => {
            let mut body = json!({"command": id::hex(&command.id), "actor": command.actor, "at_us": command.at.0,
                "effect": outcome.effect});
            match &command.action {
                Action::Silence(silence) => body["silence"] = json!(silence),
                Action::EndSilence(silence) => body["silence_id"] = json!(id::hex(silence)),
                Action::Assign { assignee, .. } => body["assignee"] = json!(assignee),
                Action::Acknowledge(_) | Action::Unacknowledge(_) | Action::Annotate(_) => {}
            }
            let alert = command.action.alert();
            if let Some(alert) = alert {
                body["alert"] = json!(alert);
            }
            if let Some(instance) = &command.instance {
                body["instance"] = json!(instance);
            }
            let entry = Entry::new(now, kind_of(&command.action), &body);
            let about = alert.unwrap_or(AlertId(command.id));
            Some((Some(command.id), entry.with_text(about, &command.comment)))
        }
        Input::ReceiverState(state) => {
            let body = json!({"receiver": state.receiver, "failing": state.failing, "reason": state.reason,
                "at_us": state.at.0});
            Some((None, Entry::new(now, EntryKind::ReceiverState, &body)))
        }
        Input::Told(told) => Some((None, Entry::new(now, EntryKind::Told, &json!(told)))),
        // What they move stands there as a transition.
        Input::Frame(_)
        | Input::Watermark { .. }
        | Input::Tick { .. }
        | Input::Configured { .. }
        | Input::Beat(_)
        | Input::RotaState(_)
        | Input::Refused { .. }
        | Input::Backlog(_) => None,
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
