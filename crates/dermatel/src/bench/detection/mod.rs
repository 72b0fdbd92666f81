//! `dermatel bench detection`: how well and how soon the rules find what goes wrong, and how often they page for nothing;
//! over labelled simulated fleets, in simulated time. What is not met is printed as not met.
mod alarms;
mod plan;
mod poisson;
mod report;
mod score;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use alerting::rules::{Ruleset, builtin, load_dir};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use simulator::{DEFAULT_START, Fleet, Scenario};
use telemetry::DeviceKind;

use self::alarms::Figures;
use self::plan::Plan;
use self::score::{Causes, Score};
use crate::play::{Manner, Played, play, registry_of};

/// Seconds of a day.
const DAY_S: u64 = 86_400;

#[derive(Debug, Args)]
pub(crate) struct Detection {
    /// Days of treating devices (pens, IPL units) in the healthy fleet; about 3,000 without a page show less than 1 in 1,000
    #[arg(long, default_value_t = 3_200)]
    days: u64,
    /// Seed of the first run; further runs count on from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plan of what is played; the program's own if not given
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Scenario of the healthy fleet (noise, staff, day plan) in place of the plan's; its faults are left out
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Folder of rules; those that come with the program if not given
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Only rows whose hazard or size contains this text
    #[arg(long)]
    only: Option<String>,
    /// Print the section for docs/detection.md
    #[arg(long)]
    markdown: bool,
}

/// Everything that was measured.
#[derive(Default)]
struct Measured {
    rows: Vec<(plan::Row, Score)>,
    causes: BTreeMap<String, Causes>,
    healthy: Healthy,
    figures: Figures,
    days: Option<plan::Days>,
}

/// What the healthy fleet showed.
#[derive(Default)]
struct Healthy {
    /// Simulated device-days by kind.
    device_days: BTreeMap<&'static str, f64>,
    treating_days: f64,
    pages: BTreeMap<String, u64>,
    /// The first false pages, in words.
    examples: Vec<String>,
    strokes: u64,
    pulses: u64,
    frames: u64,
    took: Duration,
    threads: usize,
}

pub(crate) fn run(options: &Detection) -> Result<()> {
    let (plan, rules) = (plan(options)?, rules(options)?);
    let mut measured = Measured::default();
    rows(options, &plan, &rules, &mut measured)?;
    if options.only.is_none() {
        healthy(options, &plan, &rules, &mut measured)?;
        days(options, &plan, &rules, &mut measured)?;
    }
    let told = report::tell(&measured, &rules.version, options.markdown);
    println!("{}", super::hardware::describe(&std::env::temp_dir(), options.markdown));
    println!("{told}");
    Ok(())
}

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn plan(options: &Detection) -> Result<Plan> {
    let mut plan = match &options.plan {
        Some(file) => plan::read(Some((&file.display().to_string(), read(file)?)))?,
        None => plan::read(None)?,
    };
    if let Some(file) = &options.scenario {
        plan.healthy = Scenario::parse(&file.display().to_string(), &read(file)?)?;
        plan.healthy.faults.clear();
    }
    Ok(plan)
}

fn rules(options: &Detection) -> Result<Arc<Ruleset>> {
    let rules = match &options.rules {
        Some(folder) => load_dir(folder)?,
        None => builtin()?,
    };
    Ok(Arc::new(rules))
}

/// Plays a scenario.
fn run_one(scenario: &Scenario, rules: &Arc<Ruleset>, manner: Manner) -> Result<(Fleet, Played)> {
    let fleet = scenario.fleet(DEFAULT_START)?;
    let played = play(&fleet, Arc::clone(rules), registry_of(&fleet)?, manner)?;
    Ok((fleet, played))
}

/// Does jobs on every core, and gives what they made in their order.
fn on_all_cores<T: Send>(jobs: usize, job: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (next, threads) = (AtomicUsize::new(0), threads());
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= jobs {
                return done;
            }
            done.push((at, job(at)));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(jobs)).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|w| w.join().map_err(|_| anyhow!("a worker panicked")));
        joined.collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, made)| made).collect()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn rows(options: &Detection, plan: &Plan, rules: &Arc<Ruleset>, measured: &mut Measured) -> Result<()> {
    let wanted = |row: &&plan::Row| {
        let only = options.only.as_deref().unwrap_or_default();
        row.hazard.contains(only) || row.size.contains(only)
    };
    for row in plan.row.iter().filter(wanted) {
        super::tell(&format!("{}: {}", row.hazard, row.size));
        let manner = Manner {
            duration: row.duration(),
            acknowledged_after: None,
        };
        let runs = on_all_cores(row.runs as usize, |at| {
            let scenario = row
                .scenario(plan, options.seed + at as u64)
                .context("the plan was checked")?;
            run_one(&scenario, rules, manner)
        })?;
        let mut score = Score::default();
        for (seed, (fleet, played)) in (options.seed..).zip(&runs) {
            score.add(row, seed, fleet, played);
            score::causes(&mut measured.causes, &row.rules, fleet, played);
        }
        measured.rows.push((row.clone(), score));
    }
    Ok(())
}

