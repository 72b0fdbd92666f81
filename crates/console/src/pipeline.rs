//! How the pipeline is, as whoever wires the process together tells it: figures of now and of some minutes ago.
use schemars::JsonSchema;
use serde::Serialize;

/// Tells how the pipeline is. Must not block.
pub trait Pipeline: Send + Sync {
    /// The newest figures first, then those of some minutes ago, if the process has run for so long; none before the first look.
    fn figures(&self) -> Option<(Figures, Option<Figures>)>;
}

/// Figures of one moment. Counts are since the process began.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Figures {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Connections of devices.
    pub connections: u64,
    /// Messages that were let in.
    pub messages: u64,
    /// Messages that were refused.
    pub refused: u64,
    /// Points that the store took.
    pub points: u64,
    /// Pages that left.
    pub pages: u64,
    /// The logs.
    pub logs: Vec<Log>,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Log {
    /// Its name.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that it may take.
    pub cap_bytes: u64,
    /// It is full: it refuses or sheds.
    pub at_cap: bool,
    /// Who reads it.
    pub readers: Vec<Reader>,
}

/// A reader of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "LogReader")]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// Records that it is behind.
    pub backlog_records: u64,
    /// Bytes that it is behind.
    pub backlog_bytes: u64,
    /// When the oldest of them came, in microseconds since 1970-01-01 UTC.
    pub oldest_us: Option<i64>,
}
