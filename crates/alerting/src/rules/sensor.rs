//! A depth sensor or motor that does not behave like one: stuck, jittering, strokes too slow or too fast, or needles that
//! hardly go in.
use serde::{Deserialize, Serialize};
use telemetry::StrokeBatch;

use super::params::window;
use super::seconds::{Expected, Second};
use super::{Judgement, Parameters, Violation, Window};

/// Of `depth_sensor_stuck`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthSensorStuck {
    /// So many strokes in a row with one and the same reading. Noise repeats a reading a few times, never for seconds.
    pub n_strokes: u32,
    /// The condition is over after so many strokes of which neighbours differ now and then.
    pub clear_after_strokes: u32,
}

impl Parameters for DepthSensorStuck {
    fn check(&self) -> Result<(), String> {
        if self.n_strokes < 2 {
            return Err("n_strokes must be at least 2".to_owned());
        }
        Ok(())
    }
}

/// k of n seconds of strokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seconds {
    /// How many seconds.
    pub k: u32,
    /// Of how many.
    pub n: u32,
    /// Over after so many good ones in a row.
    pub clear_after: u32,
}

/// Of `depth_sensor_jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthSensorJitter {
    /// A second is bad whose greatest and least reading are further apart than this many declared standard deviations of one
    /// reading. Of 150 normal readings they are about 5 apart.
    pub range_sigma: u32,
    /// How many seconds.
    pub k_s: u32,
    /// Of how many, at most 64.
    pub n_s: u32,
    /// The condition is over after so many good seconds in a row.
    pub clear_after_s: u32,
}

/// Of `stroke_rate_off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrokeRateOff {
    /// How far beyond the registry's rates a second may be, in thousandths.
    pub tolerance_permille: u32,
    /// How many seconds.
    pub k_s: u32,
    /// Of how many, at most 64.
    pub n_s: u32,
    /// The condition is over after so many good seconds in a row.
    pub clear_after_s: u32,
    /// A higher lower end, in hertz.
    pub min_hz: Option<u32>,
    /// A lower upper end, in hertz.
    pub max_hz: Option<u32>,
}

/// Of `depth_too_shallow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthTooShallow {
    /// A stroke hardly goes in below this share of what is expected, in thousandths.
    pub share_permille: u32,
    /// How many seconds in which most strokes do so.
    pub k_s: u32,
    /// Of how many, at most 64.
    pub n_s: u32,
    /// The condition is over after so many good seconds in a row.
    pub clear_after_s: u32,
}

impl Parameters for DepthSensorJitter {
    fn check(&self) -> Result<(), String> {
        if self.range_sigma < 6 {
            return Err("range_sigma must be at least 6: healthy noise is about 5 wide".to_owned());
        }
        window("k_s and n_s", self.k_s, self.n_s)
    }
}

impl Parameters for StrokeRateOff {
    fn check(&self) -> Result<(), String> {
        window("k_s and n_s", self.k_s, self.n_s)
    }
}

impl Parameters for DepthTooShallow {
    fn check(&self) -> Result<(), String> {
        if self.share_permille > 900 {
            return Err("share_permille must be at most 900: a little shallow is not hardly in".to_owned());
        }
        window("k_s and n_s", self.k_s, self.n_s)
    }
}

/// One reading, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Run {
    depth_um: u32,
    strokes: u32,
    since: u64,
}

/// Which reading came last, and how often in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StuckMemory {
    run: Run,
    /// Strokes since a run that was too long.
    moved: u32,
}

impl StuckMemory {
    /// Judges a batch. A sensor's zero is the end of its scale and no sign of anything where little or nothing is expected.
    pub fn judge(&mut self, batch: &StrokeBatch, zero_counts: bool, rule: &DepthSensorStuck) -> Judgement {
        let longest = self.longest(batch);
        if self.run.depth_um == 0 && !zero_counts {
            // What is no sign is none either when it goes on under another setting.
            self.run.strokes = 0;
        }
        if longest.strokes >= rule.n_strokes && (longest.depth_um > 0 || zero_counts) {
            self.moved = 0;
            return Judgement::Violated(Violation {
                ordinal: longest.since,
                index: batch.len().saturating_sub(1),
                value: f64::from(longest.strokes),
                limit: f64::from(rule.n_strokes),
                // Stuck for longer is not worse.
                margin: f64::INFINITY,
                single: false,
            });
        }
        let strokes = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        self.moved = self.moved.saturating_add(strokes);
        Judgement::cleared_if(self.run.strokes * 4 < rule.n_strokes && self.moved >= rule.clear_after_strokes)
    }

