//! The loop that empties a receiver's part of the outbox: bounded attempts in flight, full-jitter backoff, receipts; and that
//! sees to it that somebody hears of a receiver that does not take its pages.
mod leave;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service::clock::Clock;
use spool::{NewRecord, Spool};
use telemetry::UnixMicros;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::backoff::wait;
use super::duty::{Duty, Report, deadlines};
use super::parcel::{Parcel, parcels};
use super::{FailReason, Failure, Message, Standing, Target, page};
use crate::config::{Receiver, UndeliveredAfter};
use crate::id::{AlertId, TransitionId, hash16};
use crate::intake::ReceiverState;
use crate::links::Links;
use crate::metrics;
use crate::permit::Permit;
use crate::store::journal::{Entry, EntryKind};
use crate::store::{Due, Page, PageOutcome, Settlement, Store, StoreError, TestPage};

/// Attempts before a page counts as undelivered: with the longest waits, about a week. A mail server that is away from Friday evening
/// to Monday morning is no reason to tell nobody.
const MAX_ATTEMPTS: u32 = 20_000;
/// How long a page that is being sent belongs to its attempt; longer than any timeout of an attempt.
const HOLD: Duration = Duration::from_secs(3_600);
/// Attempts after which readiness says that a page does not leave: some tens of seconds.
const RED_AFTER: u32 = 8;
/// Shortest wait after the file could not be written.
const FILE_RETRY_MIN: Duration = Duration::from_millis(50);
/// Most alerts in one digest.
const MAX_DIGEST: usize = 500;
/// Most overdue pages that are looked at in one go.
const MAX_OVERDUE: usize = 500;
/// How often the outbox is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Shortest wait between two looks at the outbox.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
/// What is decided about a receiver beside its way.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    name: String,
    fallback: Vec<String>,
    /// Who hears of this receiver's own failure if it has no fallback.
    others: Vec<String>,
    undelivered_after: UndeliveredAfter,
    test_every: Option<Duration>,
}

impl Terms {
    pub(crate) fn new(receiver: &Receiver, all: &[Receiver]) -> Self {
        let others = || all.iter().filter(|other| other.name != receiver.name);
        // A receiver of some tenants only is not told of what concerns all, unless there is no other.
        let of_all: Vec<String> = others()
            .filter(|r| r.tenants.is_empty())
            .map(|r| r.name.clone())
            .collect();
        let any = || others().map(|other| other.name.clone()).collect();
        Self {
            name: receiver.name.clone(),
            fallback: receiver.fallback.iter().cloned().collect(),
            others: if of_all.is_empty() { any() } else { of_all },
            undelivered_after: receiver.undelivered_after,
            test_every: receiver.test_every,
        }
    }
}

/// Sends to one receiver.
pub(crate) struct Sender {
    pub(crate) terms: Terms,
    pub(crate) target: Target,
    pub(crate) store: Arc<Store>,
    /// Alerting's log, where a failing receiver is reported.
    pub(crate) log: Spool,
    pub(crate) clock: Clock,
    /// When it was built.
    pub(crate) started: UnixMicros,
    pub(crate) standing: Arc<Standing>,
    /// Links for pages.
    pub(crate) links: Option<Arc<Links>>,
    /// Changes when something was put into the outbox.
    pub(crate) wake: watch::Receiver<u64>,
    /// Whether pages may leave.
    pub(crate) permit: Permit,
    /// True when it has to end.
    pub(crate) stop: watch::Receiver<bool>,
}

type Attempt = (Vec<Page>, Result<String, Failure>);

