//! How a process stands that follows the registry of another: ready with what it has, whatever the leader does; not before it has had
//! the leader's registry once, for it would refuse devices that were entered by command.
use std::path::PathBuf;
use std::time::Instant;

use metrics::gauge;
use service::health::Condition;

/// Gauge: how long the process that leads has not answered.
const SILENCE: &str = "registry_leader_silence_seconds";
/// name, kind, what.
pub(crate) const METRICS: &[(&str, &str, &str)] = &[(
    SILENCE,
    "gauge",
    "seconds since the process that leads the registry answered last, at one that follows it; it works on with the registry it has",
)];

/// Why the registry here is perhaps not the leader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The leader does not answer.
    Silent,
    /// Its lines are not taken.
    Refused,
    /// The files give another registry.
    Differs,
    /// Its lines come when everybody who judges has them.
    Waits,
}

/// What is known of it, and where it is told.
pub(crate) struct Standing {
    condition: Condition,
    /// Is there once the leader's registry was here, for the next start.
    mark: PathBuf,
    /// It was here once.
    had: bool,
    /// When the leader answered last; before that, the start.
    answered: Instant,
    /// What the log says already.
    said: Option<Trouble>,
}

impl Standing {
    /// `has_lines`: there is a change by command here, which came from the leader or was made when this process led.
    pub(crate) fn new(condition: Condition, mark: PathBuf, has_lines: bool, now: Instant) -> Self {
        let had = has_lines || mark.exists();
        if had {
            condition.green();
        }
        Self {
            condition,
            mark,
            had,
            answered: now,
            said: None,
        }
    }

    /// The leader has answered.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = now;
        gauge!(SILENCE).set(0.0);
        if self.said == Some(Trouble::Silent) {
            self.said = None;
            tracing::info!("the process that leads the registry answers again");
            if self.had {
                self.condition.green();
            }
        }
    }

    /// The leader has not answered. What is known here goes on; nothing can be changed until it is back.
    pub(crate) fn silent(&mut self, why: &str, now: Instant) {
        gauge!(SILENCE).set(now.duration_since(self.answered).as_secs_f64());
        self.trouble(
            Trouble::Silent,
            &format!("the process that leads the registry does not answer: {why}"),
        );
    }

    /// Every line of the leader is here.
    pub(crate) fn has(&mut self) {
        if self.had {
            return;
        }
        self.had = true;
        self.condition.green();
        if let Err(error) = std::fs::write(&self.mark, "") {
            tracing::warn!(%error, mark = %self.mark.display(), "the next start waits for the process that leads the registry, because this file cannot be written");
        }
    }

    /// It is the leader's registry.
    pub(crate) fn same(&mut self) {
        self.has();
        self.said = None;
        self.condition.green();
    }

    /// It may not be the leader's: worth knowing, and no reason to turn devices away that are known here.
    pub(crate) fn trouble(&mut self, what: Trouble, why: &str) {
        if self.had {
            if what == Trouble::Waits {
                return;
            }
            self.condition.remark(why);
        } else {
            self.condition
                .red(&format!("the registry of the process that leads was never here: {why}"));
        }
        if self.said.replace(what) == Some(what) {
            return;
        }
        match what {
            Trouble::Refused => tracing::error!(error = why, "a change of the registry is not taken here"),
            Trouble::Silent | Trouble::Differs => {
                tracing::warn!(why, "the registry that is known here goes on");
            }
            Trouble::Waits => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use service::clock::Clock;
    use service::health::Health;

    use super::*;

    #[test]
    fn without_its_leader_a_process_is_ready_once_it_has_had_the_leaders_registry_also_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let begin = |has_lines| {
            let health = Health::new(Clock::system());
            let mark = folder.path().join("mark");
            (
                Standing::new(health.condition("registry"), mark, has_lines, start),
                health,
            )
        };
        let reason = |health: &Health| health.report().pop().unwrap().reason;
        let (mut standing, health) = begin(false);
        assert!(!health.is_ready());
        standing.silent("refused", start + Duration::from_secs(1));
        assert!(!health.is_ready() && reason(&health).contains("never here"));
        standing.answered(start);
        standing.trouble(Trouble::Waits, "waits");
        assert!(!health.is_ready());
        standing.same();
        for what in [Trouble::Silent, Trouble::Refused, Trouble::Differs, Trouble::Waits] {
            standing.trouble(what, "why");
            assert!(health.is_ready(), "{what:?}");
        }
        assert_eq!(reason(&health), "why");
        standing.same();
        assert_eq!(reason(&health), "");

        let (mut again, health) = begin(false);
        assert!(health.is_ready());
        again.silent("refused", start + Duration::from_secs(1));
        assert!(health.is_ready() && reason(&health).contains("does not answer: refused"));
        again.answered(start + Duration::from_secs(2));
        assert_eq!(reason(&health), "");
        std::fs::remove_file(folder.path().join("mark")).unwrap();
        assert!(begin(true).1.is_ready(), "it has changes by command");
    }
}
