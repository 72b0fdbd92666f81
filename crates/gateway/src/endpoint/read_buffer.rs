//! The read buffer: large while a connection is busy, small while it is idle, and never more than
//! about twice what the client really sent.

use bytes::{Bytes, BytesMut};

use super::frame::{Head, kind};

/// Read size of a connection that says little, bytes.
const MIN_CHUNK: usize = 2 * 1024;
/// Read size of a busy connection, bytes.
const MAX_CHUNK: usize = 64 * 1024;

/// Bytes read and not taken yet. Payloads are slices of it, and keep their chunk until answered.
pub(crate) struct ReadBuffer {
    buffer: BytesMut,
    chunk: usize,
    /// Room that the last read had.
    room: usize,
    /// Bytes of the packet at the head that are still to come.
    missing: usize,
    /// Bytes of packets that nobody keeps, since the last publish.
    skipped: usize,
}

impl ReadBuffer {
    pub(crate) fn new() -> ReadBuffer {
        ReadBuffer {
            buffer: BytesMut::new(),
            chunk: MIN_CHUNK,
            room: 0,
            missing: 0,
            skipped: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the packet at the head, which is here in full.
    pub(crate) fn split(&mut self, head: Head) -> Bytes {
        self.skipped = if head.kind == kind::PUBLISH {
            0
        } else {
            self.skipped + head.len
        };
        let len = head.len.min(self.buffer.len());
        self.buffer.split_to(len).freeze()
    }

    /// What a publish costs: its own bytes, and those beside it that it keeps in memory.
    pub(crate) fn weight(&self, head: Head) -> u32 {
        u32::try_from(head.len + self.skipped.min(MAX_CHUNK)).unwrap_or(u32::MAX)
    }

    /// How many bytes of the packet at the head are still to come; 0: not known.
    pub(crate) fn expect(&mut self, missing: usize) {
        self.missing = missing;
    }

    /// The buffer with room to read into. A long packet gets room as it comes, not as it is announced.
    pub(crate) fn spare(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * self.chunk {
            self.buffer = BytesMut::new();
        }
        let earned = self.missing.min(self.buffer.len().max(self.chunk));
        let room = self.buffer.capacity() - self.buffer.len();
        if room < earned.max(self.chunk / 4) {
            self.buffer.reserve(earned.max(self.chunk));
        }
        self.room = self.buffer.capacity() - self.buffer.len();
        &mut self.buffer
    }

    /// `read` bytes came at once: adapts to how much the client has to say.
    pub(crate) fn filled(&mut self, read: usize) {
        if read >= self.room {
            self.chunk = (self.chunk * 2).min(MAX_CHUNK);
        } else if read < self.chunk / 8 {
            self.chunk = (self.chunk / 2).max(MIN_CHUNK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_length_costs_no_memory() {
        let mut buffer = ReadBuffer::new();
        buffer.spare().extend_from_slice(&[0; 10]);
        buffer.expect(256 * 1024);
        assert!(buffer.spare().capacity() <= 2 * MIN_CHUNK);
    }

    #[test]
    fn a_busy_connection_reads_more_at_once_and_an_idle_one_gives_it_back() {
        let mut buffer = ReadBuffer::new();
        let come = |buffer: &mut ReadBuffer, read: Option<usize>| {
            let spare = buffer.spare();
            let read = read.unwrap_or(spare.capacity() - spare.len());
            spare.extend_from_slice(&vec![0; read]);
            buffer.filled(read);
            buffer.split(Head {
                kind: kind::PUBLISH,
                flags: 0,
                header_len: 2,
                len: read,
            })
        };
        let kept: Vec<_> = (0..10).map(|_| come(&mut buffer, None)).collect();
        assert_eq!(buffer.chunk, MAX_CHUNK);
        assert!(kept.iter().any(|bytes| bytes.len() >= MAX_CHUNK / 2));
        drop(kept);
        for _ in 0..10 {
            come(&mut buffer, Some(2));
        }
        assert!(buffer.spare().capacity() <= 4 * MIN_CHUNK);
    }

    #[test]
    fn packets_beside_a_publish_are_charged_to_it() {
        let mut buffer = ReadBuffer::new();
        let ping = Head {
            kind: kind::PINGREQ,
            flags: 0,
            header_len: 2,
            len: 2,
        };
        let publish = Head {
            kind: kind::PUBLISH,
            flags: 2,
            header_len: 2,
            len: 100,
        };
        buffer.spare().extend_from_slice(&[0; 300]);
        for _ in 0..50 {
            buffer.split(ping);
        }
        assert_eq!(buffer.weight(publish), 200);
        buffer.split(publish);
        assert_eq!(buffer.weight(publish), 100);
    }
}
