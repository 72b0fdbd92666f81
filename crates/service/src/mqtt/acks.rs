//! Acknowledgements owed to the broker: in the order of receipt, of this connection only, each once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::driver::Sender;
use super::options::PACKET_IDS;
use crate::telemetry_names::{MQTT_ACKS, MQTT_ACKS_DROPPED};

/// Names one delivery of one connection. Acknowledge it when the delivery is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AckToken {
    epoch: u64,
    /// Order of receipt within the epoch; [`AckToken::NOTHING_OWED`] for QoS 0.
    order: u64,
}

impl AckToken {
    const NOTHING_OWED: u64 = u64::MAX;
}

/// Acknowledges deliveries, from any task or thread; never blocks, never awaits.
#[derive(Clone, Debug)]
pub struct Acker(Arc<Mutex<Receipts>>);

#[derive(Debug)]
struct Receipts {
    epoch: u64,
    sender: Option<Sender>,
    /// Order of the front of `owed`.
    first: u64,
    /// Packet ids in order of receipt, and whether the consumer is done with them. Bounded by the number of packet ids.
    owed: VecDeque<(u16, bool)>,
    /// Which packet ids are in `owed`.
    taken: Vec<u64>,
}

impl Acker {
    pub(super) fn new() -> Self {
        let taken = vec![0; PACKET_IDS / 64 + 1];
        // From a random start, so that a token of one subscriber means nothing to another in the same process.
        let epoch = u64::from(rand::random::<u32>()) << 32;
        Self(Arc::new(Mutex::new(Receipts {
            epoch,
            sender: None,
            first: 0,
            owed: VecDeque::new(),
            taken,
        })))
    }

    /// Acknowledges deliveries in any order; the broker hears of them in the order of receipt, so one that is missing holds
    /// back the later ones. Tokens of an older connection are dropped and counted: the broker sends those deliveries again.
    pub fn ack(&self, tokens: &[AckToken]) {
        let (sent, stale, repeated) = self.lock().ack(tokens);
        ::metrics::counter!(MQTT_ACKS).increment(sent);
        if stale > 0 {
            ::metrics::counter!(MQTT_ACKS_DROPPED, "reason" => "stale").increment(stale);
        }
        if repeated > 0 {
            ::metrics::counter!(MQTT_ACKS_DROPPED, "reason" => "repeated").increment(repeated);
        }
    }

    /// Deliveries of the present connection that are not acknowledged.
    pub fn outstanding(&self) -> usize {
        self.lock().owed.len()
    }

    /// A connection is up: what is received from now on is acknowledged to `sender`.
    pub(super) fn begin(&self, sender: Sender) {
        self.lock().restart(Some(sender));
    }

    /// The connection is gone: no token of it is good any more.
    pub(super) fn end(&self) {
        self.lock().restart(None);
    }

    /// Asks for a clean disconnect after the acknowledgements so far; false when there is no connection.
    pub(super) fn disconnect(&self) -> bool {
        self.lock().sender.as_ref().is_some_and(Sender::disconnect)
    }

    /// The token of a delivery with this packet id (0 for QoS 0); none if that id is owed already on this connection: the
    /// broker repeated it, and acknowledging it twice could acknowledge another message.
    pub(super) fn receive(&self, pkid: u16) -> Option<AckToken> {
        self.lock().receive(pkid)
    }

    fn lock(&self) -> MutexGuard<'_, Receipts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receipts {
    fn restart(&mut self, sender: Option<Sender>) {
        self.epoch += 1;
        self.sender = sender;
        self.first = 0;
        self.owed.clear();
        self.taken.fill(0);
    }

    fn receive(&mut self, pkid: u16) -> Option<AckToken> {
        if pkid == 0 {
            return Some(AckToken {
                epoch: self.epoch,
                order: AckToken::NOTHING_OWED,
            });
        }
        let (word, bit) = (usize::from(pkid) / 64, 1 << (pkid % 64));
        let taken = self.taken.get_mut(word)?;
        if *taken & bit != 0 {
            return None;
        }
        *taken |= bit;
        let order = self.first + self.owed.len() as u64;
        self.owed.push_back((pkid, false));
        Some(AckToken {
            epoch: self.epoch,
            order,
        })
    }

    /// Sent, stale and repeated acknowledgements.
    fn ack(&mut self, tokens: &[AckToken]) -> (u64, u64, u64) {
        let (mut sent, mut stale, mut repeated) = (0, 0, 0);
        for token in tokens.iter().filter(|token| token.order != AckToken::NOTHING_OWED) {
            if token.epoch != self.epoch {
                stale += 1;
                continue;
            }
            let place = token
                .order
                .checked_sub(self.first)
                .and_then(|n| self.owed.get_mut(n as usize));
            match place {
                Some((_, done)) if !*done => *done = true,
                _ => repeated += 1,
            }
        }
        while let Some((pkid, true)) = self.owed.front().copied() {
            self.owed.pop_front();
            self.first += 1;
            if let Some(taken) = self.taken.get_mut(usize::from(pkid) / 64) {
                *taken &= !(1 << (pkid % 64));
            }
            sent += u64::from(self.sender.as_ref().is_some_and(|sender| sender.ack(pkid)));
        }
        (sent, stale, repeated)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::{MqttOptions, Request};

    use super::*;

    /// A sender whose event loop is never polled: its requests can be looked at after `clean`… except acknowledgements, which
    /// that drops; so orders are checked on `Receipts`, with what left it in order.
    fn connected() -> (Acker, rumqttc::EventLoop) {
        let (client, events) = rumqttc::AsyncClient::new(MqttOptions::new("t", "127.0.0.1", 1), 1000);
        let acker = Acker::new();
        acker.begin(Sender::V311(client));
        (acker, events)
    }

    #[test]
    fn a_token_of_an_old_connection_acknowledges_nothing_on_the_new_one() {
        let (acker, mut events) = connected();
        let old = acker.receive(7).unwrap();
        acker.end();
        let (client, _events) = rumqttc::AsyncClient::new(MqttOptions::new("t", "127.0.0.1", 1), 1000);
        acker.begin(Sender::V311(client));
        let new = acker.receive(7).unwrap();
        assert_eq!(acker.lock().ack(&[old]), (0, 1, 0));
        assert_eq!(acker.outstanding(), 1);
        assert_eq!(acker.lock().ack(&[new]), (1, 0, 0));
        events.clean();
        assert!(
            !events
                .pending
                .iter()
                .any(|request| matches!(request, Request::PubAck(_)))
        );
    }

    #[test]
    fn the_same_token_twice_and_a_repeated_delivery_acknowledge_once() {
        let (acker, _events) = connected();
        let token = acker.receive(3).unwrap();
        assert!(acker.receive(3).is_none());
        assert_eq!(acker.lock().ack(&[token, token]), (1, 0, 1));
        assert!(acker.receive(3).is_some());
    }

    proptest! {
        #[test]
        fn acknowledgements_leave_in_the_order_of_receipt(order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle()) {
            let (acker, _events) = connected();
            let tokens: Vec<AckToken> = (1..=40u16).map(|pkid| acker.receive(pkid).unwrap()).collect();
            let mut done = [false; 40];
            for n in order {
                done[n] = true;
                acker.ack(&[tokens[n]]);
                let prefix = done.iter().take_while(|done| **done).count();
                prop_assert_eq!(acker.outstanding(), 40 - prefix);
            }
        }
    }
}
