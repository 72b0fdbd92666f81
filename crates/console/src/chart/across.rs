//! Ordinals from left to right where only some readings were kept: runs without a hole stand side by side, each as wide as it has
//! readings, and a narrow gap stands for what lies between.
use alerting::proof::Column;

/// Width of a gap, where there is room for it.
const GAP: f64 = 28.0;
/// Most of the width that gaps take together.
const GAPS: f64 = 0.25;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    /// Its first ordinal.
    pub(super) from: u64,
    /// Its last.
    pub(super) to: u64,
    /// Where it begins and ends on the paper.
    pub(super) x: (f64, f64),
    /// Its columns.
    pub(super) columns: (usize, usize),
}

/// See the module.
pub(super) struct Across {
    pub(super) runs: Vec<Run>,
}

impl Across {
    /// Places columns between `left` and `right`.
    pub(super) fn new(columns: &[Column], (left, right): (f64, f64)) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.to + 1 >= column.from => {
                    run.to = column.to;
                    run.columns.1 = at + 1;
                }
                _ => runs.push(Run {
                    from: column.from,
                    to: column.to,
                    x: (left, right),
                    columns: (at, at + 1),
                }),
            }
        }
        let gaps = runs.len().saturating_sub(1) as f64;
        let gap = GAP.min((right - left) * GAPS / gaps.max(1.0));
        let readings: u64 = runs.iter().map(|run| run.to - run.from + 1).sum();
        let each = (right - left - gaps * gap) / (readings as f64).max(1.0);
        let mut x = left;
        for run in &mut runs {
            let end = x + each * (run.to - run.from + 1) as f64;
            run.x = (x, end);
            x = end + gap;
        }
        Self { runs }
    }

    /// Where a reading begins; one that was not kept, at the end of the run before it.
    pub(super) fn at(&self, ordinal: f64) -> f64 {
        let run = self.runs.iter().rev().find(|run| run.from as f64 <= ordinal);
        let Some(run) = run.or(self.runs.first()) else {
            return 0.0;
        };
        let each = (run.x.1 - run.x.0) / (run.to - run.from + 1) as f64;
        (run.x.0 + (ordinal - run.from as f64).max(0.0) * each).min(run.x.1)
    }

    /// The gaps: from and to on the paper, and how many readings lie there.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let pairs = self.runs.iter().zip(self.runs.iter().skip(1));
        pairs.map(|(before, after)| (before.x.1, after.x.0, after.from - before.to - 1))
    }
}

#[cfg(test)]
mod tests {
    use telemetry::UnixMicros;

    use super::*;

    #[test]
    fn runs_stand_side_by_side_and_holes_take_no_more_than_a_gap() {
        let column = |(from, to)| Column {
            from,
            to,
            at: UnixMicros(0),
            least: Some(0.1),
            most: Some(0.2),
            set: None,
            zone: None,
        };
        let columns = [(0, 4), (5, 9), (1_000, 1_009)].map(column);
        let across = Across::new(&columns, (0.0, 228.0));
        let ends: Vec<_> = across.runs.iter().map(|run| (run.x, run.columns)).collect();
        assert_eq!(ends, [((0.0, 100.0), (0, 2)), ((128.0, 228.0), (2, 3))]);
        assert_eq!(across.gaps().collect::<Vec<_>>(), [(100.0, 128.0, 990)]);
        assert_eq!(
            [0.0, 9.0, 500.0, 1_000.0, 1_010.0].map(|at| across.at(at)),
            [0.0, 90.0, 100.0, 128.0, 228.0]
        );
        assert_eq!(Across::new(&[], (0.0, 1.0)).at(7.0), 0.0);
    }
}
