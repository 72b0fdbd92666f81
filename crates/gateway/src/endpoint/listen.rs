//! Binding, accepting, and stopping: the only part that spawns tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::config::{ConfigError, EndpointConfig};
use super::directory::Commands;
use super::doors::Doors;
use super::inbound::Inbound;
use super::peer::Authenticate;
use super::serve::serve;

/// Connections that the kernel holds for us between two accepts.
const ACCEPT_BACKLOG: u32 = 1024;
/// Pause after a failed accept: out of file descriptors, as a rule, and no sense in spinning.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How often the gauge of unanswered bytes is set.
const GAUGE_INTERVAL: Duration = Duration::from_secs(1);
/// On top of the grace period: farewells and the reading of what is still under way.
const CLOSE_MARGIN: Duration = Duration::from_secs(2);

/// An address to listen on.
#[derive(Clone)]
pub struct Listener {
    /// Port 0: any free port; [`Endpoint::local_addrs`] says which.
    pub address: SocketAddr,
    /// TLS, with or without client certificates as its verifier says; `None`: plain TCP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Why the endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Limits that cannot work.
    #[error("endpoint limits do not work: {}", list(.0))]
    Config(Vec<ConfigError>),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}, is it in use or not ours")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn list(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Connections that ended by themselves within the grace period.
    pub closed: usize,
    /// Connections that had to be cut off.
    pub cut: usize,
}

struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

/// The devices' MQTT endpoint, bound and not yet running.
pub struct Endpoint {
    shared: Arc<Shared>,
    bound: Vec<Bound>,
}

impl Endpoint {
    /// Checks the limits and binds every listener. Must be called within a tokio runtime, after the
    /// metrics recorder was installed. `intake` is bounded; its capacity is how many publishes may
    /// wait for the committer.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        config: EndpointConfig,
        listeners: Vec<Listener>,
        authenticate: Arc<dyn Authenticate>,
        intake: mpsc::Sender<Inbound>,
    ) -> Result<Endpoint, BindError> {
        config.check().map_err(BindError::Config)?;
        let bound = listeners
            .into_iter()
            .map(|listener| {
                let address = listener.address;
                bind_one(&config, listener).map_err(|source| BindError::Listen { address, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Endpoint {
            shared: Arc::new(Shared::new(config, authenticate, intake)),
            bound,
        })
    }

    /// The addresses listened on, in the order of the listeners.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// The way down to the devices; works while [`Endpoint::run`] runs.
    #[must_use]
    pub fn commands(&self) -> Commands {
        Commands::new(Arc::clone(&self.shared.directory))
    }

    /// For whoever changes the fleet.
    #[must_use]
    pub fn doors(&self) -> Doors {
        Doors::new(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` resolves; then stops accepting and reading, answers what is in
    /// flight, tells MQTT 5 clients why, and closes, all within the grace period. The intake must go
    /// on answering until this returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Endpoint { shared, bound } = self;
        let (stop, stopped) = watch::channel(false);
        let mut accepting = JoinSet::new();
        for bound in bound {
            tracing::info!(address = %bound.address, tls = bound.tls.is_some(), "listening for devices");
            accepting.spawn(accept(Arc::clone(&shared), bound, stopped.clone()));
        }
        until(shutdown, &shared).await;
        tracing::info!(
            connections = shared.directory.len(),
            "stopping, in-flight publishes are answered first"
        );
        stop.send_replace(true);
        shared.directory.close();
        let mut total = Drained::default();
        while let Some(joined) = accepting.join_next().await {
            let drained = joined.unwrap_or_default();
            total.closed += drained.closed;
            total.cut += drained.cut;
        }
        total
    }
}

fn bind_one(config: &EndpointConfig, listener: Listener) -> io::Result<Bound> {
    let socket = match listener.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Set on the listener, so that each accepted socket has it from its first byte.
    if let Some(bytes) = config.socket_send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.socket_receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(listener.address)?;
    let socket = socket.listen(ACCEPT_BACKLOG)?;
    let address = socket.local_addr()?;
    Ok(Bound {
        socket,
        address,
        tls: listener.tls.map(TlsAcceptor::from),
    })
}

async fn until(shutdown: impl Future<Output = ()>, shared: &Shared) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut tick = interval(GAUGE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = tick.tick() => shared.metrics.unacked_bytes.set(shared.budget.used() as f64),
        }
    }
}

/// Accepts until stopped, then waits for its connections.
async fn accept(shared: Arc<Shared>, bound: Bound, mut stop: watch::Receiver<bool>) -> Drained {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(ended) = connections.join_next() => told(ended),
            accepted = bound.socket.accept() => match accepted {
                Ok((stream, remote)) => {
                    let tls = bound.tls.clone();
                    connections.spawn(serve(Arc::clone(&shared), stream, remote, tls, stop.clone()));
                }
                Err(error) => {
                    shared.metrics.accepts_failed.increment(1);
                    tracing::warn!(%error, "accept failed, are there enough file descriptors");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(bound);
    drain(connections, shared.config.drain_grace + CLOSE_MARGIN).await
}

async fn drain(mut connections: JoinSet<()>, limit: Duration) -> Drained {
    let mut closed = 0;
    let all = async {
        while let Some(ended) = connections.join_next().await {
            told(ended);
            closed += 1;
        }
    };
    timeout(limit, all).await.ok();
    let cut = connections.len();
    connections.shutdown().await;
    Drained { closed, cut }
}

/// A connection that panics is a defect of ours; it costs that connection, and is not silent.
fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked, its device must connect again");
    }
}
