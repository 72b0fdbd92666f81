//! Reports to another instance that judges the same frames: which steps were paged here and what was acknowledged here, so that
//! nobody is paged for them again; to one that stands by for this one also whatever else people did here. Read from the journal, in
//! order, at least once: a report that comes twice is one.
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::config::{Problems, Secret};
use tokio::sync::watch;

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
enum Outcome {
    Taken,
    /// For ever: what it says is refused.
    Refused,
    Again,
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
}

impl Reporter {
    pub(crate) fn new(
        config: &Config,
        store: Arc<Store>,
        wake: watch::Receiver<u64>,
        mirrored: bool,
    ) -> Result<Self, TargetError> {
        Ok(Self {
            http: Http::new(config.url.reveal(), TIMEOUT, None)?.authorized(config.authorization.as_ref())?,
            instance: config.instance.clone(),
            store,
            wake,
            mirrored,
        })
    }

    /// Runs until `until`; what is not reported then is after the next start.
    pub(crate) async fn run(mut self, until: impl Future<Output = ()>) {
        let mut until = std::pin::pin!(until);
        let mut wait = RETRY.0;
        // Whoever tells ends before this does.
        let mut awake = true;
        loop {
            let pause = match self.round().await {
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
                () = &mut until => return,
                changed = self.wake.changed(), if may_wake => awake = changed.is_ok(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reports what stands in the journal beyond the cursor. `false`: upstream does not take it now.
    async fn round(&self) -> Result<bool, StoreError> {
        loop {
            let rows = self.blocking(|store| store.told_after_cursor(ROWS)).await?;
            if rows.is_empty() {
                return Ok(true);
            }
            let mut done = None;
            for row in &rows {
                if let Some(body) = row.news.as_ref().and_then(|news| self.body(news))
                    && matches!(self.report(body).await, Outcome::Again)
                {
                    self.done(done).await?;
                    return Ok(false);
                }
                done = Some(row.n);
            }
            self.done(done).await?;
        }
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

    async fn report(&self, body: Value) -> Outcome {
        let (outcome, label) = match self.http.post(&[], body.to_string()).await {
            Ok(answer) if answer.status.is_success() => (Outcome::Taken, "taken"),
            Ok(answer) => judge(answer.status),
            Err(failure) => {
                tracing::debug!(error = %failure.detail, "upstream cannot be reached, reports wait");
                (Outcome::Again, "unreachable")
            }
        };
        ::metrics::counter!(metrics::REPORTED_UPSTREAM, "outcome" => label).increment(1);
        outcome
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
                Some(json!({"instance": self.instance, "command": STANDARD.encode(command.encode())}))
            }
            (News::Told(_), true) | (News::Said(_), false) => None,
        }
    }
}

fn judge(status: StatusCode) -> (Outcome, &'static str) {
    match status.as_u16() {
        400 | 413 | 422 => {
            tracing::error!(
                status = status.as_u16(),
                "upstream refuses a report for good: it will page for itself"
            );
            (Outcome::Refused, "refused")
        }
        401..=407 | 410 => {
            tracing::warn!(status = status.as_u16(), "upstream does not let us in, reports wait");
            (Outcome::Again, "denied")
        }
        _ => (Outcome::Again, "failed"),
    }
}
