//! The loop that empties a receiver's part of the outbox: bounded attempts in flight, full-jitter backoff, receipts.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use serde_json::{Value, json};
use service::clock::Clock;
use telemetry::UnixMicros;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{FailReason, Failure, Message, Standing, Target};
use crate::id::hash16;
use crate::links::Links;
use crate::metrics;
use crate::store::{Due, Page, PageOutcome, Store, StoreError};

/// First wait after a failure.
const BACKOFF_BASE: Duration = Duration::from_millis(250);
/// Longest wait after a failure.
const BACKOFF_CAP: Duration = Duration::from_secs(60);
/// Attempts before a page counts as undelivered: with the longest waits, about 8 hours.
const MAX_ATTEMPTS: u32 = 1_000;
/// How long a page that is being sent belongs to its attempt; longer than any timeout of an attempt makes sense.
const HOLD: Duration = Duration::from_secs(3_600);
/// Attempts after which readiness says that a page does not leave: some tens of seconds.
const RED_AFTER: u32 = 8;
/// Shortest wait after the file could not be written.
const FILE_RETRY_MIN: Duration = Duration::from_millis(50);
/// Most alerts in one digest.
const MAX_DIGEST: usize = 500;
/// How often the outbox is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sends to one receiver.
pub(crate) struct Sender {
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Clock,
    pub(crate) standing: Arc<Standing>,
    /// Links for pages.
    pub(crate) links: Option<Arc<Links>>,
    /// Changes when something was put into the outbox.
    pub(crate) wake: watch::Receiver<u64>,
    /// True when it has to end.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Pages that go out as one message.
struct Parcel {
    pages: Vec<Page>,
    message: Message,
}

type Attempt = (Vec<Page>, Result<String, Failure>);

impl Sender {
    /// Runs until `stop` says so; an attempt that is in flight then is settled or, after a kill, repeated and marked.
    ///
    /// # Errors
    /// [`StoreError`]: the file could not be written when it had to end.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut flying: JoinSet<Attempt> = JoinSet::new();
        let mut stop = self.stop.clone();
        self.blocking(|store, name, now| store.release_held(name, now)).await?;
        self.standing.green(&self.name);
        // Whoever tells ends before this does.
        let mut awake = true;
        loop {
            self.launch(&mut flying).await?;
            let idle = self.until_next().await?;
            tokio::select! {
                () = ended(&mut stop) => break,
                Some(done) = flying.join_next() => self.settle(done, &mut flying).await?,
                changed = self.wake.changed(), if awake => awake = changed.is_ok(),
                () = tokio::time::sleep(idle) => {}
            }
        }
        while let Some(done) = flying.join_next().await {
            self.settle(done, &mut flying).await?;
        }
        Ok(())
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// Runs what blocks on the disk, again and again until the file takes it or the process ends: nothing may leave that is
    /// not marked, and no receipt may be lost because a disk was full for a while.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl Fn(&Store, &str, UnixMicros) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut attempts = 0;
        loop {
            let (store, name, now, run) = (Arc::clone(&self.store), self.name.clone(), self.now(), run.clone());
            let error = match tokio::task::spawn_blocking(move || run(&store, &name, now)).await {
                Ok(Ok(value)) => {
                    if attempts > 0 {
                        self.standing.green(&self.name);
                    }
                    return Ok(value);
                }
                Ok(Err(error)) => error,
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            };
            ::metrics::counter!(metrics::COMMIT_FAILED).increment(1);
            tracing::error!(receiver = self.name, error = %error, source = ?std::error::Error::source(&error), "cannot use the outbox, pages wait");
            self.standing.red(&self.name, "alerting's file cannot be written");
            let mut stop = self.stop.clone();
            tokio::select! {
                () = ended(&mut stop) => return Err(error),
                () = tokio::time::sleep(wait(attempts, None).max(FILE_RETRY_MIN)) => attempts += 1,
            }
        }
    }

    /// Starts attempts up to the bound.
    async fn launch(&self, flying: &mut JoinSet<Attempt>) -> Result<(), StoreError> {
        let room = self.target.in_flight().saturating_sub(flying.len());
        if room == 0 {
            return Ok(());
        }
        let hold = self.now().plus(HOLD);
        let pages = self
            .blocking(move |store, name, now| store.take_due(name, now, room, hold, Due::Any))
            .await?;
        let pages = self.whole_digests(pages, hold).await?;
        for parcel in parcels(self.linked(pages)) {
            let target = self.target.clone();
            flying.spawn(async move {
                let outcome = target.send(parcel.message).await;
                (parcel.pages, outcome)
            });
        }
        Ok(())
    }

    /// Pages with the link by which this receiver's people look and act.
    fn linked(&self, mut pages: Vec<Page>) -> Vec<Page> {
        let Some(links) = &self.links else {
            return pages;
        };
        for page in &mut pages {
            let (Ok(alert), Ok(step)) = (page.alert.parse(), page.transition.parse()) else {
                continue;
            };
            if let Ok(Value::Object(mut body)) = serde_json::from_str::<Value>(&page.body) {
                let url = links.url(alert, step, &self.name, self.now());
                body.insert("link".to_owned(), Value::String(url));
                page.body = Value::Object(body).to_string();
            }
        }
        pages
    }

    /// A digest takes all that is due, not only what there was room for.
    async fn whole_digests(&self, mut pages: Vec<Page>, hold: UnixMicros) -> Result<Vec<Page>, StoreError> {
        if pages.iter().any(|page| page.digest.is_some()) {
            let more = self
                .blocking(move |store, name, now| store.take_due(name, now, MAX_DIGEST, hold, Due::Digests))
                .await?;
            pages.extend(more);
        }
        Ok(pages)
    }

