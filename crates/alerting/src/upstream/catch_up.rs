//! What still holds, for an instance that begins anew: its file has another name than the one that was told. Silences, what people did
//! to alerts that are open or may be raised there again, and who has their pages; each by the id that it had, so twice is once.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Answer, Reporter};
use crate::id::AlertId;
use crate::store::StoreError;
use crate::store::tail::News;

/// How often the other one is asked for the name of its file.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long what people did to an alert waits for its frames to be judged there: as long as a gateway keeps them by default. Those of
/// an older alert do not come, and it is not there.
const WAITS_FOR: Duration = Duration::from_secs(600);
/// Most alerts that wait; beyond that the oldest is given up.
const WAITING_MAX: usize = 2_048;
/// Most of them that are told in one turn.
const TURN: usize = 64;
/// Longest answer to the question for the file, in bytes.
const ANSWER_MAX: usize = 4_096;

/// Alerts that were not raised there when it was told what people did to them.
#[derive(Debug, Default)]
pub(super) struct Late {
    alerts: VecDeque<(AlertId, Instant)>,
    /// When the other one was asked last.
    asked: Option<Instant>,
    /// The name of its file.
    file: Option<String>,
}

impl Late {
    /// Whether everything about an alert is said later, in order.
    pub(super) fn has(&self, alert: AlertId) -> bool {
        self.alerts.iter().any(|(late, _)| *late == alert)
    }

    fn push(&mut self, alert: AlertId, since: Instant) {
        if self.alerts.len() >= WAITING_MAX {
            self.alerts.pop_front();
            tracing::warn!("too many alerts wait to be raised at the other instance, the oldest is given up");
        }
        self.alerts.push_back((alert, since));
    }
}

/// What it answers to the question for its file.
#[derive(Deserialize)]
struct Told {
    file: String,
}

impl Reporter {
    /// Tells one that begins anew what still holds, and whatever waits for alerts to be raised there. `false`: it does not take it now.
    pub(super) async fn catch_up(&mut self) -> Result<bool, StoreError> {
        if self.late.asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            let Ok(file) = self.ask().await else {
                return Ok(false);
            };
            if let Some(file) = file.filter(|file| self.late.file.as_ref() != Some(file)) {
                if self.blocking(|store| store.told_to()).await?.as_ref() != Some(&file) && !self.tell_anew().await? {
                    return Ok(false);
                }
                self.late.file = Some(file);
                self.settle().await?;
            }
            self.late.asked = Some(Instant::now());
        }
        self.tell_late().await
    }

    /// The name of its file; none: it is too old to say.
    async fn ask(&self) -> Result<Option<String>, ()> {
        match self.http.get("", ANSWER_MAX).await {
            Ok(answer) if answer.status.is_success() => {
                let told: Result<Told, _> = serde_json::from_str(&answer.body);
                told.map(|told| Some(told.file)).map_err(drop)
            }
            Ok(answer) if matches!(answer.status.as_u16(), 404 | 405) => Ok(None),
            Ok(_) => Err(()),
            Err(failure) => {
                tracing::debug!(error = %failure.detail, "upstream cannot be reached, reports wait");
                Err(())
            }
        }
    }

    /// Everything that holds; what is about alerts that were not raised there yet waits.
    async fn tell_anew(&mut self) -> Result<bool, StoreError> {
        let now = self.now();
        self.late.alerts.clear();
        let silences = self.blocking(move |store| store.silences_said(now)).await?;
        let alerts = self.blocking(move |store| store.alerts_to_tell(now)).await?;
        tracing::info!(
            silences = silences.len(),
            alerts = alerts.len(),
            "the other instance begins anew: it is told what holds"
        );
        for silence in silences {
            // Whoever answers for it may have been reminded.
            let reminded = AlertId(silence.id);
            if !self.tell(&News::Said(silence)).await || !self.tell_pages(reminded).await? {
                return Ok(false);
            }
        }
        for alert in alerts {
            if !self.tell_pages(alert).await? || !self.tell_commands(alert, Instant::now()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Once nothing waits any more, the other one has everything.
    async fn settle(&self) -> Result<(), StoreError> {
        match self.late.file.clone() {
            Some(file) if self.late.alerts.is_empty() => self.blocking(move |store| store.put_told_to(&file)).await,
            _ => Ok(()),
        }
    }

    async fn tell_late(&mut self) -> Result<bool, StoreError> {
        if self.late.alerts.is_empty() {
            return Ok(true);
        }
        for _ in 0..self.late.alerts.len().min(TURN) {
            let Some((alert, since)) = self.late.alerts.pop_front() else {
                break;
            };
            if since.elapsed() > WAITS_FOR {
                tracing::info!(%alert, "the other instance has no such alert: what people did to it here is not told there");
            } else if !self.tell_commands(alert, since).await? {
                self.late.alerts.push_front((alert, since));
                return Ok(false);
            }
        }
        self.settle().await?;
        Ok(true)
    }

    /// Who has the pages of an alert.
    async fn tell_pages(&self, alert: AlertId) -> Result<bool, StoreError> {
        for news in self.blocking(move |store| store.news_about(alert)).await? {
            if matches!(news, News::Told(_)) && !self.tell(&news).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What people did to an alert, in order; where that was not raised there, it waits since then. `false`: it is not taken now.
    async fn tell_commands(&mut self, alert: AlertId, since: Instant) -> Result<bool, StoreError> {
        for news in self.blocking(move |store| store.news_about(alert)).await? {
            let News::Said(_) = &news else { continue };
            let Some(body) = self.body(&news) else { continue };
            match self.report(body).await {
                Answer::Unknown => {
                    self.late.push(alert, since);
                    return Ok(true);
                }
                answer if answer.is_open() => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    async fn tell(&self, news: &News) -> bool {
        match self.body(news) {
            Some(body) => !self.report(body).await.is_open(),
            None => true,
        }
    }

    /// The alert of a command was not raised there: it is told later with all that people did to it, also after a restart of this one.
    pub(super) async fn wait_for(&mut self, alert: AlertId) -> Result<(), StoreError> {
        self.late.push(alert, Instant::now());
        self.blocking(|store| store.put_told_to("")).await
    }
}
