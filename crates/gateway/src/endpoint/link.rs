//! The part of a connection that others may touch: its line of answers, its commands, its end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::budget::{Budget, Charge};
use super::close::CloseReason;
use super::directory::{CommandError, Delivered};
use super::inbound::TopicCheck;
use super::verdict::Verdict;

/// A command on its way down, and whoever waits for its fate.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) payload: Bytes,
    pub(crate) done: oneshot::Sender<Result<Delivered, CommandError>>,
}

// Whoever sent a command may have stopped waiting; then nobody hears its fate, which is no fault.
impl Command {
    pub(crate) fn is(self, delivered: Delivered) {
        self.done.send(Ok(delivered)).ok();
    }

    pub(crate) fn fails(self, error: CommandError) {
        self.done.send(Err(error)).ok();
    }
}

/// A publish that is not acknowledged yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// 0 for QoS 0: it has a place in line, for its bytes, and gets no PUBACK.
    pub(crate) packet_id: u16,
    pub(crate) topic_check: TopicCheck,
}

struct Place {
    waiting: Waiting,
    charge: Charge,
    verdict: Option<Verdict>,
}

#[derive(Default)]
struct Line {
    /// Sequence number of the first place.
    first: u64,
    places: VecDeque<Place>,
    /// Unanswered bytes; those with an answer are no longer in anybody's memory.
    bytes: usize,
    in_share: usize,
    /// The connection has been woken and has not looked yet.
    waking: bool,
}

