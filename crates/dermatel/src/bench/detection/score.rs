//! From what happened and what was told to figures: which incidents were found, by whom and how late; which pages had no
//! cause.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use simulator::{Fleet, Truth};

use super::plan::{Must, Row};
use crate::play::{Played, Told};

/// A page may be this much earlier than the truth that it is about: clocks of devices differ by milliseconds.
const EARLY_US: u64 = 1_000_000;
/// Incidents that begin so shortly before the end of a run are not judged.
const TAIL_US: u64 = 60_000_000;
/// Most incidents of a row that are named as missed.
const MISSED: usize = 10;

/// Figures of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct Score {
    pub(super) incidents: u64,
    pub(super) found: u64,
    /// Incidents that are not counted: at devices with the fault that showed none of it in the whole run, or only so shortly
    /// before its end that nobody could have told.
    pub(super) not_judged: u64,
    /// The first that were missed, in words.
    pub(super) missed: Vec<String>,
    /// Seconds from the first spoilt reading or event to the page, of those that were found.
    pub(super) seconds: Vec<f64>,
    /// Strokes or pulses from the first spoilt one to the last that was delivered before the page, both counted.
    pub(super) readings: Vec<u64>,
    /// Which rule was first, and how often.
    pub(super) first: BTreeMap<String, u64>,
    /// Devices with the fault that a rule of the row paged for, of how many.
    pub(super) paged_devices: u64,
    pub(super) devices: u64,
}

/// Pages by whether they had a cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Causes {
    /// A rule that is to find what happened there.
    pub(super) meant: u64,
    /// Another rule, at a device where something was wrong.
    pub(super) related: u64,
    /// At a device where nothing was wrong.
    pub(super) none: u64,
}

fn who<'a>(tenant: &'a str, device: &'a str) -> (&'a str, &'a str) {
    (tenant, device)
}

fn of_truth(truth: &Truth) -> (&str, &str) {
    who(&truth.tenant, &truth.device)
}

fn of_told(told: &Told) -> (&str, &str) {
    who(&told.step.alert.tenant, &told.step.alert.device)
}

fn words(seed: u64, truth: &Truth) -> String {
    let (device, at_s, ordinal) = (&truth.device, truth.at_us as f64 / 1e6, truth.ordinal);
    let ordinal = ordinal.map_or_else(String::new, |n| format!(" from reading {n} of its session on"));
    format!("seed {seed}: {device} at {at_s:.1} s{ordinal}: {}", truth.detail)
}

/// The first page of each alert, in order.
pub(super) fn pages(played: &Played) -> Vec<&Told> {
    let mut seen = BTreeSet::new();
    played
        .told
        .iter()
        .filter(|told| told.pages() && seen.insert(told.step.alert.id))
        .collect()
}

