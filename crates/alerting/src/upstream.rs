//! Reports to another instance that judges the same frames: which steps were paged here and what was acknowledged here, so that
//! nobody is paged for them again; to one that stands by for this one also whatever else people did here. Read from the journal, in
//! order, at least once: a report that comes twice is one. An instance that begins anew is first told what still holds.
mod beside;
mod catch_up;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::clock::Clock;
use service::config::{Problems, Secret};
use telemetry::UnixMicros;
use tokio::sync::watch;

pub use self::beside::SilencesSaid;
use crate::metrics;
use crate::notify::{Http, TargetError, check_url};
use crate::store::tail::{News, Told};
use crate::store::{Store, StoreError};

/// Most rows of the journal in one look.
const ROWS: usize = 256;
/// Longest time of one report.
const TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest wait after a failure: the line of a clinic that is cut off may be back any moment.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long the end of the process waits for the last report.
const LAST_WORD: Duration = Duration::from_secs(3);
/// How often the journal is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the instance upstream is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its `…/v1/told`.
    pub url: Secret,
    /// Value of the `authorization` header, for example `Bearer …`.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// Under which name we report, `[a-z0-9][a-z0-9-]{0,62}`.
    pub instance: String,
}

impl Config {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        check_url(&self.url, problems);
        let named = telemetry::DeviceId::new(&self.instance).is_ok();
        problems.check(
            "instance",
            named,
            "must be a-z, 0-9 and, after the first character, -; at most 63",
        );
    }
}

/// How a report came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    /// For ever: what it says is refused.
    Refused,
    /// We are not let in.
    Denied,
    /// It does not take it now.
    Failed,
    Unreachable,
    /// The alert that it is about was not raised there.
    Unknown,
}

impl Answer {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Taken,
        Self::Refused,
        Self::Denied,
        Self::Failed,
        Self::Unreachable,
        Self::Unknown,
    ];

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is said again before anything else.
    const fn is_open(self) -> bool {
        !matches!(self, Self::Taken | Self::Refused | Self::Unknown)
    }
}

/// Reports.
pub(crate) struct Reporter {
    http: Http,
    instance: String,
    store: Arc<Store>,
    /// Changes when something was committed.
    wake: watch::Receiver<u64>,
    /// The one that is told stands by for this one, page by page.
    mirrored: bool,
    late: catch_up::Late,
    clock: Clock,
}

impl Reporter {
    pub(crate) fn new(
        config: &Config,
        store: Arc<Store>,
        wake: watch::Receiver<u64>,
        mirrored: bool,
        clock: Clock,
    ) -> Result<Self, TargetError> {
        metrics::upstream_at_zero();
        Ok(Self {
            http: Http::new(config.url.reveal(), TIMEOUT, None)?.authorized(config.authorization.as_ref())?,
            instance: config.instance.clone(),
            store,
            wake,
            mirrored,
            late: catch_up::Late::default(),
            clock,
        })
    }

    /// Runs until `until`; what is not reported then is after the next start.
    pub(crate) async fn run(mut self, until: impl Future<Output = ()>) {
        let mut until = std::pin::pin!(until);
        let mut wait = RETRY.0;
        // Whoever tells ends before this does.
        let mut awake = true;
        loop {
            let pause = match self.turn().await {
                Ok(true) => {
                    wait = RETRY.0;
                    LOOK_EVERY
                }
                Ok(false) => {
                    wait = (wait * 2).min(RETRY.1);
                    wait
                }
                Err(error) => {
                    tracing::warn!(error = %error, "reports upstream wait for alerting's file");
                    RETRY.1
                }
            };
            let may_wake = awake && pause == LOOK_EVERY;
            tokio::select! {
                () = &mut until => {
                    // What left last; what is not taken in time is told after the next start.
                    let _ = tokio::time::timeout(LAST_WORD, self.turn()).await;
                    return;
                }
                changed = self.wake.changed(), if may_wake => awake = changed.is_ok(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// What still holds, if it begins anew, and then the news. `false`: upstream does not take it now.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        Ok(self.catch_up().await? && self.round().await?)
    }

    /// Reports what stands in the journal beyond the cursor. `false`: upstream does not take it now.
    async fn round(&mut self) -> Result<bool, StoreError> {
        loop {
            let rows = self.blocking(|store| store.told_after_cursor(ROWS)).await?;
            if rows.is_empty() {
                return Ok(true);
            }
            let mut done = None;
            for row in &rows {
                if let Some(news) = &row.news
                    && !self.is_late(news)
                    && let Some(body) = self.body(news)
                {
                    match (self.report(body).await, news.commanded()) {
                        (Answer::Unknown, Some(alert)) => self.wait_for(alert).await?,
                        (answer, _) if answer.is_open() => {
                            self.done(done).await?;
                            return Ok(false);
                        }
                        _ => {}
                    }
                }
                done = Some(row.n);
            }
            self.done(done).await?;
        }
    }

    /// It is said later, with everything else that people did to the same alert.
    fn is_late(&self, news: &News) -> bool {
        news.commanded().is_some_and(|alert| self.late.has(alert))
    }

    /// Rows up to this one are reported; after a crash in between they are again.
    async fn done(&self, n: Option<i64>) -> Result<(), StoreError> {
        match n {
            Some(n) => self.blocking(move |store| store.move_told_cursor(n)).await,
            None => Ok(()),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || run(&store)).await {
            Ok(value) => value,
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
    }

    async fn report(&self, body: Value) -> Answer {
        let answer = match self.http.post(&[], body.to_string()).await {
            Ok(answer) if answer.status.is_success() => Answer::Taken,
            Ok(answer) => judge(answer.status),
            Err(failure) => {
                tracing::debug!(error = %failure.detail, "upstream cannot be reached, reports wait");
                Answer::Unreachable
            }
        };
        ::metrics::counter!(metrics::REPORTED_UPSTREAM, "outcome" => answer.as_str()).increment(1);
        answer
    }

    /// What is said of it; `None`: nothing. To one that stands by, an acknowledgement is the command of who made it: it moves the alert
    /// there as it did here, by the same step.
    fn body(&self, news: &News) -> Option<Value> {
        let step = |told: &Told| {
            json!({"instance": self.instance, "alert_id": told.alert, "transition_id": told.transition,
                "at_us": told.at.0, "acknowledged_by": told.acknowledged_by})
        };
        match (news, self.mirrored) {
            (News::Told(told), false) => Some(step(told)),
            (News::Told(told), true) if told.acknowledged_by.is_none() => {
                let mut body = step(told);
                body["receiver"] = json!(told.receiver);
                Some(body)
            }
            (News::Said(command), true) => {
                let command = STANDARD.encode(command.encode());
                Some(json!({"instance": self.instance, "command": command, "waits": true}))
            }
            (News::Told(_), true) | (News::Said(_), false) => None,
        }
    }
}

fn judge(status: StatusCode) -> Answer {
    match status.as_u16() {
        409 => Answer::Unknown,
        400 | 413 | 422 => {
            tracing::error!(
                status = status.as_u16(),
                "upstream refuses a report for good: it will page for itself"
            );
            Answer::Refused
        }
        401..=407 | 410 => {
            tracing::warn!(status = status.as_u16(), "upstream does not let us in, reports wait");
            Answer::Denied
        }
        _ => Answer::Failed,
    }
}
