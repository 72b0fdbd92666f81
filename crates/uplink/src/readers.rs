//! Who reads: a reader says, retained, which shards the broker keeps for it; a gateway sends nothing to a shard that nobody holds.
//!
//! A broker acknowledges and forgets what is published before anybody has subscribed. So the very first start, in any order, and
//! a broker that lost its sessions, would lose messages that count as forwarded.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use service::mqtt::{Delivery, Link, OptionsError, Publisher, PublisherOptions, Subscriber, SubscriberOptions};
use telemetry::proto;
use tokio::sync::watch;

use crate::topic::{Role, reader, readers_filter};
use crate::{Config, ShardSet};

/// Most readers that are followed.
const READERS_MAX: usize = 4_096;

/// Which shards have a reader of a role.
pub type Held = HashMap<Role, ShardSet>;

/// The shards of these that lack a reader of either role.
pub fn missing(held: &Held, shards: ShardSet, roles: &[Role]) -> ShardSet {
    roles.iter().fold(ShardSet::EMPTY, |missing, role| {
        missing.or(shards.without(held.get(role).copied().unwrap_or_default()))
    })
}

/// Says whenever `subscribed` becomes true that the broker keeps this reader's shards, until the subscriber ends.
///
/// # Errors
/// An option cannot work.
pub async fn announce(config: &Config, role: Role, mut subscribed: watch::Receiver<bool>) -> Result<(), OptionsError> {
    let client = format!("dermatel-{}-{}-says", role.as_str(), config.instance);
    let (publisher, mut acks, _) = Publisher::start(PublisherOptions::new(config.broker_as(client)))?;
    let topic = reader(role, &config.instance);
    let said = proto::UplinkReader {
        role: role.as_str().to_owned(),
        shards: config.shards.mask(),
    };
    let payload = Bytes::from(said.encode_to_vec());
    let taken = async move { while acks.recv().await.is_some() {} };
    let telling = async move {
        let mut number = 0;
        while subscribed.wait_for(|held| *held).await.is_ok() {
            number += 1;
            if publisher.publish(&topic, payload.clone(), number, true).await.is_err()
                || subscribed.wait_for(|held| !*held).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = taken => {}
        () = telling => {}
    }
    Ok(())
}

/// Follows what readers say.
pub(crate) struct Readers {
    subscriber: Subscriber,
    said: HashMap<String, (Role, ShardSet)>,
    held: watch::Sender<Held>,
}

impl Readers {
    /// Subscribes, with a session: whether the broker still has it says whether it has those of the readers.
    pub(crate) fn start(config: &Config, who: &str) -> Result<(Self, watch::Receiver<Held>), OptionsError> {
        let broker = config.broker_as(format!("{who}-readers"));
        let options = SubscriberOptions::new(broker, vec![readers_filter()]);
        let (held, seen) = watch::channel(Held::new());
        let readers = Self {
            subscriber: Subscriber::start(options)?,
            said: HashMap::new(),
            held,
        };
        Ok((readers, seen))
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
                        self.said.clear();
                        self.held.send_replace(Held::new());
                    }
                }
                delivery = self.subscriber.recv() => {
                    let Some(delivery) = delivery else { return };
                    self.hear(&delivery);
                    self.subscriber.acker().ack(&[delivery.token]);
                }
                () = self.held.closed() => return,
            }
        }
    }

    fn hear(&mut self, delivery: &Delivery) {
        let said = proto::UplinkReader::decode(&delivery.payload[..]).unwrap_or_default();
        let role = Role::ALL.into_iter().find(|role| role.as_str() == said.role);
        match role {
            Some(role) if self.said.len() < READERS_MAX || self.said.contains_key(&delivery.topic) => {
                let shards = ShardSet::from_mask(said.shards);
                self.said.insert(delivery.topic.clone(), (role, shards));
            }
            // Empty: taken back.
            _ => {
                self.said.remove(&delivery.topic);
            }
        }
        let mut held = Held::new();
        for (role, shards) in self.said.values() {
            let of = held.entry(*role).or_default();
            *of = of.or(*shards);
        }
        self.held.send_replace(held);
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
        let held = Held::from([(Role::Ingestor, set("0-31")), (Role::Alerting, set("16-63"))]);
        assert_eq!(missing(&held, set("20-30"), &Role::ALL), ShardSet::EMPTY);
        assert_eq!(missing(&held, set("10-40"), &Role::ALL), set("10-15,32-40"));
        assert_eq!(missing(&held, set("10-40"), &[Role::Alerting]), set("10-15"));
        assert_eq!(missing(&Held::new(), set("3"), &Role::ALL), set("3"));
    }
}
