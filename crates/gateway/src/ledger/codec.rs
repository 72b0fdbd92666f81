//! A ledger as bytes: magic, the offset that it covers, devices with their boots, provisional anchors, what people recorded, checksum.
//!
//! All numbers little-endian. A snapshot that does not check is not used: the tail of the log, held by the ledger's own
//! cursor, is then all there is.
use std::collections::VecDeque;

use telemetry::sequence::IntervalSet;
use telemetry::{BootId, ClockQuality, DeviceId, DeviceKey, TenantId, UnixMicros, Uptime};

use super::anchor::{Anchors, Stretch};
use super::boot::Boot;
use super::{Boots, Ledger, Provisional};

const MAGIC: &[u8; 8] = b"DMTLLDG1";
const CHECKSUM_BYTES: usize = 8;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Another magic: another version wrote it, or it is no snapshot.
    #[error("ledger snapshot is of another format")]
    Format,
    /// The checksum does not match.
    #[error("ledger snapshot is damaged")]
    Checksum,
    /// The content contradicts itself although the checksum matches.
    #[error("ledger snapshot holds impossible values")]
    Content,
}

impl Ledger {
    /// The recorded part and the provisional anchors, as they are when the log is recorded up to `offset`.
    pub(crate) fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.devices.len() * 512);
        out.extend_from_slice(MAGIC);
        put(&mut out, offset);
        put_devices(&mut out, &self.devices);
        put(&mut out, self.provisional.len() as u64);
        for ((key, boot), provisional) in &self.provisional {
            put_key(&mut out, key);
            put(&mut out, boot.0);
            put_anchors(&mut out, &provisional.anchors);
        }
        put_devices(&mut out, &self.recorded);
        let checksum = xxhash_rust::xxh3::xxh3_64(&out);
        put(&mut out, checksum);
        out
    }

    /// Reads what [`Self::encode`] wrote; gives the offset too.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, u64), SnapshotError> {
        if bytes.get(..MAGIC.len()) != Some(MAGIC) {
            return Err(SnapshotError::Format);
        }
        let end = bytes.len().saturating_sub(CHECKSUM_BYTES);
        let (content, checksum) = bytes.split_at(end);
        if checksum != xxhash_rust::xxh3::xxh3_64(content).to_le_bytes() {
            return Err(SnapshotError::Checksum);
        }
        let mut take = Take(content.get(MAGIC.len()..).unwrap_or(&[]));
        take.ledger().ok_or(SnapshotError::Content)
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_key(out: &mut Vec<u8>, key: &DeviceKey) {
    put_text(out, key.tenant.as_str());
    put_text(out, key.device.as_str());
}

fn put_pairs<'a>(out: &mut Vec<u8>, pairs: impl ExactSizeIterator<Item = &'a (u64, u64)>) {
    put(out, pairs.len() as u64);
    for (a, b) in pairs {
        put(out, *a);
        put(out, *b);
    }
}

fn put_anchors(out: &mut Vec<u8>, anchors: &Anchors) {
    put(out, anchors.stretches().len() as u64);
    for stretch in anchors.stretches() {
        put(out, stretch.from.micros());
        out.extend_from_slice(&stretch.anchor.0.to_le_bytes());
        put(
            out,
            match stretch.clock {
                ClockQuality::Device => 0,
                ClockQuality::Received => 1,
                ClockQuality::Skewed => 2,
            },
        );
    }
}

fn put_boot(out: &mut Vec<u8>, boot: &Boot) {
    put(out, boot.id.0);
    put_anchors(out, &boot.anchors);
    put_pairs(out, boot.seen.intervals().iter());
    put_pairs(out, boot.recent.iter());
}

fn put_devices(out: &mut Vec<u8>, devices: &Boots) {
    put(out, devices.len() as u64);
    for (key, boots) in devices {
        put_key(out, key);
        put(out, boots.len() as u64);
        boots.iter().for_each(|boot| put_boot(out, boot));
    }
}

/// Reads from the front; every length is checked against what is there.
struct Take<'a>(&'a [u8]);

impl Take<'_> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// A count of things of at least `each` bytes.
    fn count(&mut self, each: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len() / each).then_some(count)
    }

    fn text(&mut self) -> Option<&str> {
        let len = self.count(1)?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn key(&mut self) -> Option<DeviceKey> {
        Some(DeviceKey {
            tenant: TenantId::new(self.text()?).ok()?,
            device: DeviceId::new(self.text()?).ok()?,
        })
    }

    fn pairs(&mut self) -> Option<Vec<(u64, u64)>> {
        (0..self.count(16)?)
            .map(|_| Some((self.number()?, self.number()?)))
            .collect()
    }

    fn anchors(&mut self) -> Option<Anchors> {
        let stretches: Option<Vec<Stretch>> = (0..self.count(24)?)
            .map(|_| {
                Some(Stretch {
                    from: Uptime::new(self.number()?)?,
                    anchor: UnixMicros(self.number()?.cast_signed()),
                    clock: match self.number()? {
                        0 => ClockQuality::Device,
                        1 => ClockQuality::Received,
                        2 => ClockQuality::Skewed,
                        _ => return None,
                    },
                })
            })
            .collect();
        Anchors::from_stretches(stretches?)
    }

    fn boot(&mut self) -> Option<Boot> {
        Some(Boot {
            id: BootId(self.number()?),
            anchors: self.anchors()?,
            seen: IntervalSet::from_intervals(self.pairs()?)?,
            recent: VecDeque::from(self.pairs()?),
        })
    }

    fn devices(&mut self) -> Option<Boots> {
        let mut devices = Boots::default();
        for _ in 0..self.count(24)? {
            let key = self.key()?;
            let boots = (0..self.count(32)?).map(|_| self.boot()).collect::<Option<Vec<_>>>()?;
            devices.insert(key, boots);
        }
        Some(devices)
    }

    fn ledger(&mut self) -> Option<(Ledger, u64)> {
        let offset = self.number()?;
        let mut ledger = Ledger::new();
        ledger.devices = self.devices()?;
        for _ in 0..self.count(32)? {
            let name = (self.key()?, BootId(self.number()?));
            let anchors = self.anchors()?;
            ledger.provisional.insert(name, Provisional { anchors, durable: true });
        }
        // Earlier versions end here: with them a record was one more boot of its device.
        if !self.0.is_empty() {
            ledger.recorded = self.devices()?;
        }
        self.0.is_empty().then_some((ledger, offset))
    }
}
