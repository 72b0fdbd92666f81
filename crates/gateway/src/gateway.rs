//! The gateway as a whole: built from settings and what it is given, run until told to stop, asked through a handle.
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use metrics::counter;
use service::clock::Clock;
use service::health::Health;
use service::mqtt::{OptionsError, Subscriber};
use spool::Disk;
use telemetry::DeviceKey;
use tokio::sync::{mpsc, watch};

use crate::ack_up_to::AckUpTo;
use crate::commit::{Conditions, Inbox, Item, Parts, StartError, Verdict, start};
use crate::config::Config;
use crate::endpoint::{BindError, CommandError, Commands, Delivered, Doors, Drained, Endpoint, Inbound};
use crate::intake::broker::BrokerIntake;
use crate::intake::endpoint::ByRegistry;
use crate::intake::submit::{Replayed, Submission, Submitter};
use crate::metrics::WILLS_IGNORED;
use crate::outlet::Outlet;
use crate::quarantine::{Filter, Quarantine, QuarantineError};

/// Readiness: the telemetry spool takes writes (also true at its cap, where it refuses by choice).
pub const CONDITION_STORE: &str = "gateway-store";
/// Readiness: every log that pages hang on takes writes.
pub const CONDITION_ALARM: &str = "gateway-alarm-log";
/// Readiness: refused messages can be kept.
pub const CONDITION_QUARANTINE: &str = "gateway-quarantine";

/// What a gateway is given.
pub struct Deps {
    /// The fleet as it should be.
    pub registry: Arc<registry::Shared>,
    /// Where messages go: one store, and any number of alarm logs.
    pub outlets: Vec<Arc<dyn Outlet>>,
    /// Where it says how it is.
    pub health: Health,
    /// Wall time.
    pub clock: Clock,
    /// Takes who asks to be told how far the far end has everything; nobody is told before [`AckUpTo::run`] runs.
    pub ack_up_to: AckUpTo,
    /// The file system of the ledger's files; that of the spools has been given to them.
    pub disk: Arc<dyn Disk>,
}

