//! What a reader holds of each sender, without a gap: the receiving half of an acknowledgement from disk to disk.
//!
//! A broker may lose what it has acknowledged: its sessions with a node, its queue with a disk. So a message says which stretch of
//! its sender's log it is, per shard, and is taken only if it follows what is held. What does not follow is passed over and said
//! to be lacking, and the sender goes back to what its reader holds; what is held already is passed over as a copy.
use std::collections::{BTreeMap, HashMap};

use prost::Message as _;
use telemetry::{GatewayId, proto};

use crate::ShardSet;
use crate::stretch::Stretch;
use crate::topic::Way;

/// Most senders that are followed; one more is a stranger.
pub const SENDERS_MAX: usize = 10_000;

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It follows: write it.
    Take,
    /// It is held already.
    Copy,
    /// Something before it is missing; it comes again.
    Ahead,
    /// Its sender has not introduced itself.
    Stranger,
}

/// Everything that is held. Positions that were judged count once the log is synced: [`Held::begin`] before a write, and
/// [`Held::take_back`] if it failed.
#[derive(Debug, Default)]
pub struct Held {
    senders: HashMap<(Way, GatewayId), Sender>,
    /// As they were before the write that is under way.
    before: HashMap<(Way, GatewayId), Option<Sender>>,
}

#[derive(Debug, Clone, Default)]
struct Sender {
    era: u64,
    line: u32,
    shards: BTreeMap<u16, Shard>,
    lacking: ShardSet,
    /// Something is to be said.
    news: bool,
}

#[derive(Debug, Clone, Default)]
struct Shard {
    /// Everything before it is held; none: nothing is known.
    position: Option<u64>,
    /// Up to here it gets what it had no part in when all readers had it: it began from nothing since, as after a lost disk, and
    /// its sender's word that every reader has something does not hold for it.
    owed: u64,
    under_way: Option<Parts>,
}

/// A stretch of which not all parts have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    line: u32,
    after: u64,
    next: u64,
    /// The part that comes next.
    expected: u32,
}

impl Held {
    /// Judges a message, as if it were written. Who writes on `_progress/{sender}` is that sender, by the broker's access rules:
    /// only such a message introduces a sender's new era (`introduces`), so that nobody else can make a reader pass over what it
    /// says. On alerts' topics alerting writes alone.
    pub fn judge(&mut self, way: Way, shard: u16, stretch: &Stretch, introduces: bool) -> Verdict {
        let key = (way, stretch.sender.clone());
        let known = self.senders.get(&key);
        if !self.before.contains_key(&key) {
            self.before.insert(key.clone(), known.cloned());
        }
        match known {
            Some(sender) if sender.era == stretch.era => {}
            _ if !introduces => return Verdict::Stranger,
            None if self.senders.len() >= SENDERS_MAX => return Verdict::Stranger,
            _ => self.introduce(&key, stretch),
        }
        match self.senders.get_mut(&key) {
            Some(sender) => sender.judge(shard, stretch),
            None => Verdict::Stranger,
        }
    }

    fn introduce(&mut self, key: &(Way, GatewayId), stretch: &Stretch) {
        let mut sender = self.senders.remove(key).unwrap_or_default();
        match stretch.continues {
            // A log that was put back from a copy has other records from there on.
            Some((era, at)) if era == sender.era => {
                for shard in sender.shards.values_mut() {
                    shard.position = shard.position.map(|position| position.min(at));
                    shard.under_way = None;
                }
            }
            _ => sender.shards.clear(),
        }
        sender.era = stretch.era;
        sender.line = stretch.line;
        sender.lacking = ShardSet::EMPTY;
        sender.news = true;
        self.senders.insert(key.clone(), sender);
    }

    /// A write begins.
    pub fn begin(&mut self) {
        self.before.clear();
    }

    /// The write failed: nothing that was judged since it began counts.
    pub fn take_back(&mut self) {
        for (key, sender) in self.before.drain() {
            match sender {
                Some(sender) => self.senders.insert(key, sender),
                None => self.senders.remove(&key),
            };
        }
    }

