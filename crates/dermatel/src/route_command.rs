//! `dermatel route`: who would be told, when, and why. Reads files; nothing runs, nobody is told.
use std::path::PathBuf;

use alerting::paging::plan::{Against, Plan, Read, load_dir};
use alerting::paging::{Labels, parse_time, show_time, who};
use alerting::rules::{Ruleset, builtin};
use alerting::store::Store;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use registry::Registry;
use telemetry::UnixMicros;

use crate::config::Config;

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum RouteAction {
    /// Who would be told of an alert at a time, at once and later, and why; with the silences that alerting's file knows
    Test(Test),
    /// Read the plan and tell everything that is wrong with it; exit code 1 when something is
    Check {
        /// The configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
}

/// Which alert, when.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// The configuration file
    #[arg(long, short)]
    config: PathBuf,
    /// When, for example 2026-12-24T22:30:00+01:00; not given: now
    #[arg(long)]
    at: Option<String>,
    /// Tenant; `-`: a gateway's or our own alert
    #[arg(long)]
    tenant: String,
    /// Clinic
    #[arg(long, default_value = "")]
    clinic: String,
    /// Device
    #[arg(long, default_value = "")]
    device: String,
    /// Id or kind of the rule
    #[arg(long)]
    rule: String,
}

/// Does it; the exit code.
pub(crate) fn run(action: &RouteAction) -> Result<i32> {
    let now: UnixMicros = std::time::SystemTime::now().into();
    match action {
        RouteAction::Check { config } => {
            let file = config;
            let config = Config::read(file)?;
            let read = plan(&config, now)?;
            crate::receivers::check(&config, file)?;
            for warning in &read.warnings {
                println!("warning: {warning}");
            }
            println!("plan {}: fine", read.plan.version);
            Ok(0)
        }
        RouteAction::Test(test) => {
            print!("{}", answer(test, now)?);
            Ok(0)
        }
    }
}

/// The plan of a configuration, checked against its rules, receivers and registry.
pub(crate) fn plan(config: &Config, now: UnixMicros) -> Result<Read> {
    let read = read(config, now)?;
    if let Some(stale) = read.stale.first() {
        bail!("{stale}");
    }
    Ok(read)
}

fn read(config: &Config, now: UnixMicros) -> Result<Read> {
    let receivers = &config.alerting.receivers;
    let Some(dir) = &config.alerting.paging else {
        return Ok(Read {
            plan: Plan::implicit(receivers),
            warnings: Vec::new(),
            stale: Vec::new(),
        });
    };
    let rules = rules(config)?;
    let registry = Registry::load(&config.node.registry_dir).context("the registry cannot be read")?;
    let tenants: Vec<String> = registry.tenants().map(|tenant| tenant.id.to_string()).collect();
    let against = Against {
        receivers,
        rules: &rules,
        tenants: &tenants,
        now,
    };
    load_dir(dir, against).context("paging plan is refused")
}

fn rules(config: &Config) -> Result<Ruleset> {
    Ok(match &config.alerting.rules {
        Some(dir) => alerting::rules::load_dir(dir)?,
        None => builtin()?,
    })
}

fn answer(test: &Test, now: UnixMicros) -> Result<String> {
    use std::fmt::Write as _;
    let config = Config::read(&test.config)?;
    let at = match &test.at {
        Some(text) => parse_time(text).with_context(|| format!("{text} is no time like 2026-12-24T22:30:00+01:00"))?,
        None => now,
    };
    let plan = read(&config, now)?.plan;
    let labels = labels(test, &rules(&config)?)?;
    let (held, from) = silenced(&config, &labels, at);
    let told = who(&plan, &labels, from);
    let mut text = format!(
        "{} ({:?}) of {} {} at {}\n",
        labels.rule,
        labels.priority,
        labels.tenant,
        labels.clinic,
        show_time(at)
    );
    text.push_str(&held);
    if told.is_empty() {
        text.push_str("nobody: no route is for it\n");
    }
    for step in told {
        let again = if step.repetition > 0 {
            format!(", repetition {}", step.repetition)
        } else {
            String::new()
        };
        let after = service::config::duration::format(step.after);
        writeln!(
            text,
            "{} (+{after}) {}, chain {}, step {}{again}",
            show_time(step.at),
            step.route,
            step.chain,
            step.step
        )?;
        if let Some(waits) = step.waits {
            writeln!(text, "    waits {waits}")?;
        }
        for (receiver, because) in step.whom {
            writeln!(text, "    {receiver}: {because}")?;
        }
    }
    Ok(text)
}

/// What silences say of its first page, and when that would leave.
fn silenced(config: &Config, labels: &Labels, at: UnixMicros) -> (String, UnixMicros) {
    let file = &config.alerting.file;
    if !file.exists() {
        return ("silences: none, nothing has run here yet\n".to_owned(), at);
    }
    let silences = match Store::open_to_read(file).and_then(|store| store.silences()) {
        Ok(silences) => silences,
        Err(error) => return (format!("silences: not looked at, {error}\n"), at),
    };
    let (mut text, mut from) = (String::new(), at);
    // When one ends another one may hold; each ends later than the one before.
    while let Some((id, silence)) = silences
        .iter()
        .filter(|(_, silence)| silence.hides(labels, from))
        .max_by_key(|(_, silence)| silence.until)
    {
        from = silence.until;
        let (until, owner) = (show_time(from), &silence.owner);
        text += &format!("held back until {until} by the silence of {owner} ({id})\n");
    }
    (text, from)
}

/// The labels of an alert of this rule.
fn labels(test: &Test, rules: &Ruleset) -> Result<Labels> {
    let mut heads = alerting::rules::Kind::ALL.iter().filter_map(|kind| rules.head(*kind));
    let Some(head) = heads.find(|head| *head.id == *test.rule || head.kind.as_str() == test.rule) else {
        bail!("{} is neither the id nor the kind of a rule", test.rule);
    };
    Ok(Labels {
        tenant: test.tenant.clone(),
        clinic: test.clinic.clone(),
        device: test.device.clone(),
        rule: head.id.to_string(),
        kind: head.kind.as_str().to_owned(),
        priority: head.priority,
    })
}
