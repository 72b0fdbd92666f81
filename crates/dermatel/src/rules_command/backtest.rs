//! `dermatel rules backtest`: what new rules would have done beside the old ones: pages, shifts, nights, and incidents that
//! would have been missed. New rules that drop an incident are refused.
use std::path::PathBuf;
use std::time::Duration;

use alerting::rules::{Kind, Ruleset};
use anyhow::{Context, Result, bail};
use chrono::FixedOffset;
use clap::Args;
use simulator::Scenario;

use super::incidents::{self, Incident};
use super::load::load;
use super::source::{Copy, Made, Source, needs};
use super::{registry, rules};

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// Folder of the new rules
    #[arg(long)]
    rules: PathBuf,
    /// Folder of the old rules; those that come with the program if not given
    #[arg(long)]
    against: Option<PathBuf>,
    /// Spool folder of alerting's log; it is copied and only the copy is opened
    #[arg(long, conflicts_with = "scenario", requires = "registry")]
    spool: Option<PathBuf>,
    /// Folder of the registry that the log is judged by
    #[arg(long)]
    registry: Option<PathBuf>,
    /// Scenario file of a simulated fleet
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Simulated hours
    #[arg(long, default_value_t = 8)]
    hours: u64,
    /// List of incidents (TOML); a scenario brings its own
    #[arg(long)]
    incidents: Option<PathBuf>,
    /// The on-call person's clock, as minutes ahead of UTC
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    utc_offset_minutes: i32,
}

/// Prints both beside one another; exit code 1 when the new rules drop an incident.
pub(super) fn run(options: &Backtest) -> Result<i32> {
    let (old, new) = (rules(options.against.as_deref())?, rules(Some(&options.rules))?);
    let zone = FixedOffset::east_opt(options.utc_offset_minutes * 60).context("no clock is so far from UTC")?;
    let source = source(options)?;
    let (before, after) = (source.play(&old)?, source.play(&new)?);
    let incidents = match &options.incidents {
        Some(file) => incidents::read(file)?,
        None => before.incidents.clone(),
    };
    print!("{}", beside(&before, &after, zone));
    print!("{}", unjudged(&new, &after));
    let dropped = compare(&incidents, &before, &after);
    Ok(i32::from(dropped > 0))
}

fn source(options: &Backtest) -> Result<Source> {
    match (&options.spool, &options.scenario, &options.registry) {
        (Some(dir), _, Some(folder)) => Ok(Source::Log {
            copy: Copy::of(dir)?,
            registry: registry(folder)?,
        }),
        (None, Some(file), _) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Source::Simulated {
                scenario: Box::new(Scenario::parse(&file.display().to_string(), &text)?),
                duration: Duration::from_secs(options.hours * 3_600),
            })
        }
        _ => bail!("say what to play: --spool with --registry, or --scenario"),
    }
}

fn beside(before: &Made, after: &Made, zone: FixedOffset) -> String {
    use std::fmt::Write as _;
    let (old, new) = (load(&before.pages, zone), load(&after.pages, zone));
    let hours = match (before.from, before.to) {
        (Some(from), Some(to)) => to.since(from).as_secs_f64() / 3_600.0,
        _ => 0.0,
    };
    let mut out = format!(
        "{} inputs over {hours:.1} h, {} could not be read\n",
        before.inputs, before.unread
    );
    let mut line = |what: &str, old: String, new: String| {
        let _ = writeln!(out, "  {what:<32} {old:>10} {new:>10}");
    };
    line("", "old".to_owned(), "new".to_owned());
    line("pages", old.pages.to_string(), new.pages.to_string());
    let per_shift = |pages: u64| format!("{:.2}", pages as f64 * 8.0 / hours.max(8.0));
    line("pages per shift of 8 h", per_shift(old.pages), per_shift(new.pages));
    line("worst shift", old.worst_shift.to_string(), new.worst_shift.to_string());
    line(
        "nights woken (22-07, high, medium)",
        old.nights.to_string(),
        new.nights.to_string(),
    );
    let count = |map: Option<&u64>| map.copied().unwrap_or(0).to_string();
    let priorities: std::collections::BTreeSet<_> = old.by_priority.keys().chain(new.by_priority.keys()).collect();
    for priority in priorities {
        line(
            &format!("priority {}", priority.as_str()),
            count(old.by_priority.get(priority)),
            count(new.by_priority.get(priority)),
        );
    }
    let names: std::collections::BTreeSet<_> = old.by_rule.keys().chain(new.by_rule.keys()).collect();
    for rule in names {
        line(rule, count(old.by_rule.get(rule)), count(new.by_rule.get(rule)));
    }
    out
}

/// Rules that this source says nothing about.
fn unjudged(rules: &Ruleset, made: &Made) -> String {
    let missing = |kind: &Kind| needs(*kind).filter(|need| !made.seen.contains(need));
    let lines = Kind::ALL.iter().filter_map(|kind| {
        let head = rules.head(*kind)?;
        Some(format!("  {}: there is no {} in it\n", head.id, missing(kind)?))
    });
    let lines: String = lines.collect();
    if lines.is_empty() {
        return lines;
    }
    format!("cannot be judged from this source:\n{lines}")
}

