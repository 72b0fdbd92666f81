//! Readers: durable records in order, gaps by name, and a cursor that moves when the next hop holds them.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::core::Place;
use crate::disk::{Access, DiskFile};
use crate::error::{CursorError, ReadError};
use crate::format::Seed;
use crate::record::{Gap, GapReason, Item, Offset, Record, from_micros};
use crate::scan::{Scan, Step};
use crate::segment::Segment;
use crate::spool::Inner;

/// Reads one cursor's backlog in order. One thread at a time; several readers of one cursor share its position on disk.
pub struct Reader {
    inner: Arc<Inner>,
    cursor: usize,
    position: Offset,
    follow: Follow,
}

impl Reader {
    pub(crate) fn new(inner: Arc<Inner>, cursor: usize) -> Self {
        let position = inner.core().cursors[cursor];
        Reader {
            inner,
            cursor,
            position,
            follow: Follow::default(),
        }
    }

    /// The next durable records, at most `max_records` items and about `max_bytes` of payload (at least one item if
    /// there is one); empty if there is none. Moves the position in memory, not the cursor.
    ///
    /// # Errors
    /// The file system's no; the position did not move.
    pub fn read(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Item>, ReadError> {
        let limits = Limits {
            records: max_records,
            bytes: max_bytes,
        };
        let mut position = self.position;
        let items = self.follow.read(&self.inner, &mut position, limits)?;
        self.position = position;
        Ok(items)
    }

    /// The offset that the next `read` begins at.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Where the cursor stands on disk.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.inner.core().cursors[self.cursor]
    }

    /// Says durably that everything before `next` is consumed. A cursor only moves forward: committing less than it
    /// already holds does nothing.
    ///
    /// # Errors
    /// `next` is beyond what is durable, or the cursor's file could not be written.
    pub fn commit(&mut self, next: Offset) -> Result<(), CursorError> {
        let inner = &self.inner;
        let mut file = inner.cursors[self.cursor]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        {
            let core = inner.core();
            if next > core.durable {
                return Err(CursorError::BeyondDurable {
                    cursor: inner.config.cursors[self.cursor].clone(),
                    to: next,
                    durable: core.durable,
                });
            }
            if next <= core.cursors[self.cursor] {
                return Ok(());
            }
        }
        match file.store(inner.disk.as_ref(), next) {
            Ok(()) => {
                inner.core().cursors[self.cursor] = next;
                Ok(())
            }
            Err(source) => {
                inner.core().counters.cursor_failures += 1;
                Err(CursorError::Io {
                    path: file.path().to_owned(),
                    source,
                })
            }
        }
    }

    /// Goes on reading at `to`, backwards too; beyond the log's end it goes to the end, so that nothing that is
    /// appended later is passed over. Gives the position.
    pub fn seek(&mut self, to: Offset) -> Offset {
        self.position = to.min(self.inner.core().next);
        self.position
    }
}

/// Reads what was read before, at any place, without a cursor. It keeps one file and what it read of it, so looking at several
/// records that are near one another costs little more than looking at one.
pub struct LookBack {
    inner: Arc<Inner>,
    follow: Follow,
}

impl LookBack {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            follow: Follow::default(),
        }
    }

    /// Up to `max_records` items and about `max_bytes` of payload (at least one item) from `from` on. What is no longer there
    /// is told as a gap.
    ///
    /// # Errors
    /// The file system's no.
    pub fn read(&mut self, from: Offset, max_records: usize, max_bytes: usize) -> Result<Vec<Item>, ReadError> {
        let limits = Limits {
            records: max_records,
            bytes: max_bytes,
        };
        let mut position = from;
        self.follow.read(&self.inner, &mut position, limits)
    }
}

/// How much one read may give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// A place in a segment that reading goes on from.
#[derive(Default)]
pub(crate) struct Follow {
    open: Option<OpenScan>,
}

struct OpenScan {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    scan: Scan,
    /// The ordinal that should come next in the scan.
    expected: Offset,
}

struct Batch {
    items: Vec<Item>,
    bytes: usize,
    limits: Limits,
}

impl Batch {
    fn is_full(&self) -> bool {
        let full = self.items.len() >= self.limits.records || self.bytes >= self.limits.bytes;
        full && !self.items.is_empty()
    }

    fn gap(&mut self, gap: Gap) {
        if gap.from >= gap.to {
            return;
        }
        if let Some(Item::Gap(last)) = self.items.last_mut()
            && last.to == gap.from
            && last.reason == gap.reason
        {
            last.to = gap.to;
            return;
        }
        self.items.push(Item::Gap(gap));
    }
}