/// One simulated day per run, until there are enough device-days.
fn healthy(options: &Detection, plan: &Plan, rules: &Arc<Ruleset>, measured: &mut Measured) -> Result<()> {
    let treating = |fleet: &Fleet| fleet.devices().iter().filter(|d| treats(d.kind)).count() as u64;
    let of = |at: usize| {
        let mut scenario = plan.healthy.clone();
        scenario.seed = options.seed + at as u64;
        scenario
    };
    let in_one = treating(&of(0).fleet(DEFAULT_START)?).max(1);
    let runs = options.days.div_ceil(in_one) as usize;
    super::tell(&format!("{runs} healthy days of {in_one} treating devices"));
    let started = Instant::now();
    let manner = Manner {
        duration: Duration::from_secs(DAY_S),
        acknowledged_after: None,
    };
    let made = on_all_cores(runs, |at| {
        let (fleet, played) = run_one(&of(at), rules, manner)?;
        let mut healthy = Healthy::default();
        healthy.add(&fleet, &played, at);
        Ok(healthy)
    })?;
    for run in made {
        measured.healthy.merge(run);
    }
    measured.healthy.took = started.elapsed();
    measured.healthy.threads = threads().min(runs);
    for (rule, pages) in &measured.healthy.pages {
        measured.causes.entry(rule.clone()).or_default().none += pages;
    }
    Ok(())
}

const fn treats(kind: DeviceKind) -> bool {
    matches!(kind, DeviceKind::Pen | DeviceKind::Ipl)
}

impl Healthy {
    /// Most examples of false pages that are told.
    const EXAMPLES: usize = 10;

    fn add(&mut self, fleet: &Fleet, played: &Played, run: usize) {
        for device in fleet.devices() {
            *self.device_days.entry(device.kind.as_str()).or_default() += 1.0;
            self.treating_days += f64::from(u8::from(treats(device.kind)));
        }
        for page in score::pages(played) {
            let alert = &page.step.alert;
            *self.pages.entry(alert.rule.clone()).or_default() += 1;
            let (rule, device, what) = (&alert.rule, &alert.device, &alert.what_happened);
            let at_s = page.at_us / 1_000_000;
            self.examples
                .push(format!("run {run}, {at_s} s: {rule} at {device}: {what}"));
        }
        self.examples.truncate(Self::EXAMPLES);
        self.strokes += played.strokes;
        self.pulses += played.pulses;
        self.frames += played.frames;
    }

    fn merge(&mut self, other: Self) {
        for (kind, days) in other.device_days {
            *self.device_days.entry(kind).or_default() += days;
        }
        for (rule, pages) in other.pages {
            *self.pages.entry(rule).or_default() += pages;
        }
        self.treating_days += other.treating_days;
        self.examples.extend(other.examples);
        self.examples.truncate(Self::EXAMPLES);
        self.strokes += other.strokes;
        self.pulses += other.pulses;
        self.frames += other.frames;
    }
}

/// Working days with mishaps, and a person who acknowledges.
fn days(options: &Detection, plan: &Plan, rules: &Arc<Ruleset>, measured: &mut Measured) -> Result<()> {
    super::tell(&format!(
        "{} runs of {} h with mishaps",
        plan.days.runs, plan.days.hours
    ));
    let manner = Manner {
        duration: Duration::from_secs(plan.days.hours * 3_600),
        acknowledged_after: Some(plan.days.acknowledged_after),
    };
    let runs = on_all_cores(plan.days.runs as usize, |at| {
        let mut scenario = plan.days.scenario.clone();
        scenario.seed = options.seed + at as u64;
        run_one(&scenario, rules, manner)
    })?;
    for (fleet, played) in &runs {
        let mut clinics: Vec<_> = fleet.devices().iter().map(|d| (&d.who.tenant, &d.who.clinic)).collect();
        clinics.dedup();
        let events = alarms::events(&played.told);
        measured
            .figures
            .add(&events, clinics.len() as u64, manner.duration.as_micros() as u64);
    }
    measured.days = Some(plan.days.clone());
    Ok(())
}
