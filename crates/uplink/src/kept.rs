//! Batches that were not taken, kept with their reason: a log without readers, bounded, the oldest go.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost::Message as _;
use service::mqtt::Delivery;
use spool::{AtCap, Config, Item, LookBack, NewRecord, Offset, OpenError, OsDisk, Spool};
use telemetry::{UnixMicros, proto};

use crate::batch::Refusal;

/// How long a refused batch is kept, unless newer ones need the room.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3_600);
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of a payload that are kept.
const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Where refused batches are. Clones are the same place.
#[derive(Clone)]
pub(crate) struct Kept {
    spool: Spool,
}

impl Kept {
    pub(crate) fn open(dir: PathBuf, bytes: u64) -> Result<Self, OpenError> {
        let config = Config {
            segment_bytes: SEGMENT_BYTES,
            cap_bytes: bytes,
            at_cap: AtCap::Shed,
            keep: KEEP,
            max_record_bytes: (PAYLOAD_BYTES_MAX + 64 * 1024) as u32,
            ..Config::new(dir, &[])
        };
        let (spool, _) = Spool::open(config, Arc::new(OsDisk))?;
        Ok(Self { spool })
    }

    /// Keeps one durably. An error: the batch must come again.
    pub(crate) fn keep(&self, delivery: &Delivery, refusal: &Refusal, now: SystemTime) -> Result<(), String> {
        let payload = delivery.payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(&delivery.payload);
        let record = proto::RefusedBatch {
            topic: delivery.topic.chars().take(1_024).collect(),
            reason: refusal.reason.as_str().to_owned(),
            detail: refusal.detail.chars().take(1_024).collect(),
            received_at_us: UnixMicros::from(now).0,
            payload: payload.to_vec(),
        };
        let bytes = record.encode_to_vec();
        let records = [NewRecord { lane: 0, bytes: &bytes }];
        let appended = self.spool.append(&records, now).map_err(|e| e.to_string())?;
        self.spool.sync_appended(&appended).map_err(|e| e.to_string())?;
        // Room for the next one; a failure shows at the next append.
        let _ = self.spool.maintain(now);
        Ok(())
    }
}

/// One that is kept, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: u64,
    /// Where it came, cut where that is long.
    pub topic: String,
    /// A bounded name: [`crate::batch::Reason`].
    pub reason: String,
    /// In words.
    pub detail: String,
    /// When it came.
    pub received_at: UnixMicros,
    /// The payload's length as it is kept, in bytes.
    pub payload_bytes: usize,
}

impl Kept {
    /// The newest, of one reason or of all.
    pub(crate) fn latest(&self, reason: Option<&str>, limit: usize) -> Result<Vec<Listed>, String> {
        let state = self.spool.state();
        let mut listed = Vec::new();
        let mut look = self.spool.look_back();
        for id in (state.oldest.0..state.durable.0).rev() {
            if listed.len() >= limit {
                break;
            }
            let Some(kept) = read(&mut look, id)? else { continue };
            if reason.is_none_or(|reason| reason == kept.reason) {
                listed.push(Listed {
                    id,
                    payload_bytes: kept.payload.len(),
                    topic: kept.topic,
                    reason: kept.reason,
                    detail: kept.detail,
                    received_at: UnixMicros(kept.received_at_us),
                });
            }
        }
        Ok(listed)
    }

    /// One; `None`: there is none of this number, or not any more.
    pub(crate) fn one(&self, id: u64) -> Result<Option<proto::RefusedBatch>, String> {
        let state = self.spool.state();
        match (state.oldest.0..state.durable.0).contains(&id) {
            true => read(&mut self.spool.look_back(), id),
            false => Ok(None),
        }
    }
}

fn read(look: &mut LookBack, id: u64) -> Result<Option<proto::RefusedBatch>, String> {
    let items = look.read(Offset(id), 1, 1).map_err(|error| error.to_string())?;
    Ok(items.into_iter().find_map(|item| match item {
        Item::Record(record) if record.offset.0 == id => proto::RefusedBatch::decode(record.bytes.as_slice()).ok(),
        _ => None,
    }))
}
