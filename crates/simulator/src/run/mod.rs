//! A fleet on the wire: one real MQTT client per device, each with an outbox that keeps every frame until its PUBACK.
mod device;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use service::mqtt::{OptionsError, Version};
use telemetry::UnixMicros;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::device::{Client, Clock};
use crate::fault::Truth;
use crate::fleet::Fleet;
use crate::live::{Live, LiveCounts};

/// Where the fleet publishes to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS; none for plain TCP.
    pub tls: Option<Arc<ClientConfig>>,
    /// Protocol version.
    pub version: Version,
    /// Whether devices log in as `tenant/device` with their secret.
    pub login: bool,
}

impl Target {
    /// Plain TCP and MQTT 3.1.1, with login.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            version: Version::V311,
            login: true,
        }
    }
}

/// How simulated time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Simulated seconds in a real one; 0: as fast as the receiver takes it.
    pub speed: f64,
    /// How much simulated time to run; `None`: until shutdown.
    pub duration: Option<Duration>,
    /// How long a device waits for its last PUBACKs at the end, in real time.
    pub grace: Duration,
}

impl Default for Pace {
    /// Real time, until shutdown, 5 s of grace.
    fn default() -> Self {
        Self {
            speed: 1.0,
            duration: None,
            grace: Duration::from_secs(5),
        }
    }
}

/// What a simulation did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The counts at the end.
    pub counts: LiveCounts,
    /// What went wrong, in the order in which it did; at most [`crate::TRUTHS_MAX`].
    pub truths: Vec<Truth>,
    /// Wall time of simulated time 0.
    pub start: UnixMicros,
}

impl Report {
    /// The ground truth as JSON lines.
    pub fn json_lines(&self) -> String {
        self.truths
            .iter()
            .map(|truth| truth.json_line(self.start) + "\n")
            .collect()
    }
}

/// A fleet that can be run.
#[derive(Debug)]
pub struct Simulator {
    fleet: Arc<Fleet>,
    live: Live,
}

impl Simulator {
    /// Prepares a fleet.
    pub fn new(fleet: Fleet) -> Self {
        Self {
            fleet: Arc::new(fleet),
            live: Live::default(),
        }
    }

    /// A handle to watch the run with.
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// Runs the fleet until its duration is over or `shutdown` resolves; devices then wait for their last PUBACKs, say
    /// good-bye and disconnect.
    ///
    /// # Errors
    /// When the target cannot work (an empty host). A target that does not answer is no error: devices keep trying.
    pub async fn run(
        self,
        target: &Target,
        pace: Pace,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Report, OptionsError> {
        let (stop, stopped) = watch::channel(false);
        let clock = Clock {
            started: Instant::now(),
            pace,
        };
        let mut devices = JoinSet::new();
        for device in self.fleet.devices() {
            let client = Client::start(&self.fleet, device, target, clock, self.live.clone())?;
            devices.spawn(client.run(stopped.clone()));
        }
        let mut shutdown = std::pin::pin!(shutdown);
        let mut asked = false;
        loop {
            tokio::select! {
                () = &mut shutdown, if !asked => {
                    asked = true;
                    let _ = stop.send(true);
                }
                ended = devices.join_next() => match ended {
                    None => break,
                    Some(Err(error)) if error.is_panic() => tracing::error!(error = %error, "a simulated device ended"),
                    Some(_) => {}
                },
            }
        }
        Ok(Report {
            counts: self.live.counts(),
            truths: self.live.truths_since(0),
            start: self.fleet.start,
        })
    }
}
