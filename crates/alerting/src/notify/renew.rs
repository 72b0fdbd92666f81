//! Tells an Alertmanager again what is open there: it forgets everything when it restarts, and takes silence for an end.
use std::sync::Arc;

use serde_json::{Value, json};
use service::clock::Clock;
use telemetry::UnixMicros;
use tokio::sync::watch;

use super::parcel::completed;
use super::send::ended;
use super::template::Words;
use super::{Failure, Target};
use crate::id::AlertId;
use crate::lifecycle::State;
use crate::metrics;
use crate::store::{Store, StoreError};

/// Most alerts in one request.
const MAX_ALERTS: usize = 64;

/// Renews at one receiver.
pub(crate) struct Renewer {
    name: String,
    target: Target,
    store: Arc<Store>,
    clock: Clock,
    stop: watch::Receiver<bool>,
}

/// Alerts that are open there, and those of them that are over here.
struct Chunk {
    alerts: Vec<(Value, Words)>,
    over: Vec<String>,
    last: Option<String>,
}

impl Renewer {
    /// `None`: this receiver remembers by itself.
    pub(crate) fn new(
        name: &str,
        target: &Target,
        store: &Arc<Store>,
        clock: &Clock,
        stop: &watch::Receiver<bool>,
    ) -> Option<Self> {
        target.renews()?;
        Some(Self {
            name: name.to_owned(),
            target: target.clone(),
            store: Arc::clone(store),
            clock: clock.clone(),
            stop: stop.clone(),
        })
    }

    /// Runs until it has to end. What fails is tried again when its time has come again.
    pub(crate) async fn run(self) {
        let Some(every) = self.target.renews().map(|receiver| receiver.renew_every) else {
            return;
        };
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                () = ended(&mut stop) => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.renew_all().await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    let reason = failure.reason.as_str();
                    ::metrics::counter!(metrics::FAILED, "receiver" => self.name.clone(), "reason" => reason)
                        .increment(1);
                    tracing::warn!(
                        receiver = self.name,
                        reason,
                        said = failure.detail,
                        "open alerts could not be told again"
                    );
                }
                Err(error) => tracing::warn!(receiver = self.name, error = %error, "cannot read what is open"),
            }
        }
    }

    async fn renew_all(&self) -> Result<Result<(), Failure>, StoreError> {
        let Some(receiver) = self.target.renews() else {
            return Ok(Ok(()));
        };
        let mut after = String::new();
        loop {
            // No page leaves between looking and telling: an alert that just ended would be opened again.
            let turn = receiver.turn().await;
            let chunk = self.chunk(after.clone()).await?;
            let Some(last) = chunk.last else {
                return Ok(Ok(()));
            };
            let now: UnixMicros = self.clock.now().into();
            if let Err(failure) = receiver.renew(&turn, &chunk.alerts, now).await {
                return Ok(Err(failure));
            }
            drop(turn);
            if !chunk.over.is_empty() {
                self.forget(chunk.over).await?;
            }
            after = last;
        }
    }

    async fn chunk(&self, after: String) -> Result<Chunk, StoreError> {
        let (store, name, target) = (Arc::clone(&self.store), self.name.clone(), self.target.clone());
        run(move || {
            let rows = store.open_there(&name, &after, MAX_ALERTS)?;
            let mut chunk = Chunk {
                last: rows.last().map(|(alert, _)| alert.clone()),
                alerts: Vec::new(),
                over: Vec::new(),
            };
            for (alert, body) in rows {
                let mut page = completed(&name, &body, false);
                if is_over(&store, &alert)? {
                    page["state"] = json!(State::Resolved.as_str());
                    chunk.over.push(alert);
                }
                let words = target.templates.words(&page).0;
                chunk.alerts.push((page, words));
            }
            Ok(chunk)
        })
        .await
    }

    async fn forget(&self, over: Vec<String>) -> Result<(), StoreError> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        run(move || store.forget_open_there(&name, &over)).await
    }
}

/// Whether an alert is over here, or so long gone that nobody knows it.
fn is_over(store: &Store, alert: &str) -> Result<bool, StoreError> {
    let Ok(id) = alert.parse::<AlertId>() else {
        return Ok(true);
    };
    Ok(store.alert(id)?.is_none_or(|alert| alert.state() == State::Resolved))
}

async fn run<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(run).await {
        Ok(value) => value,
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
}
