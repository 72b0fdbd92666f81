//! The bytes on disk: segment header, record header, and how each is checked.
//!
//! All numbers are little-endian.
//!
//! Segment file `{first ordinal, 20 digits}.seg` = one segment header, then records without padding.
//!
//! | segment header, 64 bytes | bytes | what |
//! |---|---|---|
//! | magic | 0..8 | `DMTLSPL\n` |
//! | version | 8..10 | u16, now 1 |
//! | gap reason | 10 | u8: 0 none, 1 suspect, 2 corrupt: why ordinals `previous_end..first` do not exist |
//! | zero | 11..16 | |
//! | identity | 16..24 | u64, random, the same in all segments of one spool; seeds every record checksum |
//! | first | 24..32 | u64, ordinal of the first record, equals the file name |
//! | previous end | 32..40 | u64, the ordinal at which the segment before this one ends; what that file holds beyond is void |
//! | created at | 40..48 | u64, microseconds since 1970 |
//! | zero | 48..60 | |
//! | checksum | 60..64 | CRC-32 (IEEE) of bytes 0..60 |
//!
//! | record, 36 bytes + payload | bytes | what |
//! |---|---|---|
//! | magic | 0..4 | `D5 52 0C A7` |
//! | header checksum | 4..8 | CRC-32 of bytes 8..36, seeded with the identity |
//! | length | 8..12 | u32, payload bytes |
//! | lane | 12..16 | u32, opaque |
//! | ordinal | 16..24 | u64 |
//! | appended at | 24..32 | u64, microseconds since 1970 |
//! | payload checksum | 32..36 | CRC-32 of the payload, seeded with the identity |
//! | payload | 36.. | |
//!
//! Two checksums, because then a damaged payload costs exactly its record, and looking for the next good header after
//! a damaged one costs a few bytes per candidate, whatever lengths the payloads pretend. The seed, because payloads
//! come from strangers: a payload that imitates a record must not become one when the header before it is damaged.

use crate::record::{GapReason, NewRecord, Offset};

/// Length of a segment's header, bytes.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of a record's header, bytes: what each record costs beside its payload.
pub const RECORD_HEADER_BYTES: usize = 36;
/// Version that this crate writes and reads.
pub const FORMAT_VERSION: u16 = 1;
/// Largest payload that the format admits, bytes; it bounds a reader's buffer.
pub const MAX_RECORD_BYTES: u32 = 16 * 1024 * 1024;

pub(crate) const RECORD_MAGIC: [u8; 4] = [0xD5, 0x52, 0x0C, 0xA7];
const SEGMENT_MAGIC: [u8; 8] = *b"DMTLSPL\n";
const SEGMENT_CHECKED: usize = 60;
const SUFFIX: &str = ".seg";
const NAME_DIGITS: usize = 20;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: u64,
    pub(crate) first: Offset,
    pub(crate) previous_end: Offset,
    pub(crate) gap: Option<GapReason>,
    pub(crate) created_at: u64,
}

/// Why a segment's header was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Too short, wrong magic, wrong checksum.
    Damaged,
    /// Intact, and of a version that this crate does not know.
    Version(u16),
}

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) length: u32,
    pub(crate) lane: u32,
    pub(crate) ordinal: Offset,
    pub(crate) appended_at: u64,
    pub(crate) payload_checksum: u32,
}