    /// What is to be said to whom: what is new, or everything.
    pub fn say(&mut self, all: bool) -> Vec<(Way, GatewayId, proto::UplinkHeld)> {
        let due = self.senders.iter_mut().filter(|(_, sender)| all || sender.news);
        due.map(|((way, id), sender)| {
            sender.news = false;
            let held = proto::UplinkHeld {
                era: sender.era,
                line: sender.line,
                shards: sender.said(),
                lacking: sender.lacking.mask(),
            };
            (*way, id.clone(), held)
        })
        .collect()
    }

    /// Whether something is to be said.
    pub fn has_news(&self) -> bool {
        self.senders.values().any(|sender| sender.news)
    }

    /// What must be on disk before it is said: positions of gateways. Those of alerting are not kept, it sends again what it has
    /// no answer for.
    pub fn encode(&self) -> Vec<u8> {
        let gateways = self.senders.iter().filter(|((way, _), _)| *way == Way::Uplink);
        let senders = gateways.map(|((_, id), sender)| proto::uplink_positions::Sender {
            sender: id.to_string(),
            era: sender.era,
            shards: sender.remembered(),
        });
        let positions = proto::UplinkPositions {
            senders: senders.collect(),
        };
        positions.encode_to_vec()
    }

    /// Reads what was kept; what cannot be read is not known, and comes again.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let positions = proto::UplinkPositions::decode(bytes).ok()?;
        let mut held = Self::default();
        for sender in positions.senders.into_iter().take(SENDERS_MAX) {
            let shards = sender.shards.iter().filter_map(|shard| {
                let known = Shard {
                    position: shard.position,
                    owed: shard.owed.unwrap_or_default(),
                    under_way: None,
                };
                Some((u16::try_from(shard.shard).ok()?, known))
            });
            let id = GatewayId::new(&sender.sender).ok()?;
            let sender = Sender {
                era: sender.era,
                shards: shards.collect(),
                ..Sender::default()
            };
            held.senders.insert((Way::Uplink, id), sender);
        }
        Some(held)
    }
}

impl Sender {
    fn judge(&mut self, shard: u16, stretch: &Stretch) -> Verdict {
        if stretch.line > self.line {
            self.line = stretch.line;
            self.lacking = ShardSet::EMPTY;
            self.news = true;
        }
        let verdict = self.shards.entry(shard).or_default().judge(stretch);
        match verdict {
            Verdict::Take => self.news = true,
            // The sender has gone back since: what it sends now will follow.
            Verdict::Ahead if stretch.line < self.line => {}
            Verdict::Ahead => {
                self.news |= !self.lacking.contains(shard);
                self.lacking = self.lacking.with(shard);
            }
            Verdict::Copy | Verdict::Stranger => {}
        }
        verdict
    }

    fn said(&self) -> Vec<proto::ShardHeld> {
        let shards = self.shards.iter();
        shards
            .map(|(shard, held)| proto::ShardHeld {
                shard: u32::from(*shard),
                position: held.position,
                owed: None,
            })
            .collect()
    }

    fn remembered(&self) -> Vec<proto::ShardHeld> {
        let mut shards = self.said();
        for (shard, held) in shards.iter_mut().zip(self.shards.values()) {
            shard.owed = held.position.filter(|at| *at < held.owed).map(|_| held.owed);
        }
        shards
    }
}

impl Shard {
    fn judge(&mut self, stretch: &Stretch) -> Verdict {
        let has = match self.position {
            Some(position) if position < self.owed => position,
            Some(position) => position.max(stretch.floor),
            None => {
                self.owed = stretch.floor;
                stretch.oldest
            }
        };
        if stretch.after > has {
            return Verdict::Ahead;
        }
        if stretch.parts == 0 {
            self.position = Some(has.max(stretch.next));
            return Verdict::Take;
        }
        if stretch.next <= has {
            self.position = Some(has);
            return Verdict::Copy;
        }
        let expected = match self.under_way {
            Some(parts) if (parts.line, parts.after, parts.next) == (stretch.line, stretch.after, stretch.next) => {
                parts.expected
            }
            _ => 0,
        };
        match stretch.part {
            part if part < expected => Verdict::Copy,
            part if part > expected => Verdict::Ahead,
            part if part + 1 == stretch.parts => {
                (self.position, self.under_way) = (Some(stretch.next), None);
                Verdict::Take
            }
            part => {
                self.under_way = Some(Parts {
                    line: stretch.line,
                    after: stretch.after,
                    next: stretch.next,
                    expected: part + 1,
                });
                Verdict::Take
            }
        }
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