    /// The longest run that a batch goes on with or ends with: one look from the front and one from the back, both short
    /// where readings differ. A run that lies whole within a batch is less than four seconds and not looked for.
    fn longest(&mut self, batch: &StrokeBatch) -> Run {
        let Some(depths) = batch.depths_if_all_read() else {
            return self.walk(batch);
        };
        let Some(&last) = depths.last() else {
            return self.run;
        };
        let same = |depth: u32| move |d: &&u32| **d == depth;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut before = self.run;
        let front = if before.strokes > 0 {
            depths.iter().take_while(same(before.depth_um)).count()
        } else {
            0
        };
        before.strokes = before.strokes.saturating_add(count(front));
        if before.strokes > 0 && front == depths.len() {
            self.run = before;
            return before;
        }
        let back = depths.iter().rev().take_while(same(last)).count();
        self.run = Run {
            depth_um: last,
            strokes: count(back),
            since: batch.first_ordinal + (depths.len() - back) as u64,
        };
        if front > 0 && before.strokes > self.run.strokes {
            before
        } else {
            self.run
        }
    }

    /// The slow way: stroke by stroke, past those that were not read.
    fn walk(&mut self, batch: &StrokeBatch) -> Run {
        let mut longest = self.run;
        let mut goes_on = false;
        for (index, depth) in batch.depths() {
            if self.run.strokes > 0 && self.run.depth_um == depth {
                self.run.strokes = self.run.strokes.saturating_add(1);
                goes_on = true;
            } else {
                self.run = Run {
                    depth_um: depth,
                    strokes: 1,
                    since: batch.first_ordinal + index as u64,
                };
            }
            if !goes_on || self.run.strokes > longest.strokes {
                (longest, goes_on) = (self.run, true);
            }
        }
        longest
    }
}

fn seconds(window: &mut Window, bad: Option<(f64, f64)>, second: &Second, index: usize, rule: Seconds) -> Judgement {
    let enough = window.push(bad.is_some(), second.first_ordinal, rule.k, rule.n);
    match bad {
        Some((value, limit)) if enough => Judgement::Violated(Violation {
            ordinal: window.first_bad().unwrap_or(second.first_ordinal),
            index,
            value,
            limit,
            margin: limit,
            single: false,
        }),
        Some(_) => Judgement::Nothing,
        None => Judgement::cleared_if(window.clean() >= rule.clear_after),
    }
}

/// Judges the spread of a second. `range_um`: how far apart readings may be.
pub fn jitter(second: &Second, index: usize, range_um: u32, rule: Seconds, memory: &mut Window) -> Judgement {
    let bad = (second.range_um > range_um).then(|| (f64::from(second.range_um), f64::from(range_um)));
    seconds(memory, bad, second, index, rule)
}

/// Judges the rate of a second, in thousandths of a hertz.
pub fn rate(second: &Second, index: usize, (least, most): (u64, u64), rule: Seconds, memory: &mut Window) -> Judgement {
    let Some(rate) = second.rate_mhz() else {
        return Judgement::Nothing;
    };
    let hz = |mhz: u64| mhz as f64 / 1_000.0;
    let bad = if rate < least {
        Some((hz(rate), hz(least)))
    } else {
        (rate > most).then(|| (hz(rate), hz(most)))
    };
    match seconds(memory, bad, second, index, rule) {
        // Slower is no greater value: told once.
        Judgement::Violated(mut v) => {
            v.margin = f64::INFINITY;
            Judgement::Violated(v)
        }
        other => other,
    }
}

/// Judges how many strokes of a second hardly went in.
pub fn shallow(second: &Second, index: usize, expected: &Expected, rule: Seconds, memory: &mut Window) -> Judgement {
    let bad = second.is_shallow().then(|| {
        let mean_um = second.shallow_um as f64 / f64::from(second.shallow);
        (mean_um, f64::from(expected.shallow_below_um))
    });
    match seconds(memory, bad, second, index, rule) {
        Judgement::Violated(mut v) => {
            v.margin = f64::INFINITY;
            Judgement::Violated(v)
        }
        other => other,
    }
}
