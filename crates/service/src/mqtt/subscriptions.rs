//! Which filters the broker's session has, and what must be asked for: decided here, asked elsewhere.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pause before filters that the broker refused are asked for again.
pub(super) const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// The filters that are wanted, and what is known of those in the broker's session.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wanted: Vec<String>,
    file: Option<PathBuf>,
    /// Filters of the session as far as known: from the file, or from this process's SUBACKs.
    known: Option<Vec<String>>,
    /// What the outstanding SUBSCRIBE asks for.
    asked: Vec<String>,
    refused: Vec<String>,
    again_at: Option<Instant>,
}

/// What to ask for after a CONNACK.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) unsubscribe: Vec<String>,
    pub(super) subscribe: Vec<String>,
}

impl Subscriptions {
    pub(super) fn new(wanted: Vec<String>, file: Option<PathBuf>) -> Self {
        let known = file.as_deref().and_then(read);
        Self {
            wanted,
            file,
            known,
            asked: Vec::new(),
            refused: Vec::new(),
            again_at: None,
        }
    }

    /// With a session whose filters are the wanted ones nothing is asked: a SUBSCRIBE would only bring all retained messages again.
    pub(super) fn connected(&mut self, session_present: bool) -> Ask {
        self.asked.clear();
        self.refused.clear();
        self.again_at = None;
        let known = if session_present {
            self.known.clone()
        } else {
            Some(Vec::new())
        };
        let unsubscribe = known
            .iter()
            .flatten()
            .filter(|filter| !self.wanted.contains(filter))
            .cloned()
            .collect();
        let subscribe: Vec<String> = match &known {
            None => self.wanted.clone(),
            Some(known) => self
                .wanted
                .iter()
                .filter(|filter| !known.contains(filter))
                .cloned()
                .collect(),
        };
        self.asked.clone_from(&subscribe);
        if subscribe.is_empty() {
            self.remember();
        }
        Ask { unsubscribe, subscribe }
    }

    /// The broker's answer, one entry per filter asked for; returns the filters that it refused.
    pub(super) fn answered(&mut self, granted: &[bool], now: Instant) -> Vec<String> {
        let asked = std::mem::take(&mut self.asked);
        // A broker that answers for fewer filters than asked has not granted the rest.
        let refused = asked
            .into_iter()
            .enumerate()
            .filter(|(n, _)| !granted.get(*n).copied().unwrap_or(false));
        self.refused = refused.map(|(_, filter)| filter).collect();
        self.again_at = (!self.refused.is_empty()).then(|| now + REFUSED_AGAIN_AFTER);
        self.remember();
        self.refused.clone()
    }

    /// Refused filters whose time has come again.
    pub(super) fn again(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.again_at.is_none_or(|at| now < at) {
            return None;
        }
        self.again_at = None;
        self.asked = std::mem::take(&mut self.refused);
        Some(self.asked.clone())
    }

    fn remember(&mut self) {
        let known: Vec<String> = self
            .wanted
            .iter()
            .filter(|filter| !self.refused.contains(filter))
            .cloned()
            .collect();
        if self.known.as_ref() == Some(&known) {
            return;
        }
        if let Some(file) = &self.file
            && let Err(error) = write(file, &known)
        {
            tracing::warn!(file = %file.display(), error = %error, "cannot remember the filters of the session");
        }
        self.known = Some(known);
    }
}

fn read(file: &Path) -> Option<Vec<String>> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn write(file: &Path, filters: &[String]) -> std::io::Result<()> {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(filters)?)?;
    std::fs::rename(&fresh, file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn filters(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_subscribes_when_the_broker_has_no_session_and_not_when_it_has() {
        let mut subscriptions = Subscriptions::new(filters(&["a/#", "b/#"]), None);
        assert_eq!(subscriptions.connected(false).subscribe, filters(&["a/#", "b/#"]));
        assert!(subscriptions.answered(&[true, true], Instant::now()).is_empty());
        assert!(subscriptions.connected(true).subscribe.is_empty());
        assert_eq!(subscriptions.connected(false).subscribe, filters(&["a/#", "b/#"]));
    }

    #[test]
    fn without_knowledge_of_a_session_it_subscribes_to_be_sure() {
        let mut subscriptions = Subscriptions::new(filters(&["a/#"]), None);
        assert_eq!(subscriptions.connected(true).subscribe, filters(&["a/#"]));
    }

    #[test]
    fn changed_filters_are_brought_into_a_session_that_is_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("filters");
        let mut before = Subscriptions::new(filters(&["a/#", "b/#"]), Some(file.clone()));
        before.connected(false);
        before.answered(&[true, true], Instant::now());
        let mut after = Subscriptions::new(filters(&["b/#", "c/#"]), Some(file.clone()));
        assert_eq!(
            after.connected(true),
            Ask {
                unsubscribe: filters(&["a/#"]),
                subscribe: filters(&["c/#"])
            }
        );
        after.answered(&[true], Instant::now());
        let mut same = Subscriptions::new(filters(&["b/#", "c/#"]), Some(file));
        assert_eq!(
            same.connected(true),
            Ask {
                unsubscribe: vec![],
                subscribe: vec![]
            }
        );
    }

    #[test]
    fn a_refused_filter_is_asked_for_again_later_and_not_remembered() {
        let now = Instant::now();
        let mut subscriptions = Subscriptions::new(filters(&["a/#", "b/#"]), None);
        subscriptions.connected(false);
        assert_eq!(subscriptions.answered(&[true, false], now), filters(&["b/#"]));
        assert_eq!(subscriptions.again(now), None);
        assert_eq!(subscriptions.again(now + REFUSED_AGAIN_AFTER), Some(filters(&["b/#"])));
        assert!(subscriptions.answered(&[true], now).is_empty());
        assert!(subscriptions.connected(true).subscribe.is_empty());
    }
}
