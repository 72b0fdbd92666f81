//! Making room: consumed segments go, and at the cap the operator's choice applies. Cursors are durable before any unlink.

use std::io;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use crate::config::AtCap;
use crate::core::{Core, Doomed};
use crate::error::AppendError;
use crate::files::replace;
use crate::record::Offset;
use crate::shed::ShedGap;
use crate::spool::{Inner, Spool};
use crate::state::{Health, Maintained};

/// How much is written to find out whether a full disk has room again, bytes; at most a segment.
const PROBE_BYTES: u64 = 64 * 1024;

impl Spool {
    /// Unlinks segments that every cursor is past for `keep`, sheds down to the cap if that is the policy, and finds out
    /// whether a disk that refused takes writes again. Cheap; call it every second.
    pub fn maintain(&self, now: SystemTime) -> Maintained {
        let inner = &self.inner;
        let _turn = inner.maintaining.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Maintained::default();
        {
            let mut core = inner.core();
            core.now = now;
            let full = matches!(core.trouble.health, Health::DiskFull { .. });
            // Evidence goes before the service does.
            let keep = if full { Duration::ZERO } else { inner.config.keep };
            core.doom_consumed(now, keep);
            if let Err(e) = inner.shed_to_cap(&mut core, &mut done) {
                done.failed = Some(format!("cannot shed: {e}"));
            }
        }
        if let Err(e) = inner.unlink_doomed(&mut done) {
            done.failed = Some(format!("cannot unlink a segment: {e}"));
        }
        done.recovered = inner.probe(now);
        done
    }
}

impl Inner {
    /// Makes room for `growth` bytes under the cap, or says that there is none.
    pub(crate) fn reclaim(&self, core: &mut Core, growth: u64) -> Result<(), AppendError> {
        while core.bytes + growth > self.config.cap_bytes {
            // What is doomed must be gone before more is: a file that cannot be unlinked makes no room, and shedding on
            // would only lose records.
            let made = match core.doomed.is_empty() {
                false => self.unlink_one_doomed(core).unwrap_or(false),
                true => {
                    core.doom_first_consumed()
                        || (self.config.at_cap == AtCap::Shed
                            && self.shed_first(core, &mut Vec::new()).unwrap_or(false))
                }
            };
            if !made {
                core.at_cap = true;
                core.counters.refused_at_cap += 1;
                return Err(AppendError::AtCap {
                    bytes: core.bytes,
                    cap: self.config.cap_bytes,
                });
            }
        }
        Ok(())
    }

    fn shed_to_cap(&self, core: &mut Core, done: &mut Maintained) -> io::Result<()> {
        let excess = |core: &Core| {
            let doomed: u64 = core.doomed.iter().map(|doomed| doomed.bytes).sum();
            core.bytes - doomed > self.config.cap_bytes
        };
        while self.config.at_cap == AtCap::Shed && excess(core) {
            if !core.doom_first_consumed() && !self.shed_first(core, &mut done.shed)? {
                break;
            }
        }
        Ok(())
    }

    /// Dooms the oldest segment although it is unread, after its gaps are durable. Never the last one.
    fn shed_first(&self, core: &mut Core, told: &mut Vec<ShedGap>) -> io::Result<bool> {
        let Some(kept) = core.segments.front().filter(|_| core.segments.len() > 1) else {
            return Ok(false);
        };
        let (first, end, bytes) = (kept.segment.first, kept.end, kept.bytes);
        let mut log = core.shed.clone();
        let at = |name: &str| {
            let index = self.config.cursors.iter().position(|cursor| cursor == name);
            index.map_or(Offset(u64::MAX), |index| core.cursors[index])
        };
        log.gaps.retain(|gap| at(&gap.cursor) < gap.to);
        let mut unread_from = end;
        for (name, at) in self.config.cursors.iter().zip(&core.cursors) {
            let from = (*at).max(first);
            if from < end {
                let unread = kept.bytes_from(from);
                log.add(name, from, end, unread);
                unread_from = unread_from.min(from);
                told.push(ShedGap {
                    cursor: name.clone(),
                    from,
                    to: end,
                    bytes: unread,
                });
            }
        }
        log.to = end;
        log.records += end.since(unread_from);
        log.bytes += bytes;
        replace(self.disk.as_ref(), &self.layout.shed(), &log.encode())?;
        tracing::error!(
            from = unread_from.0,
            to = end.0,
            bytes,
            "spool sheds unread records at its cap"
        );
        core.shed = log;
        core.counters.shed_segments += 1;
        core.counters.shed_records += end.since(unread_from);
        core.doom_first();
        Ok(true)
    }

