//! What the rest of the process asks of alerting: lists, one alert, acknowledging, reloading.
mod elsewhere;
mod silences;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rand::RngCore as _;
use schemars::JsonSchema;
use serde::Serialize;
use service::clock::Clock;
use service::reload::Reload;
use spool::{AppendError, NewRecord, Spool, SyncError};
use telemetry::UnixMicros;
use tokio::sync::{oneshot, watch};

pub(crate) use elsewhere::SaidError;

use crate::config::Receiver;
use crate::engine::Alert;
use crate::id::AlertId;
use crate::intake::{Action, Backlog, Beat, Command, MAX_ACTOR_BYTES, MAX_COMMENT_BYTES};
use crate::lifecycle::State;
use crate::links::Links;
use crate::paging::plan::{Against, Read};
use crate::paging::{self, Plan, SilenceError};
use crate::permit::Permit;
use crate::registry_fleet::{OwnedFleet, RegistryFleet};
use crate::rules::{RulesError, Ruleset};
use crate::store::journal::Verified;
use crate::store::{Store, StoreError};

/// Most commands that wait for their answer; more are refused.
const MAX_WAITING: usize = 256;
/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Most alerts of one list.
pub const MAX_LIST: usize = 1_000;

/// What the runner and the handles share.
pub(crate) struct Shared {
    pub(crate) registry: Arc<registry::Shared>,
    owned_shards: u64,
    book: RwLock<(Arc<Ruleset>, Arc<Plan>)>,
    waiting: Mutex<HashMap<[u8; 16], oneshot::Sender<()>>>,
    /// Version of the registry that stands in the log as what is judged by from there on.
    announced: watch::Sender<String>,
}

impl Shared {
    pub(crate) fn new(registry: Arc<registry::Shared>, owned_shards: u64, rules: Ruleset, plan: Plan) -> Self {
        Self {
            registry,
            owned_shards,
            book: RwLock::new((Arc::new(rules), Arc::new(plan))),
            waiting: Mutex::default(),
            announced: watch::Sender::default(),
        }
    }

    /// The registry as it is now, as far as it is ours.
    pub(crate) fn fleet(&self) -> Arc<OwnedFleet> {
        Arc::new(OwnedFleet {
            all: RegistryFleet(self.registry.current()),
            shards: self.owned_shards,
        })
    }

    pub(crate) fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// The log says that this registry is judged by from here on.
    pub(crate) fn announced(&self, registry: &str) {
        self.announced.send_replace(registry.to_owned());
    }

    /// Commands are durable and applied.
    pub(crate) fn answer(&self, commands: &[[u8; 16]]) {
        if commands.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for command in commands {
            if let Some(waiter) = waiting.remove(command) {
                // Who asked may have gone.
                let _ = waiter.send(());
            }
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such alert.
    #[error("no alert has this id")]
    NotFound,
    /// The actor is missing or too long, or the comment is too long.
    #[error("actor must have 1 to {MAX_ACTOR_BYTES} bytes and comment at most {MAX_COMMENT_BYTES}")]
    Text,
    /// Too many commands wait.
    #[error("too many commands wait for their answer, try again")]
    Busy,
    /// The log did not take it.
    #[error("alerting's log did not take the command")]
    Append(#[source] AppendError),
    /// The log did not make it durable.
    #[error("alerting's log did not make the command durable")]
    Sync(#[source] SyncError),
    /// It is durable and was not applied in time: it will be.
    #[error("the command is durable and will be applied, but was not yet")]
    NotYet,
    /// The file could not be read.
    #[error("alerting's file cannot be read")]
    Store(#[source] StoreError),
    /// Another instance pages for the group.
    #[error("this instance stands by for another one, which pages: ask that one")]
    StandsBy,
    /// A silence is not allowed.
    #[error("silence is refused")]
    Silence(#[source] SilenceError),
}

/// Counts for a live line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AlertSummary")]
pub struct Summary {
    /// Open alerts by state.
    pub open: std::collections::BTreeMap<String, u64>,
    /// Pages that wait in the outbox.
    pub waiting_pages: u64,
}

/// Asks and commands; clones share everything.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<Store>,
    pub(crate) log: Spool,
    pub(crate) clock: Clock,
    pub(crate) rules_dir: Option<std::path::PathBuf>,
    pub(crate) paging_dir: Option<std::path::PathBuf>,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) links: Option<Arc<Links>>,
    pub(crate) permit: Permit,
}

impl Handle {
    /// Runs what blocks on the disk where it may.
    pub(crate) async fn blocking<T: Send + 'static>(&self, run: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let own = self.clone();
        match tokio::task::spawn_blocking(move || run(&own)).await {
            Ok(value) => value,
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
    }

    /// Alerts, newest first, at most [`MAX_LIST`]: of one state, or all that are open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts(&self, state: Option<State>) -> Result<Vec<Alert>, StoreError> {
        self.blocking(move |own| own.store.alerts(state, MAX_LIST)).await
    }

    /// One alert, open or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alert(&self, id: AlertId) -> Result<Option<Alert>, StoreError> {
        self.blocking(move |own| own.store.alert(id)).await
    }

    /// Counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn summary(&self) -> Result<Summary, StoreError> {
        self.blocking(|own| {
            Ok(Summary {
                open: own.store.count_open()?.into_iter().collect(),
                waiting_pages: own.store.waiting_pages()?,
            })
        })
        .await
    }

    /// Walks the whole journal.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify_journal(&self) -> Result<Verified, StoreError> {
        self.blocking(|own| own.store.verify_journal()).await
    }