    /// How long there is nothing to start.
    async fn until_next(&self) -> Result<Duration, StoreError> {
        let next = self.blocking(|store, name, _| store.next_due(name)).await?;
        let wait = next.map_or(LOOK_EVERY, |at| at.since(self.now()));
        Ok(wait.clamp(Duration::from_millis(5), LOOK_EVERY))
    }

    /// Keeps the receipts of what ended, all that did in one transaction.
    async fn settle(
        &mut self,
        first: Result<Attempt, tokio::task::JoinError>,
        flying: &mut JoinSet<Attempt>,
    ) -> Result<(), StoreError> {
        let mut outcomes = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok((pages, result)) => outcomes.extend(pages.into_iter().map(|page| {
                    let outcome = self.outcome(&page, &result);
                    (page, outcome)
                })),
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            }
            next = flying.try_join_next();
        }
        let outcomes = Arc::new(outcomes);
        self.blocking(move |store, name, now| store.settle(name, &outcomes, now))
            .await
    }

    fn outcome(&self, page: &Page, result: &Result<String, Failure>) -> PageOutcome {
        match result {
            Ok(receipt) => {
                self.standing.green(&self.name);
                ::metrics::counter!(metrics::SENT, "receiver" => self.name.clone()).increment(1);
                PageOutcome::Delivered {
                    receipt: receipt.clone(),
                }
            }
            Err(failure) => self.failed(page, failure),
        }
    }

    fn failed(&self, page: &Page, failure: &Failure) -> PageOutcome {
        let reason = if page.attempts + 1 >= MAX_ATTEMPTS {
            FailReason::GaveUp
        } else {
            failure.reason
        };
        let label = reason.as_str();
        ::metrics::counter!(metrics::FAILED, "receiver" => self.name.clone(), "reason" => label).increment(1);
        if reason.is_permanent() {
            ::metrics::counter!(metrics::UNDELIVERED, "receiver" => self.name.clone(), "reason" => label).increment(1);
            tracing::error!(
                receiver = self.name,
                reason = label,
                alert = page.alert,
                "page is undelivered"
            );
            self.standing.red(&self.name, &format!("did not take a page: {label}"));
            return PageOutcome::Undelivered { reason: label };
        }
        if page.attempts >= RED_AFTER || reason == FailReason::Denied {
            self.standing.red(&self.name, &format!("does not take a page: {label}"));
        }
        if page.attempts == 0 {
            tracing::warn!(
                receiver = self.name,
                reason = label,
                alert = page.alert,
                "page is tried again"
            );
        }
        PageOutcome::Retry {
            at: self.now().plus(wait(page.attempts, failure.retry_after_s)),
            reason: label,
            refused: reason.is_refused(),
        }
    }
}

/// Waits until it has to end; whoever would say so is gone only with the process.
async fn ended(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Full jitter: anything between nothing and the doubled base, but never less than the receiver asked for.
fn wait(attempts: u32, asked_s: Option<u64>) -> Duration {
    let ceiling = BACKOFF_BASE.saturating_mul(1 << attempts.min(16)).min(BACKOFF_CAP);
    let jitter = ceiling.mul_f64(rand::rng().random::<f64>());
    jitter.max(Duration::from_secs(asked_s.unwrap_or(0)))
}

fn parcels(pages: Vec<Page>) -> Vec<Parcel> {
    let mut digests: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    let mut parcels = Vec::new();
    for page in pages {
        match &page.digest {
            Some(tenant) => digests.entry(tenant.clone()).or_default().push(page),
            None => parcels.push(single(page)),
        }
    }
    parcels.extend(digests.into_iter().map(|(tenant, pages)| digest(&tenant, pages)));
    parcels
}

fn with_attempt(page: &Page) -> Value {
    // What stands in the outbox was written as an object by us.
    let mut body: Value = serde_json::from_str(&page.body).unwrap_or_else(|_| json!({}));
    body["possible_repeat"] = json!(page.possible_repeat);
    body
}

fn single(page: Page) -> Parcel {
    let message = Message {
        key: page.transition.clone(),
        alert: page.alert.clone(),
        body: with_attempt(&page).to_string(),
    };
    Parcel {
        pages: vec![page],
        message,
    }
}

fn digest(tenant: &str, pages: Vec<Page>) -> Parcel {
    let ids: Vec<&[u8]> = pages.iter().map(|page| page.transition.as_bytes()).collect();
    let key = crate::id::TransitionId(hash16("dermatel digest 1", &ids)).to_hex();
    let repeat = pages.iter().any(|page| page.possible_repeat);
    let alerts: Vec<Value> = pages.iter().map(with_attempt).collect();
    let body =
        json!({"digest": true, "tenant": tenant, "count": alerts.len(), "possible_repeat": repeat, "alerts": alerts});
    Parcel {
        message: Message {
            key,
            alert: "digest".to_owned(),
            body: body.to_string(),
        },
        pages,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn waiting_grows_to_its_cap_and_never_undercuts_what_the_receiver_asked(attempts in 0u32..100, asked in 0u64..100) {
            let waited = wait(attempts, Some(asked));
            proptest::prop_assert!(waited >= Duration::from_secs(asked));
            proptest::prop_assert!(waited <= BACKOFF_CAP.max(Duration::from_secs(asked)));
        }
    }
}
