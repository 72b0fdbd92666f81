//! `dermatel bench`: the promises' figures on this machine. Each row says its budget, what was measured, and plainly when it
//! falls short. The system under test is a process of its own; the load is made here, and its CPU is told apart.
mod apart;
pub(crate) mod detection;
mod hardware;
mod memory;
mod micro;
pub(crate) mod options;
mod outage;
mod pager;
mod pages;
mod process;
mod restart;
mod server;
mod sink;
mod state;
mod table;
mod throughput;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use simulator::Fleet;

use self::options::{Measurement, Of, Options};
use self::table::Table;
use crate::process::runtime;
use crate::sim::write_registry;

/// Seed of the fleet: the same devices in every run.
const SEED: u64 = 1;
/// Devices beside those that make the load, for hazards: one more clinic's worth.
const SPARE: u32 = 50;

/// What every measurement needs.
struct Bench {
    dir: PathBuf,
    seconds: u64,
    connections: u32,
    backlog_mib: u64,
    devices: u32,
    console_devices: u32,
    fetches: u32,
    live_rate: u32,
}

/// Measures and prints; the data folder is removed unless it was given.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(dir) = &options.read_state {
        return state::read(dir);
    }
    service::logging::init("warn")?;
    if let Some(Of::Detection(options)) = &options.of {
        return detection::run(options);
    }
    let temporary = options.dir.is_none();
    let dir = options
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("dermatel-bench-{}", std::process::id())));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let bench = Bench {
        dir: dir.clone(),
        seconds: options.seconds.max(1),
        connections: options.connections.max(1),
        backlog_mib: options.backlog_mib.max(1),
        devices: options.devices.max(1),
        console_devices: options.console_devices.max(1),
        fetches: options.fetches.max(1),
        live_rate: options.live_rate.max(1),
    };
    let mut table = Table::default();
    let wanted = |what| options.only.is_empty() || options.only.contains(&what);
    let measured = bench.all(wanted, &mut table);
    // What was measured before a failure is worth seeing.
    table.note(format!(
        "settings: what `dermatel config print` shows, but for log = \"warn\" and a webhook for all pages; {} devices, {} s of load each, \
         embedded store where nothing else is said",
        bench.connections, bench.seconds
    ));
    let told = if options.markdown {
        table.markdown()
    } else {
        table.text()
    };
    println!("{}", hardware::describe(&dir, options.markdown));
    println!("{told}");
    if temporary {
        let _ = std::fs::remove_dir_all(&dir);
    }
    measured
}

impl Bench {
    fn all(&self, wanted: impl Fn(Measurement) -> bool, table: &mut Table) -> Result<()> {
        if wanted(Measurement::Micro) {
            micro::run(table)?;
        }
        let runtime = runtime()?;
        if wanted(Measurement::Puback) {
            runtime.block_on(throughput::paced(self, table))?;
        }
        if wanted(Measurement::Saturated) {
            runtime.block_on(throughput::saturated(self, table))?;
        }
        if wanted(Measurement::Page) {
            runtime.block_on(throughput::unloaded(self, table))?;
        }
        if wanted(Measurement::Drain) {
            runtime.block_on(outage::run(self, table))?;
        }
        if wanted(Measurement::Memory) {
            runtime.block_on(memory::run(self, table))?;
        }
        if wanted(Measurement::Apart) {
            runtime.block_on(apart::run(self, table))?;
        }
        if wanted(Measurement::Restart) {
            runtime.block_on(restart::run(self, table))?;
        }
        if wanted(Measurement::State) {
            state::run(self, table)?;
        }
        if wanted(Measurement::Pages) {
            runtime.block_on(pages::run(self, table))?;
        }
        Ok(())
    }

    /// An empty folder for one measurement, with the registry of a fleet for so many connections and some spare devices.
    fn stage(&self, name: &str, connections: u32) -> Result<(PathBuf, Fleet)> {
        let dir = self.dir.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let fleet = simulator::load::fleet(SEED, connections + SPARE)?;
        write_registry(&fleet, &dir.join("registry"))?;
        Ok((dir, fleet))
    }

    fn clear(&self, dir: &Path) {
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// Tells a person who waits what is measured now.
fn tell(what: &str) {
    eprintln!("measuring: {what}");
}
