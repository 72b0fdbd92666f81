//! Seconds of strokes: what slow conditions of a pen (drift, jitter, rate, needles that hardly go in) are judged by.
//!
//! Control charts need samples that are nearly independent, and neighbouring strokes are not: so their residuals are averaged
//! over at least a second of strokes under one zone, one setpoint and one cartridge. A single wild reading moves such a mean
//! little, because a residual counts as twice the tolerance at most (a winsorised mean).
use serde::{Deserialize, Serialize};
use telemetry::StrokeBatch;

/// As much of strokes as makes a sample: a second, less what a motor's jitter may lack of it.
const SECOND_US: u32 = 950_000;
/// A sample is complete with so many strokes even where their durations say otherwise; what one batch may have.
const MOST_STROKES: u32 = telemetry::MAX_STROKES as u32;

/// A batch's depths, seen in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Least depth in micrometres.
    pub least: u32,
    /// Greatest depth in micrometres.
    pub most: u32,
    /// All depths added up.
    pub sum: u64,
}

impl Column {
    /// Of a batch whose strokes were all read, which is nearly always; else `None`. Independent folds without branches: the
    /// compiler vectorises them.
    #[inline]
    pub fn of(batch: &StrokeBatch) -> Option<Self> {
        let depths = batch.depths_if_all_read()?;
        // At most 512 strokes of at most 10,000 µm: no overflow.
        let (least, most, sum) = depths.iter().fold((u32::MAX, 0, 0u32), |(least, most, sum), &depth| {
            (least.min(depth), most.max(depth), sum.wrapping_add(depth))
        });
        Some(Self {
            least,
            most,
            sum: u64::from(sum),
        })
    }
}

/// What is expected of strokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Setpoint and factory offset, in micrometres.
    pub depth_um: u32,
    /// Tolerance in micrometres.
    pub tolerance_um: u32,
    /// A stroke shallower than this hardly goes in; 0: not judged.
    pub shallow_below_um: u32,
}

impl Expected {
    /// Whether a stroke is off by more than the tolerance, and not merely hardly in: that is told by a rule of its own.
    #[inline]
    pub fn is_off(&self, depth_um: u32) -> bool {
        depth_um > self.depth_um.saturating_add(self.tolerance_um)
            || depth_um < self.depth_um.saturating_sub(self.tolerance_um) && depth_um >= self.shallow_below_um
    }
}

/// Strokes on their way to a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gather {
    strokes: u32,
    read: u32,
    duration_us: u32,
    /// Winsorised residuals added up, in micrometres.
    residual_um: i64,
    least_um: u32,
    most_um: u32,
    shallow: u32,
    shallow_um: u64,
    first_ordinal: u64,
}

/// A sample: at least a second of strokes under the same setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    /// Ordinal of its first stroke.
    pub first_ordinal: u64,
    /// How many strokes.
    pub strokes: u32,
    /// How many of them were read and went in.
    pub read: u32,
    /// How long they took together, in microseconds; 0: not told.
    pub duration_us: u32,
    /// Winsorised residuals added up, in micrometres.
    pub residual_um: i64,
    /// Greatest less least depth, in micrometres.
    pub range_um: u32,
    /// How many hardly went in. Of depth, range and residual they say nothing.
    pub shallow: u32,
    /// How deep those went, added up, in micrometres.
    pub shallow_um: u64,
}

impl Second {
    /// Whether most strokes hardly went in.
    pub fn is_shallow(&self) -> bool {
        self.shallow > self.read
    }

    /// Mean residual in nanometres (thousandths of a micrometre).
    pub fn mean_milli(&self) -> i64 {
        self.residual_um * 1_000 / i64::from(self.read.max(1))
    }

    /// Strokes per second in thousandths; `None`: the durations were not told.
    pub fn rate_mhz(&self) -> Option<u64> {
        (self.duration_us > 0).then(|| u64::from(self.strokes) * 1_000_000_000 / u64::from(self.duration_us))
    }
}

impl Gather {
    /// Takes a batch. A sample comes out when there is enough of one.
    pub fn push(&mut self, batch: &StrokeBatch, column: Option<Column>, expected: &Expected) -> Option<Second> {
        if self.strokes == 0 {
            self.first_ordinal = batch.first_ordinal;
            self.least_um = u32::MAX;
        }
        let strokes = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        self.strokes = self.strokes.saturating_add(strokes);
        self.duration_us = self.duration_us.saturating_add(batch.duration_us);
        let within = 2 * i64::from(expected.tolerance_um);
        let depth = i64::from(expected.depth_um);
        match column {
            Some(all)
                if i64::from(all.least) >= depth - within
                    && i64::from(all.most) <= depth + within
                    && all.least >= expected.shallow_below_um =>
            {
                self.read += strokes;
                self.residual_um += all.sum as i64 - depth * i64::from(strokes);
                self.least_um = self.least_um.min(all.least);
                self.most_um = self.most_um.max(all.most);
            }
            _ => self.walk(batch, expected, within),
        }
        let whole = self.duration_us >= SECOND_US || self.strokes >= MOST_STROKES;
        whole
            .then(|| std::mem::take(self))
            .filter(|s| s.read + s.shallow > 0)
            .map(Self::second)
    }

    /// The slow way: stroke by stroke.
    fn walk(&mut self, batch: &StrokeBatch, expected: &Expected, within: i64) {
        for (_, depth) in batch.depths() {
            if depth < expected.shallow_below_um {
                self.shallow += 1;
                self.shallow_um += u64::from(depth);
                continue;
            }
            self.read += 1;
            self.residual_um += (i64::from(depth) - i64::from(expected.depth_um)).clamp(-within, within);
            self.least_um = self.least_um.min(depth);
            self.most_um = self.most_um.max(depth);
        }
    }

    fn second(self) -> Second {
        Second {
            first_ordinal: self.first_ordinal,
            strokes: self.strokes,
            read: self.read,
            duration_us: self.duration_us,
            residual_um: self.residual_um,
            range_um: self.most_um.saturating_sub(self.least_um),
            shallow: self.shallow,
            shallow_um: self.shallow_um,
        }
    }
}