/// Prints each incident that a set of rules misses; how many the new ones drop.
fn compare(incidents: &[Incident], before: &Made, after: &Made) -> usize {
    let (mut dropped, mut found) = (0, 0);
    for incident in incidents {
        let (old, new) = (incident.is_found(&before.pages), incident.is_found(&after.pages));
        let (device, what) = (&incident.device, &incident.what);
        found += usize::from(new);
        match (old, new) {
            (true, false) => {
                dropped += 1;
                println!("DROPPED  {device}: {what}: the old rules page for it, the new ones do not");
            }
            (false, true) => println!("gained   {device}: {what}"),
            (false, false) => println!("missed   {device}: {what}: neither pages for it"),
            (true, true) => {}
        }
    }
    println!(
        "{} incidents, {found} found by the new rules, {dropped} dropped",
        incidents.len()
    );
    dropped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn options(rules: PathBuf, scenario: PathBuf) -> Backtest {
        Backtest {
            rules,
            against: None,
            spool: None,
            registry: None,
            scenario: Some(scenario),
            hours: 0,
            incidents: None,
            utc_offset_minutes: 0,
        }
    }

    fn deploy(below: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(below)
    }

    const SCENARIO: &str = "[fleet]\nclinics = [1]\npens_per_clinic = 1\nipl_per_clinic = 0\n\
        opening = { min = \"2s\", max = \"3s\" }\nsession = { min = \"30s\", max = \"40s\" }\n\
        gap = { min = \"6s\", max = \"9s\" }\n\
        [[fault]]\nkind = \"depth-overshoot-eye\"\nafter = \"2s\"\n";

    /// One pen, one incident, a minute: found by the shipped rules.
    #[test]
    fn new_rules_that_drop_an_incident_are_refused_and_the_same_rules_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let scenario = dir.path().join("s.toml");
        std::fs::write(&scenario, SCENARIO).unwrap();
        let minute = |rules: PathBuf| {
            let options = options(rules, scenario.clone());
            let Source::Simulated { scenario, .. } = source(&options).unwrap() else {
                return 99;
            };
            let duration = Duration::from_secs(60);
            let source = Source::Simulated { scenario, duration };
            let (old, new) = (super::rules(None).unwrap(), super::rules(Some(&options.rules)).unwrap());
            let (before, after) = (source.play(&old).unwrap(), source.play(&new).unwrap());
            assert_eq!(before.incidents.len(), 1);
            assert!(unjudged(&old, &before).contains("pulse-above-set: there is no pulses in it"));
            compare(&before.incidents, &before, &after)
        };
        assert_eq!(minute(deploy("rules")), 0);
        let deaf = dir.path().join("rules");
        std::fs::create_dir(&deaf).unwrap();
        let one = "[[rule]]\nid = \"x\"\nkind = \"sequence_reused\"\npriority = \"low\"\nwhat_to_do = \"x\"\n";
        std::fs::write(deaf.join("r.toml"), one).unwrap();
        assert_eq!(minute(deaf), 1);
    }

    #[test]
    fn a_recorded_log_is_played_from_a_copy_and_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let (spool, _) = spool::Spool::open(spool::Config::new(&log, &[]), std::sync::Arc::new(spool::OsDisk)).unwrap();
        let gateway = "gw-1".parse().unwrap();
        let mark = alerting::intake::encode_watermark(&gateway, telemetry::UnixMicros(1_800_000_000_000_000));
        let records = [
            spool::NewRecord { lane: 0, bytes: &mark },
            spool::NewRecord {
                lane: 0,
                bytes: b"no input",
            },
        ];
        let appended = spool.append(&records, std::time::SystemTime::now()).unwrap();
        spool.sync_appended(&appended).unwrap();
        let files = || {
            let mut files: Vec<_> = std::fs::read_dir(&log)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file())
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect();
            files.sort();
            files
        };
        let before = files();
        let source = Source::Log {
            copy: Copy::of(&log).unwrap(),
            registry: registry(&deploy("registry")).unwrap(),
        };
        let made = source.play(&rules(None).unwrap()).unwrap();
        assert_eq!((made.inputs, made.unread, made.pages.len()), (1, 1, 0));
        assert!(made.seen.contains("watermark"));
        drop(source);
        assert!(files() == before);
    }

    #[test]
    fn an_incident_is_found_by_a_page_about_its_device_while_it_lasted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("i.toml");
        let text = "[[incident]]\ndevice = \"pen-1\"\nfrom = \"2026-06-01T10:00:00Z\"\nto = \"2026-06-01T10:05:00Z\"\nwhat = \"scratch\"\n";
        std::fs::write(&file, text).unwrap();
        let incident = incidents::read(&file).unwrap().remove(0);
        let page = |device: &str, seconds: u64| super::super::load::Page {
            at: incident.from.plus(Duration::from_secs(seconds)),
            rule: "r".to_owned(),
            priority: telemetry::Priority::High,
            tenant: "t".to_owned(),
            device: device.to_owned(),
        };
        assert!(incident.is_found(&[page("pen-1", 300)]));
        assert!(!incident.is_found(&[page("pen-1", 301), page("pen-2", 10)]));
        std::fs::write(&file, text.replace("10:05", "09:05")).unwrap();
        assert!(incidents::read(&file).is_err());
    }
}
