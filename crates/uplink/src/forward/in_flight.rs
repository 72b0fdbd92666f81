//! What was sent and is not acknowledged: chunks of the log, in its order.
use std::collections::VecDeque;

use bytes::Bytes;
use spool::Offset;

use super::pack::Said;

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
    /// To be told when everything up to its end is acknowledged.
    pub(super) said: Option<Said>,
}

#[derive(Debug)]
struct Sent {
    next: Offset,
    bytes: usize,
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

    /// Before its messages are published; gives their token.
    pub(super) fn push(&mut self, chunk: Chunk) -> u64 {
        self.bytes += chunk.bytes;
        self.sent.push_back(Sent {
            next: chunk.next,
            bytes: chunk.bytes,
            outstanding: chunk.messages.len(),
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

    /// Done with the oldest chunk; gives where the cursor may stand.
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

    fn chunk(next: u64, messages: usize, said: Option<Said>) -> Chunk {
        let message = || Message {
            lane: 0,
            topic: String::new(),
            payload: Bytes::new(),
        };
        Chunk {
            next: Offset(next),
            messages: (0..messages).map(|_| message()).collect(),
            bytes: 10,
            said,
        }
    }

    #[test]
    fn the_cursor_passes_a_chunk_when_it_and_all_before_it_are_acknowledged() {
        let mut in_flight = InFlight::default();
        let (first, second) = (in_flight.push(chunk(5, 2, None)), in_flight.push(chunk(9, 1, None)));
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
    fn what_is_said_after_a_chunk_waits_for_it_and_holds_the_cursor() {
        let mut in_flight = InFlight::default();
        let token = in_flight.push(chunk(5, 1, Some(Said::default())));
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
