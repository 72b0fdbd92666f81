//! What is accounted for: a small SQLite file with the sessions, what was refused, and what the spool lost. It is committed
//! before the spool's cursor moves, and everything in it is a set or a maximum, so that repeats after a crash change nothing.
//!
//! **Sessions** open with any frame that names them. "Stored" means that the store said so: only readings whose write was
//! confirmed come in here. A session counts as over when the device ended it, when a later session or boot of that device
//! was seen, or when nothing was heard of it for [`Limits::quiet_after`] of *watermark*: the received time of the spool
//! going forward, so a stopped ingestor closes nothing. Being over is a flag; whatever comes later amends the same point.
//!
//! **Bounds.** Sessions that are over and told leave after [`Limits::retention`], or when there are more than
//! [`Limits::max_sessions`] (the longest unheard first); a marker stays, so that a straggler cannot replace a whole summary
//! by its own few readings. Its readings are stored; its summary is not amended any more, and that is counted.

mod completeness;
mod ordinals;
mod periods;
mod quarantine;
mod session;
mod sql;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use telemetry::{DeviceKey, SessionId, TenantId, UnixMicros};

pub use completeness::{Closed, Completeness, Counted, MAX_LISTED};
pub use ordinals::{MAX_RUNS, Ordinals};
use quarantine::Held;
pub use quarantine::{MAX_DETAIL_BYTES, QuarantineEntry, Quarantined, QuarantinedKind};
pub use session::{Fate, Reading, ReadingKind, Session, SessionKey, Sighting};

use crate::record::{Record, SessionSummary};
use crate::rollup::Period;

/// Sessions kept in memory between steps: those that are touched all the time. Beyond it the memory is emptied; the file
/// has everything.
const CACHE_SESSIONS: usize = 8_192;

/// Most sessions that leave in one step, so that a step stays short.
const FORGET_PER_STEP: usize = 256;

/// Bounds of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A session of which nothing was heard for so long counts as over.
    pub quiet_after: Duration,
    /// Sessions that are over leave so long after they were last heard of.
    pub retention: Duration,
    /// Most sessions in the file.
    pub max_sessions: usize,
    /// Most markers of sessions that left.
    pub max_markers: usize,
    /// Most entries in quarantine; the oldest go first.
    pub max_quarantined: usize,
    /// Most bytes in quarantine; the oldest go first.
    pub max_quarantined_bytes: u64,
}

/// Ordinals of the spool that hold no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// First missing offset.
    pub from: u64,
    /// Offset after the last missing one.
    pub to: u64,
    /// Why, as the spool says it.
    pub reason: &'static str,
}

/// Everything that one step of the cursor says.
#[derive(Debug, Default)]
pub struct Step {
    /// Sessions and boots heard of.
    pub sightings: Vec<Sighting>,
    /// Readings whose fate is known.
    pub readings: Vec<Reading>,
    /// Frames and points to keep aside.
    pub quarantined: Vec<Quarantined>,
    /// What the spool lost.
    pub lost: Vec<LostRange>,
    /// Roll-up periods that have news.
    pub touched: Vec<Period>,
    /// Latest received time in the step.
    pub watermark: UnixMicros,
}

/// What a step did, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stepped {
    /// Readings and sightings of sessions that have left already.
    pub too_late: u64,
    /// Sessions that left.
    pub forgotten: u64,
    /// Of these, sessions that left because there were too many, not because they were old.
    pub evicted: u64,
    /// Quarantine entries that were dropped to make room.
    pub quarantine_dropped: u64,
}

/// A summary to write, and which version of its session it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The record.
    pub record: Record,
    /// Its session.
    pub key: SessionKey,
    /// The version that is told.
    pub version: i64,
}

/// Why the ledger could not be opened, read or written. Nothing was half done: steps are transactions.
#[derive(Debug, thiserror::Error)]
#[error("the ledger could not {what}; look at the disk and the file beside the store")]
pub struct LedgerError {
    /// What was tried.
    pub what: &'static str,
    /// What SQLite said.
    #[source]
    pub source: rusqlite::Error,
}

fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
    move |source| LedgerError { what, source }
}

/// The ledger. One owner at a time.
#[derive(Debug)]
pub struct Ledger {
    db: Connection,
    limits: Limits,
    cache: HashMap<SessionKey, Cached>,
    /// How far each device has got, see [`Work::supersede`]; what the file says, remembered.
    got_to: HashMap<DeviceKey, i64>,
    held: Held,
    watermark: UnixMicros,
}

#[derive(Debug, Clone)]
struct Cached {
    session: Session,
    version: i64,
}

impl Ledger {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// SQLite's no, or a file that is no ledger.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, LedgerError> {
        let fail = failed("be opened");
        let db = Connection::open(path).map_err(&fail)?;
        sql::prepare(&db).map_err(&fail)?;
        let watermark = db
            .query_row("SELECT watermark_us FROM progress", [], |row| row.get(0))
            .optional()
            .map_err(&fail)?
            .map_or(UnixMicros(0), UnixMicros);
        let held = Held::count(&db).map_err(&fail)?;
        Ok(Self {
            db,
            limits,
            cache: HashMap::new(),
            got_to: HashMap::new(),
            held,
            watermark,
        })
    }

    /// Takes a step in one durable transaction. Taking it again changes nothing.
    ///
    /// # Errors
    /// SQLite's no: nothing of the step is in the ledger, and the cursor must not move.
    pub fn apply(&mut self, step: &Step) -> Result<Stepped, LedgerError> {
        let held = self.held;
        let result = self.try_apply(step).map_err(failed("take a step"));
        if result.is_err() {
            self.held = held;
        }
        if result.is_err() || self.cache.len() > CACHE_SESSIONS || self.got_to.len() > CACHE_SESSIONS {
            self.cache.clear();
            self.got_to.clear();
        }
        result
    }

    fn try_apply(&mut self, step: &Step) -> rusqlite::Result<Stepped> {
        let watermark = self.watermark.max(step.watermark);
        let tx = self.db.transaction()?;
        let mut work = Work {
            tx: &tx,
            cache: &mut self.cache,
            got_to: &mut self.got_to,
            touched: Vec::new(),
            new: HashSet::new(),
            stepped: Stepped::default(),
        };
        for sighting in &step.sightings {
            work.sighted(sighting)?;
        }
        for reading in &step.readings {
            work.read(reading)?;
        }
        work.write_back()?;
        for sighting in &step.sightings {
            work.supersede(sighting)?;
        }
        work.hush(watermark.minus(self.limits.quiet_after))?;
        work.forget(&self.limits, watermark)?;
        let mut stepped = work.stepped;
        for lost in &step.lost {
            sql::insert_lost(&tx, lost, watermark)?;
        }
        periods::insert(&tx, &step.touched)?;
        stepped.quarantine_dropped = quarantine::insert(&tx, &mut self.held, &step.quarantined, &self.limits)?;
        tx.execute(
            "INSERT OR REPLACE INTO progress (one, watermark_us) VALUES (1, ?1)",
            [watermark.0],
        )?;
        tx.commit()?;
        self.watermark = watermark;
        Ok(stepped)
    }

    /// Summaries that are not told yet, at most `max`; those of `without` are not looked at, and sessions in `not` are left out.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn due(
        &self,
        max: usize,
        without: &[TenantId],
        not: &dyn Fn(&SessionKey) -> bool,
    ) -> Result<Vec<Due>, LedgerError> {
        let rows = sql::due(&self.db, max, without).map_err(failed("be read"))?;
        Ok(rows
            .into_iter()
            .filter_map(|(session, version)| {
                let key = key_of(&session);
                (!not(&key)).then(|| Due {
                    record: summary(&session),
                    key,
                    version,
                })
            })
            .collect())
    }

    /// Notes that the store confirmed summaries.
    ///
    /// # Errors
    /// SQLite's no: they will be told again, which changes nothing.
    pub fn told(&mut self, told: &[(SessionKey, i64)]) -> Result<(), LedgerError> {
        let mut run = || -> rusqlite::Result<()> {
            let tx = self.db.transaction()?;
            for (key, version) in told {
                tx.prepare_cached(
                    "UPDATE session SET told = max(told, ?4) WHERE tenant = ?1 AND device = ?2 AND session = ?3",
                )?
                .execute(params![
                    key.tenant.as_str(),
                    key.device.as_str(),
                    key.session.bytes(),
                    version
                ])?;
            }
            tx.commit()
        };
        run().map_err(failed("note told summaries"))
    }

    /// How complete a session is; `None` if the ledger does not know it (any more).
    ///
    /// # Errors
    /// SQLite's no.
    pub fn completeness(&self, key: &SessionKey) -> Result<Option<Completeness>, LedgerError> {
        let row = sql::load(&self.db, key).map_err(failed("be read"))?;
        Ok(row.map(|(session, _)| session.completeness()))
    }

    /// Every session with this id (one, unless two devices drew the same), with how complete it is.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn find(&self, id: SessionId) -> Result<Vec<Session>, LedgerError> {
        sql::find(&self.db, id).map_err(failed("be read"))
    }

    /// Sessions that are not over.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn open_sessions(&self) -> Result<u64, LedgerError> {
        self.count("SELECT count(*) FROM session WHERE closed = 0")
    }

    /// Sessions in all.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn sessions(&self) -> Result<u64, LedgerError> {
        self.count("SELECT count(*) FROM session")
    }

    /// Records that the spool lost, as far as they are remembered.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn lost_records(&self) -> Result<u64, LedgerError> {
        self.count("SELECT coalesce(sum(\"to\" - \"from\"), 0) FROM lost")
    }

    /// The newest entries of the quarantine, at most `max`.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn quarantined(&self, max: usize) -> Result<Vec<QuarantineEntry>, LedgerError> {
        quarantine::list(&self.db, max).map_err(failed("be read"))
    }

    /// Entries in quarantine.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn quarantined_count(&self) -> Result<u64, LedgerError> {
        self.count("SELECT count(*) FROM quarantine")
    }

    /// Received time up to which the spool was taken in.
    pub fn watermark(&self) -> UnixMicros {
        self.watermark
    }

    fn count(&self, sql: &str) -> Result<u64, LedgerError> {
        self.db
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map(|n| n.unsigned_abs())
            .map_err(failed("be read"))
    }
}

