//! The command line.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Collects stroke and pulse telemetry of connected beauty devices, stores it, and pages a person when a treatment goes wrong.
#[derive(Debug, Parser)]
#[command(name = "dermatel", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything here with a simulated fleet of a few clinics, some of whose treatments go wrong
    Demo(Demo),
    /// Run everything in one process from a configuration file
    Up {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
    #[command(flatten)]
    Apart(crate::apart::Apart),
    /// Let a simulated fleet publish to an endpoint or broker
    Sim(Sim),
    /// Record what people did: a sterilizer's cycle, a wipe, an indicator test
    Record {
        #[command(flatten)]
        api: Api,
        #[command(subcommand)]
        what: Record,
    },
    /// What the console shows, on a terminal
    Show(crate::show::Show),
    /// Look at alerts and acknowledge them
    Alert {
        #[command(flatten)]
        api: Api,
        #[command(subcommand)]
        action: Alert,
    },
    /// The devices of the registry: look, enter, move, retire, while everything runs
    Device {
        #[command(flatten)]
        api: Api,
        #[command(subcommand)]
        action: Device,
    },
    /// Hold first pages back for a while: see what that hides, do it, end it
    Silence {
        #[command(flatten)]
        api: Api,
        #[command(subcommand)]
        action: crate::silence::SilenceAction,
    },
    /// Look at refused messages and replay them
    Quarantine {
        #[command(flatten)]
        api: Api,
        #[command(subcommand)]
        action: Quarantine,
    },
    /// Look at a spool's files, also while it is in use
    Spool {
        #[command(subcommand)]
        action: SpoolAction,
    },
    /// Check a configuration, or print one with all defaults explained
    Config {
        #[command(subcommand)]
        action: crate::config_command::ConfigAction,
    },
    /// Say what is wrong between processes apart, each with its fix: who leads the registry, who cannot follow it, who has another one;
    /// exit code 1 when something is
    Doctor(crate::doctor::Doctor),
    /// InfluxDB: make what the configuration needs there, and say what is missing or wrong
    Influx {
        #[command(subcommand)]
        action: crate::influx_command::InfluxAction,
    },
    /// Ask what rules would do before they page anybody
    Rules {
        #[command(subcommand)]
        action: crate::rules_command::RulesAction,
    },
    /// Say why an alert fired, what caused it, who was told when and what came back
    Explain(crate::journal::Explain),
    /// Check and export the journal of alerts, pages, people and changes
    Journal {
        #[command(subcommand)]
        action: crate::journal::JournalAction,
    },
    /// Ask who would be told of an alert, when, and why
    Route {
        #[command(subcommand)]
        action: crate::route_command::RouteAction,
    },
    /// Make a device's secret and the line for the registry
    Secret,
    /// Make the hash of a password for console.people; the password is asked for, or read from the standard input
    Password,
    /// Copy everything that is written, beside the running process: docs/backup.md
    Backup(crate::backup::Backup),
    /// Say whether a running process is ready; the exit code says so too
    Health(crate::health::HealthCheck),
    /// Measure this machine (the table of docs/performance.md), or the rules (bench detection: docs/detection.md)
    Bench(crate::bench::options::Options),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where data goes; a new folder below the system's temporary one if not given
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Stop by itself after this long, for example 45s; otherwise Ctrl-C stops it
    #[arg(long = "for", value_parser = duration)]
    pub(crate) stop_after: Option<Duration>,
    /// Port of the page with metrics and health; 0: a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) http_port: u16,
    /// Seed of the simulated fleet: the same seed gives the same treatments
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Every fault that the simulator knows, at once: some 50 alerts in the first minute, for whoever looks for one of them
    #[arg(long)]
    pub(crate) every_fault: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Scenario file; the demo's if not given
    #[arg(long)]
    pub(crate) scenario: Option<PathBuf>,
    /// Host of the endpoint or broker
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Its port
    #[arg(long, default_value_t = 1883)]
    pub(crate) port: u16,
    /// Only write the fleet's registry (with the hashes of its secrets) into this folder, and stop
    #[arg(long)]
    pub(crate) write_registry: Option<PathBuf>,
    /// Stop after this long
    #[arg(long = "for", value_parser = duration)]
    pub(crate) stop_after: Option<Duration>,
}

