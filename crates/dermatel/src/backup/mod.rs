//! `dermatel backup`: a copy of everything that is written, made beside the running process, and what a process does first
//! that goes on from such a copy.
mod files;
mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alerting::store::Store;
use anyhow::{Context, Result, bail};
use clap::Args;
use service::clock::Clock;
use spool::{Copying, OsDisk};
use telemetry::{TenantId, UnixMicros};

use self::files::{copy_database, copy_file, copy_folder, sync_folder};
use self::manifest::{Journal, Manifest};
use crate::config::Config;

/// Marks a copy that is not finished: nobody takes it for one.
const UNFINISHED: &str = "unfinished";

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The configuration file of the process, which may be running
    #[arg(long, short)]
    config: PathBuf,
    /// A new folder for the copy
    #[arg(long)]
    to: PathBuf,
}

/// Copies, checks the copy and says what is in it.
pub(crate) fn run(options: &Backup) -> Result<()> {
    let config = Config::read(&options.config)?;
    let data = &config.node.data_dir;
    if !data.is_dir() {
        bail!("there is no data folder {}: nothing to back up", data.display());
    }
    if options.to.exists() {
        bail!("{} exists already: name a new folder", options.to.display());
    }
    let unfinished = options.to.with_extension(UNFINISHED);
    if unfinished.exists() {
        bail!(
            "{} is left of a backup that was broken off: remove it",
            unfinished.display()
        );
    }
    let taken_at = UnixMicros::from(Clock::system().now());
    let manifest = copy(&config, &options.config, &unfinished, taken_at)?;
    std::fs::rename(&unfinished, &options.to)
        .with_context(|| format!("cannot name the finished copy {}", options.to.display()))?;
    sync_folder(options.to.parent().unwrap_or(Path::new(".")))?;
    println!("backup in {}: {}", options.to.display(), manifest.said());
    Ok(())
}

