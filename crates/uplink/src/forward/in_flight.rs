//! What was sent and is not acknowledged: chunks of the log, in its order.
use std::collections::VecDeque;

use bytes::Bytes;
use spool::Offset;

use super::cut::Said;
use super::far::PerShard;

/// One publish.
#[derive(Debug)]
pub(super) struct Message {
    /// Which connection.
    pub(super) lane: usize,
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

/// Consecutive records of the log.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The offset after the last.
    pub(super) next: Offset,
    pub(super) messages: Vec<Message>,
    /// Bytes before packing.
    pub(super) bytes: usize,
    /// For each shard of it: what was sent before it, and with it.
    pub(super) sent: Vec<(u16, u64, u64)>,
    /// To be told when everything up to its end is acknowledged.
    pub(super) said: Option<Said>,
}

#[derive(Debug)]
struct Sent {
    next: Offset,
    bytes: usize,
    sent: Vec<(u16, u64, u64)>,
    outstanding: usize,
    said: Option<Said>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Token of the front.
    first: u64,
    sent: VecDeque<Sent>,
    bytes: usize,
}

impl InFlight {
    pub(super) fn chunks(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Before its `messages` are published; gives their token.
    pub(super) fn push(&mut self, chunk: Chunk, messages: usize) -> u64 {
        self.bytes += chunk.bytes;
        self.sent.push_back(Sent {
            next: chunk.next,
            bytes: chunk.bytes,
            sent: chunk.sent,
            outstanding: messages,
            said: chunk.said,
        });
        self.first + self.sent.len() as u64 - 1
    }

    fn of(&mut self, token: u64) -> Option<&mut Sent> {
        let at = usize::try_from(token.checked_sub(self.first)?).ok()?;
        self.sent.get_mut(at)
    }

    /// More messages of this token are published.
    pub(super) fn expect(&mut self, token: u64, messages: usize) {
        if let Some(sent) = self.of(token) {
            sent.outstanding += messages;
        }
    }

    pub(super) fn acked(&mut self, token: u64) {
        if let Some(sent) = self.of(token) {
            sent.outstanding = sent.outstanding.saturating_sub(1);
        }
    }

    /// Whether the oldest chunk is acknowledged; everything before it is.
    pub(super) fn front_is_acked(&self) -> bool {
        self.sent.front().is_some_and(|sent| sent.outstanding == 0)
    }

    /// What is to be told now that the oldest chunk is acknowledged, with its token; once.
    pub(super) fn take_said(&mut self) -> Option<(u64, Said)> {
        let said = self.sent.front_mut()?.said.take()?;
        Some((self.first, said))
    }

    /// As if what is not done with had not been sent.
    pub(super) fn unsent(&self, sent: &mut PerShard) {
        for chunk in self.sent.iter().rev() {
            for (shard, before, _) in &chunk.sent {
                sent[usize::from(*shard)] = *before;
            }
        }
    }

    /// Done with the oldest chunk; gives up to where everything was sent.
    pub(super) fn pop(&mut self) -> Option<Offset> {
        let sent = self.sent.pop_front()?;
        self.first += 1;
        self.bytes -= sent.bytes;
        Some(sent.next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chunk(next: u64, said: Option<Said>) -> Chunk {
        Chunk {
            next: Offset(next),
            messages: Vec::new(),
            bytes: 10,
            sent: vec![(3, next - 4, next)],
            said,
        }
    }

    #[test]
    fn a_chunk_counts_as_sent_when_it_and_all_before_it_are_acknowledged() {
        let mut in_flight = InFlight::default();
        let (first, second) = (in_flight.push(chunk(5, None), 2), in_flight.push(chunk(9, None), 1));
        in_flight.acked(second);
        assert!(!in_flight.front_is_acked());
        in_flight.acked(first);
        assert!(!in_flight.front_is_acked(), "one of two");
        in_flight.acked(first);
        assert!(in_flight.front_is_acked());
        assert_eq!(in_flight.pop(), Some(Offset(5)));
        assert!(in_flight.front_is_acked());
        assert_eq!(in_flight.pop(), Some(Offset(9)));
        assert_eq!((in_flight.bytes(), in_flight.is_empty()), (0, true));
    }

    #[test]
    fn what_is_not_done_with_counts_as_not_sent() {
        let mut in_flight = InFlight::default();
        let mut sent = [0; 64];
        for next in [5, 9, 13] {
            in_flight.push(chunk(next, None), 0);
            sent[3] = next;
        }
        in_flight.pop();
        in_flight.unsent(&mut sent);
        assert_eq!(sent[3], 5);
    }

    #[test]
    fn what_is_said_after_a_chunk_waits_for_it() {
        let mut in_flight = InFlight::default();
        let token = in_flight.push(chunk(5, Some(Said::default())), 1);
        assert!(!in_flight.front_is_acked());
        in_flight.acked(token);
        let (told, _) = in_flight.take_said().unwrap();
        in_flight.expect(told, 2);
        in_flight.acked(told);
        assert!(!in_flight.front_is_acked());
        in_flight.acked(told);
        assert!(in_flight.front_is_acked() && in_flight.take_said().is_none());
        assert_eq!(in_flight.pop(), Some(Offset(5)));
    }
}