/// Why a gateway was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What was known cannot be rebuilt.
    #[error("the gateway cannot start")]
    Start(#[from] StartError),
    /// The quarantine cannot be opened.
    #[error("the quarantine cannot be opened")]
    Quarantine(#[from] QuarantineError),
    /// An address cannot be listened on.
    #[error("the devices' endpoint cannot start")]
    Bind(#[from] BindError),
    /// The broker's options contradict themselves.
    #[error("the subscription at the broker cannot start")]
    Broker(#[from] OptionsError),
}

/// The committer ended by itself, which only a bug makes it do: nothing can be taken in. Start the process again; whatever was
/// not acknowledged is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's committer ended by itself, start the process again")]
pub struct CommitterEnded;

/// Devices in.
pub struct Gateway {
    endpoint: Option<Endpoint>,
    broker: Option<BrokerIntake>,
    handle: Handle,
    stop: watch::Sender<bool>,
    committer: JoinHandle<()>,
}

/// Asks a running gateway; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    submitter: Submitter,
    commands: Option<Commands>,
    doors: Option<Doors>,
}

impl Gateway {
    /// Opens quarantine, rebuilds the ledger (reads the store's tail: blocking, well under a second), binds the addresses and
    /// starts the committer. Within a tokio runtime, after the metrics recorder was installed.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(config: Config, deps: Deps) -> Result<Self, BuildError> {
        let made = |source| StartError::Io {
            path: config.dir.clone(),
            source,
        };
        deps.disk.create_dir_all(&config.dir).map_err(made)?;
        std::fs::create_dir_all(&config.dir).map_err(made)?;
        let quarantine = Arc::new(Quarantine::open(&config.dir, config.quarantine)?);
        let (inbound, endpoint_items) = mpsc::channel::<Inbound>(config.intake_messages);
        let (items, others) = mpsc::channel::<Item>(config.intake_messages);
        let (stop, stopped) = watch::channel(false);
        let endpoint = bind(&config, &deps, inbound)?;
        let committer = start(Parts {
            inbox: Inbox::new(endpoint_items, others, stopped, counter!(WILLS_IGNORED)),
            registry: deps.registry,
            clocks: config.clocks,
            gateway: config.id,
            ack_up_to: deps.ack_up_to,
            clock: deps.clock.clone(),
            outlets: deps.outlets,
            quarantine: Arc::clone(&quarantine),
            disk: deps.disk,
            dir: config.dir,
            conditions: Conditions {
                store: deps.health.condition(CONDITION_STORE),
                alarm: deps.health.condition(CONDITION_ALARM),
                quarantine: deps.health.condition(CONDITION_QUARANTINE),
            },
            watermark_every: config.watermark_every,
        })?;
        let broker = match config.broker {
            Some(options) => {
                tracing::warn!(
                    broker = options.broker.host,
                    "devices publish to a broker: until it is read from there, a message is only as durable as that broker keeps it"
                );
                Some(BrokerIntake::new(
                    Subscriber::start(options)?,
                    items.clone(),
                    deps.clock.clone(),
                ))
            }
            None => None,
        };
        let commands = endpoint.as_ref().map(Endpoint::commands);
        let doors = endpoint.as_ref().map(Endpoint::doors);
        let submitter = Submitter {
            items,
            quarantine,
            clock: deps.clock,
        };
        Ok(Self {
            endpoint,
            broker,
            handle: Handle {
                submitter,
                commands,
                doors,
            },
            stop,
            committer,
        })
    }

    /// For whoever submits, replays or sends commands.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The addresses listened on, in the order of the settings.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::local_addrs).unwrap_or_default()
    }

    /// Serves until `shutdown` resolves. Then the intakes stop first, what they took is answered, and the committer ends last.
    ///
    /// # Errors
    /// [`CommitterEnded`], also before `shutdown` resolves.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<Drained, CommitterEnded> {
        let (draining, drain) = watch::channel(false);
        let broker = self.broker.map(|broker| tokio::spawn(broker.run(drain.clone())));
        let mut endpoint_drain = drain;
        let endpoint = self.endpoint.map(|endpoint| {
            tokio::spawn(endpoint.run(async move {
                // An error means that the sender is gone, which is a shutdown too.
                let _ = endpoint_drain.wait_for(|draining| *draining).await;
            }))
        });
        tokio::select! {
            () = shutdown => {}
            () = self.handle.submitter.items.closed() => {}
        }
        draining.send_replace(true);
        let drained = match endpoint {
            Some(endpoint) => endpoint.await.unwrap_or_default(),
            None => Drained::default(),
        };
        if let Some(broker) = broker {
            let _ = broker.await;
        }
        let stopped_early = self.committer.is_finished();
        self.stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || self.committer.join()).await;
        if stopped_early || !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the committer ended by itself, what it had not answered is sent again");
            return Err(CommitterEnded);
        }
        Ok(drained)
    }
}

fn bind(config: &Config, deps: &Deps, inbound: mpsc::Sender<Inbound>) -> Result<Option<Endpoint>, BindError> {
    if config.listeners.is_empty() {
        return Ok(None);
    }
    let authenticate = Arc::new(ByRegistry::new(Arc::clone(&deps.registry)));
    Endpoint::bind(config.endpoint.clone(), config.listeners.clone(), authenticate, inbound).map(Some)
}

impl Handle {
    /// Submits a recorded message; see [`Submitter::submit`].
    pub async fn submit(&self, submission: Submission) -> Verdict {
        self.submitter.submit(submission).await
    }

    /// What was refused, to look at.
    pub fn quarantine(&self) -> &Quarantine {
        &self.submitter.quarantine
    }

    /// Sends kept messages through the door again; see [`Submitter::replay`].
    ///
    /// # Errors
    /// Quarantine cannot be read or marked.
    pub async fn replay(&self, filter: Filter) -> Result<Replayed, QuarantineError> {
        self.submitter.replay(filter).await
    }

    /// To be called after the registry was replaced: ends the connections of devices that are retired or moved, or whose
    /// credential is gone. Says how many.
    pub fn registry_changed(&self) -> usize {
        self.doors.as_ref().map_or(0, Doors::look_again)
    }

    /// Whether a device is connected at this endpoint now.
    pub fn is_connected(&self, device: &DeviceKey) -> bool {
        self.commands
            .as_ref()
            .is_some_and(|commands| commands.is_connected(&device.to_string()))
    }

    /// Sends a command down to a connected device and waits for its PUBACK; see [`Commands::send`].
    ///
    /// # Errors
    /// [`CommandError`]; a gateway without an endpoint says that the device is not connected.
    pub async fn send_command(&self, device: &DeviceKey, payload: Bytes) -> Result<Delivered, CommandError> {
        match &self.commands {
            Some(commands) => commands.send(&device.to_string(), payload).await,
            None => Err(CommandError::NoSuchPeer),
        }
    }
}
