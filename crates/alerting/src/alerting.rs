//! The wiring: config → build → run.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use service::clock::Clock;
use service::health::Health;
use service::shutdown::Shutdown;
use spool::{Offset, ReaderError, Spool};
use telemetry::GatewayId;
use tokio::sync::watch;

use crate::config::Config;
use crate::deadman::{Alive, Deadman};
use crate::engine::Engine;
use crate::handle::{Handle, Shared, read_plan, read_rules};
use crate::links::{self, Links, Signer};
use crate::metrics;
use crate::notify::{Advise, Advisor, Renewer, Sender, Standing, Target, TargetError, Terms};
use crate::outlet::{self, Outlet};
use crate::permit::Permit;
use crate::rules::RulesError;
use crate::runner::commit::planner;
use crate::runner::{RunError, Runner};
use crate::store::checkpoint::{self, Checkpointer};
use crate::store::{Store, StoreError};
use crate::upstream::Reporter;

/// The cursor of alerting in its own log: the log's configuration must declare it.
pub const CURSOR: &str = "alerting";

/// Why alerting was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The rules.
    #[error("rules are refused")]
    Rules(#[source] RulesError),
    /// The paging plan.
    #[error("paging plan is refused")]
    Plan(#[source] RulesError),
    /// The file.
    #[error("alerting's file cannot be used")]
    Store(#[source] StoreError),
    /// The log.
    #[error("alerting's log has no cursor for it")]
    Log(#[source] ReaderError),
    /// A receiver.
    #[error("receiver {name} cannot be used")]
    Receiver {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: TargetError,
    },
}

/// What alerting is built from.
pub struct Parts {
    /// Its configuration, validated.
    pub config: Config,
    /// Its own log, with the cursor [`CURSOR`].
    pub log: Spool,
    /// The fleet.
    pub registry: Arc<registry::Shared>,
    /// Of which shards frames come here, bit s for shard s: devices elsewhere are not awaited. [`u64::MAX`]: of all.
    pub owned_shards: u64,
    /// Where transitions go for the store.
    pub outlet: Option<Arc<dyn Outlet>>,
    /// The way down to devices, for advisories.
    pub advise: Option<Arc<dyn Advise>>,
    /// The name under which transitions are written.
    pub gateway: GatewayId,
    /// Whether pages may leave: another instance may be the one that pages.
    pub permit: Permit,
    /// Readiness.
    pub health: Health,
    /// Wall clock.
    pub clock: Clock,
}

/// Alerting, built and not running.
pub struct Alerting {
    handle: Handle,
    runner: Runner,
    senders: Vec<Sender>,
    deadman: Option<Deadman>,
    reporter: Option<Reporter>,
    advisor: Option<Advisor>,
    renewers: Vec<Renewer>,
    outlet: Option<Arc<dyn Outlet>>,
    outlet_store: Arc<Store>,
    checkpointer: Checkpointer,
    wake: watch::Receiver<u64>,
    permit: Permit,
    /// Ends what sends.
    halt: watch::Sender<bool>,
}

impl Alerting {
    /// Opens the file, reads rules and state, and prepares the receivers. Nothing runs yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(parts: Parts) -> Result<Self, BuildError> {
        metrics::at_zero();
        let rules = read_rules(parts.config.rules.as_deref()).map_err(BuildError::Rules)?;
        let now = parts.clock.now().into();
        let read = read_plan(
            parts.config.paging.as_deref(),
            &parts.config.receivers,
            &rules,
            &parts.registry.current(),
            now,
        );
        let read = read.map_err(BuildError::Plan)?;
        // A rota that has expired must not keep the process from starting: then whoever is named otherwise is told.
        for what in read.warnings.iter().chain(&read.stale) {
            tracing::warn!(what = %what, "the paging plan needs a look");
        }
        let plan = read.plan;
        let store = Store::open(&parts.config.file).map_err(BuildError::Store)?;
        let reopen = || store.reopen().map(Arc::new).map_err(BuildError::Store);
        let (asked, sending, outlet_store) = (reopen()?, reopen()?, reopen()?);
        let checkpointer = store.checkpointer().map_err(BuildError::Store)?;
        let (snapshot, next) = store.load().map_err(BuildError::Store)?;
        let mut reader = parts.log.reader(CURSOR).map_err(BuildError::Log)?;
        if let Some(next) = next {
            // The offset in the file decides; the cursor only lets segments go.
            reader.seek(Offset(next));
        }
        let owned = parts.owned_shards;
        let shared = Arc::new(Shared::new(Arc::clone(&parts.registry), owned, rules, plan));
        let engine = Engine::new(shared.rules(), shared.fleet(), snapshot);
        let planner = planner(&store, shared.plan(), &engine).map_err(BuildError::Store)?;
        let (wake, woken) = watch::channel(0);
        let condition = parts.health.condition("alerting_pages");
        if parts.config.receivers.is_empty() {
            condition.red("no receiver is configured: nobody is paged");
        }
        let standing = Arc::new(Standing::new(condition));
        let (halt, halted) = watch::channel(false);
        let links = match &parts.config.links {
            Some(config) => Some(Arc::new(links_of(config, &sending).map_err(BuildError::Store)?)),
            None => None,
        };
        let (mut senders, mut renewers) = (Vec::new(), Vec::new());
        for receiver in &parts.config.receivers {
            metrics::receiver_at_zero(&receiver.name);
            let target = Target::new(receiver).map_err(|source| BuildError::Receiver {
                name: receiver.name.clone(),
                source,
            })?;
            renewers.extend(Renewer::new(&receiver.name, &target, &sending, &parts.clock, &halted));
            senders.push(Sender {
                terms: Terms::new(receiver, &parts.config.receivers),
                target,
                store: Arc::clone(&sending),
                log: parts.log.clone(),
                clock: parts.clock.clone(),
                started: parts.clock.now().into(),
                standing: Arc::clone(&standing),
                links: links.clone(),
                wake: woken.clone(),
                permit: parts.permit.clone(),
                stop: halted.clone(),
            });
        }
        let handle = Handle {
            shared: Arc::clone(&shared),
            store: asked,
            log: parts.log.clone(),
            clock: parts.clock.clone(),
            rules_dir: parts.config.rules.clone(),
            paging_dir: parts.config.paging.clone(),
            receivers: parts.config.receivers.clone(),
            links: links.clone(),
            permit: parts.permit.clone(),
        };
        let advisor = parts.advise.map(|advise| Advisor {
            store: Arc::clone(&sending),
            advise,
            clock: parts.clock.clone(),
            wake: woken.clone(),
            stop: halted.clone(),
        });
        let alive = Arc::new(Alive::default());
        let deadman = parts
            .config
            .deadman
            .as_ref()
            .map(|config| Deadman::new(config, Arc::clone(&alive)));
        let deadman = deadman.transpose().map_err(|source| BuildError::Receiver {
            name: "deadman".to_owned(),
            source,
        })?;
        let reporter = parts.config.upstream.as_ref().map(|config| {
            let (wake, mirrored) = (woken.clone(), parts.permit.is_fenced());
            Reporter::new(config, Arc::clone(&sending), wake, mirrored, parts.clock.clone())
        });
        let reporter = reporter.transpose().map_err(|source| BuildError::Receiver {
            name: "upstream".to_owned(),
            source,
        })?;
        let runner = Runner {
            engine,
            planner,
            store,
            earlier: parts.log.look_back(),
            log: parts.log,
            reader,
            shared,
            config: parts.config,
            clock: parts.clock,
            condition: parts.health.condition("alerting"),
            gateway: parts.gateway,
            has_outlet: parts.outlet.is_some(),
            advises: advisor.is_some(),
            wake,
            alive,
        };
        Ok(Self {
            handle,
            runner,
            senders,
            deadman,
            reporter,
            advisor,
            renewers,
            outlet: parts.outlet,
            outlet_store,
            checkpointer,
            wake: woken,
            permit: parts.permit,
            halt,
        })
    }

    /// Asks and commands, also while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until the process drains.
    ///
    /// # Errors
    /// [`RunError`]: a part cannot go on.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, over) = tokio::sync::oneshot::channel();
        let (runner, clock) = (self.runner, self.handle.clock.clone());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("alerting".to_owned())
            .spawn(move || {
                let result = runner.run(&stopped);
                // Who waits may have gone.
                let _ = ended.send(());
                result
            })
            .map_err(|error| RunError::Thread(error.to_string()))?;
        let (mut senders, mut reporters) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        let sent = watch::Sender::new(false);
        let halted = || {
            let mut halted = self.halt.subscribe();
            async move {
                let _ = halted.wait_for(|halt| *halt).await;
            }
        };
        // What leaves, once this instance may.
        let gate = Gate {
            permit: self.permit.clone(),
            halt: self.halt.subscribe(),
        };
        for sender in self.senders {
            if self.permit.is_fenced() {
                sender.stands_by();
            }
            senders.spawn(gate.clone().open(sender.run()));
        }
        for renewer in self.renewers {
            spawn(&mut senders, gate.clone(), renewer.run());
        }
        if let Some(outlet) = self.outlet {
            let (permit, store) = (self.permit, Arc::clone(&self.outlet_store));
            spawn(
                &mut senders,
                Gate::none(&self.halt),
                outlet::stand_by(store, permit, clock, halted()),
            );
            spawn(
                &mut senders,
                gate.clone(),
                outlet::run(self.outlet_store, outlet, self.wake, halted()),
            );
        }
        if let Some(advisor) = self.advisor {
            spawn(&mut senders, gate.clone(), advisor.run());
        }
        spawn(
            &mut senders,
            Gate::none(&self.halt),
            checkpoint::run(self.checkpointer, halted()),
        );
        if let Some(deadman) = self.deadman {
            let until = halted();
            spawn(&mut senders, gate.clone(), async move { deadman.run(until).await });
        }
        if let Some(reporter) = self.reporter {
            // It tells of what the others sent last.
            let mut until = sent.subscribe();
            let until = async move {
                let _ = until.wait_for(|sent| *sent).await;
            };
            spawn(&mut reporters, gate, async move { reporter.run(until).await });
        }
        let mut failure = None;
        tokio::select! {
            () = shutdown.requested() => {}
            _ = over => {}
            Some(sent) = senders.join_next() => failure = send_failure(sent),
            Some(told) = reporters.join_next() => failure = send_failure(told),
        }
        stop.store(true, Ordering::Release);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        // What the thread committed last may still go out; what does not is in the outbox.
        self.halt.send_replace(true);
        while let Some(sent) = senders.join_next().await {
            failure = failure.or_else(|| send_failure(sent));
        }
        sent.send_replace(true);
        while let Some(told) = reporters.join_next().await {
            failure = failure.or_else(|| send_failure(told));
        }
        match joined {
            Ok(Ok(result)) => result?,
            _ => return Err(RunError::Thread("it panicked".to_owned())),
        }
        failure.map_or(Ok(()), Err)
    }
}

fn links_of(config: &links::Config, store: &Store) -> Result<Links, StoreError> {
    let key = match &config.key {
        Some(key) => key.reveal().to_owned(),
        None => store.link_key()?,
    };
    Ok(Links {
        signer: Signer::new(key.as_bytes()),
        base_url: config.base_url.clone(),
        valid_for: config.valid_for,
    })
}

/// What has to be open before something begins.
#[derive(Clone)]
struct Gate {
    permit: Permit,
    halt: watch::Receiver<bool>,
}

impl Gate {
    /// None.
    fn none(halt: &watch::Sender<bool>) -> Self {
        Self {
            permit: Permit::always(),
            halt: halt.subscribe(),
        }
    }

    async fn open(mut self, run: impl Future<Output = Result<(), StoreError>> + Send) -> Result<(), StoreError> {
        tokio::select! {
            () = self.permit.granted() => {}
            _ = self.halt.wait_for(|halt| *halt) => return Ok(()),
        }
        run.await
    }
}

/// Runs what cannot fail beside what can.
fn spawn(
    senders: &mut tokio::task::JoinSet<Result<(), StoreError>>,
    gate: Gate,
    run: impl Future<Output = ()> + Send + 'static,
) {
    senders.spawn(gate.open(async move {
        run.await;
        Ok(())
    }));
}

fn send_failure(sent: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Option<RunError> {
    match sent {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(RunError::Send(error)),
        Err(join) => Some(RunError::Thread(join.to_string())),
    }
}