/// Where the running process listens.
#[derive(Debug, Args)]
pub(crate) struct Api {
    /// The running process's socket: <data folder>/dermatel.sock
    #[arg(long, env = "DERMATEL_SOCKET", global = true)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The clinic
    #[arg(long)]
    pub(crate) clinic: String,
    /// Who did it, or records it: a member of staff, never a client
    #[arg(long)]
    pub(crate) actor: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Outcome {
    Pass,
    Fail,
    Aborted,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    Low,
    Intermediate,
    High,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Indicator {
    Biological,
    Chemical,
    Mechanical,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// A sterilizer's cycle that a person read off
    Cycle {
        #[command(flatten)]
        at: Where,
        /// The sterilizer's device id
        #[arg(long)]
        sterilizer: String,
        /// The sterilizer's own number of the cycle
        #[arg(long)]
        cycle: String,
        /// Device ids or serials in the load
        #[arg(long = "item", required = true)]
        items: Vec<String>,
        #[arg(long)]
        outcome: Outcome,
        /// When it ended, RFC 3339; now if not given
        #[arg(long)]
        ended_at: Option<String>,
    },
    /// A wipe of a device between two clients
    Wipe {
        #[command(flatten)]
        at: Where,
        /// The device that was wiped
        #[arg(long)]
        device: String,
        #[arg(long)]
        level: Level,
        /// Contact time in seconds
        #[arg(long)]
        contact_time_s: Option<u32>,
        /// When, RFC 3339; now if not given
        #[arg(long)]
        performed_at: Option<String>,
    },
    /// The result of an indicator test, for example a spore test that was read days later
    Indicator {
        #[command(flatten)]
        at: Where,
        /// The sterilizer's device id
        #[arg(long)]
        sterilizer: String,
        #[arg(long)]
        kind: Indicator,
        #[arg(long)]
        outcome: Outcome,
        /// The tested cycle
        #[arg(long)]
        cycle: Option<String>,
        /// When the tested cycle ended, RFC 3339; now if not given
        #[arg(long)]
        cycle_ended_at: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    /// The alerts that need somebody, the most urgent first
    Ls {
        #[command(flatten)]
        inbox: crate::show::Inbox,
        /// Everything that is known of them, for programs
        #[arg(long)]
        json: bool,
    },
    /// One alert, whole
    Show {
        /// Its id
        id: String,
    },
    /// Acknowledge an alert: a person knows and takes care
    Ack {
        #[command(flatten)]
        said: Said,
    },
    /// Take an acknowledgement back: the alert needs a person again
    Unack {
        #[command(flatten)]
        said: Said,
    },
    /// Say who takes care of an alert
    Assign {
        #[command(flatten)]
        said: Said,
        /// Who; not given: nobody any more
        #[arg(long, default_value = "")]
        to: String,
    },
    /// Add a comment to an alert
    Annotate {
        #[command(flatten)]
        said: Said,
    },
}

/// What a person says about an alert.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// The alert's id
    pub(crate) id: String,
    /// Who says so
    #[arg(long)]
    pub(crate) actor: String,
    /// A comment about the device, never about a client
    #[arg(long, default_value = "")]
    pub(crate) comment: String,
}

/// Who changes something, and why: both stand in the journal.
#[derive(Debug, Args)]
pub(crate) struct Author {
    /// Who changes it
    #[arg(long)]
    pub(crate) actor: String,
    /// Why; about the device, never about a client
    #[arg(long)]
    pub(crate) why: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// The devices
    Ls {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Only at this clinic
        #[arg(long)]
        clinic: Option<String>,
        /// Only active or retired ones
        #[arg(long)]
        state: Option<String>,
    },
    /// One device, whole, with what was changed by command
    Show {
        /// tenant/device
        device: String,
    },
    /// Enter a device; it may connect at once
    Add(AddDevice),
    /// Enter the devices of a list, all or none
    Import {
        /// CSV with a header: tenant, id, clinic, model, serial, and if wanted expected_since, secret_sha256,
        /// certificate_sha256, certificate. A row without credential gets a new secret
        file: PathBuf,
        #[command(flatten)]
        author: Author,
        /// New file for the secrets that are drawn; printed once if not given
        #[arg(long)]
        secrets_out: Option<PathBuf>,
    },
    /// Move a device to another clinic of its tenant; its open alerts go along
    Move {
        /// tenant/device
        device: String,
        /// The clinic
        #[arg(long)]
        to: String,
        #[command(flatten)]
        author: Author,
    },
    /// Take a device out of use: it is disconnected and refused
    Retire {
        /// tenant/device
        device: String,
        #[command(flatten)]
        author: Author,
    },
    /// Put a retired device into use again
    Restore {
        /// tenant/device
        device: String,
        #[command(flatten)]
        author: Author,
    },
    /// Read the registry's files again; a fault leaves the old ones
    Reload,
    /// Show what the files do not say yet; with --actor and --why, empty the journal of what they do say
    Fold {
        /// Who empties it
        #[arg(long, requires = "why")]
        actor: Option<String>,
        /// Why
        #[arg(long, requires = "actor")]
        why: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddDevice {
    /// tenant/device
    pub(crate) device: String,
    /// Where it stands
    #[arg(long)]
    pub(crate) clinic: String,
    /// Its model: the name of a file in models/
    #[arg(long)]
    pub(crate) model: String,
    /// The number on the device
    #[arg(long)]
    pub(crate) serial: String,
    /// First day on which it is expected to be heard, such as 2026-12-01
    #[arg(long)]
    pub(crate) expected_since: Option<String>,
    /// SHA-256 of its secret; without any credential a new secret is drawn
    #[arg(long)]
    pub(crate) secret_sha256: Option<String>,
    /// SHA-256 of its certificate (DER)
    #[arg(long)]
    pub(crate) certificate_sha256: Option<String>,
    /// Any certificate of the fleet's CA with its name is enough
    #[arg(long)]
    pub(crate) certificate_by_name: bool,
    /// New file for the secret that is drawn; printed once if not given
    #[arg(long)]
    pub(crate) secrets_out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) author: Author,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// The refused messages, newest first
    Ls {
        /// Only this reason
        #[arg(long)]
        reason: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One refused message with its payload
    Show {
        /// Its number
        id: i64,
    },
    /// Let refused messages in again, after a fix
    Replay {
        /// Their numbers
        ids: Vec<i64>,
        /// All that were refused for this reason
        #[arg(long, conflicts_with = "ids")]
        reason: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpoolAction {
    /// Segments, cursors and findings
    Inspect {
        /// The spool's folder
        dir: PathBuf,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    service::config::parse_duration(text).map_err(|e| e.to_string())
}
