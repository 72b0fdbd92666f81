//! `dermatel sim`: a simulated fleet against any endpoint or broker.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use service::clock::Clock;
use service::shutdown::Shutdown;
use simulator::{Fleet, Pace, Scenario, Simulator, Target};
use telemetry::UnixMicros;

use crate::cli;
use crate::process;
use crate::text::grouped;

/// Runs until it is over or a signal comes.
pub(crate) fn run(options: &cli::Sim) -> Result<i32> {
    // A simulated device that connects is no news.
    service::logging::init("warn")?;
    let scenario = read(options.scenario.as_deref())?;
    let fleet = scenario.fleet(UnixMicros::from(Clock::system().now()))?;
    if let Some(folder) = &options.write_registry {
        write_registry(&fleet, folder)?;
        println!(
            "the fleet's registry is in {}: name it as node.registry_dir",
            folder.display()
        );
        return Ok(0);
    }
    process::runtime()?.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.listen_to_signals()?;
        let simulator = Simulator::new(fleet);
        let live = simulator.live();
        let pace = Pace { speed: scenario.speed, duration: options.stop_after, ..Pace::default() };
        let report = simulator.run(&Target::new(&options.host, options.port), pace, shutdown.requested()).await?;
        let counts = live.counts();
        eprintln!(
            "{} messages published, {} acknowledged, {} refused, {} left without an acknowledgement; {} strokes, {} pulses",
            grouped(counts.published),
            grouped(counts.acked),
            grouped(counts.refused),
            grouped(counts.unsent),
            grouped(counts.strokes),
            grouped(counts.pulses),
        );
        print!("{}", report.json_lines());
        Ok(shutdown.exit_code())
    })
}

fn read(file: Option<&Path>) -> Result<Scenario> {
    let (name, text) = match file {
        Some(file) => (
            file.display().to_string(),
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        ),
        None => ("demo.toml".to_owned(), simulator::DEMO.to_owned()),
    };
    Ok(Scenario::parse(&name, &text)?)
}

/// Writes a fleet's registry as files, for a gateway to load.
pub(crate) fn write_registry(fleet: &Fleet, folder: &Path) -> Result<()> {
    for (path, text) in fleet.registry_files() {
        let file: PathBuf = folder.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
