//! Records on their way to a log: encoded one behind the other, appended in one call.
use spool::NewRecord;

/// The buffer is given back to the allocator above this, bytes.
const BUFFER_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Encoded records and their lanes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Lane and end within `bytes` of each record.
    ends: Vec<(u32, usize)>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_KEPT_BYTES);
        self.ends.clear();
    }

    /// Adds the record that `encode` appends.
    pub(crate) fn push(&mut self, lane: u32, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.ends.push((lane, self.bytes.len()));
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = NewRecord<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&(lane, end)| {
            let bytes = self.bytes.get(start..end).unwrap_or(&[]);
            start = end;
            NewRecord { lane, bytes }
        })
    }
}
