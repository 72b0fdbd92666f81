//! From the spool to the store: several batches under way, and a cursor that moves only over what was confirmed in one piece.
//!
//! **Order.** Batches finish in any order; the cursor covers the contiguous prefix of slices whose every record has a fate.
//! The ledger takes them in that order, in one transaction with the quarantine, before the cursor moves.
//!
//! **A store that is down** is felt by the spool alone: writes are tried again, memory fills to [`Flow::held_records`] or
//! [`Flow::held_bytes`], reading stops, readiness says why, and it goes on by itself.
//!
//! **A tenant that is stuck** (its bucket is gone, its token refused) does not stop the others at once: its batches wait
//! outside the permits, and others flow until its records fill the memory bound, because the cursor cannot pass them. Then
//! all wait for it. Parking such a lane in a spool of its own has its place where an [`Outcome`] is decided: a record handed
//! to that spool has a fate, and the cursor moves on. It is not there yet.
//!
//! **A backlog** is drained in order, oldest first. Reading the newest first beside it would need a second cursor; that is
//! not there yet either.

mod flow;
mod intake;
mod lanes;
mod rollups;
mod write;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use service::clock::Clock;
use service::health::{Condition, Health};
use spool::{Reader, Spool};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::config::{Config, Flow};
use crate::frame::{Fleet, FrameReader};
use crate::ledger::{Ledger, LedgerError};
use crate::rollup::Touched;
use crate::store::influx::InfluxConfigError;
use crate::store::sqlite::{Retention, SqliteError};
use crate::store::{InfluxStore, SqliteStore, Store};
use flow::{Held, Pipeline};
use lanes::Lanes;
use rollups::Rolling;
use write::{Troubles, Writer};

/// The spool's cursor of the ingestor; it must be declared in the spool's configuration.
pub const CURSOR: &str = "ingestor";
/// Name of the ledger within [`Config::dir`].
pub const LEDGER_FILE: &str = "ledger.sqlite";
/// Name of the embedded store within [`Config::dir`].
pub const STORE_FILE: &str = "store.sqlite";

/// Why an ingestor cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The directory cannot be made.
    #[error("directory {0} of the ingestor cannot be made")]
    Dir(std::path::PathBuf, #[source] std::io::Error),
    /// The ledger.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] LedgerError),
    /// The embedded store.
    #[error("the embedded store cannot be opened")]
    Sqlite(#[from] SqliteError),
    /// InfluxDB's configuration.
    #[error("the store is configured wrongly")]
    Influx(#[from] InfluxConfigError),
    /// The spool has no such cursor.
    #[error("the spool cannot be read")]
    Spool(#[from] spool::ReaderError),
}

/// A built ingestor, ready to run.
pub struct Ingestor {
    spool: Arc<Spool>,
    fleet: Arc<dyn Fleet>,
    ledger: Ledger,
    reader: Reader,
    cursor: Reader,
    writer: Arc<Writer>,
    progress: Condition,
    flow: Flow,
    rolling: Rolling,
    clock: Clock,
}

impl Ingestor {
    /// Opens ledger and store. `fleet` names models and kinds; `health` gets the conditions `store`, `ingestor` and `roll-ups`.
    ///
    /// # Errors
    /// [`BuildError`]: a file, the configuration, or an undeclared cursor.
    pub fn build(
        config: &Config,
        spool: Arc<Spool>,
        fleet: Arc<dyn Fleet>,
        health: &Health,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        std::fs::create_dir_all(&config.dir).map_err(|e| BuildError::Dir(config.dir.clone(), e))?;
        let ledger = Ledger::open(&config.dir.join(LEDGER_FILE), config.ledger)?;
        let store = open_store(config, &config.dir)?;
        let mut flow = config.flow;
        if !store.per_tenant() {
            // One lane for all: there is no tenant whose small requests could be saved.
            flow.max_linger = flow.linger;
        }
        let writer = Writer {
            store,
            clock: clock.clone(),
            permits: Semaphore::new(flow.in_flight),
            retry_cap: flow.retry_cap,
            fatal_retry: flow.fatal_retry,
            troubles: Troubles::new(health.condition("store")),
        };
        let now_us = i64::try_from(clock.now_us()).unwrap_or(i64::MAX);
        let rolling = Rolling {
            touched: Touched::new(config.rollups, ledger.touched(config.rollups.max_touched)?, now_us),
            reads: JoinSet::new(),
            finished: Vec::new(),
            blocked: HashMap::new(),
            condition: health.condition("roll-ups"),
            retry: flow.fatal_retry,
            seen: rollups::Seen::default(),
        };
        ::metrics::gauge!(crate::metrics::ROLLUPS_UNSUPPORTED).set(0.0);
        rolling.condition.green();
        Ok(Self {
            reader: spool.reader(CURSOR)?,
            cursor: spool.reader(CURSOR)?,
            spool,
            fleet,
            ledger,
            writer: Arc::new(writer),
            progress: health.condition("ingestor"),
            flow,
            rolling,
            clock,
        })
    }

    /// The store, for queries.
    pub fn store(&self) -> &Store {
        &self.writer.store
    }

    /// What people's pages ask of the store.
    pub fn reader(&self) -> crate::read::Reader {
        crate::read::Reader::new(&self.writer.store, crate::read::ANSWER_WITHIN)
    }

    /// Runs until `shutdown` resolves, then finishes what is under way for at most [`Flow::drain`]. Dropping the future is
    /// as good as a kill: nothing is lost, what was under way is done again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (out, slices) = mpsc::channel(intake::SLICES);
        let stop = Arc::new(AtomicBool::new(false));
        let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
        let (spool, mut reader) = (Arc::clone(&self.spool), self.reader);
        let mut frames = FrameReader::new(self.fleet);
        let stopped = Arc::clone(&stop);
        let reading =
            tokio::task::spawn_blocking(move || intake::read(&spool, &mut reader, &mut frames, &out, &stopped));
        self.progress.green();
        let mut pipeline = Pipeline {
            lanes: Lanes::new(self.flow),
            flow: self.flow,
            ledger: self.ledger,
            cursor: self.cursor,
            spool: self.spool,
            writer: self.writer,
            progress: self.progress,
            clock: self.clock,
            writes: JoinSet::new(),
            slices: VecDeque::new(),
            first: 0,
            held: Held::default(),
            ready: None,
            retry_at: None,
            summaries: HashSet::new(),
            rolling: self.rolling,
        };
        pipeline.flow(slices, shutdown).await;
        stop.store(true, Ordering::Relaxed);
        pipeline.drain().await;
        // Who is told that this has ended may open the log again: nobody holds it any more. A panic in there was told already.
        let _ = reading.await;
    }
}

fn open_store(config: &Config, dir: &Path) -> Result<Store, BuildError> {
    Ok(match &config.influx {
        Some(influx) => Store::Influx(Box::new(InfluxStore::new(influx)?)),
        None => Store::Sqlite(SqliteStore::open(&dir.join(STORE_FILE), retention(config))?),
    })
}

fn retention(config: &Config) -> Retention {
    Retention {
        points: config.retention,
        rollups: config.rollups.kept,
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
