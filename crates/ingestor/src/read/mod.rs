//! What people's pages ask of the store: sessions, traces, what a device says of itself, hygiene. Each question is bounded in
//! rows and in time, is of one tenant, and has the same answer on every store.
//!
//! A page never waits for the pipeline nor holds it up: the embedded store is read through connections of its own, and at most
//! [`AT_A_TIME`] questions are under way; more wait their turn within the same time.

mod ask;
mod device;
mod hygiene;
mod influxql;
mod session;
mod sqlite;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::Config;
use crate::store::influx::InfluxConfigError;
use crate::store::{InfluxStore, ReadError, Reason, Store};

pub use device::{BirthFacts, CartridgeFacts, DeviceFacts, LifeSign};
pub use hygiene::{HygieneAsk, HygieneEvent, MAX_EVENTS};
pub use session::{MAX_SESSIONS, Readings, Scope, Session, session_of_hex};
pub use trace::{DepthPoint, MAX_PULSES, MAX_STEPS, PulsePoint, Span, Trace, step_ns};

use ask::{Question, Row};
use sqlite::SqliteReader;

/// Questions under way at a time; the embedded store has a connection for each.
pub const AT_A_TIME: usize = 4;
/// How long a page waits for one answer, its turn included.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How far back is looked for what a device said last: a year and a month, as long as roll-ups are kept by default.
const LOOK_BACK: Duration = Duration::from_secs(400 * 86_400);

/// Asks the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    source: Source,
    turns: Arc<Semaphore>,
    within: Duration,
}

#[derive(Debug, Clone)]
enum Source {
    Sqlite(SqliteReader),
    Influx(Box<InfluxStore>),
}

impl Reader {
    /// Asks `store`, and waits for each answer for at most `within`.
    pub fn new(store: &Store, within: Duration) -> Self {
        Self {
            source: match store {
                Store::Sqlite(store) => Source::Sqlite(SqliteReader::new(store.path())),
                Store::Influx(store) => Source::Influx(store.clone()),
            },
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            within,
        }
    }

    /// Asks the store of a configuration, for a process that does not write it. `None`: it is embedded in the process that does.
    ///
    /// # Errors
    /// [`InfluxConfigError`].
    pub fn beside(config: &Config) -> Result<Option<Self>, InfluxConfigError> {
        let Some(influx) = &config.influx else {
            return Ok(None);
        };
        let store = Store::Influx(Box::new(InfluxStore::new(influx)?));
        Ok(Some(Self::new(&store, ANSWER_WITHIN)))
    }

    /// The same, with another patience.
    #[must_use]
    pub fn waiting(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    async fn ask(&self, question: Question) -> Result<Vec<Row>, ReadError> {
        let asked = async {
            let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else {
                return Err(late(self.within));
            };
            match &self.source {
                // The turn ends with the work, which may outlast who waits for it.
                Source::Sqlite(reader) => reader.ask(question, turn).await,
                Source::Influx(store) => influxql::ask(store, &question).await,
            }
        };
        tokio::time::timeout(self.within, asked)
            .await
            .unwrap_or_else(|_| Err(late(self.within)))
    }
}

fn late(within: Duration) -> ReadError {
    ReadError {
        reason: Reason::Timeout,
        detail: format!("no answer within {} s", within.as_secs_f64()),
    }
}
