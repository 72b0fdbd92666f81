//! Load for a bench: many connections, pre-encoded batches, the time from publish to PUBACK of each message; little CPU of
//! its own, because it shares the machine with what it measures.
//!
//! Batches carry a healthy second of strokes each and the uptime of their sending, so that the receiver's clock model sees
//! a fleet that publishes now; above one batch a second and connection their strokes overlap in time.
mod connection;
mod template;

use std::future::Future;
use std::time::Duration;

use hdrhistogram::Histogram;
use service::mqtt::OptionsError;
use telemetry::{DeviceKind, IdError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::connection::Connection;
use crate::fleet::Fleet;
use crate::run::Target;
use crate::spec::FleetSpec;

/// Largest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_MAX_US: u64 = 600_000_000;

/// What load to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadSpec {
    /// Devices, each on its own connection.
    pub connections: u32,
    /// Messages a second over all connections; `None`: as many as the receiver acknowledges.
    pub rate: Option<f64>,
    /// How long to publish.
    pub duration: Duration,
    /// Strokes in each message, 1 to 300.
    pub strokes: u32,
    /// Messages that a connection has unacknowledged at most.
    pub window: u16,
    /// How long to wait for the last acknowledgements.
    pub grace: Duration,
}

impl Default for LoadSpec {
    /// 100 connections, saturated, 10 s, 120 strokes (a second at 120 Hz), window 64, 10 s of grace.
    fn default() -> Self {
        Self {
            connections: 100,
            rate: None,
            duration: Duration::from_secs(10),
            strokes: 120,
            window: 64,
            grace: Duration::from_secs(10),
        }
    }
}

/// What the load met.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// Stroke messages published.
    pub published: u64,
    /// Stroke messages acknowledged.
    pub acked: u64,
    /// Messages that the receiver refused (MQTT 5).
    pub refused: u64,
    /// Messages without acknowledgement when the grace was over.
    pub unacked: u64,
    /// Strokes in acknowledged messages.
    pub strokes: u64,
    /// From the first publish to the last acknowledgement.
    pub elapsed: Duration,
    /// Publish to PUBACK in microseconds. With a rate, from when the message was due: a stalled receiver does not hide the
    /// messages that it kept from being sent.
    pub latency_us: Histogram<u64>,
}

/// Why a load cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option cannot work.
    #[error("the load's connections cannot be opened")]
    Options(#[source] OptionsError),
    /// The fleet has fewer pens than connections.
    #[error("the fleet has fewer than {connections} pens")]
    TooFewPens {
        /// Connections asked for.
        connections: u32,
    },
    /// Some connection was not there in time.
    #[error("{missing} of {connections} devices could not connect within {} s", within.as_secs())]
    NotConnected {
        /// Devices without a connection.
        missing: usize,
        /// Connections asked for.
        connections: u32,
        /// How long was waited.
        within: Duration,
    },
    /// The histogram cannot be made: a constant of ours is wrong.
    #[error("the latency histogram cannot be made")]
    Histogram(#[source] hdrhistogram::CreationError),
    /// The message cannot be made: a marker is not found.
    #[error("the message template cannot be made")]
    Template,
}

/// A fleet of pens that is large enough; register its [`Fleet::registry_files`] at the receiver.
///
/// # Errors
/// As [`Fleet::generate`].
pub fn fleet(seed: u64, connections: u32) -> Result<Fleet, IdError> {
    /// Pens of one clinic.
    const PENS: u32 = 50;
    let spec = FleetSpec {
        clinics: vec![connections.div_ceil(PENS)],
        pens_per_clinic: PENS,
        ipl_per_clinic: 0,
        ..FleetSpec::default()
    };
    Fleet::generate(seed, &spec)
}

/// Most strokes in a message: a second of the fastest pen that was found (300 Hz).
const STROKES_MAX: u32 = 300;

/// How long connections may take to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);

/// Connects, then publishes for the spec's duration or until `shutdown`.
///
/// # Errors
/// [`LoadError`].
pub async fn run(
    fleet: &Fleet,
    target: &Target,
    spec: LoadSpec,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<LoadReport, LoadError> {
    let pens: Vec<_> = fleet
        .devices()
        .iter()
        .filter(|device| device.kind == DeviceKind::Pen)
        .take(spec.connections as usize)
        .collect();
    if pens.len() < spec.connections as usize {
        return Err(LoadError::TooFewPens {
            connections: spec.connections,
        });
    }
    let spec = LoadSpec {
        strokes: spec.strokes.clamp(1, STROKES_MAX),
        ..spec
    };
    let mut connections = Vec::with_capacity(pens.len());
    for (n, device) in pens.into_iter().enumerate() {
        connections.push(Connection::start(fleet, device, target, spec, n)?);
    }
    let deadline = Instant::now() + CONNECT_WITHIN;
    let mut missing = 0;
    for connection in &mut connections {
        missing += usize::from(!connection.connected(deadline).await);
    }
    if missing > 0 {
        return Err(LoadError::NotConnected {
            missing,
            connections: spec.connections,
            within: CONNECT_WITHIN,
        });
    }
    publish(connections, spec, shutdown).await
}

async fn publish(
    connections: Vec<Connection>,
    spec: LoadSpec,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<LoadReport, LoadError> {
    let (stop, stopped) = watch::channel(false);
    let started = Instant::now();
    let mut running = JoinSet::new();
    for connection in connections {
        running.spawn(connection.run(started, stopped.clone()));
    }
    let mut report = LoadReport::new()?;
    let mut shutdown = std::pin::pin!(shutdown);
    let mut asked = false;
    loop {
        tokio::select! {
            () = &mut shutdown, if !asked => {
                asked = true;
                let _ = stop.send(true);
            }
            ended = running.join_next() => match ended {
                None => break,
                Some(Ok(part)) => report.add(&part, spec),
                Some(Err(error)) => tracing::error!(error = %error, "a connection of the load ended"),
            },
        }
    }
    Ok(report)
}

impl LoadReport {
    fn new() -> Result<Self, LoadError> {
        Ok(Self {
            published: 0,
            acked: 0,
            refused: 0,
            unacked: 0,
            strokes: 0,
            elapsed: Duration::ZERO,
            latency_us: histogram()?,
        })
    }

    fn add(&mut self, part: &connection::Part, spec: LoadSpec) {
        self.published += part.published;
        self.acked += part.acked;
        self.refused += part.refused;
        self.unacked += part.unacked;
        self.strokes += part.acked * u64::from(spec.strokes);
        self.elapsed = self.elapsed.max(part.elapsed);
        // Same bounds everywhere: nothing can be out of range.
        let _ = self.latency_us.add(&part.latency_us);
    }

    /// Acknowledged messages a second.
    pub fn rate(&self) -> f64 {
        self.acked as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Three significant digits up to [`LATENCY_MAX_US`].
fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_max(LATENCY_MAX_US, 3).map_err(LoadError::Histogram)
}
