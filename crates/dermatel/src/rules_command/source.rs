//! Where a backtest takes its inputs from: alerting's log as it was recorded, or a simulated scenario.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alerting::RegistryFleet;
use alerting::intake::{self, Input, Said};
use alerting::rehearsal::Rehearsal;
use alerting::rules::{Kind, Ruleset};
use anyhow::{Context, Result};
use registry::Registry;
use simulator::{DEFAULT_START, Scenario};
use spool::{Item, Offset, OsDisk, Spool};
use telemetry::{Body, UnixMicros};

use super::incidents::Incident;
use super::load::Page;
use crate::play::{Manner, play, registry_of};

/// Records that are read at once.
const BATCH: (usize, usize) = (8_192, 8 * 1024 * 1024);
/// A simulated incident counts as found up to this long after it began.
const FOUND_WITHIN: Duration = Duration::from_secs(900);

/// A source.
pub(super) enum Source {
    /// A spool folder of alerting's log, and the registry to judge it by.
    Log { copy: Copy, registry: Arc<Registry> },
    Simulated {
        scenario: Box<Scenario>,
        duration: Duration,
    },
}

/// What one set of rules made of a source.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) pages: Vec<Page>,
    /// What devices said, by kind of body.
    pub(super) seen: BTreeSet<&'static str>,
    pub(super) from: Option<UnixMicros>,
    pub(super) to: Option<UnixMicros>,
    pub(super) inputs: u64,
    /// Records that this version cannot read, and those that are missing.
    pub(super) unread: u64,
    /// What is known to have gone wrong.
    pub(super) incidents: Vec<Incident>,
}

/// A copy of a spool's files: opening one repairs its tail, and a recorded log is not ours to change.
pub(super) struct Copy(PathBuf);

impl Copy {
    pub(super) fn of(dir: &Path) -> Result<Self> {
        spool::inspect(dir, &OsDisk).with_context(|| format!("{} cannot be read as a spool", dir.display()))?;
        let to = std::env::temp_dir().join(format!(
            "dermatel-backtest-{}-{}",
            std::process::id(),
            rand::random::<u32>()
        ));
        let copy = Self(to);
        copy_files(dir, &copy.0)?;
        Ok(copy)
    }
}

