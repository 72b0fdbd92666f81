//! Append: one write per call, a new segment when the active one is full, nothing half accepted.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::SystemTime;

use crate::core::{Active, Core};
use crate::error::AppendError;
use crate::files::Layout;
use crate::format::{SEGMENT_HEADER_BYTES, Seed, SegmentHeader, encode_record, encoded_bytes};
use crate::record::{Appended, NewRecord, Offset, to_micros};
use crate::segment::{Kept, Segment};
use crate::spool::{Inner, Spool};

/// The encoding buffer is given back to the allocator above this, bytes.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;

impl Spool {
    /// Appends records in one write: all of them or none. They are written, **not yet durable**: acknowledge after
    /// [`Spool::sync`] only. A crash before that may leave the first part of a call in the log.
    ///
    /// # Errors
    /// Too large, at the cap, disk full, failed write: none of the records is in the log, their offsets are not used.
    pub fn append(&self, records: &[NewRecord<'_>], now: SystemTime) -> Result<Appended, AppendError> {
        let need = self.inner.encoded_bytes(records)?;
        let mut core = self.inner.core();
        core.now = now;
        if records.is_empty() {
            let next = core.next;
            return Ok(Appended { first: next, next });
        }
        let mut core = self.inner.make_room(core, need, now)?;
        let result = self.inner.write(&mut core, records, now);
        if result.is_err() {
            core.counters.refused_unwritable += 1;
            self.inner.changed.notify_all();
        }
        result
    }
}

impl Inner {
    fn encoded_bytes(&self, records: &[NewRecord<'_>]) -> Result<u64, AppendError> {
        let max = self.config.max_record_bytes;
        let mut bytes = 0;
        for (index, record) in records.iter().enumerate() {
            if record.bytes.len() > max as usize {
                return Err(AppendError::RecordTooLarge {
                    index,
                    bytes: record.bytes.len(),
                    max,
                });
            }
            bytes += encoded_bytes(record.bytes.len());
        }
        let max = self.config.segment_bytes - SEGMENT_HEADER_BYTES as u64;
        match bytes > max {
            true => Err(AppendError::BatchTooLarge { bytes, max }),
            false => Ok(bytes),
        }
    }

    /// Gives the lock back once the active segment can take `need` bytes.
    fn make_room<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        need: u64,
        now: SystemTime,
    ) -> Result<MutexGuard<'a, Core>, AppendError> {
        loop {
            let fits = core
                .active_bytes()
                .is_some_and(|bytes| bytes + need <= self.config.segment_bytes);
            let growth = if fits { need } else { need + SEGMENT_HEADER_BYTES as u64 };
            self.reclaim(&mut core, growth)?;
            if fits {
                return Ok(core);
            }
            if core.active.is_some() && core.durable < core.next {
                // A full segment is synced before the next one begins, so only the last one can have a torn tail.
                let target = core.next;
                core = self.commit_to(core, target).0;
                continue;
            }
            if core.active.is_none() && core.trouble.is_backing_off(now) {
                core.counters.refused_unwritable += 1;
                return Err(core.trouble.append_error());
            }
            if self.begin_segment(&mut core, now).is_err() {
                core.counters.refused_unwritable += 1;
                return Err(core.trouble.append_error());
            }
        }
    }

    fn write(&self, core: &mut Core, records: &[NewRecord<'_>], now: SystemTime) -> Result<Appended, AppendError> {
        let (seed, appended_at, first) = (Seed::of(self.identity), to_micros(now), core.next);
        let mut buf = std::mem::take(&mut core.buf);
        buf.clear();
        let mut next = first;
        for record in records {
            encode_record(&mut buf, seed, next, appended_at, record);
            next = next.successor();
        }
        let result = core.write_active(&buf, first, next);
        if result.is_ok() {
            core.counters.appended_records += records.len() as u64;
            core.counters.appended_bytes += buf.len() as u64;
        }
        buf.shrink_to(BUFFER_KEPT_BYTES);
        core.buf = buf;
        match result {
            Ok(()) => Ok(Appended { first, next }),
            Err(e) => {
                core.seal_as_suspect(e);
                Err(core.trouble.append_error())
            }
        }
    }

    /// Ends the active segment, which must be durable, and begins a new one whose header and name are durable before
    /// any record is written into it.
    pub(crate) fn begin_segment(&self, core: &mut Core, now: SystemTime) -> Result<(), ()> {
        core.active = None;
        let first = core.next;
        let path = self.layout.segment(first);
        match self.try_begin(core, &self.layout, now) {
            Ok(()) => {
                core.durable = first;
                self.changed.notify_all();
                Ok(())
            }
            Err(e) => {
                core.note_trouble(&path, Arc::new(e));
                Err(())
            }
        }
    }

    fn try_begin(&self, core: &mut Core, layout: &Layout, now: SystemTime) -> io::Result<()> {
        let first = core.next;
        let path = layout.segment(first);
        let mut previous_end = core.segments.back().map_or(first, |kept| kept.end);
        let mut gap = core.pending_gap;
        if let Some(empty) = core.segments.back().filter(|kept| kept.segment.first == first) {
            // A segment that failed before it took a record: its name is needed again, and the gap before it stays.
            previous_end = empty.segment.previous_end;
            gap = empty.segment.gap.unwrap_or(gap);
            self.disk.remove(&path)?;
            if let Some(empty) = core.segments.pop_back() {
                core.bytes -= empty.bytes;
            }
            core.pending_gap = gap;
        }
        let gap = (previous_end < first).then_some(gap);
        let header = SegmentHeader {
            identity: self.identity,
            first,
            previous_end,
            gap,
            created_at: to_micros(now),
        };
        let file = match self.create_segment(layout, first, &header) {
            Ok(file) => file,
            Err(e) => {
                let _ = self.disk.remove(&path);
                return Err(e);
            }
        };
        let bytes = SEGMENT_HEADER_BYTES as u64;
        let size = self.config.segment_bytes;
        core.bytes += bytes;
        core.segments.push_back(Kept {
            segment: Arc::new(Segment::new(first, previous_end, gap, path, size)),
            end: first,
            bytes,
            consumed_at: None,
        });
        core.active = Some(Active {
            file,
            durable_bytes: bytes,
        });
        Ok(())
    }

    fn create_segment(
        &self,
        layout: &Layout,
        first: Offset,
        header: &SegmentHeader,
    ) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        let path = layout.segment(first);
        let file = match self.disk.create(&path) {
            // Left over from an attempt that failed: it took no record.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&path)?;
                self.disk.create(&path)?
            }
            other => other?,
        };
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        self.disk.sync_dir(&layout.dir)?;
        Ok(file)
    }
}

impl Core {
    fn active_bytes(&self) -> Option<u64> {
        self.active.as_ref()?;
        self.segments.back().map(|kept| kept.bytes)
    }

    fn write_active(&mut self, buf: &[u8], first: Offset, next: Offset) -> io::Result<()> {
        let (Some(active), Some(kept)) = (&self.active, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        active.file.write_at(buf, kept.bytes)?;
        kept.segment.mark(first, kept.bytes);
        kept.bytes += buf.len() as u64;
        kept.end = next;
        self.bytes += buf.len() as u64;
        self.next = next;
        self.at_cap = false;
        Ok(())
    }
}
