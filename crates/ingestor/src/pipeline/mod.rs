//! From the spool to the store: several batches under way, and a cursor that moves only over what was confirmed in one piece.
//!
//! **Order.** Batches finish in any order; the cursor covers the contiguous prefix of slices whose every record has a fate.
//! The ledger takes them in that order, in one transaction with the quarantine, before the cursor moves.
//!
//! **A store that is down** is felt by the spool alone: writes are tried again, memory fills to [`Flow::held_records`] or
//! [`Flow::held_bytes`], reading stops, readiness says why, and it goes on by itself.
//!
//! **A tenant that is stuck** (its bucket is gone, its token refused) does not stop the others: its batches wait outside the
//! permits, and when it has been stuck for a while, and the store takes others' points, it is parked. Its frames then go to a
//! log of its own, durably, before the cursor passes them; the oldest of them are tried again and again, and when the store
//! takes them, that log is drained beside what comes in. See [`crate::config::Parking`] for the bounds.
//!
//! **A backlog** is drained in order, oldest first. Reading the newest first beside it would need a second cursor; that is
//! not there yet either.

mod flow;
mod intake;
mod lanes;
mod parked;
mod parking;
mod rollups;
mod track;
mod troubles;
mod write;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use service::clock::Clock;
use service::health::{Condition, Health};
use spool::{OpenError, Reader, Spool};
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
use parked::Parked;
pub use parked::{PARKED_CURSOR, PARKED_FOLDER};
use parking::Parking;
use rollups::Rolling;
use track::Track;
use troubles::Troubles;
use write::Writer;

/// The spool's cursor of the ingestor; it must be declared in the spool's configuration.
pub const CURSOR: &str = "ingestor";
/// How often the store's clock is looked at. One that is set wrong stays so for hours; the Prometheus alert waits for five minutes.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);
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
    /// The log of a parked tenant.
    #[error("the log of a parked tenant cannot be opened")]
    Parked(#[from] OpenError),
}

/// A built ingestor, ready to run.
pub struct Ingestor {
    spool: Arc<Spool>,
    fleet: Arc<dyn Fleet>,
    ledger: Ledger,
    reader: Reader,
    log: Track,
    parking: Parking,
    writer: Arc<Writer>,
    progress: Condition,
    flow: Flow,
    rolling: Rolling,
    clock: Clock,
}

impl Ingestor {
    /// Opens ledger and store. `fleet` names models and kinds; `health` gets the conditions `store`, `ingestor`,
    /// `roll-ups`, `store-clock` and `parked-tenants`.
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
        crate::metrics::at_zero();
        std::fs::create_dir_all(&config.dir).map_err(|e| BuildError::Dir(config.dir.clone(), e))?;
        let ledger = Ledger::open(&config.dir.join(LEDGER_FILE), config.ledger)?;
        let store = open_store(config, &config.dir, health.condition("store-clock"))?;
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
        let per_tenant = writer.store.per_tenant();
        let parked = Parked::open(&config.dir, flow.parking, &spool, !per_tenant, clock.now())?;
        let parking = Parking::new(
            parked,
            FrameReader::new(Arc::clone(&fleet)),
            health.condition("parked-tenants"),
        );
        for tenant in parking.tenants() {
            writer.troubles.parked(&tenant, true);
        }
        Ok(Self {
            reader: spool.reader(CURSOR)?,
            log: Track::new(spool.reader(CURSOR)?),
            parking,
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

    /// Runs until `shutdown` resolves, then stores what is in the log at that moment, for at most [`Flow::drain`]. Dropping the
    /// future is as good as a kill: nothing is lost, what was under way is done again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (out, slices) = mpsc::channel(intake::SLICES);
        let stop = Arc::new(AtomicBool::new(false));
        let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
        let (spool, mut reader) = (Arc::clone(&self.spool), self.reader);
        let from = reader.position();
        let mut frames = FrameReader::new(self.fleet);
        let stopped = Arc::clone(&stop);
        let reading =
            tokio::task::spawn_blocking(move || intake::read(&spool, &mut reader, &mut frames, &out, &stopped));
        self.progress.green();
        // Ends with this function.
        let mut beside = JoinSet::new();
        beside.spawn(watch_clock(self.writer.store.clone()));
        let mut pipeline = Pipeline {
            lanes: Lanes::new(self.flow),
            flow: self.flow,
            ledger: self.ledger,
            log: self.log,
            spool: self.spool,
            writer: self.writer,
            progress: self.progress,
            clock: self.clock,
            writes: JoinSet::new(),
            held: Held::default(),
            summaries: HashSet::new(),
            rolling: self.rolling,
            parking: self.parking,
            taken: from,
        };
        pipeline.flow(slices, shutdown).await;
        stop.store(true, Ordering::Relaxed);
        // Who is told that this has ended may open the log again: nobody holds it any more. A panic in there was told already.
        let _ = reading.await;
    }
}

fn open_store(config: &Config, dir: &Path, clock: Condition) -> Result<Store, BuildError> {
    clock.green();
    Ok(match &config.influx {
        Some(influx) => Store::Influx(Box::new(InfluxStore::new(influx)?.telling_of_its_clock(clock))),
        None => {
            // It lives by our own clock.
            ::metrics::gauge!(crate::metrics::STORE_CLOCK_AHEAD).set(0.0);
            Store::Sqlite(SqliteStore::open(&dir.join(STORE_FILE), retention(config))?)
        }
    })
}

/// Sees how the store's clock stands, at the start and now and then: who rolls nothing up asks it nothing else.
async fn watch_clock(store: Store) {
    let Store::Influx(store) = store else {
        return;
    };
    loop {
        store.look_at_clock().await;
        tokio::time::sleep(LOOK_AT_CLOCK).await;
    }
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