/// The seed of record checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of(identity: u64) -> Seed {
        Seed(crc32fast::hash(&identity.to_le_bytes()))
    }

    fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[0..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10] = match self.gap {
            None => 0,
            Some(GapReason::Suspect) => 1,
            Some(_) => 2,
        };
        out[16..24].copy_from_slice(&self.identity.to_le_bytes());
        out[24..32].copy_from_slice(&self.first.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.previous_end.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.created_at.to_le_bytes());
        let checksum = crc32fast::hash(&out[..SEGMENT_CHECKED]);
        out[SEGMENT_CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        if bytes.len() < SEGMENT_HEADER_BYTES
            || bytes[0..8] != SEGMENT_MAGIC
            || u32_at(bytes, SEGMENT_CHECKED) != crc32fast::hash(&bytes[..SEGMENT_CHECKED])
        {
            return Err(BadHeader::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        Ok(SegmentHeader {
            identity: u64_at(bytes, 16),
            first: Offset(u64_at(bytes, 24)),
            previous_end: Offset(u64_at(bytes, 32)),
            gap: match bytes[10] {
                0 => None,
                1 => Some(GapReason::Suspect),
                _ => Some(GapReason::Corrupt),
            },
            created_at: u64_at(bytes, 40),
        })
    }
}

/// Appends one encoded record to `out`. The caller has checked the length.
pub(crate) fn encode_record(out: &mut Vec<u8>, seed: Seed, ordinal: Offset, appended_at: u64, record: &NewRecord<'_>) {
    let mut header = [0; RECORD_HEADER_BYTES];
    header[0..4].copy_from_slice(&RECORD_MAGIC);
    header[8..12].copy_from_slice(&(record.bytes.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&record.lane.to_le_bytes());
    header[16..24].copy_from_slice(&ordinal.0.to_le_bytes());
    header[24..32].copy_from_slice(&appended_at.to_le_bytes());
    header[32..36].copy_from_slice(&seed.checksum(record.bytes).to_le_bytes());
    let checksum = seed.checksum(&header[8..]);
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(record.bytes);
}

/// The header at the start of `bytes`, if it is an intact one.
pub(crate) fn decode_record_header(bytes: &[u8], seed: Seed) -> Option<RecordHeader> {
    if bytes.len() < RECORD_HEADER_BYTES
        || bytes[0..4] != RECORD_MAGIC
        || u32_at(bytes, 4) != seed.checksum(&bytes[8..RECORD_HEADER_BYTES])
    {
        return None;
    }
    let header = RecordHeader {
        length: u32_at(bytes, 8),
        lane: u32_at(bytes, 12),
        ordinal: Offset(u64_at(bytes, 16)),
        appended_at: u64_at(bytes, 24),
        payload_checksum: u32_at(bytes, 32),
    };
    (header.length <= MAX_RECORD_BYTES).then_some(header)
}

/// Whether a payload is the one that its header was written for.
pub(crate) fn payload_is_intact(header: &RecordHeader, payload: &[u8], seed: Seed) -> bool {
    seed.checksum(payload) == header.payload_checksum
}

/// The file name of the segment that begins at `first`.
pub(crate) fn segment_name(first: Offset) -> String {
    format!("{:0width$}{SUFFIX}", first.0, width = NAME_DIGITS)
}

/// The first ordinal that a file name tells, if it is a segment's.
pub(crate) fn parse_segment_name(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}

/// Length of a record with its header, bytes.
pub(crate) fn encoded_bytes(payload: usize) -> u64 {
    (RECORD_HEADER_BYTES + payload) as u64
}

/// Little-endian number at `at`; the callers have checked the length, a short slice reads as zeros.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    if let Some(found) = bytes.get(at..at + 8) {
        out.copy_from_slice(found);
    }
    u64::from_le_bytes(out)
}

/// As [`u64_at`].
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    if let Some(found) = bytes.get(at..at + 4) {
        out.copy_from_slice(found);
    }
    u32::from_le_bytes(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            identity: 0x1122_3344_5566_7788,
            first: Offset(42),
            previous_end: Offset(40),
            gap: Some(GapReason::Suspect),
            created_at: 1_700_000_000_000_000,
        }
    }

    #[test]
    fn a_segment_header_comes_back_as_it_was_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn any_flipped_bit_of_a_segment_header_is_seen() {
        let good = header().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), Err(BadHeader::Damaged));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_record_is_seen() {
        let seed = Seed::of(7);
        let mut good = Vec::new();
        let record = NewRecord {
            lane: 9,
            bytes: b"a stroke",
        };
        encode_record(&mut good, seed, Offset(3), 5, &record);
        let intact = |bytes: &[u8]| {
            decode_record_header(bytes, seed).is_some_and(|header| {
                let end = RECORD_HEADER_BYTES + header.length as usize;
                bytes
                    .get(RECORD_HEADER_BYTES..end)
                    .is_some_and(|payload| payload_is_intact(&header, payload, seed))
            })
        };
        assert!(intact(&good));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!intact(&bad), "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_spool_is_not_taken_for_ours() {
        let mut bytes = Vec::new();
        let record = NewRecord { lane: 1, bytes: b"x" };
        encode_record(&mut bytes, Seed::of(1), Offset(3), 5, &record);
        assert_eq!(decode_record_header(&bytes, Seed::of(2)), None);
    }

    #[test]
    fn segment_names_sort_like_their_offsets() {
        let name = segment_name(Offset(1_000));
        assert_eq!(parse_segment_name(&name), Some(Offset(1_000)));
        assert!(name < segment_name(Offset(u64::MAX)));
        assert_eq!(parse_segment_name("1.seg"), None);
    }

    /// The bytes of format version 1, written out: a change of them is a new version, not a refactoring.
    #[test]
    fn the_format_is_the_one_of_the_table() {
        let mut bytes = Vec::new();
        let record = NewRecord {
            lane: 0x0102_0304,
            bytes: b"ab",
        };
        encode_record(&mut bytes, Seed::of(7), Offset(5), 6, &record);
        assert_eq!(bytes.len(), RECORD_HEADER_BYTES + 2);
        assert_eq!(bytes[0..4], RECORD_MAGIC);
        assert_eq!(bytes[8..12], [2, 0, 0, 0]);
        assert_eq!(bytes[12..16], [4, 3, 2, 1]);
        assert_eq!(bytes[16..24], [5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[24..32], [6, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[36..], b"ab");
        assert_eq!(&header().encode()[0..10], b"DMTLSPL\n\x01\x00");
    }
}