impl Sender {
    /// Runs until `stop` says so. What is due then leaves for at most [`leave::LAST_PAGES`]; an attempt that is in flight is settled or, after
    /// a kill, repeated and marked.
    ///
    /// # Errors
    /// [`StoreError`]: the file could not be written when it had to end.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut flying: JoinSet<Attempt> = JoinSet::new();
        let mut stop = self.stop.clone();
        self.blocking(|store, name, now| store.release_held(name, now)).await?;
        let kept = self.blocking(|store, name, _| store.receiver_state(name)).await?;
        let mut duty: Duty = kept
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default();
        self.standing.green(&self.terms.name);
        let mut looked: Option<Instant> = None;
        // Whoever tells ends before this does.
        let mut awake = true;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= self.look_every()) {
                looked = Some(Instant::now());
                self.look_after(&mut duty).await?;
            }
            self.launch(&mut flying).await?;
            let idle = self.until_next().await?;
            tokio::select! {
                () = ended(&mut stop) => break,
                Some(done) = flying.join_next() => self.settle(done, &mut flying, &mut duty).await?,
                changed = self.wake.changed(), if awake => awake = changed.is_ok(),
                () = tokio::time::sleep(idle) => {}
            }
        }
        self.leave(flying, duty).await
    }

    /// Another instance pages: this receiver is as ready as it can be.
    pub(crate) fn stands_by(&self) {
        self.standing.green(&self.terms.name);
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// Often enough to see an overdue page soon after it is.
    fn look_every(&self) -> Duration {
        LOOK_EVERY.min(self.terms.undelivered_after.high / 4)
    }

    /// Runs what blocks on the disk, again and again until the file takes it or the process ends: nothing may leave that is
    /// not marked, and no receipt may be lost because a disk was full for a while.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl Fn(&Store, &str, UnixMicros) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let name = &self.terms.name;
        let mut attempts = 0;
        loop {
            let (store, own, now, run) = (Arc::clone(&self.store), name.clone(), self.now(), run.clone());
            let error = match tokio::task::spawn_blocking(move || run(&store, &own, now)).await {
                Ok(Ok(value)) => {
                    if attempts > 0 {
                        self.standing.green(name);
                    }
                    return Ok(value);
                }
                Ok(Err(error)) => error,
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            };
            ::metrics::counter!(metrics::COMMIT_FAILED).increment(1);
            tracing::error!(receiver = name, error = %error, source = ?std::error::Error::source(&error), "cannot use the outbox, pages wait");
            self.standing.red(name, "alerting's file cannot be written");
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
        if room == 0 || !self.permit.holds() {
            return Ok(());
        }
        if self.permit.is_fenced() {
            self.blocking(|store, name, now| store.settle_elsewhere(name, now))
                .await?;
        }
        let hold = self.now().plus(HOLD);
        let pages = self
            .blocking(move |store, name, now| store.take_due(name, now, room, hold, Due::Any))
            .await?;
        let pages = self.whole_digests(pages, hold).await?;
        for parcel in parcels(&self.terms.name, self.linked(pages), self.target.gathers()) {
            self.share_what_is_about_itself(&parcel).await?;
            let (pages, message) = self.in_words(parcel).await?;
            let (target, now) = (self.target.clone(), self.now());
            flying.spawn(async move {
                let outcome = target.send(&message, now).await;
                (pages, outcome)
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
            if let Ok(Value::Object(mut body)) = serde_json::from_str::<Value>(&page.body)
                // Behind a test page stands no alert.
                && body.get("state").is_none_or(|state| state != page::TEST)
            {
                let url = links.url(alert, step, &self.terms.name, self.now());
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

    /// That a receiver fails must not be told to this receiver alone.
    async fn share_what_is_about_itself(&self, parcel: &Parcel) -> Result<(), StoreError> {
        if !page::is_about_receiver(&parcel.body, &self.terms.name) {
            return Ok(());
        }
        let to = if self.terms.fallback.is_empty() {
            &self.terms.others
        } else {
            &self.terms.fallback
        };
        for page in &parcel.pages {
            let (page, to) = (page.clone(), to.clone());
            self.blocking(move |store, name, now| store.copy_page(name, &to, &page, "about_itself", now))
                .await?;
        }
        Ok(())
    }

    /// A parcel with its words; a template that fails is told, and costs nobody the page.
    async fn in_words(&self, parcel: Parcel) -> Result<(Vec<Page>, Message), StoreError> {
        let (words, failed) = self.target.templates.words(&parcel.body);
        if let Some(error) = failed {
            ::metrics::counter!(metrics::TEMPLATE_FAILED, "receiver" => self.terms.name.clone()).increment(1);
            tracing::error!(receiver = self.terms.name, error = %error, "template failed, the page leaves in the built-in words");
            let transition = parcel.key.clone();
            self.blocking(move |store, name, now| {
                let body = json!({"receiver": name, "transition": transition});
                store.journal(&Entry::new(now, EntryKind::TemplateFailed, &body))
            })
            .await?;
        }
        let message = Message {
            key: parcel.key,
            alert: parcel.alert,
            page: parcel.body,
            words,
        };
        Ok((parcel.pages, message))
    }

    /// How long there is nothing to start.
    async fn until_next(&self) -> Result<Duration, StoreError> {
        let next = self.blocking(|store, name, _| store.next_due(name)).await?;
        let longest = self.look_every();
        let wait = next.map_or(longest, |at| at.since(self.now()));
        Ok(wait.clamp(SHORTEST_WAIT, longest))
    }

    /// Keeps the receipts of what ended, all that did in one transaction.
    async fn settle(
        &mut self,
        first: Result<Attempt, tokio::task::JoinError>,
        flying: &mut JoinSet<Attempt>,
        duty: &mut Duty,
    ) -> Result<(), StoreError> {
        let mut outcomes = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok((pages, result)) => outcomes.extend(pages.into_iter().map(|page| {
                    let outcome = self.outcome(&page, &result, duty);
                    (page, outcome)
                })),
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            }
            next = flying.try_join_next();
        }
        let settlement = Arc::new(Settlement {
            receiver: self.terms.name.clone(),
            fallbacks: self.terms.fallback.clone(),
            renews: self.target.renews().is_some(),
            outcomes,
        });
        let firsts = self
            .blocking(move |store, _, now| store.settle(&settlement, now))
            .await?;
        firsts.into_iter().for_each(metrics::reached);
        self.report(duty).await
    }

    fn outcome(&self, page: &Page, result: &Result<String, Failure>, duty: &mut Duty) -> PageOutcome {
        match result {
            Ok(receipt) => {
                duty.delivered();
                self.standing.green(&self.terms.name);
                ::metrics::counter!(metrics::SENT, "receiver" => self.terms.name.clone()).increment(1);
                PageOutcome::Delivered {
                    receipt: receipt.clone(),
                }
            }
            Err(failure) => self.failed(page, failure, duty),
        }
    }

    fn failed(&self, page: &Page, failure: &Failure, duty: &mut Duty) -> PageOutcome {
        let name = &self.terms.name;
        let reason = if page.attempts + 1 >= MAX_ATTEMPTS {
            FailReason::GaveUp
        } else {
            failure.reason
        };
        let label = reason.as_str();
        ::metrics::counter!(metrics::FAILED, "receiver" => name.clone(), "reason" => label).increment(1);
        if reason.needs_a_person() {
            duty.failed(label);
        }
        if reason.is_permanent() {
            ::metrics::counter!(metrics::UNDELIVERED, "receiver" => name.clone(), "reason" => label).increment(1);
            tracing::error!(
                receiver = name,
                reason = label,
                said = failure.detail,
                alert = page.alert,
                "page is undelivered"
            );
            self.standing.red(name, &format!("did not take a page: {label}"));
            return PageOutcome::Undelivered { reason: label };
        }
        if page.attempts >= RED_AFTER || reason.needs_a_person() {
            self.standing.red(name, &format!("does not take a page: {label}"));
        }
        if page.attempts == 0 {
            tracing::warn!(
                receiver = name,
                reason = label,
                said = failure.detail,
                alert = page.alert,
                "page is tried again"
            );
        }
        PageOutcome::Retry {
            at: self.now().plus(wait(page.attempts, failure.retry_after_s)),
            reason: label,
            refused: reason.is_refused(),
            hopeless: reason.needs_a_person(),
        }
    }

    /// Pages that lie too long, and test pages that are due.
    async fn look_after(&self, duty: &mut Duty) -> Result<(), StoreError> {
        let (after, fallback, started) = (self.terms.undelivered_after, self.terms.fallback.clone(), self.started);
        let overdue = self
            .blocking(move |store, name, now| {
                store.take_overdue(name, &fallback, deadlines(after, started, now), MAX_OVERDUE, now)
            })
            .await?;
        if let Some(first) = overdue.first() {
            duty.failed("overdue");
            ::metrics::counter!(metrics::OVERDUE, "receiver" => self.terms.name.clone())
                .increment(overdue.len() as u64);
            self.standing.red(&self.terms.name, "has not taken a page in time");
            let (pages, alert, attempts) = (overdue.len(), &first.alert, first.attempts);
            tracing::error!(receiver = self.terms.name, pages, alert, attempts, "pages are overdue");
        }
        if duty.is_test_due(self.terms.test_every, self.now()) {
            self.put_test_page(duty).await?;
        }
        self.report(duty).await
    }

    async fn put_test_page(&self, duty: &mut Duty) -> Result<(), StoreError> {
        let now = self.now();
        let name = self.terms.name.as_bytes();
        let alert = AlertId(hash16("dermatel test alert 1", &[name])).to_hex();
        let id = TransitionId(hash16("dermatel test page 1", &[name, &now.0.to_be_bytes()])).to_hex();
        let body = page::test_body(&self.terms.name, &alert, &id, now).to_string();
        duty.tested(now);
        let (test, state) = (TestPage { id, alert, body }, duty.to_json());
        self.blocking(move |store, name, now| store.put_test_page(name, &test, &state, now))
            .await
    }

    /// Tells alerting that this receiver fails, or takes pages again. First the log, then the file: a crash between the two says
    /// it once more, which changes nothing.
    async fn report(&self, duty: &mut Duty) -> Result<(), StoreError> {
        let Some(report) = duty.news() else {
            return Ok(());
        };
        if !self.append(report).await {
            // The next look tries again.
            return Ok(());
        }
        duty.told();
        let state = duty.to_json();
        self.blocking(move |store, name, _| store.put_receiver_state(name, &state))
            .await
    }

    async fn append(&self, report: Report) -> bool {
        let now = self.clock.now();
        let state = ReceiverState {
            receiver: self.terms.name.clone(),
            failing: report.failing,
            reason: report.reason,
            at: now.into(),
        };
        let log = self.log.clone();
        let put = move || {
            let bytes = state.encode();
            let records = [NewRecord { lane: 0, bytes: &bytes }];
            let appended = log.append(&records, now).map_err(|error| error.to_string())?;
            log.sync_appended(&appended).map_err(|error| error.to_string())
        };
        match tokio::task::spawn_blocking(put).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::error!(
                    receiver = self.terms.name,
                    error,
                    "cannot report a receiver in alerting's log"
                );
                false
            }
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
    }
}

/// Waits until it has to end; whoever would say so is gone only with the process.
pub(super) async fn ended(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_tried_over_a_long_weekend_and_not_for_ever() {
        let tried: Duration = (0..MAX_ATTEMPTS).map(|attempt| wait(attempt, None)).sum();
        let days = tried.as_secs_f64() / 86_400.0;
        assert!((5.0..10.0).contains(&days), "{days} days");
    }
}
