//! The publisher's own memory of what the broker has not acknowledged: in order, by token, whatever rumqttc forgets.

use std::collections::VecDeque;

use bytes::Bytes;

/// One message that the broker has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) token: u64,
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    /// 0 while the library has not told it.
    pkid: u16,
    acked: bool,
    /// Whether an earlier connection had it.
    sent_before: bool,
}

/// Messages in order. The window counts from the oldest unacknowledged one, not the number in flight: packet ids are given in
/// turn, so two messages within it never share one, even when a broker acknowledges out of order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    /// Order of the front entry; entries are named by order, because the front moves.
    first: u64,
    /// Order of the first entry that this connection has not been given.
    unsent: u64,
    /// Orders of entries given to the library whose packet id is not known yet; it tells them in the order given.
    unnumbered: VecDeque<u64>,
    acked_within: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, message: Message) {
        self.entries.push_back(Entry {
            message,
            pkid: 0,
            acked: false,
            sent_before: false,
        });
    }

    /// Messages that are not acknowledged.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.acked_within
    }

    /// The next message to send, if the window is open, and whether an earlier connection had it. It then counts as given.
    pub(super) fn next(&mut self, window: usize) -> Option<(Message, bool)> {
        let n = self.unsent.saturating_sub(self.first) as usize;
        if n >= window {
            return None;
        }
        let entry = self.entries.get_mut(n)?;
        self.unnumbered.push_back(self.unsent);
        self.unsent += 1;
        let resent = std::mem::replace(&mut entry.sent_before, true);
        Some((entry.message.clone(), resent))
    }

    /// The message that [`Outbox::next`] gave last is not sent after all: it is taken out. Returns it.
    pub(super) fn take_back(&mut self) -> Option<Message> {
        let order = self.unnumbered.pop_back()?;
        self.finish(order)
    }

    /// The library wrote the oldest message without a packet id, under this one.
    pub(super) fn sent(&mut self, pkid: u16) {
        if let Some(order) = self.unnumbered.pop_front()
            && let Some(entry) = self.entries.get_mut(order.saturating_sub(self.first) as usize)
        {
            entry.pkid = pkid;
        }
    }

    /// The broker acknowledged a packet id of this connection; returns its message, none for an id that is not in flight.
    pub(super) fn acked(&mut self, pkid: u16) -> Option<Message> {
        let n = self
            .entries
            .iter()
            .position(|entry| entry.pkid == pkid && !entry.acked && pkid != 0)?;
        self.finish(self.first + n as u64)
    }

    /// The connection is gone: everything unacknowledged is to be sent again, in order.
    pub(super) fn lost(&mut self) {
        self.entries.retain(|entry| !entry.acked);
        self.acked_within = 0;
        self.unnumbered.clear();
        self.unsent = self.first;
        for entry in &mut self.entries {
            entry.pkid = 0;
        }
    }

    fn finish(&mut self, order: u64) -> Option<Message> {
        let entry = self.entries.get_mut(order.checked_sub(self.first)? as usize)?;
        entry.acked = true;
        self.acked_within += 1;
        let hollow = Message {
            token: entry.message.token,
            topic: String::new(),
            payload: Bytes::new(),
            retain: false,
        };
        let message = std::mem::replace(&mut entry.message, hollow);
        while self.entries.front().is_some_and(|entry| entry.acked) {
            self.entries.pop_front();
            self.first += 1;
            self.acked_within -= 1;
        }
        Some(message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(token: u64) -> Message {
        Message {
            token,
            topic: "t".into(),
            payload: Bytes::new(),
            retain: false,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Send,
        /// Acknowledge the n-th in flight.
        Ack(usize),
        Cut,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push), 4 => Just(Step::Send), 4 => (0usize..8).prop_map(Step::Ack), 1 => Just(Step::Cut),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        /// A broker is simulated: it gives out the ids 1 to WINDOW in turn, as rumqttc does.
        #[test]
        fn nothing_is_lost_nothing_is_acknowledged_twice_and_no_two_in_flight_share_an_id(steps in steps()) {
            const WINDOW: usize = 5;
            let mut outbox = Outbox::default();
            let (mut pushed, mut acked, mut flight, mut id) = (0u64, Vec::new(), Vec::new(), 0u16);
            let mut last_of_connection = None;
            for step in steps {
                match step {
                    Step::Push => { outbox.push(message(pushed)); pushed += 1; }
                    Step::Send => if let Some((message, _)) = outbox.next(WINDOW) {
                        prop_assert!(last_of_connection.is_none_or(|last| message.token > last), "out of order");
                        last_of_connection = Some(message.token);
                        id = id % WINDOW as u16 + 1;
                        prop_assert!(flight.iter().all(|(_, other)| *other != id), "id shared");
                        outbox.sent(id);
                        flight.push((message.token, id));
                    },
                    Step::Ack(n) => if !flight.is_empty() {
                        let (token, id) = flight.remove(n % flight.len());
                        prop_assert_eq!(outbox.acked(id).unwrap().token, token);
                        prop_assert!(outbox.acked(id).is_none());
                        acked.push(token);
                    },
                    Step::Cut => { outbox.lost(); flight.clear(); id = 0; last_of_connection = None; }
                }
                prop_assert_eq!(outbox.len(), pushed as usize - acked.len());
            }
            outbox.lost();
            while let Some((message, _)) = outbox.next(usize::MAX) { acked.push(message.token); }
            acked.sort_unstable();
            prop_assert_eq!(acked, (0..pushed).collect::<Vec<_>>());
        }
    }
}
