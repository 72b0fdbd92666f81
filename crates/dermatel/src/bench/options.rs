//! What `dermatel bench` can be told.
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) of: Option<Of>,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Where to put the data; a temporary folder if not given. Decides which disk is measured
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Only these measurements; all if not given
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Measurement>,
    /// Devices that publish
    #[arg(long, default_value_t = 100)]
    pub(crate) connections: u32,
    /// MiB in the log when the process is killed and started again
    #[arg(long, default_value_t = 1024)]
    pub(crate) backlog_mib: u64,
    /// Devices whose state alerting starts with
    #[arg(long, default_value_t = 100_000)]
    pub(crate) devices: u32,
    /// Devices behind the console's pages; ten alerts of each are open
    #[arg(long, default_value_t = 1_000)]
    pub(crate) console_devices: u32,
    /// How often each of the console's pages is asked for
    #[arg(long, default_value_t = 100)]
    pub(crate) fetches: u32,
    /// Messages a second that come in while the console's pages are asked for: by default as many as a thousand pens say that treat at
    /// the same moment
    #[arg(long, default_value_t = 1_000)]
    pub(crate) live_rate: u32,
    /// The process that reads such a state, started by the measurement itself
    #[arg(long, hide = true)]
    pub(crate) read_state: Option<PathBuf>,
    /// Print the table as Markdown, as docs/performance.md has it
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Of {
    /// How well and how soon the rules find what goes wrong, and how often they page for nothing
    Detection(super::detection::Detection),
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// CPU per stroke of decoding, windows and rules
    Micro,
    /// Publish to PUBACK at 10,000 messages a second
    Puback,
    /// Everything at saturation, with pages meanwhile
    Saturated,
    /// Stroke to page without other load
    Page,
    /// An outage of InfluxDB, and what is drained afterwards
    Drain,
    /// Memory with 1,000 devices on TLS
    Memory,
    /// Gateway, ingestor and alerting as processes apart over a mosquitto, which must be installed
    Apart,
    /// SIGKILL with a large log, until the first PUBACK
    Restart,
    /// Memory and restart with the state of a large fleet
    State,
    /// Server time of the console's pages
    Pages,
}
