//! The one binary of Dermatel: subcommands, and the wiring of the parts. No logic of its own.

mod alert;
mod apart;
mod api;
mod backup;
mod bench;
mod cli;
mod config;
mod config_command;
mod demo;
mod device;
mod doctor;
mod fleet;
mod follow;
mod health;
mod influx_command;
mod journal;
mod live;
mod local_client;
mod node;
mod outlets;
mod parts;
mod password;
mod pipeline_watch;
mod play;
mod process;
mod quarantine;
mod receivers;
mod record;
mod registry_watch;
mod route_command;
mod rules_command;
mod secret;
mod show;
mod silence;
mod sim;
mod spool_files;
mod spool_watch;
mod standing;
mod text;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{Api, Cli, Command, SpoolAction};
use config_command::ConfigAction;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if matches!(command, Command::Up { .. } | Command::Demo(_) | Command::Apart(_)) {
        process::with_little_memory();
    }
    match run(command) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("dermatel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<i32> {
    match command {
        Command::Demo(options) => return demo::run(&options),
        Command::Up { config } => return up::run(&config),
        Command::Apart(part) => return apart::run(&part),
        Command::Sim(options) => return sim::run(&options),
        Command::Doctor(options) => return doctor::run(&options),
        Command::Influx { action } => return influx_command::run(&action),
        Command::Rules { action } => return rules_command::run(&action),
        Command::Journal { action } => return journal::run(&action),
        Command::Explain(options) => journal::explain(&options)?,
        Command::Route { action } => return route_command::run(&action),
        Command::Bench(options) => bench::run(&options)?,
        Command::Record { api, what } => process::runtime()?.block_on(record::run(&api, what))?,
        Command::Show(options) => process::runtime()?.block_on(show::run(options))?,
        Command::Alert { api, action } => process::runtime()?.block_on(alert::run(&api, action))?,
        Command::Device { api, action } => process::runtime()?.block_on(device::run(&api, action))?,
        Command::Silence { api, action } => process::runtime()?.block_on(silence::run(&api, action))?,
        Command::Quarantine { api, action } => process::runtime()?.block_on(quarantine::run(&api, action))?,
        Command::Spool {
            action: SpoolAction::Inspect { dir },
        } => spool_files::inspect(&dir)?,
        Command::Config {
            action: ConfigAction::Check { config },
        } => config_command::check(&config)?,
        Command::Config {
            action: ConfigAction::Print,
        } => config_command::print(),
        Command::Secret => secret::make(),
        Command::Password => password::make()?,
        Command::Backup(options) => backup::run(&options)?,
        Command::Health(options) => process::runtime()?.block_on(health::run(&options))?,
    }
    Ok(0)
}

/// The running process's socket: as given, or where `up` puts it by default.
fn socket(api: &Api) -> PathBuf {
    api.socket
        .clone()
        .unwrap_or_else(|| config::Node::default().data_dir.join(config::SOCKET))
}