/// The folder with those in it.
fn copy_files(dir: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let from = entry.context("cannot list the spool")?.path();
        let Some(name) = from.file_name() else { continue };
        if from.is_dir() {
            copy_files(&from, &to.join(name))?;
        } else {
            std::fs::copy(&from, to.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Source {
    pub(super) fn play(&self, rules: &Arc<Ruleset>) -> Result<Made> {
        match self {
            Self::Log { copy, registry } => from_log(&copy.0, registry, rules),
            Self::Simulated { scenario, duration } => simulated(scenario, *duration, rules),
        }
    }
}

fn from_log(dir: &Path, registry: &Arc<Registry>, rules: &Arc<Ruleset>) -> Result<Made> {
    let found = spool::inspect(dir, &OsDisk).context("the copy of the spool")?;
    let bytes: u64 = found.segments.iter().map(|segment| segment.bytes).sum();
    let mut config = spool::Config::new(dir, &[]);
    config.max_record_bytes = spool::format::MAX_RECORD_BYTES;
    config.cap_bytes = (bytes * 2).max(config.cap_bytes);
    let (spool, _) = Spool::open(config, Arc::new(OsDisk)).context("cannot open the copy of the spool")?;
    let mut made = Made::default();
    let mut rehearsal = Rehearsal::new(Arc::clone(rules), Arc::new(RegistryFleet(Arc::clone(registry))));
    let mut next = found.segments.first().map_or(0, |segment| segment.first.0);
    loop {
        let items = spool
            .read_range(Offset(next), BATCH.0, BATCH.1)
            .context("cannot read the copy")?;
        if items.is_empty() {
            return Ok(made);
        }
        for item in items {
            match item {
                Item::Gap(gap) => {
                    made.unread += gap.count();
                    next = gap.to.0.max(next + 1);
                }
                Item::Record(record) => {
                    next = record.offset.0 + 1;
                    made.record(&mut rehearsal, &record.bytes, record.appended_at.into())?;
                }
            }
        }
    }
}

impl Made {
    fn record(&mut self, rehearsal: &mut Rehearsal, bytes: &[u8], at: UnixMicros) -> Result<()> {
        let Ok(mut input) = intake::decode(bytes) else {
            self.unread += 1;
            return Ok(());
        };
        if let Input::Watermark { logged_at, .. } = &mut input {
            *logged_at = at;
        }
        self.inputs += 1;
        (self.from, self.to) = (self.from.or(Some(at)), Some(at));
        match &input {
            Input::Watermark { .. } => drop(self.seen.insert("watermark")),
            Input::Frame(frame) => {
                if let Said::Telemetry(telemetry) = &frame.said {
                    self.seen.insert(said(&telemetry.body));
                }
            }
            _ => {}
        }
        for step in rehearsal.apply(&input)?.transitions {
            if step.page && step.alert.class.pages() {
                self.pages.push(Page::of(&step, at));
            }
        }
        Ok(())
    }
}

fn simulated(scenario: &Scenario, duration: Duration, rules: &Arc<Ruleset>) -> Result<Made> {
    let fleet = scenario.fleet(DEFAULT_START)?;
    let registry = registry_of(&fleet)?;
    let manner = Manner {
        duration,
        acknowledged_after: None,
    };
    let played = play(&fleet, Arc::clone(rules), registry, manner)?;
    let wall = |at_us: u64| fleet.start.plus(Duration::from_micros(at_us));
    let pages = played.told.iter().filter(|told| told.pages());
    let kinds: BTreeSet<_> = fleet.devices().iter().map(|d| d.kind.as_str()).collect();
    let mut seen = BTreeSet::from(["watermark", "cycle", "wipe", "indicator"]);
    seen.extend(kinds.contains("pen").then_some("strokes"));
    seen.extend(kinds.contains("ipl").then_some("pulses"));
    Ok(Made {
        pages: pages.map(|told| Page::of(&told.step, wall(told.at_us))).collect(),
        seen,
        from: Some(fleet.start),
        to: Some(fleet.start.plus(duration)),
        inputs: played.frames,
        unread: played.refused,
        incidents: played
            .truths
            .iter()
            .map(|truth| Incident {
                tenant: Some(truth.tenant.clone()),
                device: truth.device.clone(),
                from: wall(truth.at_us).minus(Duration::from_secs(2)),
                to: wall(truth.at_us).plus(FOUND_WITHIN),
                what: format!("{}: {}", truth.fault, truth.detail),
            })
            .collect(),
    })
}

const fn said(body: &Body) -> &'static str {
    match body {
        Body::Strokes(_) => "strokes",
        Body::Pulses(_) => "pulses",
        Body::SterilizationCycle(_) => "cycle",
        Body::Disinfection(_) => "wipe",
        Body::IndicatorResult(_) => "indicator",
        _ => "other",
    }
}

/// What a kind cannot be judged without; `None`: nothing special.
pub(super) fn needs(kind: Kind) -> Option<&'static str> {
    let name = kind.as_str();
    let begins = |with: &[&str]| with.iter().any(|with| name.starts_with(with));
    if begins(&["depth", "stroke", "cartridge"]) {
        Some("strokes")
    } else if begins(&["pulse", "lamp", "skin", "tip", "filter", "fluence"]) {
        Some("pulses")
    } else if begins(&["sterilization", "failed_cycle"]) {
        Some("cycle")
    } else if begins(&["disinfection"]) {
        Some("wipe")
    } else if begins(&["indicator"]) {
        Some("indicator")
    } else if begins(&["device_silent", "gateway"]) {
        Some("watermark")
    } else {
        None
    }
}