    /// Acknowledges an alert; answers when that is durable and applied. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn acknowledge(&self, id: AlertId, actor: &str, comment: &str) -> Result<Alert, CommandError> {
        self.on_alert(Action::Acknowledge(id), actor, comment).await
    }

    /// Does something to an alert: acknowledge and take that back, assign, remark. Answers when that is durable and applied;
    /// to a resolved one only remarks are added.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn on_alert(&self, action: Action, actor: &str, comment: &str) -> Result<Alert, CommandError> {
        let id = action.alert().ok_or(CommandError::NotFound)?;
        check_text(actor, comment)?;
        let known = self
            .alert(id)
            .await
            .map_err(CommandError::Store)?
            .ok_or(CommandError::NotFound)?;
        if known.state() == State::Resolved && !matches!(action, Action::Annotate(_)) {
            return Ok(known);
        }
        self.command(action, actor, comment).await?;
        self.alert(id)
            .await
            .map_err(CommandError::Store)?
            .ok_or(CommandError::NotFound)
    }

    /// Puts a command into the log and waits until it is applied. Returns its id.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn command(&self, action: Action, actor: &str, comment: &str) -> Result<[u8; 16], CommandError> {
        check_text(actor, comment)?;
        if !self.permit.holds() {
            return Err(CommandError::StandsBy);
        }
        let mut id = [0u8; 16];
        rand::rng().fill_bytes(&mut id);
        let command = Command {
            id,
            at: self.clock.now().into(),
            actor: actor.to_owned(),
            comment: comment.to_owned(),
            action,
            instance: None,
        };
        let answered = self.wait_for(id)?;
        let appended = self.report(move || command.encode()).await;
        if let Err(error) = appended {
            self.forget(id);
            return Err(error);
        }
        let answer = tokio::time::timeout(ANSWER_WITHIN, answered).await;
        self.forget(id);
        if !matches!(answer, Ok(Ok(()))) {
            return Err(CommandError::NotYet);
        }
        Ok(id)
    }

    /// Somebody whose silence is an alarm was heard. Durable when this returns; a sender that no rule expects is ignored.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn beat(&self, sender: &str) -> Result<(), CommandError> {
        let beat = Beat {
            sender: sender.to_owned(),
            at: self.clock.now().into(),
        };
        self.report(move || beat.encode()).await
    }

    /// A log fills, or is read again. Durable when this returns.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn backlog(&self, backlog: Backlog) -> Result<(), CommandError> {
        self.report(move || backlog.encode()).await
    }

    pub(crate) fn links(&self) -> Option<Arc<Links>> {
        self.links.clone()
    }

    pub(crate) fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    pub(crate) async fn spend_link(&self, mac: &str) -> Result<bool, StoreError> {
        let mac = mac.to_owned();
        self.blocking(move |own| own.store.spend_link(&mac, own.now())).await
    }

    pub(crate) async fn unspend_link(&self, mac: &str) -> Result<(), StoreError> {
        let mac = mac.to_owned();
        self.blocking(move |own| own.store.unspend_link(&mac)).await
    }

    /// Makes a record of the log durable.
    pub(crate) async fn report(&self, encode: impl FnOnce() -> Vec<u8> + Send + 'static) -> Result<(), CommandError> {
        self.blocking(move |own| own.append(&encode())).await
    }

    /// Waits until the log says that this version of the registry is judged by from there on, so that it holds for every frame
    /// that is let in after this. `false`: not in time.
    pub async fn registry_announced(&self, version: String) -> bool {
        let mut announced = self.shared.announced.subscribe();
        let seen = announced.wait_for(|announced| *announced == version);
        matches!(tokio::time::timeout(ANSWER_WITHIN, seen).await, Ok(Ok(_)))
    }

    fn wait_for(&self, command: [u8; 16]) -> Result<oneshot::Receiver<()>, CommandError> {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            return Err(CommandError::Busy);
        }
        let (tell, answered) = oneshot::channel();
        waiting.insert(command, tell);
        Ok(answered)
    }

    fn forget(&self, command: [u8; 16]) {
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&command);
    }

    fn append(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let records = [NewRecord { lane: 0, bytes }];
        let appended = self
            .log
            .append(&records, self.clock.now())
            .map_err(CommandError::Append)?;
        self.log.sync_appended(&appended).map_err(CommandError::Sync)?;
        Ok(())
    }

    /// Reads the rules again; they hold once the log says so, a second later at most. A fault leaves the old ones.
    ///
    /// # Errors
    /// [`RulesError`]: nothing changed.
    pub async fn reload_rules(&self) -> Result<String, RulesError> {
        self.blocking(|own| {
            let rules = read_rules(own.rules_dir.as_deref()).map_err(|e| refused(Reload::Rules, e))?;
            let version = rules.version.clone();
            let read = own.read_plan(&rules).map_err(|e| refused(Reload::Plan, e))?;
            if !read.stale.is_empty() {
                return Err(refused(Reload::Plan, RulesError::Faults(read.stale)));
            }
            for warning in &read.warnings {
                tracing::warn!(what = %warning, "the paging plan has a gap");
            }
            let book = (Arc::new(rules), Arc::new(read.plan));
            *own.shared.book.write().unwrap_or_else(PoisonError::into_inner) = book;
            Ok(version)
        })
        .await
    }

    fn read_plan(&self, rules: &Ruleset) -> Result<Read, RulesError> {
        let registry = self.shared.registry.current();
        read_plan(
            self.paging_dir.as_deref(),
            &self.receivers,
            rules,
            &registry,
            self.clock.now().into(),
        )
    }
}

