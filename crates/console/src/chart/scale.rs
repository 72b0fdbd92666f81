//! From values to places on paper.

/// A linear scale. Of no length it maps everything to its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    values: (f64, f64),
    paper: (f64, f64),
}

impl Scale {
    /// From these values to these places.
    pub(crate) fn new(values: (f64, f64), paper: (f64, f64)) -> Self {
        Self { values, paper }
    }

    /// Where a value is.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let (from, to) = self.values;
        let (start, end) = self.paper;
        let length = to - from;
        if length.abs() < f64::EPSILON || !value.is_finite() {
            return start;
        }
        start + (value - from) / length * (end - start)
    }

    /// Round values within the scale, about `wanted` of them.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<f64> {
        let (from, to) = self.values;
        let rough = (to - from).abs() / wanted.max(1) as f64;
        if !rough.is_finite() || rough <= 0.0 {
            return vec![from];
        }
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|nice| nice * power)
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power);
        let first = (from / step).ceil() as i64;
        let last = (to / step).floor() as i64;
        (first..=last).take(wanted * 3).map(|n| n as f64 * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_where_its_share_of_the_scale_lies() {
        let scale = Scale::new((0.0, 2.0), (100.0, 0.0));
        assert_eq!((scale.at(0.0), scale.at(1.0), scale.at(2.0)), (100.0, 50.0, 0.0));
        assert_eq!(Scale::new((3.0, 3.0), (7.0, 9.0)).at(3.0), 7.0);
        assert_eq!(scale.at(f64::NAN), 100.0);
    }

    #[test]
    fn ticks_are_round_and_within() {
        let ticks = Scale::new((0.0, 2.4), (0.0, 1.0)).ticks(5);
        assert_eq!(ticks.len(), 5);
        assert!(ticks.iter().all(|tick| (0.0..=2.4).contains(tick)), "{ticks:?}");
        assert_eq!(Scale::new((1.0, 1.0), (0.0, 1.0)).ticks(5), [1.0]);
    }
}
