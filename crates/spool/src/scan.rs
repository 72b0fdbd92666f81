//! Walks through a segment's bytes: good records, stretches of damage, the end. Bounded memory, whatever the bytes say.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::format::{
    RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader, SEGMENT_HEADER_BYTES, Seed, decode_record_header, encoded_bytes,
    payload_is_intact,
};
use crate::record::Offset;

/// How much is read at once, bytes; a larger record is read whole.
pub(crate) const READ_AHEAD_BYTES: usize = 256 * 1024;

/// What a disk loses at once when a sector goes bad, bytes.
const PAGE_BYTES: u64 = 4096;

/// What comes next in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// An intact record; its payload is [`Scan::payload`] until the next step.
    Record { header: RecordHeader, at: u64 },
    /// Bytes that are no record.
    Damage { bytes: Range<u64> },
    /// Nothing more within the limit, or only records that are void.
    End,
}

pub(crate) struct Scan {
    file: Arc<dyn DiskFile>,
    seed: Seed,
    buf: Vec<u8>,
    buf_at: u64,
    pos: u64,
    limit: u64,
    payload: Range<usize>,
    salvages: bool,
}

impl Scan {
    /// Begins at the byte `from`, which must be the start of a record.
    pub(crate) fn new(file: Arc<dyn DiskFile>, seed: Seed, from: u64, limit: u64) -> Self {
        Scan {
            file,
            seed,
            buf: Vec::new(),
            buf_at: 0,
            pos: from.max(SEGMENT_HEADER_BYTES as u64),
            limit,
            payload: 0..0,
            salvages: false,
        }
    }

    /// Lets unreadable pages count as damage if others beside them can be read: a bad sector must not stop a reader for
    /// ever. Where nothing can be read, the disk is away and an error is the answer.
    pub(crate) fn salvaging(mut self) -> Self {
        self.salvages = true;
        self
    }

    /// Bytes from here on were not there or not durable when the scan began and are now.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Goes on at the byte `to`, which must be the start of a record; what is in memory stays there.
    pub(crate) fn seek(&mut self, to: u64) {
        self.pos = to.max(SEGMENT_HEADER_BYTES as u64);
        self.payload = 0..0;
    }

    pub(crate) fn position(&self) -> u64 {
        self.pos
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.buf[self.payload.clone()]
    }

    /// The next step. `want` is what ordinals may come: from the next expected one to the segment's end.
    pub(crate) fn step(&mut self, want: Range<Offset>) -> io::Result<Step> {
        if self.pos >= self.limit || want.is_empty() {
            return Ok(Step::End);
        }
        let start = self.pos;
        match self.judge(start)? {
            Verdict::Record(header) if want.contains(&header.ordinal) => {
                let begin = (start - self.buf_at) as usize + RECORD_HEADER_BYTES;
                self.payload = begin..begin + header.length as usize;
                self.pos = start + encoded_bytes(header.length as usize);
                Ok(Step::Record { header, at: start })
            }
            Verdict::Record(header) if header.ordinal >= want.end => {
                self.pos = self.limit;
                Ok(Step::End)
            }
            Verdict::BadPayload(header) if want.contains(&header.ordinal) => {
                self.pos = start + encoded_bytes(header.length as usize);
                Ok(Step::Damage { bytes: start..self.pos })
            }
            _ => {
                self.pos = self.resync(start + 1, &want)?;
                Ok(Step::Damage { bytes: start..self.pos })
            }
        }
    }

    /// The first position from `from` on where an intact and expected header stands, or the limit.
    fn resync(&mut self, from: u64, want: &Range<Offset>) -> io::Result<u64> {
        let mut at = from;
        while at + RECORD_HEADER_BYTES as u64 <= self.limit {
            let window = self.window(at, RECORD_HEADER_BYTES)?;
            if window.len() < RECORD_HEADER_BYTES {
                break;
            }
            let Some(skip) = find_magic(window) else {
                // The last bytes of the window may be the beginning of a magic.
                at += (window.len() - (RECORD_MAGIC.len() - 1)) as u64;
                continue;
            };
            at += skip as u64;
            if let Verdict::Record(header) | Verdict::BadPayload(header) = self.judge(at)?
                && want.contains(&header.ordinal)
            {
                return Ok(at);
            }
            at += 1;
        }
        Ok(self.limit)
    }

    fn judge(&mut self, at: u64) -> io::Result<Verdict> {
        let (seed, room) = (self.seed, self.limit - at);
        let window = self.window(at, RECORD_HEADER_BYTES)?;
        let Some(header) = decode_record_header(window, seed) else {
            return Ok(Verdict::NoRecord);
        };
        let total = encoded_bytes(header.length as usize);
        if total > room {
            return Ok(Verdict::NoRecord);
        }
        let window = self.window(at, total as usize)?;
        let payload = window.get(RECORD_HEADER_BYTES..total as usize);
        Ok(match payload {
            Some(payload) if payload_is_intact(&header, payload, seed) => Verdict::Record(header),
            Some(_) => Verdict::BadPayload(header),
            None => Verdict::NoRecord,
        })
    }

    /// The buffered bytes from `at` on: at least `want` of them unless the file or the limit ends before.
    fn window(&mut self, at: u64, want: usize) -> io::Result<&[u8]> {
        let want = want.min((self.limit - at) as usize);
        let covered = at >= self.buf_at && at + want as u64 <= self.buf_at + self.buf.len() as u64;
        if !covered {
            let ahead = READ_AHEAD_BYTES.min((self.limit - at) as usize).max(want);
            self.buf.resize(ahead, 0);
            self.buf_at = at;
            self.buf.shrink_to(ahead.max(2 * READ_AHEAD_BYTES));
            let read = match self.file.read_at(&mut self.buf, at) {
                Err(e) if self.salvages => salvage(self.file.as_ref(), &mut self.buf, at, e),
                other => other,
            };
            match read {
                Ok(read) => self.buf.truncate(read),
                Err(e) => {
                    self.buf.clear();
                    return Err(e);
                }
            }
        }
        Ok(self.buf.get((at - self.buf_at) as usize..).unwrap_or(&[]))
    }
}

enum Verdict {
    Record(RecordHeader),
    BadPayload(RecordHeader),
    NoRecord,
}

fn find_magic(window: &[u8]) -> Option<usize> {
    window.windows(RECORD_MAGIC.len()).position(|four| four == RECORD_MAGIC)
}

/// Reads page by page; pages that cannot be read become zeros. The error, if that is all of them.
fn salvage(file: &dyn DiskFile, buf: &mut [u8], at: u64, error: io::Error) -> io::Result<usize> {
    let (mut done, mut good) = (0, false);
    while done < buf.len() {
        let here = at + done as u64;
        let length = (PAGE_BYTES - (here % PAGE_BYTES)).min((buf.len() - done) as u64) as usize;
        let page = &mut buf[done..done + length];
        match file.read_at(page, here) {
            Ok(read) => {
                good |= read > 0;
                if read < length {
                    done += read;
                    break;
                }
            }
            Err(_) => page.fill(0),
        }
        done += length;
    }
    if good { Ok(done) } else { Err(error) }
}