/// What a connection shares with the committer, with senders of commands and with its successor.
pub(crate) struct Link {
    budget: Arc<Budget>,
    line: Mutex<Line>,
    commands: Mutex<VecDeque<Command>>,
    subscribed: AtomicBool,
    order: OnceLock<CloseReason>,
    wake: Notify,
    /// Closed when the connection is over and its will has been handed on.
    gone: Semaphore,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(budget: Arc<Budget>) -> Arc<Link> {
        Arc::new(Link {
            budget,
            line: Mutex::default(),
            commands: Mutex::default(),
            subscribed: AtomicBool::new(false),
            order: OnceLock::new(),
            wake: Notify::new(),
            gone: Semaphore::new(0),
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more publish of `bytes`; `Err(true)`: the connection's own window is full,
    /// `Err(false)`: the common budget is.
    pub(crate) fn admit(&self, bytes: u32, window: usize, max_bytes: usize) -> Result<Charge, bool> {
        let mut line = self.line();
        if line.places.len() >= window || line.bytes + bytes as usize > max_bytes {
            return Err(true);
        }
        let charge = self.budget.try_take(bytes, line.in_share).ok_or(false)?;
        line.charge(charge);
        Ok(charge)
    }

    /// Books a charge that was waited for.
    pub(crate) fn book(&self, charge: Charge) {
        self.line().charge(charge);
    }

    /// Gives back a charge whose publish never came to be.
    pub(crate) fn unbook(&self, charge: Charge) {
        self.line().discharge(charge);
        self.budget.give_back(charge);
    }

    /// Queues up; the number is for the [`super::AckSlot`].
    pub(crate) fn queue(&self, waiting: Waiting, charge: Charge) -> u64 {
        let mut line = self.line();
        let sequence = line.first + line.places.len() as u64;
        line.places.push_back(Place {
            waiting,
            charge,
            verdict: None,
        });
        sequence
    }

    /// Stores an answer; true: the caller is to call [`Link::wake`].
    pub(crate) fn settle(&self, sequence: u64, verdict: Verdict) -> bool {
        let mut line = self.line();
        let index = sequence.checked_sub(line.first).and_then(|i| usize::try_from(i).ok());
        let Some(place) = index.and_then(|i| line.places.get_mut(i)) else {
            return false;
        };
        if place.verdict.replace(verdict).is_some() {
            return false;
        }
        let charge = place.charge;
        line.discharge(charge);
        let wake = !std::mem::replace(&mut line.waking, true);
        drop(line);
        self.budget.give_back(charge);
        wake
    }

    /// Passes on the answers at the head of the line until `each` stops it with `false`.
    pub(crate) fn answered(&self, mut each: impl FnMut(Waiting, Verdict) -> bool) {
        let mut line = self.line();
        line.waking = false;
        while let Some(&Place {
            waiting,
            verdict: Some(verdict),
            ..
        }) = line.places.front()
        {
            line.places.pop_front();
            line.first += 1;
            if !each(waiting, verdict) {
                break;
            }
        }
    }

    /// Publishes that have no PUBACK yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.line().places.len()
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Asks the connection to end; the first reason stands.
    pub(crate) fn end(&self, reason: CloseReason) {
        self.order.get_or_init(|| reason);
        self.wake();
    }

    pub(crate) fn ordered_end(&self) -> Option<CloseReason> {
        self.order.get().copied()
    }

    pub(crate) fn set_subscribed(&self, subscribed: bool) {
        self.subscribed.store(subscribed, Ordering::Relaxed);
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Queues a command unless `capacity` are waiting.
    pub(crate) fn push_command(&self, command: Command, capacity: usize) -> bool {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() >= capacity {
            return false;
        }
        commands.push_back(command);
        drop(commands);
        self.wake();
        true
    }

    pub(crate) fn pop_command(&self) -> Option<Command> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Says that the connection is over; nobody's command is left waiting.
    pub(crate) fn set_gone(&self) {
        self.gone.close();
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.is_closed()
    }

    /// Waits until the connection is over; false: it was not within `timeout`.
    pub(crate) async fn wait_gone(&self, timeout: Duration) -> bool {
        // Acquiring from a semaphore without permits ends when it is closed, and only then.
        tokio::time::timeout(timeout, self.gone.acquire()).await.is_ok()
    }
}

impl Line {
    fn charge(&mut self, charge: Charge) {
        self.bytes += charge.bytes();
        if let Charge::Share(bytes) = charge {
            self.in_share += bytes as usize;
        }
    }

    fn discharge(&mut self, charge: Charge) {
        self.bytes -= charge.bytes();
        if let Charge::Share(bytes) = charge {
            self.in_share -= bytes as usize;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ack::{AckSlot, answer_all};
    use super::*;

    fn queue(link: &Arc<Link>, packet_id: u16) -> AckSlot {
        let charge = link.admit(10, 100, 1_000).unwrap();
        let waiting = Waiting {
            packet_id,
            topic_check: TopicCheck::Own,
        };
        AckSlot::new(Arc::clone(link), link.queue(waiting, charge))
    }

    fn answered(link: &Link) -> Vec<(u16, Verdict)> {
        let mut seen = Vec::new();
        link.answered(|waiting, verdict| {
            seen.push((waiting.packet_id, verdict));
            true
        });
        seen
    }

    #[test]
    fn answers_leave_in_the_order_of_the_publishes() {
        let link = Link::new(Arc::new(Budget::new(1_000_000, 1)));
        let (a, b, c) = (queue(&link, 1), queue(&link, 2), queue(&link, 3));
        c.answer(Verdict::Stored);
        assert_eq!(answered(&link), []);
        a.answer(Verdict::QuotaExceeded);
        assert_eq!(answered(&link), [(1, Verdict::QuotaExceeded)]);
        b.answer(Verdict::Stored);
        assert_eq!(answered(&link), [(2, Verdict::Stored), (3, Verdict::Stored)]);
        assert_eq!(link.unanswered(), 0);
    }

    #[test]
    fn a_dropped_slot_is_an_answer_and_gives_its_bytes_back() {
        let budget = Arc::new(Budget::new(1_000_000, 1));
        let link = Link::new(Arc::clone(&budget));
        let slot = queue(&link, 7);
        assert_eq!(budget.used(), 10);
        drop(slot);
        assert_eq!(budget.used(), 0);
        assert_eq!(answered(&link), [(7, Verdict::Lost)]);
    }

    #[test]
    fn bytes_are_given_back_by_the_answer_even_when_the_connection_is_over() {
        let budget = Arc::new(Budget::new(1_000_000, 1));
        let link = Link::new(Arc::clone(&budget));
        let slots: Vec<_> = (1..=5).map(|id| queue(&link, id)).collect();
        link.set_gone();
        drop(link);
        assert_eq!(budget.used(), 50);
        answer_all(slots.into_iter().map(|slot| (slot, Verdict::Stored)));
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_batch_of_answers_wakes_the_connection_once() {
        let link = Link::new(Arc::new(Budget::new(1_000_000, 1)));
        let slots: Vec<_> = (1..=50).map(|id| queue(&link, id)).collect();
        answer_all(slots.into_iter().map(|slot| (slot, Verdict::Stored)));
        link.woken().await;
        assert_eq!(answered(&link).len(), 50);
        let again = tokio::time::timeout(Duration::from_millis(1), link.woken()).await;
        assert!(again.is_err(), "one batch, one wake");
    }
}
