//! The reading half: a thread that takes records from the log, groups them by clinic and packs them.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use spool::{Item, Offset, Reader, Spool};
use telemetry::{ClinicId, GatewayId, TenantId, UnixMicros, proto};
use tokio::sync::mpsc;

use super::in_flight::{Chunk, Message};
use crate::batch::{MESSAGES_MAX, pack_messages};
use crate::metrics::{FORWARDED_BYTES, FORWARDED_MESSAGES, FORWARDED_PACKED_BYTES, NOT_FORWARDED};
use crate::report::{Head, Report};
use crate::topic::{Up, Way};

/// Most records of one chunk.
const READ_RECORDS: usize = MESSAGES_MAX;
/// Most bytes of one chunk, before packing.
pub(super) const READ_BYTES: usize = 1024 * 1024;
/// Longest wait for new records before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);
/// Wait after the log could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);
/// Most of a gateway's logs that are told of.
const BACKLOGS_MAX: usize = 8;

/// What a gateway says after a chunk, on every shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(super) watermark: Option<UnixMicros>,
    pub(super) backlogs: Vec<proto::Backlog>,
}

/// See the module.
pub(super) struct Packer {
    pub(super) spool: Spool,
    pub(super) reader: Reader,
    pub(super) gateway: GatewayId,
    pub(super) linger: Duration,
    pub(super) batch_bytes: usize,
    pub(super) connections: u16,
    pub(super) chunks: mpsc::Sender<Chunk>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What goes to one clinic, in the order of the log.
#[derive(Default)]
struct Group {
    admitted: Vec<Bytes>,
    refused: Vec<proto::Refused>,
    bytes: usize,
}

impl Packer {
    /// Reads until told to stop or nobody takes chunks any more.
    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) && !self.chunks.is_closed() {
            match self.read() {
                Ok(items) if items.is_empty() => {
                    let _durable = self.spool.wait_durable(self.reader.position(), IDLE);
                }
                Ok(items) => {
                    let chunk = self.chunk(items);
                    if self.chunks.blocking_send(chunk).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the gateway's log cannot be read, trying again");
                    std::thread::sleep(READ_RETRY);
                }
            }
        }
    }

    /// What is there; a little later, what is there then, unless it is much already.
    fn read(&mut self) -> Result<Vec<Item>, spool::ReadError> {
        let mut items = self.reader.read(READ_RECORDS, READ_BYTES)?;
        let bytes: usize = items
            .iter()
            .filter_map(Item::record)
            .map(|record| record.bytes.len())
            .sum();
        if items.is_empty() || bytes >= self.batch_bytes || self.linger.is_zero() {
            return Ok(items);
        }
        std::thread::sleep(self.linger);
        let room = (READ_RECORDS.saturating_sub(items.len()), READ_BYTES - bytes);
        if room.0 > 0 {
            items.extend(self.reader.read(room.0, room.1)?);
        }
        Ok(items)
    }

    fn chunk(&self, items: Vec<Item>) -> Chunk {
        let mut chunk = Chunk {
            next: items.last().map_or(Offset::ZERO, Item::next),
            messages: Vec::new(),
            bytes: 0,
            said: None,
        };
        let mut groups: HashMap<(String, String), Group> = HashMap::new();
        // The order in which clinics were first heard, so that one that says much does not always go first.
        let mut order = Vec::new();
        for item in items {
            let record = match item {
                Item::Record(record) => record,
                Item::Gap(gap) => {
                    tracing::error!(
                        from = gap.from.0,
                        to = gap.to.0,
                        reason = gap.reason.as_str(),
                        "records of the gateway's log are missing and were not forwarded"
                    );
                    counter!(NOT_FORWARDED, "reason" => "lost").increment(gap.count());
                    continue;
                }
            };
            chunk.bytes += record.bytes.len();
            let Some((key, piece)) = self.piece(record.bytes, &mut chunk.said) else {
                continue;
            };
            if !groups.contains_key(&key) {
                order.push(key.clone());
            }
            let group = groups.entry(key.clone()).or_default();
            group.add(piece);
            if group.bytes >= self.batch_bytes {
                let group = std::mem::take(group);
                self.push(&mut chunk, &key, group);
            }
        }
        for key in order {
            if let Some(group) = groups.remove(&key) {
                self.push(&mut chunk, &key, group);
            }
        }
        chunk
    }

    /// Whose a record is; what goes to all shards is put into `said`.
    fn piece(&self, record: Vec<u8>, said: &mut Option<Said>) -> Option<((String, String), Piece)> {
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

    fn push(&self, chunk: &mut Chunk, (tenant, clinic): &(String, String), group: Group) {
        let messages = (group.admitted.len() + group.refused.len()) as u64;
        if messages == 0 {
            return;
        }
        let (Ok(tenant), Ok(clinic)) = (TenantId::new(tenant), ClinicId::new(clinic)) else {
            // It passed a checksum, so another version of the program wrote it.
            tracing::error!(
                records = messages,
                "records of the gateway's log name no clinic and were not forwarded"
            );
            counter!(NOT_FORWARDED, "reason" => "unreadable").increment(messages);
            return;
        };
        let topic = Up::clinic(Way::Uplink, tenant, clinic);
        let payload = pack_messages(self.gateway.as_str(), group.admitted, group.refused);
        counter!(FORWARDED_MESSAGES).increment(messages);
        counter!(FORWARDED_BYTES).increment(group.bytes as u64);
        counter!(FORWARDED_PACKED_BYTES).increment(payload.len() as u64);
        chunk.messages.push(Message {
            lane: usize::from(topic.shard() % self.connections),
            topic: topic.to_string(),
            payload,
        });
    }
}

enum Piece {
    Admitted(Bytes),
    Refused(proto::Refused),
}

impl Group {
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
