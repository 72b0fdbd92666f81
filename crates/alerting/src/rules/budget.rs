//! How many false pages a set of rules may make.
use serde::Deserialize;

/// The budget of a set of rules, in thousandths, so that sets can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(u64);

impl Default for Budget {
    /// 1 false page in 1,000 device-days.
    fn default() -> Self {
        Self(1_000)
    }
}

impl Budget {
    /// False pages in 1,000 device-days.
    pub fn per_1000_device_days(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

/// As a rule file says it: `[budget] false_pages_per_1000_device_days = 1`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBudget {
    false_pages_per_1000_device_days: f64,
}

impl RawBudget {
    pub(super) fn check(&self) -> Result<Budget, String> {
        let pages = self.false_pages_per_1000_device_days;
        if !(0.001..=1_000_000.0).contains(&pages) {
            return Err("false_pages_per_1000_device_days: allowed are 0.001 to 1000000".to_owned());
        }
        Ok(Budget((pages * 1_000.0).round() as u64))
    }
}