/// What a reader keeps is copied before its log and after its cursor: it is then never ahead of the log, whose ordinals
/// would be given twice, nor behind the cursor, whose records nobody would read again.
fn copy(config: &Config, file: &Path, to: &Path, taken_at: UnixMicros) -> Result<Manifest> {
    let from = &config.node.data_dir;
    let data = to.join("data");
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let into = |path: &Path| -> Result<PathBuf> {
        let below = path.strip_prefix(from);
        Ok(data.join(below.with_context(|| format!("{} is not below the data folder", path.display()))?))
    };
    // Alerting's log before the telemetry log: what it then lacks, the gateway hands on at the next start. Processes apart
    // have one of them.
    let mut logs = Vec::new();
    for name in ["alerting", "telemetry"] {
        let dir = from.join("spool").join(name);
        if dir.is_dir() {
            logs.push(begin(name.to_owned(), dir)?);
        }
    }
    // After the telemetry log, whose cursor passes what is in these.
    let parked = config.ingestor.dir.join(ingestor::PARKED_FOLDER);
    for entry in parked.read_dir().into_iter().flatten() {
        let entry = entry.with_context(|| format!("{} cannot be read", parked.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if TenantId::new(&name).is_ok() {
            logs.push(begin(format!("{name}'s own"), entry.path())?);
        }
    }
    for name in gateway::FILES {
        let path = config.gateway.dir.join(name);
        copy_file(&path, &into(&path)?)?;
    }
    let ledger = config.ingestor.dir.join(ingestor::LEDGER_FILE);
    let store = config.ingestor.dir.join(ingestor::STORE_FILE);
    let quarantine = config.gateway.dir.join(gateway::QUARANTINE_FILE);
    // The ledger before the store: what it calls stored is then in the copy of the store.
    for path in [&quarantine, &ledger, &store, &config.alerting.file] {
        copy_database(path, &into(path)?)?;
        for log in &mut logs {
            log.copying.look_again()?;
        }
    }
    // After alerting's file, which must not know changes of the registry that this one lacks.
    let changes = crate::fleet::journal(config);
    copy_file(&changes, &into(&changes)?)?;
    copy_what_is_configured(config, file, to)?;
    let uplink = from.join(crate::apart::FOLDER);
    if uplink.is_dir() {
        copy_folder(&uplink, &into(&uplink)?)?;
    }
    let mut copied = Vec::new();
    for Log { name, dir, copying } in logs {
        let dir = into(&dir)?;
        let log = copying
            .finish(&dir)
            .with_context(|| format!("the log cannot be copied to {}", dir.display()))?;
        copied.push((name, log));
    }
    let manifest = Manifest::new(taken_at, &copied, journal_of(&into(&config.alerting.file)?)?);
    manifest.write(&data)?;
    sync_folder(to)?;
    Ok(manifest)
}

/// A log that is being copied.
struct Log {
    name: String,
    dir: PathBuf,
    copying: Copying,
}

fn begin(name: String, dir: PathBuf) -> Result<Log> {
    let copying = Copying::begin(&dir, Arc::new(OsDisk));
    Ok(Log {
        copying: copying.with_context(|| format!("the log in {} cannot be read", dir.display()))?,
        name,
        dir,
    })
}

fn copy_what_is_configured(config: &Config, file: &Path, to: &Path) -> Result<()> {
    copy_file(
        file,
        &to.join(file.file_name().context("the configuration has no name")?),
    )?;
    copy_folder(&config.node.registry_dir, &to.join("registry"))?;
    if let Some(rules) = &config.alerting.rules {
        copy_folder(rules, &to.join("rules"))?;
    }
    if let Some(paging) = &config.alerting.paging {
        copy_folder(paging, &to.join("paging"))?;
    }
    Ok(())
}

/// Rows and head of the copied journal, whose chain must hold.
fn journal_of(file: &Path) -> Result<Option<Journal>> {
    if !file.exists() {
        return Ok(None);
    }
    let found = Store::open_to_read(file)?.verify_journal()?;
    if let Some(n) = found.broken_at {
        bail!("the journal is broken at row {n}, in the copy as in the original: see `dermatel journal verify`");
    }
    Ok(Some(Journal {
        rows: found.rows,
        head: found.head.iter().map(|byte| format!("{byte:02x}")).collect(),
    }))
}

/// name, kind, what.
pub(crate) const METRICS: &[(&str, &str, &str)] = &[(
    RESTORED,
    "gauge",
    "when this data folder last went on from a backup, in seconds since 1970; 0: never",
)];
const RESTORED: &str = "dermatel_restored_timestamp_seconds";

/// Before anything goes on from a data folder that came out of a backup: says so, and lets pages say that they may be
/// repeats. Only whoever holds the folder may.
pub(crate) fn go_on_from_a_copy(config: &Config) -> Result<()> {
    go_on(config, |taken_at, now| {
        let pages = Store::open(&config.alerting.file)?.restored(taken_at, now)?;
        Ok(format!(
            "what devices, people and receivers did since is not in it; sessions name what is missing, and pages about the time \
             before now may be repeats, {pages} of them wait"
        ))
    })
}

/// The same of a part that runs apart and sends no pages.
pub(crate) fn say_if_a_copy(config: &Config) -> Result<()> {
    go_on(config, |_, _| {
        Ok("what was acknowledged since is not in it; sessions name what is missing".to_owned())
    })
}

/// Once for each copy; `mark` does what is to be done and says what is lost.
fn go_on(config: &Config, mark: impl FnOnce(UnixMicros, UnixMicros) -> Result<String>) -> Result<()> {
    let data = &config.node.data_dir;
    if let Some(manifest) = Manifest::read(data)? {
        let now = UnixMicros::from(Clock::system().now());
        let lost = mark(manifest.taken_at()?, now)?;
        tracing::error!(
            backup = manifest.taken_at,
            lost,
            "this data folder was restored from a backup"
        );
        manifest.settle(data, now)?;
    }
    let last = manifest::last_settled(data)?;
    ::metrics::gauge!(RESTORED).set(last.map_or(0.0, |at| at.0 as f64 / 1e6));
    Ok(())
}