    fn unlink_doomed(&self, done: &mut Maintained) -> io::Result<()> {
        loop {
            // Without the lock on the core: a slow unlink must not hold up appends. Only `maintain` and an append at the
            // cap unlink; whoever finds the file gone is content.
            let Some((path, bytes)) = self.next_doomed() else {
                return Ok(());
            };
            self.unlink(&path)?;
            let mut core = self.core();
            if core.doomed.front().is_some_and(|doomed| doomed.path == path) {
                core.doomed.pop_front();
                core.bytes -= bytes;
            }
            done.retired_segments += 1;
            done.retired_bytes += bytes;
        }
    }

    fn next_doomed(&self) -> Option<(std::path::PathBuf, u64)> {
        let core = self.core();
        let doomed = core.doomed.front()?;
        Some((doomed.path.clone(), doomed.bytes))
    }

    fn unlink_one_doomed(&self, core: &mut Core) -> io::Result<bool> {
        let Some(doomed) = core.doomed.front() else {
            return Ok(false);
        };
        self.unlink(&doomed.path)?;
        core.bytes -= doomed.bytes;
        core.doomed.pop_front();
        Ok(true)
    }

    /// One at a time and durably, so that a crash leaves no hole among the segments.
    fn unlink(&self, path: &std::path::Path) -> io::Result<()> {
        match self.disk.remove(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        self.disk.sync_dir(&self.layout.dir)
    }

    /// If the log cannot write: whether it can now.
    fn probe(&self, now: SystemTime) -> bool {
        let mut core = self.core();
        if core.trouble.health == Health::Healthy || core.trouble.is_backing_off(now) {
            return false;
        }
        let path = self.layout.probe();
        if let Err(e) = self.try_probe() {
            core.note_trouble(&path, std::sync::Arc::new(e));
            return false;
        }
        if core.active.is_none() && self.begin_segment(&mut core, now).is_err() {
            return false;
        }
        core.trouble = crate::trouble::Trouble::none();
        tracing::info!(dir = %self.layout.dir.display(), "spool can write again");
        true
    }

    fn try_probe(&self) -> io::Result<()> {
        let path = self.layout.probe();
        let bytes = vec![0xA5; PROBE_BYTES.min(self.config.segment_bytes) as usize];
        let _ = self.disk.remove(&path);
        let file = self.disk.create(&path)?;
        let written = file.write_at(&bytes, 0).and_then(|()| file.sync());
        let removed = self.disk.remove(&path);
        written.and(removed)
    }
}

impl Core {
    fn doom_consumed(&mut self, now: SystemTime, keep: Duration) {
        let consumed = self.consumed();
        for kept in self.segments.iter_mut().filter(|kept| kept.end <= consumed) {
            let since = *kept.consumed_at.get_or_insert(now);
            if since > now {
                kept.consumed_at = Some(now);
            }
        }
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|kept| {
                let over = |since| now.duration_since(since).is_ok_and(|age| age >= keep);
                kept.end <= consumed && kept.consumed_at.is_some_and(over)
            })
        {
            self.counters.retired_segments += 1;
            self.doom_first();
        }
    }

    /// Dooms the oldest segment if it is consumed, however recently.
    fn doom_first_consumed(&mut self) -> bool {
        let consumed = self.consumed();
        let is_consumed = self.segments.front().is_some_and(|kept| kept.end <= consumed);
        if self.segments.len() < 2 || !is_consumed {
            return false;
        }
        self.counters.retired_segments += 1;
        self.counters.retired_early_segments += 1;
        self.doom_first();
        true
    }

    fn doom_first(&mut self) {
        if let Some(kept) = self.segments.pop_front() {
            self.doomed.push_back(Doomed {
                path: kept.segment.path.clone(),
                bytes: kept.bytes,
            });
        }
    }
}
