//! `dermatel rules`: what a rule's author asks before the rules page anybody, from files, where nothing runs and nothing is paged;
//! and that they hold from now on.
mod backtest;
mod check;
mod incidents;
mod load;
mod source;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alerting::rules::{Ruleset, builtin, load_dir};
use anyhow::{Context, Result};
use clap::Subcommand;
use hyper::Method;
use registry::Registry;

use crate::cli::Api;
use crate::local_client::ask;

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesAction {
    /// Find what is wrong, and compute how often they would page for nothing; exit code 1 beyond their budget
    Check(check::Check),
    /// Play a recorded log or a scenario under old and new rules; exit code 1 when the new ones drop an incident
    Backtest(backtest::Backtest),
    /// Play cases (inputs in, transitions out) and compare; exit code 1 when one differs
    Test(test::Test),
    /// Let the running process read its rules and paging plan again; a fault leaves the old ones
    Reload {
        #[command(flatten)]
        api: Api,
    },
}

/// Does it; the exit code.
pub(crate) fn run(action: &RulesAction) -> Result<i32> {
    match action {
        RulesAction::Backtest(options) => backtest::run(options),
        RulesAction::Check(options) => check::run(options),
        RulesAction::Test(options) => test::run(options),
        RulesAction::Reload { api } => crate::process::runtime()?.block_on(reload(api)),
    }
}

async fn reload(api: &Api) -> Result<i32> {
    let done = ask(&crate::socket(api), Method::POST, "/v1/rules/reload", None).await?;
    println!(
        "rules {} and the paging plan hold, a second from now at most",
        done["version"].as_str().unwrap_or_default()
    );
    Ok(0)
}

/// Rules of a folder; those that come with the program where none is given.
fn rules(folder: Option<&Path>) -> Result<Arc<Ruleset>> {
    let rules = match folder {
        Some(folder) => load_dir(folder)?,
        None => builtin()?,
    };
    Ok(Arc::new(rules))
}

fn registry(folder: &Path) -> Result<Arc<Registry>> {
    let registry = Registry::load(folder).with_context(|| format!("{} is no registry", folder.display()))?;
    Ok(Arc::new(registry))
}

/// The `*.toml` of a folder in the order of names, or the one file.
fn toml_files(place: &Path) -> Result<Vec<PathBuf>> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = std::fs::read_dir(place).with_context(|| format!("cannot read {}", place.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", place.display()))?
            .path();
        if path.is_file() && path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
