//! Which receivers do not take their pages: one readiness condition for all of them, green when each of them is.
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use service::health::Condition;

/// The receivers' common condition.
pub(crate) struct Standing {
    condition: Condition,
    red: Mutex<BTreeMap<String, String>>,
}

impl Standing {
    pub(crate) fn new(condition: Condition) -> Self {
        Self {
            condition,
            red: Mutex::default(),
        }
    }

    /// Pages of a receiver do not leave.
    pub(super) fn red(&self, receiver: &str, why: &str) {
        self.change(|red| {
            red.insert(receiver.to_owned(), why.to_owned());
        });
    }

    /// A receiver takes its pages. The others stay what they are.
    pub(super) fn green(&self, receiver: &str) {
        self.change(|red| {
            red.remove(receiver);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let mut red = self.red.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut red);
        if red.is_empty() {
            self.condition.green();
            return;
        }
        let all: Vec<_> = red
            .iter()
            .map(|(name, why)| format!("receiver {name}: {why}"))
            .collect();
        self.condition.red(&all.join("; "));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use service::health::Health;

    use super::*;

    #[test]
    fn a_page_that_one_receiver_took_does_not_hide_that_another_takes_none() {
        let health = Health::default();
        let standing = Standing::new(health.condition("pages"));
        standing.red("a", "denied");
        standing.green("b");
        assert!(!health.is_ready());
        standing.green("a");
        assert!(health.is_ready());
    }
}
