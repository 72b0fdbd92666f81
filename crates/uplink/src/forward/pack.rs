//! The reading half: a thread that takes records from the log and has them cut into messages.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spool::{Item, Reader, Spool};
use tokio::sync::mpsc;

use super::cut::Cutter;
use super::in_flight::Chunk;
use crate::batch::MESSAGES_MAX;

/// Most records of one chunk.
const READ_RECORDS: usize = MESSAGES_MAX;
/// Most bytes of one chunk, before packing.
pub(super) const READ_BYTES: usize = 1024 * 1024;
/// Longest wait for new records before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);
/// Wait after the log could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Packer {
    pub(super) spool: Spool,
    pub(super) reader: Reader,
    pub(super) cutter: Cutter,
    pub(super) linger: Duration,
    pub(super) chunks: mpsc::Sender<Chunk>,
    pub(super) stop: Arc<AtomicBool>,
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
                    let chunk = self.cutter.chunk(items);
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
        if items.is_empty() || bytes >= self.cutter.batch_bytes || self.linger.is_zero() {
            return Ok(items);
        }
        std::thread::sleep(self.linger);
        let room = (READ_RECORDS.saturating_sub(items.len()), READ_BYTES - bytes);
        if room.0 > 0 {
            items.extend(self.reader.read(room.0, room.1)?);
        }
        Ok(items)
    }
}
