//! Records of the log, grouped by clinic, packed, and each message named by the stretch of its shard that it is.
use std::collections::HashMap;

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use spool::{Gap, GapReason, Item, Offset};
use telemetry::{ClinicId, TenantId, UnixMicros, proto};

use super::far::PerShard;
use super::in_flight::{Chunk, Message};
use crate::ShardSet;
use crate::batch::{Packed, pack_messages};
use crate::metrics::{FORWARDED_BYTES, FORWARDED_MESSAGES, FORWARDED_PACKED_BYTES, NOT_FORWARDED};
use crate::report::{Head, Report};
use crate::stretch::{Stretch, address};
use crate::topic::{Up, Way};

/// Most of a gateway's logs that are told of.
const BACKLOGS_MAX: usize = 8;

/// What a gateway says after a chunk, on every shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(super) watermark: Option<UnixMicros>,
    pub(super) backlogs: Vec<proto::Backlog>,
    /// What was sent of each shard by then, and the end of its chunk.
    pub(super) sent: Vec<u64>,
    pub(super) next: u64,
}

/// See the module.
pub(super) struct Cutter {
    /// What all stretches of this line have in common.
    pub(super) line: Stretch,
    /// Records of a shard before this were sent, and are passed over.
    pub(super) sent: PerShard,
    pub(super) batch_bytes: usize,
    pub(super) connections: u16,
}

/// What goes to one clinic, in the order of the log.
#[derive(Default)]
struct Group {
    /// None: it is none that can be addressed.
    topic: Option<Up>,
    /// Its clinic is among those that were heard.
    waits: bool,
    admitted: Vec<Bytes>,
    refused: Vec<proto::Refused>,
    bytes: usize,
}

impl Cutter {
    /// Cuts consecutive items.
    pub(super) fn chunk(&mut self, items: Vec<Item>) -> Chunk {
        let next = items.last().map_or(Offset::ZERO, Item::next);
        let mut chunk = Chunk {
            next,
            messages: Vec::new(),
            bytes: 0,
            sent: Vec::new(),
            said: None,
        };
        let mut groups: HashMap<(String, String), Group> = HashMap::new();
        // The order in which clinics were first heard, so that one that says much does not always go first.
        let mut order = Vec::new();
        let mut packed = Vec::new();
        for item in items {
            let record = match item {
                Item::Record(record) => record,
                Item::Gap(gap) => {
                    self.miss(gap);
                    continue;
                }
            };
            let (offset, bytes) = (record.offset, record.bytes.len());
            let Some((key, piece)) = piece(record.bytes, &mut chunk.said) else {
                continue;
            };
            let group = groups.entry(key.clone()).or_insert_with(|| Group::to(&key));
            if group.topic.as_ref().is_some_and(|to| self.was_sent(to, offset)) {
                continue;
            }
            if !group.waits {
                group.waits = true;
                order.push(key);
            }
            chunk.bytes += bytes;
            group.add(piece);
            if group.bytes >= self.batch_bytes {
                packed.extend(self.pack(group));
            }
        }
        for key in order {
            packed.extend(groups.get_mut(&key).and_then(|group| self.pack(group)));
        }
        self.address(&mut chunk, packed);
        if let Some(said) = &mut chunk.said {
            (said.sent, said.next) = (self.sent.to_vec(), next.0);
        }
        chunk
    }

    fn was_sent(&self, topic: &Up, offset: Offset) -> bool {
        offset.0 < self.sent[usize::from(topic.shard())]
    }

    fn miss(&self, gap: Gap) {
        // A reader that knows of nothing asked for all that there is.
        if gap.reason == GapReason::Trimmed && gap.to.0 <= self.line.oldest {
            return;
        }
        tracing::error!(
            from = gap.from.0,
            to = gap.to.0,
            reason = gap.reason.as_str(),
            "records of the gateway's log are missing and were not forwarded"
        );
        counter!(NOT_FORWARDED, "reason" => "lost").increment(gap.count());
    }

    /// Says of each message which stretch of its shard it is.
    fn address(&mut self, chunk: &mut Chunk, packed: Vec<(Up, Packed)>) {
        let shards: ShardSet = packed.iter().map(|(topic, _)| topic.shard()).collect();
        let stretch = |shard: u16| Stretch {
            after: self.sent[usize::from(shard)],
            next: chunk.next.0,
            ..self.line.clone()
        };
        for (topic, payload) in address(packed, stretch) {
            counter!(FORWARDED_PACKED_BYTES).increment(payload.len() as u64);
            chunk.messages.push(Message {
                lane: usize::from(topic.shard() % self.connections),
                topic: topic.to_string(),
                payload,
            });
        }
        for shard in shards.iter() {
            let sent = &mut self.sent[usize::from(shard)];
            chunk.sent.push((shard, *sent, chunk.next.0));
            *sent = chunk.next.0;
        }
    }

    /// Packs a group and empties it.
    fn pack(&self, group: &mut Group) -> Option<(Up, Packed)> {
        let messages = (group.admitted.len() + group.refused.len()) as u64;
        let (admitted, refused) = (std::mem::take(&mut group.admitted), std::mem::take(&mut group.refused));
        let bytes = std::mem::take(&mut group.bytes);
        if messages == 0 {
            return None;
        }
        let Some(topic) = group.topic.clone() else {
            // It passed a checksum, so another version of the program wrote it.
            tracing::error!(
                records = messages,
                "records of the gateway's log name no clinic and were not forwarded"
            );
            counter!(NOT_FORWARDED, "reason" => "unreadable").increment(messages);
            return None;
        };
        counter!(FORWARDED_MESSAGES).increment(messages);
        counter!(FORWARDED_BYTES).increment(bytes as u64);
        Some((topic, pack_messages(self.line.sender.as_str(), admitted, refused)))
    }
}

/// Whose a record is; what goes to all shards is put into `said`.
fn piece(record: Vec<u8>, said: &mut Option<Said>) -> Option<((String, String), Piece)> {
    let head = Head::decode(&record[..]).ok()?;
    if head.channel != proto::Channel::Report as i32 {
        return Some(((head.tenant, head.clinic), Piece::Admitted(record.into())));
    }
    match Report::decode(&record)? {
        Report::Refused { clinic, refused } => Some(((refused.tenant.clone(), clinic), Piece::Refused(refused))),
        Report::Watermark(at) => {
            let said = said.get_or_insert_default();
            said.watermark = said.watermark.max(Some(at));
            None
        }
        Report::Backlog(backlog) => {
            let said = said.get_or_insert_default();
            said.backlogs.retain(|known| known.log != backlog.log);
            if said.backlogs.len() < BACKLOGS_MAX {
                said.backlogs.push(backlog);
            }
            None
        }
    }
}

enum Piece {
    Admitted(Bytes),
    Refused(proto::Refused),
}

impl Group {
    fn to((tenant, clinic): &(String, String)) -> Self {
        let ids = TenantId::new(tenant).ok().zip(ClinicId::new(clinic).ok());
        Self {
            topic: ids.map(|(tenant, clinic)| Up::clinic(Way::Uplink, tenant, clinic)),
            ..Self::default()
        }
    }

    fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Admitted(record) => {
                self.bytes += record.len();
                self.admitted.push(record);
            }
            Piece::Refused(refused) => {
                self.bytes += refused.encoded_len();
                self.refused.push(refused);
            }
        }
    }
}
