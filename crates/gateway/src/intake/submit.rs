//! Messages from within the process: recorded by people through the local API, and replays from quarantine. They take the
//! same channel and the same decisions as a device's.
use std::sync::Arc;

use bytes::Bytes;
use service::clock::Clock;
use telemetry::{Actor, Origin, Rejected, Topic, UnixMicros};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;

use crate::commit::{Item, Reply, Verdict};
use crate::metrics::Metrics;
use crate::quarantine::{Filter, Kept, PAYLOAD_KEPT_MAX, Quarantine, QuarantineError, REPLAY_MAX};

/// Replays that wait for their answers at a time.
const REPLAY_WINDOW: usize = 256;

/// A message that somebody recorded. The local API has checked that they may speak for the device.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose, and which channel.
    pub topic: Topic,
    /// A frame, encoded.
    pub payload: Bytes,
    /// Who recorded it, if somebody says so.
    pub recorded_by: Option<Actor>,
}

/// Puts messages on their way; cheap to clone.
#[derive(Clone)]
pub struct Submitter {
    pub(crate) items: mpsc::Sender<Item>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) clock: Clock,
}

/// What became of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Stored now; never paged.
    pub stored: u64,
    /// Their copies were stored already.
    pub duplicate: u64,
    /// Refused again; `(id, why)`.
    pub refused: Vec<(i64, Rejected)>,
    /// Not kept because a log is full or cannot be written; they stay in quarantine.
    pub not_kept: u64,
    /// Cut when they were kept, so they cannot be replayed.
    pub cut: u64,
    /// There are more than [`REPLAY_MAX`]: go on after this number ([`Filter::after`]). What is refused again stays where it was, and
    /// is not in the way of what comes behind it.
    pub more_after: Option<i64>,
}

impl Submitter {
    /// Submits a recorded message and waits until it is on disk, or is not.
    pub async fn submit(&self, submission: Submission) -> Verdict {
        let (tell, told) = oneshot::channel();
        // Stamped when there is room for it: see the watermarks.
        let Ok(room) = self.items.reserve().await else {
            return Verdict::Busy;
        };
        room.send(Item {
            origin: Origin::Recorded,
            recorded_by: submission.recorded_by,
            peer: None,
            topic: submission.topic.to_string().into(),
            payload: submission.payload,
            received_at: UnixMicros::from(self.clock.now()),
            retained: false,
            kept_already: false,
            reply: Reply::Here(tell),
        });
        // The committer drops what it could not finish before it ended.
        told.await.unwrap_or(Verdict::Busy)
    }

    /// Sends kept messages through the door again: oldest first, as [`Origin::Replayed`], dated as they first came.
    ///
    /// # Errors
    /// Quarantine cannot be read or marked; what was stored stays stored, and replaying again stores nothing twice.
    pub async fn replay(&self, filter: Filter) -> Result<Replayed, QuarantineError> {
        let filter = Filter {
            replayed_too: false,
            ..filter
        };
        let list = self.blocking(move |kept| kept.ls(&filter, REPLAY_MAX)).await?;
        let mut report = Replayed {
            more_after: list.last().filter(|_| list.len() == REPLAY_MAX).map(|kept| kept.id),
            ..Replayed::default()
        };
        for window in list.chunks(REPLAY_WINDOW) {
            self.replay_window(window, &mut report).await?;
        }
        for (result, count) in [
            ("stored", report.stored),
            ("duplicate", report.duplicate),
            ("refused", report.refused.len() as u64),
            ("not_kept", report.not_kept),
            ("cut", report.cut),
        ] {
            Metrics::replayed(result, count);
        }
        Ok(report)
    }

    async fn replay_window(&self, window: &[Kept], report: &mut Replayed) -> Result<(), QuarantineError> {
        let (whole, cut): (Vec<&Kept>, Vec<&Kept>) = window
            .iter()
            .partition(|kept| kept.payload_bytes <= PAYLOAD_KEPT_MAX as u64);
        report.cut += cut.len() as u64;
        let ids: Vec<i64> = whole.iter().map(|kept| kept.id).collect();
        let shown = self.blocking(move |kept| ids.iter().map(|id| kept.show(*id)).collect::<Result<Vec<_>, _>>());
        let mut waiting = Vec::with_capacity(whole.len());
        // What is gone meanwhile was evicted.
        for (kept, payload) in shown.await?.into_iter().flatten() {
            let (tell, told) = oneshot::channel();
            if self.items.send(replay_item(&kept, payload, tell)).await.is_err() {
                report.not_kept += 1;
                continue;
            }
            waiting.push((kept.id, told));
        }
        let (mut done, mut refused) = (Vec::with_capacity(waiting.len()), Vec::new());
        for (id, told) in waiting {
            match told.await.unwrap_or(Verdict::Busy) {
                Verdict::Stored => {
                    report.stored += 1;
                    done.push(id);
                }
                Verdict::Duplicate => {
                    report.duplicate += 1;
                    done.push(id);
                }
                Verdict::Quarantined(rejected) => refused.push((id, rejected)),
                Verdict::QuotaExceeded | Verdict::Busy => report.not_kept += 1,
            }
        }
        report.refused.extend(refused.iter().cloned());
        let now = UnixMicros::from(self.clock.now());
        let marked = self.blocking(move |kept| {
            kept.refused_again(&refused)?;
            kept.mark_replayed(&done, now)
        });
        marked.await
    }

    /// Asks quarantine on a thread that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Quarantine) -> Result<T, QuarantineError> + Send + 'static,
    ) -> Result<T, QuarantineError> {
        let quarantine = Arc::clone(&self.quarantine);
        match tokio::task::spawn_blocking(move || ask(&quarantine))
            .await
            .map_err(JoinError::try_into_panic)
        {
            Ok(answer) => answer,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }
}

fn replay_item(kept: &Kept, payload: Bytes, tell: oneshot::Sender<Verdict>) -> Item {
    Item {
        origin: Origin::Replayed,
        recorded_by: None,
        // Who proved to be whom stays so: a replay gives nobody another's topic.
        peer: kept.peer.as_deref().map(Arc::from),
        topic: Arc::from(kept.topic.as_str()),
        payload,
        received_at: kept.received_at,
        retained: kept.retained,
        kept_already: true,
        reply: Reply::Here(tell),
    }
}
