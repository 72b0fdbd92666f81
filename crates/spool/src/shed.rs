//! What was dropped unread at the cap, per cursor: written durably before the files go, so that it is never silent.
//!
//! File `shed`: magic `DMTLSHD\n`, `to`, records, bytes (u64 each), number of entries (u32), then per entry the length
//! of the name (u32), the name, from, to, bytes (u64 each); last a CRC-32 of all before. Replaced as a whole.

use crate::format::{u32_at, u64_at};
use crate::record::Offset;

const MAGIC: [u8; 8] = *b"DMTLSHD\n";

/// What one cursor lost at the cap and has not yet been moved past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShedGap {
    /// The cursor.
    pub cursor: String,
    /// First ordinal that it did not get.
    pub from: Offset,
    /// The ordinal after the last one.
    pub to: Offset,
    /// How much that was, bytes with headers; within the first segment estimated.
    pub bytes: u64,
}

impl ShedGap {
    /// How many records it did not get.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.to.since(self.from)
    }
}

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShedLog {
    /// Everything before this was shed (or had been consumed).
    pub(crate) to: Offset,
    /// Ordinals dropped that at least one cursor had not read, ever.
    pub(crate) records: u64,
    /// Bytes of the segments dropped, ever.
    pub(crate) bytes: u64,
    pub(crate) gaps: Vec<ShedGap>,
}

impl ShedLog {
    /// Notes that a cursor loses `from..to`; joins what it lost before and has not moved past.
    pub(crate) fn add(&mut self, cursor: &str, from: Offset, to: Offset, bytes: u64) {
        if let Some(gap) = self.gaps.iter_mut().find(|gap| gap.cursor == cursor) {
            if gap.to == from {
                gap.to = to;
                gap.bytes += bytes;
                return;
            }
            *gap = ShedGap {
                cursor: cursor.to_owned(),
                from,
                to,
                bytes,
            };
            return;
        }
        self.gaps.push(ShedGap {
            cursor: cursor.to_owned(),
            from,
            to,
            bytes,
        });
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.to.0, self.records, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.gaps.len() as u32).to_le_bytes());
        for gap in &self.gaps {
            out.extend_from_slice(&(gap.cursor.len() as u32).to_le_bytes());
            out.extend_from_slice(gap.cursor.as_bytes());
            for number in [gap.from.0, gap.to.0, gap.bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<ShedLog> {
        let checked = bytes.len().checked_sub(4)?;
        if checked < 36 || bytes[0..8] != MAGIC || u32_at(bytes, checked) != crc32fast::hash(&bytes[..checked]) {
            return None;
        }
        let mut log = ShedLog {
            to: Offset(u64_at(bytes, 8)),
            records: u64_at(bytes, 16),
            bytes: u64_at(bytes, 24),
            gaps: Vec::new(),
        };
        let mut at = 36;
        for _ in 0..u32_at(bytes, 32) {
            let length = u32_at(bytes, at) as usize;
            let name = bytes.get(at + 4..at.checked_add(4 + length)?)?;
            at += 4 + length;
            log.gaps.push(ShedGap {
                cursor: String::from_utf8(name.to_vec()).ok()?,
                from: Offset(u64_at(bytes, at)),
                to: Offset(u64_at(bytes, at + 8)),
                bytes: u64_at(bytes, at + 16),
            });
            at += 24;
        }
        (at == checked).then_some(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shed_comes_back_as_it_was_written_and_damage_is_seen() {
        let mut log = ShedLog::default();
        log.add("store", Offset(3), Offset(9), 600);
        log.add("forward", Offset(5), Offset(9), 400);
        log.add("store", Offset(9), Offset(12), 300);
        assert_eq!(log.gaps[0].count(), 9);
        let mut bytes = log.encode();
        assert_eq!(ShedLog::decode(&bytes), Some(log));
        bytes[20] ^= 1;
        assert_eq!(ShedLog::decode(&bytes), None);
    }
}
