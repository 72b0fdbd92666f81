//! Who reads: a reader says, retained, which shards the broker keeps for it, and then how far it holds what is sent. A sender sends
//! nothing to a shard that nobody reads.
//!
//! A broker acknowledges and forgets what is published before anybody has subscribed. So the very first start, in any order, and
//! a broker that lost its sessions, would send what nobody gets.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use service::mqtt::{Delivery, Link, OptionsError, Subscriber, SubscriberOptions};
use telemetry::{GatewayId, proto};
use tokio::sync::watch;

use crate::topic::{Role, Says, Way, held_filter, readers_filter, says};
use crate::{Config, ShardSet};

/// A reader that said nothing for so long, three times as long as it may be silent, is away.
pub const AWAY_AFTER: Duration = Duration::from_secs(15);
/// Most readers that are followed.
const READERS_MAX: usize = 4_096;

/// A reader: its role, and the name that is its own there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReaderId {
    /// What it does.
    pub role: Role,
    /// Its `uplink.instance`.
    pub instance: String,
}

/// What readers have said.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those that there are, and their shards.
    pub announced: HashMap<ReaderId, ShardSet>,
    /// What each said last that it holds, and when.
    pub said: HashMap<ReaderId, (proto::UplinkHeld, Instant)>,
}

/// The shards of these that lack a reader of one of the roles.
pub fn missing(announced: &HashMap<ReaderId, ShardSet>, shards: ShardSet, roles: &[Role]) -> ShardSet {
    roles.iter().fold(ShardSet::EMPTY, |missing, role| {
        let of_role = announced.iter().filter(|(reader, _)| reader.role == *role);
        let held = of_role.fold(ShardSet::EMPTY, |held, (_, shards)| held.or(*shards));
        missing.or(shards.without(held))
    })
}

/// Follows what readers say.
pub(crate) struct Readers {
    subscriber: Subscriber,
    seen: watch::Sender<Seen>,
}

impl Readers {
    /// Subscribes for `sender`, as client `client`, with a session: whether the broker still has it says whether it has those of
    /// the readers.
    pub(crate) fn start(
        config: &Config,
        client: &str,
        way: Way,
        sender: &GatewayId,
    ) -> Result<(Self, watch::Receiver<Seen>), OptionsError> {
        let broker = config.broker_as(format!("{client}-readers"));
        let options = SubscriberOptions::new(broker, vec![readers_filter(), held_filter(way, sender)]);
        let (seen, watched) = watch::channel(Seen::default());
        let readers = Self {
            subscriber: Subscriber::start(options)?,
            seen,
        };
        Ok((readers, watched))
    }

    /// Runs until nobody wants to know any more.
    pub(crate) async fn run(mut self) {
        let mut link = self.subscriber.link();
        loop {
            tokio::select! {
                // A connection is told before what came over it.
                biased;
                changed = link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // It has forgotten us, so it has forgotten the readers: only what is said again holds.
                    if *link.borrow_and_update() == (Link::Connected { session_present: false }) {
                        self.seen.send_modify(|seen| seen.announced.clear());
                    }
                }
                delivery = self.subscriber.recv() => {
                    let Some(delivery) = delivery else { return };
                    self.seen.send_modify(|seen| seen.hear(&delivery));
                    self.subscriber.acker().ack(&[delivery.token]);
                }
                () = self.seen.closed() => return,
            }
        }
    }
}

impl Seen {
    fn hear(&mut self, delivery: &Delivery) {
        let id = |role, instance: &str| ReaderId {
            role,
            instance: instance.to_owned(),
        };
        match says(&delivery.topic) {
            // Empty: taken back.
            Some(Says::Reads(role, instance)) if delivery.payload.is_empty() => {
                self.announced.remove(&id(role, instance));
                self.said.remove(&id(role, instance));
            }
            Some(Says::Reads(role, instance)) => {
                let Ok(said) = proto::UplinkReader::decode(&delivery.payload[..]) else {
                    return;
                };
                let reader = id(role, instance);
                if self.announced.len() < READERS_MAX || self.announced.contains_key(&reader) {
                    self.announced.insert(reader, ShardSet::from_mask(said.shards));
                }
            }
            Some(Says::Holds(role, instance)) => {
                let Ok(said) = proto::UplinkHeld::decode(&delivery.payload[..]) else {
                    return;
                };
                let reader = id(role, instance);
                if self.said.len() < READERS_MAX || self.said.contains_key(&reader) {
                    self.said.insert(reader, (said, Instant::now()));
                }
            }
            None => {}
        }
    }
}

/// Gives the shards that a process sends to, which the registry may change.
pub type Shards = Arc<dyn Fn() -> ShardSet + Send + Sync>;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_held_when_every_role_holds_it() {
        let set = |text: &str| text.parse::<ShardSet>().unwrap();
        let reader = |role, name: &str, shards| {
            let instance = name.to_owned();
            (ReaderId { role, instance }, set(shards))
        };
        let announced = HashMap::from([
            reader(Role::Ingestor, "a", "0-20"),
            reader(Role::Ingestor, "b", "21-31"),
            reader(Role::Alerting, "a", "16-63"),
        ]);
        assert_eq!(missing(&announced, set("20-30"), &Role::ALL), ShardSet::EMPTY);
        assert_eq!(missing(&announced, set("10-40"), &Role::ALL), set("10-15,32-40"));
        assert_eq!(missing(&announced, set("10-40"), &[Role::Alerting]), set("10-15"));
        assert_eq!(missing(&HashMap::new(), set("3"), &Role::ALL), set("3"));
    }
}