fn key_of(session: &Session) -> SessionKey {
    SessionKey {
        tenant: session.tags.tenant.clone(),
        device: session.tags.device.clone(),
        session: session.session,
    }
}

fn summary(session: &Session) -> Record {
    Record::SessionSummary(Box::new(SessionSummary {
        tags: Arc::clone(&session.tags),
        time_ns: session.time_ns,
        session: session.session,
        visit: session.visit,
        boot: session.boot,
        completeness: session.completeness(),
    }))
}

/// One step under way.
struct Work<'a> {
    tx: &'a Transaction<'a>,
    cache: &'a mut HashMap<SessionKey, Cached>,
    got_to: &'a mut HashMap<DeviceKey, i64>,
    touched: Vec<SessionKey>,
    /// Sessions that were first heard of in this step.
    new: HashSet<SessionKey>,
    stepped: Stepped,
}

impl Work<'_> {
    fn sighted(&mut self, sighting: &Sighting) -> rusqlite::Result<()> {
        let Some(key) = sighting.key() else {
            return Ok(());
        };
        if !self.load(&key)? {
            if sql::has_left(self.tx, &key)? {
                self.stepped.too_late += 1;
                return Ok(());
            }
            let Some(session) = Session::first(sighting) else {
                return Ok(());
            };
            self.cache.insert(key.clone(), Cached { session, version: 0 });
            self.new.insert(key.clone());
        }
        self.touch(key, |session| session.sighted(sighting));
        Ok(())
    }

    fn read(&mut self, reading: &Reading) -> rusqlite::Result<()> {
        if self.load(&reading.key)? {
            self.touch(reading.key.clone(), |session| session.read(reading));
        } else {
            // Its sighting came with it or before, so it has left.
            self.stepped.too_late += 1;
        }
        Ok(())
    }

    /// Whether the session is in memory now.
    fn load(&mut self, key: &SessionKey) -> rusqlite::Result<bool> {
        if self.cache.contains_key(key) {
            return Ok(true);
        }
        let Some((session, version)) = sql::load(self.tx, key)? else {
            return Ok(false);
        };
        self.cache.insert(key.clone(), Cached { session, version });
        Ok(true)
    }

    /// Changes a session in memory; its version grows if its summary changes.
    fn touch(&mut self, key: SessionKey, change: impl FnOnce(&mut Session) -> bool) {
        let Some(cached) = self.cache.get_mut(&key) else {
            return;
        };
        let heard = cached.session.last_received;
        let changed = change(&mut cached.session) || cached.version == 0;
        if changed {
            cached.version += 1;
        }
        if changed || cached.session.last_received != heard {
            self.touched.push(key);
        }
    }

    fn write_back(&mut self) -> rusqlite::Result<()> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable_by(|a, b| a.session.cmp(&b.session).then_with(|| a.device.cmp(&b.device)));
        touched.dedup();
        for key in &touched {
            if let Some(cached) = self.cache.get(key) {
                sql::store(self.tx, &cached.session, cached.version)?;
            }
        }
        Ok(())
    }

    /// A later session or boot of a device closes the earlier ones. One number per device says how far it has got: the
    /// latest start of a session, or of a boot. A session that starts before it has been superseded, in whatever order
    /// the news comes.
    fn supersede(&mut self, sighting: &Sighting) -> rusqlite::Result<()> {
        let boot_ns = sighting.anchor.map(|anchor| anchor.0.saturating_mul(1_000));
        let key = sighting.key();
        let session_ns = key
            .as_ref()
            .and_then(|key| self.cache.get(key))
            .map(|cached| cached.session.time_ns);
        let Some(got_to) = boot_ns.max(session_ns) else {
            return Ok(());
        };
        let device = DeviceKey {
            tenant: sighting.tags.tenant.clone(),
            device: sighting.tags.device.clone(),
        };
        let new = key.is_some_and(|key| self.new.contains(&key));
        if !new && self.got_to.get(&device).is_some_and(|&known| known >= got_to) {
            return Ok(());
        }
        let now_at = sql::raise_device(self.tx, &sighting.tags, got_to, sighting.received_at)?;
        self.got_to.insert(device, now_at);
        let closed = sql::supersede(self.tx, &sighting.tags, now_at)?;
        self.reload(closed);
        Ok(())
    }

    /// Sessions that were not heard of since then count as over.
    fn hush(&mut self, before: UnixMicros) -> rusqlite::Result<()> {
        let closed = sql::hush(self.tx, before)?;
        self.reload(closed);
        Ok(())
    }

    /// The file knows better: read these again when they are next needed.
    fn reload(&mut self, keys: Vec<SessionKey>) {
        for key in keys {
            self.cache.remove(&key);
        }
    }

    fn forget(&mut self, limits: &Limits, watermark: UnixMicros) -> rusqlite::Result<()> {
        let old = sql::forget_old(self.tx, watermark.minus(limits.retention), FORGET_PER_STEP)?;
        let evicted = sql::forget_excess(self.tx, limits.max_sessions, FORGET_PER_STEP)?;
        self.stepped.forgotten = (old.len() + evicted.len()) as u64;
        self.stepped.evicted = evicted.len() as u64;
        for key in old.iter().chain(&evicted) {
            self.cache.remove(key);
            sql::mark_left(self.tx, key, watermark)?;
        }
        if self.stepped.forgotten > 0 {
            sql::trim_markers(self.tx, limits.max_markers)?;
        }
        Ok(())
    }
}
