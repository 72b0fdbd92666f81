//! The dead-man, outwards: we call somebody regularly while we are well, and our silence is their alarm. (Inwards: somebody calls
//! us, see the rule `heartbeat_missing`.)
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret};

use crate::metrics;
use crate::notify::{Http, TargetError, check_url};

/// How old the thread's last turn may be. It turns at least ten times a second, but for a transaction that waits for a disk.
const ALIVE_WITHIN: Duration = Duration::from_secs(30);
/// Longest time of one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whom we call.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is called with POST; secret, because such addresses carry their token. Another Dermatel's is
    /// `https://…/v1/heartbeats/<our name>`.
    pub url: Secret,
    /// Value of the `authorization` header.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// How often.
    #[serde(default = "default_every", with = "service::config::duration")]
    pub every: Duration,
}

fn default_every() -> Duration {
    Duration::from_secs(60)
}

impl Config {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        let fine = self.every >= Duration::from_secs(1);
        problems.check("every", fine, "must be at least 1s");
        check_url(&self.url, problems);
    }
}

/// When the thread that judges was well last: it has read its log and, if anything was due, committed it.
pub(crate) struct Alive {
    start: Instant,
    millis: AtomicU64,
}

impl Default for Alive {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            millis: AtomicU64::new(0),
        }
    }
}

impl Alive {
    /// It is well now.
    pub(crate) fn now(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn is(&self) -> bool {
        let last = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last) <= ALIVE_WITHIN
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Called,
    Refused,
    Failed,
    /// It was not made, because what judges does not get on.
    NotWell,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Called, Self::Refused, Self::Failed, Self::NotWell];

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Called => "called",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NotWell => "not_well",
        }
    }
}

/// Calls while we are well.
pub(crate) struct Deadman {
    http: Http,
    every: Duration,
    alive: Arc<Alive>,
}

impl Deadman {
    pub(crate) fn new(config: &Config, alive: Arc<Alive>) -> Result<Self, TargetError> {
        metrics::deadman_at_zero();
        Ok(Self {
            http: Http::new(config.url.reveal(), TIMEOUT, None)?.authorized(config.authorization.as_ref())?,
            every: config.every,
            alive,
        })
    }

    pub(crate) async fn run(self, until: impl Future<Output = ()>) {
        let mut until = std::pin::pin!(until);
        let mut every = tokio::time::interval(self.every);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut until => return,
                _ = every.tick() => {}
            }
            let outcome = if self.alive.is() {
                self.call().await
            } else {
                // Being silent is how we say that we are not well.
                tracing::error!("what judges does not get on: the dead-man stays silent");
                Call::NotWell
            };
            ::metrics::counter!(metrics::DEADMAN, "outcome" => outcome.as_str()).increment(1);
        }
    }

    async fn call(&self) -> Call {
        match self.http.call().await {
            Ok(answer) if answer.status.is_success() => Call::Called,
            Ok(answer) => {
                tracing::warn!(status = answer.status.as_u16(), "the dead-man's call is refused");
                Call::Refused
            }
            Err(failure) => {
                tracing::warn!(error = %failure.detail, "the dead-man's call does not get through");
                Call::Failed
            }
        }
    }
}