impl Follow {
    pub(crate) fn read(
        &mut self,
        inner: &Inner,
        position: &mut Offset,
        limits: Limits,
    ) -> Result<Vec<Item>, ReadError> {
        let items = Vec::new();
        let mut batch = Batch {
            items,
            bytes: 0,
            limits,
        };
        while !batch.is_full() {
            let place = inner.core().locate(*position);
            let (segment, end, limit) = match place {
                Place::End => break,
                Place::Gap(gap) => {
                    *position = gap.to;
                    batch.gap(gap);
                    continue;
                }
                Place::In { segment, end, limit } => (segment, end, limit),
            };
            let path = segment.path.clone();
            match self.read_segment(inner, segment, *position..end, limit, &mut batch) {
                Ok(reached) => *position = reached,
                // It was retired or shed between the look and the open: look again.
                Err(e) if e.kind() == io::ErrorKind::NotFound && is_gone(inner, *position, &path) => {}
                Err(source) => {
                    self.open = None;
                    return Err(ReadError::Io { path, source });
                }
            }
        }
        Ok(batch.items)
    }

    /// Reads from `want.start` on until the batch is full or `want.end` is reached; gives the offset reached.
    fn read_segment(
        &mut self,
        inner: &Inner,
        segment: Arc<Segment>,
        want: std::ops::Range<Offset>,
        limit: u64,
        batch: &mut Batch,
    ) -> io::Result<Offset> {
        let open = self.opened(inner, segment, want.start, limit)?;
        let mut position = want.start;
        while position < want.end && !batch.is_full() {
            match open.scan.step(open.expected..want.end)? {
                Step::Record { header, at } => {
                    open.segment.mark(header.ordinal, at);
                    open.expected = header.ordinal.successor();
                    if header.ordinal < position {
                        continue;
                    }
                    inner.missing(&open.segment, position, header.ordinal, batch);
                    batch.bytes += header.length as usize;
                    batch.items.push(Item::Record(Record {
                        offset: header.ordinal,
                        lane: header.lane,
                        appended_at: from_micros(header.appended_at),
                        bytes: open.scan.payload().to_vec(),
                    }));
                    position = open.expected;
                }
                Step::Damage { bytes } => {
                    inner.note_damage(&open.segment, open.file.as_ref(), &bytes);
                }
                Step::End => {
                    inner.missing(&open.segment, position, want.end, batch);
                    position = want.end;
                }
            }
        }
        Ok(position)
    }

    /// The scan of this segment, at or before `position`: the open one if it is, else a new one.
    fn opened(
        &mut self,
        inner: &Inner,
        segment: Arc<Segment>,
        position: Offset,
        limit: u64,
    ) -> io::Result<&mut OpenScan> {
        let (marked, from) = segment.seek(position);
        // Pointer equality: a segment of the same name may have replaced an empty one.
        let same = self.open.take().filter(|open| Arc::ptr_eq(&open.segment, &segment));
        let open = match same {
            Some(mut open) => {
                open.scan.extend(limit);
                if open.expected > position || open.expected < marked {
                    open.scan.seek(from);
                    open.expected = marked;
                }
                open
            }
            None => {
                let file = inner.disk.open(&segment.path, Access::Read)?;
                let seed = Seed::of(inner.identity);
                OpenScan {
                    scan: Scan::new(Arc::clone(&file), seed, from, limit).salvaging(),
                    segment,
                    file,
                    expected: marked,
                }
            }
        };
        Ok(self.open.insert(open))
    }
}

fn is_gone(inner: &Inner, position: Offset, path: &std::path::Path) -> bool {
    match inner.core().locate(position) {
        Place::In { segment, .. } => segment.path != path,
        _ => true,
    }
}

impl Inner {
    fn missing(&self, segment: &Segment, from: Offset, to: Offset, batch: &mut Batch) {
        if from >= to {
            return;
        }
        if segment.is_new_gap(from) {
            self.core().counters.corrupt_records += to.since(from);
            tracing::error!(from = from.0, to = to.0, path = %segment.path.display(), "spool records cannot be read");
        }
        batch.gap(Gap {
            from,
            to,
            reason: GapReason::Corrupt,
        });
    }

    pub(crate) fn note_damage(&self, segment: &Segment, file: &dyn DiskFile, bytes: &std::ops::Range<u64>) {
        if !segment.is_new_damage(bytes) {
            return;
        }
        let kept = self
            .corrupt()
            .keep(self.disk.as_ref(), &self.layout, segment.first, file, bytes);
        let length = bytes.end - bytes.start;
        let mut core = self.core();
        core.counters.corrupt_bytes += length;
        if kept == crate::corrupt::Outcome::NotKept {
            core.counters.corrupt_bytes_not_kept += length;
        }
    }
}
