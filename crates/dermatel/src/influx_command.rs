//! `dermatel influx`: make at InfluxDB what a configuration needs, and say what is missing or wrong there.
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use ingestor::admin::{self, Change, Diagnosis, Wanted};
use registry::Book;
use service::config::Secret;
use telemetry::TenantId;

use crate::config::Config;
use crate::{fleet, process};

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum InfluxAction {
    /// Make the organization, each tenant's buckets, mappings for InfluxQL and tokens with the least rights; run twice, the
    /// second time changes nothing
    Setup {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
        /// File with a token that may make all that (an operator's, or an all-access one of the organization)
        #[arg(long)]
        admin_token: PathBuf,
        /// Folder for the tokens that are made, each a file for its owner's eyes only
        #[arg(long)]
        tokens: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Remove tokens of ours whose place another has taken; first give everybody the new ones
        #[arg(long)]
        prune: bool,
    },
    /// Say what is missing or wrong, each with its fix; exit code 1 when something is
    Doctor {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
        /// File with a token that may look at mappings and tokens too
        #[arg(long)]
        admin_token: Option<PathBuf>,
        /// Write nothing; else one point a day and bucket (dermatel_doctor) tells whether points are taken
        #[arg(long)]
        no_write: bool,
    },
}

/// Does it; the exit code.
pub(crate) fn run(action: &InfluxAction) -> Result<i32> {
    let runtime = process::runtime()?;
    match action {
        InfluxAction::Setup {
            config,
            admin_token,
            tokens,
            dry_run,
            prune,
        } => {
            let (wanted, admin) = (wanted(config)?, secret(admin_token)?);
            let changes = runtime.block_on(admin::setup(&wanted, &admin, tokens, *dry_run, *prune))?;
            say_changes(&changes, *dry_run);
            Ok(0)
        }
        InfluxAction::Doctor {
            config,
            admin_token,
            no_write,
        } => {
            let admin = admin_token.as_deref().map(secret).transpose()?;
            let told = runtime.block_on(admin::doctor(&wanted(config)?, admin.as_ref(), !no_write))?;
            say_diagnosis(&told);
            Ok(i32::from(!told.wrong.is_empty()))
        }
    }
}

fn wanted(file: &Path) -> Result<Wanted> {
    let config = Config::read(file)?;
    let resolved = config
        .ingestor
        .resolve()
        .context("the certificate of ingestor.influx cannot be read")?;
    let registry = Book::check(&config.node.registry_dir, &fleet::journal(&config))
        .map_err(|errors| anyhow::anyhow!("node.registry_dir: {errors}"))?;
    let tenants: Vec<TenantId> = registry.tenants().map(|tenant| tenant.id.clone()).collect();
    Wanted::new(&resolved, &tenants).with_context(|| {
        format!(
            "{}: there is no [ingestor.influx], so the embedded store is used and nothing is to be set up",
            file.display()
        )
    })
}

fn secret(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Secret::new(text.trim()))
}

fn say_changes(changes: &[Change], dry_run: bool) {
    for Change(text) in changes {
        println!("{} {text}", if dry_run { "would" } else { "done:" });
    }
    match (changes.len(), dry_run) {
        (0, _) => println!("everything is as it should be: nothing to change"),
        (n, true) => println!("{n} changes; nothing was changed"),
        (n, false) => println!("{n} changes"),
    }
}

pub(crate) fn say_diagnosis(told: &Diagnosis) {
    for text in &told.fine {
        println!("fine:   {text}");
    }
    for text in &told.unseen {
        println!("unseen: {text}");
    }
    for finding in &told.wrong {
        println!("WRONG:  {} ({})\n  fix:  {}", finding.what, finding.kind, finding.fix);
    }
    match told.wrong.len() {
        0 => println!("nothing is wrong"),
        1 => println!("1 thing is wrong"),
        n => println!("{n} things are wrong"),
    }
}
