//! Answers: the committer's side of a publish, many at once after one fsync.

use std::sync::Arc;

use super::link::Link;
use super::verdict::Verdict;

/// The place of one publish in its connection's line of answers.
///
/// PUBACKs leave in the order in which the publishes came, whatever the order of the answers.
/// A slot that is dropped unanswered counts as [`Verdict::Lost`] and closes its connection: a device
/// never waits for ever, and is never told that something is on disk which may not be.
#[derive(Debug)]
pub struct AckSlot {
    link: Option<Arc<Link>>,
    sequence: u64,
}

impl AckSlot {
    pub(crate) fn new(link: Arc<Link>, sequence: u64) -> AckSlot {
        AckSlot {
            link: Some(link),
            sequence,
        }
    }

    /// A slot that nobody waits for: for wills, and for messages that do not come from a connection.
    #[must_use]
    pub fn detached() -> AckSlot {
        AckSlot {
            link: None,
            sequence: 0,
        }
    }

    /// Answers this publish. For many at once use [`answer_all`].
    pub fn answer(mut self, verdict: Verdict) {
        if let Some(link) = self.settle(verdict) {
            link.wake();
        }
    }

    /// Stores the verdict; returns the connection if it has to be woken.
    fn settle(&mut self, verdict: Verdict) -> Option<Arc<Link>> {
        let link = self.link.take()?;
        link.settle(self.sequence, verdict).then_some(link)
    }
}

impl Drop for AckSlot {
    fn drop(&mut self) {
        if let Some(link) = self.settle(Verdict::Lost) {
            link.wake();
        }
    }
}

/// Answers many publishes and wakes each connection once, after the last of them: its PUBACKs then
/// leave in one write. The iterator is to be quick: nobody is woken before its end.
pub fn answer_all(answers: impl IntoIterator<Item = (AckSlot, Verdict)>) {
    let mut woken: Vec<Arc<Link>> = Vec::new();
    for (mut slot, verdict) in answers {
        woken.extend(slot.settle(verdict));
    }
    for link in woken {
        link.wake();
    }
}
