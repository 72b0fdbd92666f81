//! The thread that makes ledger snapshots durable, moves the ledger's cursor after them, and lets the store retire segments:
//! whatever may take long and must not hold up a commit.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use service::clock::Clock;
use spool::{Disk, Offset, Reader, Spool};

use crate::ledger::file;

/// How often the store is asked to retire segments.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

struct Job {
    bytes: Vec<u8>,
    offset: Offset,
    done: Option<SyncSender<bool>>,
}

/// Hands snapshots to the thread.
pub(crate) struct Snapshots {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs.
pub(crate) struct Keeper {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) cursor: Reader,
    pub(crate) store: Spool,
    pub(crate) clock: Clock,
    pub(crate) failed: metrics::Counter,
}

impl Snapshots {
    /// Starts the thread.
    pub(crate) fn start(keeper: Keeper) -> std::io::Result<Self> {
        // One is being written, one waits; a third is not made (see `is_busy`).
        let (jobs, ordered) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("gateway-ledger".to_owned())
            .spawn(move || keeper.run(&ordered))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Hands over a snapshot that covers the store up to `offset`, which must be durable. False: the thread is behind, later.
    pub(crate) fn offer(&self, bytes: Vec<u8>, offset: Offset) -> bool {
        let job = Job {
            bytes,
            offset,
            done: None,
        };
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => false,
        }
    }

    /// Waits until the snapshot is durable; false if it could not be made so.
    pub(crate) fn persist(&self, bytes: Vec<u8>, offset: Offset) -> bool {
        let (tell, done) = sync_channel(1);
        let job = Job {
            bytes,
            offset,
            done: Some(tell),
        };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        sent && done.recv().unwrap_or(false)
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Keeper {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut maintained = Instant::now();
        loop {
            if maintained.elapsed() >= MAINTAIN_EVERY {
                self.maintain();
                maintained = Instant::now();
            }
            match jobs.recv_timeout(MAINTAIN_EVERY) {
                Ok(job) => {
                    let durable = self.store_snapshot(&job);
                    if let Some(done) = job.done {
                        let _ = done.send(durable);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn store_snapshot(&mut self, job: &Job) -> bool {
        if let Err(e) = file::store(self.disk.as_ref(), &self.dir, &job.bytes) {
            self.failed.increment(1);
            tracing::warn!(error = %e, "ledger snapshot not written, the former one stands");
            return false;
        }
        // Only now may the log's tail go that the former snapshot needed.
        if let Err(e) = self.cursor.commit(job.offset) {
            tracing::warn!(error = %e, "ledger cursor not moved, tried again with the next snapshot");
        }
        true
    }

    fn maintain(&self) {
        let done = self.store.maintain(self.clock.now());
        if let Some(what) = done.failed {
            tracing::warn!(error = what, "spool maintenance incomplete, tried again");
        }
        for gap in done.shed {
            tracing::error!(cursor = gap.cursor, from = %gap.from, to = %gap.to, "frames shed at the cap");
        }
    }
}