/// The configured plan, or the one that stands in for it.
pub(crate) fn read_plan(
    dir: Option<&std::path::Path>,
    receivers: &[Receiver],
    rules: &Ruleset,
    registry: &registry::Registry,
    now: UnixMicros,
) -> Result<Read, RulesError> {
    let Some(dir) = dir else {
        return Ok(Read {
            plan: Plan::implicit(receivers),
            warnings: Vec::new(),
            stale: Vec::new(),
        });
    };
    let tenants: Vec<String> = registry.tenants().map(|tenant| tenant.id.as_str().to_owned()).collect();
    let against = Against {
        receivers,
        rules,
        tenants: &tenants,
        now,
    };
    paging::plan::load_dir(dir, against)
}

fn check_text(actor: &str, comment: &str) -> Result<(), CommandError> {
    if actor.is_empty() || actor.len() > MAX_ACTOR_BYTES || comment.len() > MAX_COMMENT_BYTES {
        return Err(CommandError::Text);
    }
    Ok(())
}

fn refused(what: Reload, error: RulesError) -> RulesError {
    what.refused();
    tracing::warn!(what = what.as_str(), error = %error, "edited files are refused, the old ones hold");
    error
}

/// The configured rules, or those that come with the program.
pub(crate) fn read_rules(dir: Option<&std::path::Path>) -> Result<Ruleset, RulesError> {
    dir.map_or_else(crate::rules::builtin, crate::rules::load_dir)
}