impl Score {
    /// Adds one run.
    pub(super) fn add(&mut self, row: &Row, seed: u64, fleet: &Fleet, played: &Played) {
        let pages = pages(played);
        let ours = |told: &&&Told| row.rules.contains(&told.step.alert.rule);
        let end_us = row.duration().as_micros() as u64;
        let kinds: BTreeSet<_> = row.fault.iter().map(|fault| fault.kind).collect();
        // A rule may see what is coming before it is what the truth calls wrong; not before the fault set in.
        let since = |truth: &Truth| {
            let of = row.fault.iter().filter(|fault| fault.kind == truth.fault);
            let after = of.map(|fault| fault.after.as_micros() as u64).min();
            after.unwrap_or(truth.at_us).min(truth.at_us)
        };
        let mut taken = BTreeSet::new();
        // Without a fault of its own a row is about what staff do: any truth that its rules are to find.
        let about = |truth: &&Truth| kinds.is_empty() || kinds.contains(&truth.fault);
        for truth in played.truths.iter().filter(about) {
            // One fault can spoil things that other rules find (a failed cycle: its indicator and its use).
            let meant = row.rules.iter().any(|rule| rule == truth.rule) || kinds.len() == 1 && row.rules.len() > 1;
            if !meant {
                continue;
            }
            if truth.at_us + TAIL_US > end_us {
                self.not_judged += 1;
                continue;
            }
            self.incidents += 1;
            let page = pages.iter().filter(ours).find(|told| {
                of_told(told) == of_truth(truth)
                    && told.at_us + EARLY_US >= since(truth)
                    && !taken.contains(&told.step.alert.id)
            });
            if let Some(page) = page {
                taken.insert(page.step.alert.id);
                self.found(truth, page);
            } else if self.missed.len() < MISSED {
                self.missed.push(words(seed, truth));
            }
        }
        let sick: BTreeSet<_> = fleet
            .devices()
            .iter()
            .filter(|d| !d.is_healthy() || row.fault.is_empty() && super::treats(d.kind))
            .map(|d| (d.who.tenant.as_str(), d.who.id.as_str()))
            .collect();
        let showed: BTreeSet<_> = played.truths.iter().filter(about).map(of_truth).collect();
        self.not_judged += row.fault.len().min(1) as u64 * sick.difference(&showed).count() as u64;
        let paged: BTreeSet<_> = pages.iter().filter(ours).map(|told| of_told(told)).collect();
        self.devices += sick.len() as u64;
        self.paged_devices += paged.intersection(&sick).count() as u64;
    }

    fn found(&mut self, truth: &Truth, page: &Told) {
        self.found += 1;
        self.seconds.push(page.at_us.saturating_sub(truth.at_us) as f64 / 1e6);
        *self.first.entry(page.step.alert.rule.clone()).or_default() += 1;
        if let (Some((session, next)), Some(ordinal), Some(of)) = (&page.delivered, truth.ordinal, &truth.session)
            && session.bytes() == of
        {
            self.readings.push(next.saturating_sub(ordinal));
        }
    }

    /// Whether the row's demand is met; `None`: there is none, or nothing happened to judge by.
    pub(super) fn met(&self, row: &Row) -> Option<bool> {
        match row.must {
            Must::Report => None,
            Must::StayQuiet => (self.devices > 0).then_some(self.paged_devices == 0),
            Must::Page if self.incidents == 0 => None,
            Must::Page => {
                let soon = row.within_s.is_none_or(|most| self.seconds.iter().all(|&s| s <= most));
                let few = row
                    .within_readings
                    .is_none_or(|most| self.readings.iter().all(|&r| r <= most));
                Some(self.found == self.incidents && soon && few)
            }
        }
    }
}

/// Counts a run's pages by rule and cause. `meant`: rules that are to find what goes wrong in this run.
pub(super) fn causes(into: &mut BTreeMap<String, Causes>, meant: &[String], fleet: &Fleet, played: &Played) {
    let mut wrong: HashMap<(&str, &str), u64> = HashMap::new();
    for truth in &played.truths {
        let since = wrong.entry(of_truth(truth)).or_insert(truth.at_us);
        *since = (*since).min(truth.at_us);
    }
    let sick = |told: &Told| {
        let truth = wrong
            .get(&of_told(told))
            .is_some_and(|&since| told.at_us + EARLY_US >= since);
        // A fault within what is tolerated tells no truth, but its device is not healthy.
        let device = fleet
            .devices()
            .iter()
            .any(|d| !d.is_healthy() && (d.who.tenant.as_str(), d.who.id.as_str()) == of_told(told));
        (truth, device)
    };
    for page in pages(played) {
        let rule = &page.step.alert.rule;
        let of = into.entry(rule.clone()).or_default();
        match sick(page) {
            (true, _) if meant.contains(rule) => of.meant += 1,
            (true, _) | (_, true) => of.related += 1,
            _ => of.none += 1,
        }
    }
}

/// The value below which a share of sorted values lies; `None` of nothing.
pub(super) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!(percentile(&values, 0.5), Some(10));
        assert_eq!(percentile(&values, 0.95), Some(19));
        assert_eq!(percentile(&[7], 0.95), Some(7));
        assert_eq!(percentile::<u64>(&[], 0.5), None);
    }
}
