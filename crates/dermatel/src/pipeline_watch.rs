//! Figures of the pipeline for the console: looked at every few seconds and kept for some minutes, so that a page can say rates.
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use console::pipeline::{Figures, Log, Pipeline, Reader};
use service::metrics::Metrics;
use spool::{Spool, State};
use telemetry::UnixMicros;

use crate::live;

/// How often the pipeline is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Looks that are kept: five minutes; the oldest goes.
const KEPT: usize = 60;

/// What was seen lately.
pub(crate) struct Watched {
    metrics: Metrics,
    logs: Vec<(&'static str, Spool)>,
    seen: Mutex<VecDeque<Figures>>,
}

impl Watched {
    pub(crate) fn new(metrics: Metrics, logs: Vec<(&'static str, Spool)>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            logs,
            seen: Mutex::new(VecDeque::with_capacity(KEPT)),
        })
    }

    fn seen(&self) -> MutexGuard<'_, VecDeque<Figures>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, now: SystemTime) {
        let counted = live::Figures::read(&self.metrics.render(), &BTreeMap::new());
        let figures = Figures {
            at_us: UnixMicros::from(now).0,
            connections: counted.connections,
            messages: counted.admitted,
            refused: counted.quarantined,
            points: counted.points,
            pages: counted.pages_sent,
            logs: self
                .logs
                .iter()
                .map(|(name, spool)| log(name, &spool.state()))
                .collect(),
        };
        let mut seen = self.seen();
        if seen.len() >= KEPT {
            seen.pop_front();
        }
        seen.push_back(figures);
    }
}

fn log(name: &str, state: &State) -> Log {
    let readers = state.cursors.iter().map(|cursor| Reader {
        name: cursor.name.clone(),
        backlog_records: cursor.backlog_records,
        backlog_bytes: cursor.backlog_bytes,
        oldest_us: cursor.oldest_unread_at.map(|at| UnixMicros::from(at).0),
    });
    Log {
        name: name.to_owned(),
        bytes: state.bytes,
        cap_bytes: state.cap_bytes,
        at_cap: state.at_cap,
        readers: readers.collect(),
    }
}

impl Pipeline for Watched {
    fn figures(&self) -> Option<(Figures, Option<Figures>)> {
        let seen = self.seen();
        let newest = seen.back()?.clone();
        let before = seen.front().filter(|first| first.at_us < newest.at_us).cloned();
        Some((newest, before))
    }
}

/// Looks until `stop`.
pub(crate) async fn watch(watched: Arc<Watched>, stop: impl Future<Output = ()>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = every.tick() => {}
        }
        let looking = Arc::clone(&watched);
        // A log tells its state from the disk. One look that failed is made again in a moment.
        let _ = tokio::task::spawn_blocking(move || looking.look(SystemTime::now())).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_look_is_told_beside_the_oldest_that_is_kept_and_no_more_are_kept() {
        let watched = Watched::new(Metrics::detached(), Vec::new());
        assert!(watched.figures().is_none());
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        watched.look(at(1));
        assert!(watched.figures().unwrap().1.is_none(), "one look has no rate");
        for second in 2..=100 {
            watched.look(at(second));
        }
        let (now, before) = watched.figures().unwrap();
        assert_eq!((now.at_us, before.unwrap().at_us), (100_000_000, 41_000_000));
    }
}
