//! What readers have said that they hold, and what follows: how far the cursor may go, and when to go back. Pure; time is given.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use telemetry::{SHARDS, proto};

use crate::ShardSet;
use crate::readers::{AWAY_AFTER, ReaderId};

/// Longest pause between two times of going back for a reader that does not come further.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// An offset for each shard.
pub(super) type PerShard = [u64; SHARDS as usize];

/// Where sending begins again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Back {
    /// For each shard that goes back, everything before this is held; none: nothing is known there.
    pub(super) shards: Vec<(u16, Option<u64>)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Far {
    pub(super) era: u64,
    pub(super) line: u32,
    /// Everything of the shard before this was sent.
    pub(super) sent: PerShard,
    /// Shards on which something was sent, and be it progress.
    pub(super) used: ShardSet,
    readers: HashMap<ReaderId, Known>,
}

#[derive(Debug)]
struct Known {
    held: [Option<u64>; SHARDS as usize],
    heard: Instant,
    /// Since when it holds less than was sent, and no more than it did.
    behind_since: Option<Instant>,
    /// How long it may.
    patience: Duration,
}

impl Far {
    /// A process starts; everything before `cursor` is with the readers.
    pub(super) fn new(era: u64, cursor: u64) -> Self {
        Self {
            era,
            line: 0,
            sent: [cursor; SHARDS as usize],
            used: ShardSet::EMPTY,
            readers: HashMap::new(),
        }
    }

    /// A reader says what it holds. Gives where to go back to, if it lacks something of the line that is being sent.
    pub(super) fn hear(
        &mut self,
        reader: &ReaderId,
        said: &proto::UplinkHeld,
        resend: Duration,
        now: Instant,
    ) -> Option<Back> {
        if said.era != self.era {
            return None;
        }
        let known = self.readers.entry(reader.clone()).or_insert_with(|| Known {
            held: [None; SHARDS as usize],
            heard: now,
            behind_since: None,
            patience: resend,
        });
        let mut held = [None; SHARDS as usize];
        for shard in &said.shards {
            if let Some(at) = usize::try_from(shard.shard).ok().and_then(|s| held.get_mut(s)) {
                *at = shard.position;
            }
        }
        if held != known.held {
            (known.held, known.behind_since, known.patience) = (held, None, resend);
        }
        known.heard = now;
        if said.line != self.line {
            return None;
        }
        let lacking = ShardSet::from_mask(said.lacking).and(self.used);
        self.back(reader, lacking)
    }

    fn back(&self, reader: &ReaderId, shards: ShardSet) -> Option<Back> {
        let known = self.readers.get(reader)?;
        let shards: Vec<_> = shards
            .iter()
            .map(|shard| (shard, known.held[usize::from(shard)]))
            .filter(|(shard, held)| held.is_none_or(|held| held < self.sent[usize::from(*shard)]))
            .collect();
        (!shards.is_empty()).then_some(Back { shards })
    }

    /// A reader that is there and does not come further although it got nothing to complain about: what was sent last is gone.
    /// `announced`: the readers that there are, and their shards.
    pub(super) fn overdue(&mut self, announced: &HashMap<ReaderId, ShardSet>, now: Instant) -> Option<Back> {
        let mut due = None;
        for (reader, shards) in announced {
            let shards = shards.and(self.used);
            let behind = self.back(reader, shards).is_some();
            let Some(known) = self.readers.get_mut(reader) else {
                continue;
            };
            if !behind || now.duration_since(known.heard) > AWAY_AFTER {
                known.behind_since = None;
                continue;
            }
            let since = *known.behind_since.get_or_insert(now);
            if due.is_none() && now.duration_since(since) > known.patience {
                known.behind_since = None;
                known.patience = (known.patience * 2).min(PATIENCE_MAX);
                due = Some((reader, shards));
            }
        }
        due.and_then(|(reader, shards)| self.back(reader, shards))
    }

    /// How far the cursor may go: what every announced reader holds of its shards, and no further than `settled`, before which
    /// everything was sent. None: a reader has not said yet what it holds.
    pub(super) fn cursor(&self, settled: u64, announced: &HashMap<ReaderId, ShardSet>) -> Option<u64> {
        let mut cursor = settled;
        for (reader, shards) in announced {
            for shard in shards.and(self.used).iter().map(usize::from) {
                let held = self.readers.get(reader)?.held[shard]?;
                if held < self.sent[shard] {
                    cursor = cursor.min(held);
                }
            }
        }
        Some(cursor)
    }

    /// Sending goes back: gives the offset to read from, of what was to be read from `from`. `oldest` is the oldest that there is.
    pub(super) fn go_back(&mut self, back: &Back, from: u64, oldest: u64) -> u64 {
        let mut from = from;
        for (shard, held) in &back.shards {
            let sent = &mut self.sent[usize::from(*shard)];
            *sent = (*sent).min(held.unwrap_or(oldest));
            from = from.min(*sent);
        }
        from
    }

    /// A reader that is announced and has said nothing for a while.
    pub(super) fn away<'a>(&self, announced: &'a HashMap<ReaderId, ShardSet>, now: Instant) -> Option<&'a ReaderId> {
        let silent = |reader: &&ReaderId| {
            let heard = self.readers.get(reader).map(|known| known.heard);
            heard.is_none_or(|heard| now.duration_since(heard) > AWAY_AFTER)
        };
        announced.keys().filter(silent).min()
    }
}

#[cfg(test)]
#[path = "far_tests.rs"]
mod tests;
