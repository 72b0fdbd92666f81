//! Opening: what is on disk becomes the state in memory. Reads all headers, one whole segment, and the cursors.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use crate::config::{Config, is_cursor_name};
use crate::core::{Active, Core};
use crate::corrupt::Kept as KeptAside;
use crate::cursor::{CursorFile, Found, look};
use crate::disk::{Access, Disk, DiskFile, settle};
use crate::error::OpenError;
use crate::files::{Layout, UNFINISHED, decode_identity, encode_identity, read_small, replace};
use crate::format::{BadHeader, SEGMENT_HEADER_BYTES, Seed, SegmentHeader, parse_segment_name};
use crate::record::{GapReason, Offset};
use crate::scan::{Scan, Step};
use crate::segment::{Kept, Segment};
use crate::shed::ShedLog;
use crate::spool::Inner;
use crate::state::OpenReport;

/// A segment file and its header, as far as that could be read.
pub(crate) struct FoundSegment {
    pub(crate) first: Offset,
    pub(crate) bytes: u64,
    pub(crate) header: Option<SegmentHeader>,
}

pub(crate) fn open(config: Config, disk: Arc<dyn Disk>) -> Result<(Inner, OpenReport), OpenError> {
    if let Some(what) = config.fault() {
        let dir = config.dir;
        return Err(OpenError::Config { dir, what });
    }
    let layout = Layout {
        dir: config.dir.clone(),
    };
    let disk_ref = disk.as_ref();
    let lock = prepare(disk_ref, &layout)?;
    let found = find_segments(disk_ref, &layout)?;
    let identity = identity(disk_ref, &layout, &found).map_err(at(&layout.identity()))?;
    let mut report = OpenReport {
        damaged_headers: damaged_headers(&found),
        ..OpenReport::default()
    };
    let corrupt = KeptAside::load(disk_ref, &layout).map_err(at(&layout.corrupt()))?;
    let core = Core {
        segments: list(&found, &layout, config.segment_bytes),
        bytes: found.iter().map(|segment| segment.bytes).sum(),
        ..Core::default()
    };
    let mut inner = Inner {
        undeclared: undeclared(disk_ref, &layout, &config).map_err(at(&layout.cursors()))?,
        cursors: Vec::new(),
        corrupt: Mutex::new(corrupt),
        maintaining: Mutex::new(()),
        core: Mutex::new(core),
        changed: Condvar::new(),
        hooks: RwLock::new(Vec::new()),
        ages: Mutex::new(vec![None; config.cursors.len()]),
        identity,
        config,
        layout,
        disk,
        _lock: lock,
    };
    let intact = found.last().is_some_and(|segment| segment.header.is_some());
    recover_tail(&inner, intact, &mut report)?;
    load_shed(&inner)?;
    load_cursors(&mut inner, &mut report)?;
    report_state(&inner, &mut report);
    Ok((inner, report))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}

/// Directories, the lock, and no leftovers.
fn prepare(disk: &dyn Disk, layout: &Layout) -> Result<Box<dyn crate::disk::HeldLock>, OpenError> {
    for dir in [layout.dir.clone(), layout.cursors(), layout.corrupt()] {
        disk.create_dir_all(&dir).map_err(at(&dir))?;
    }
    let lock = disk.lock(&layout.lock()).map_err(|source| {
        let dir = layout.dir.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked { dir },
            _ => OpenError::Io { path: dir, source },
        }
    })?;
    if let Some(parent) = layout.dir.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(at(parent))?;
    }
    for dir in [layout.dir.clone(), layout.cursors()] {
        // Names that a killed process made and did not sync count from here on, so they must stay.
        disk.sync_dir(&dir).map_err(at(&dir))?;
        for entry in disk.list(&dir).map_err(at(&dir))? {
            if entry.name.ends_with(UNFINISHED) {
                let path = dir.join(entry.name);
                disk.remove(&path).map_err(at(&path))?;
            }
        }
    }
    Ok(lock)
}

/// All segment files in order, with their headers.
pub(crate) fn find_segments(disk: &dyn Disk, layout: &Layout) -> Result<Vec<FoundSegment>, OpenError> {
    let mut found = Vec::new();
    for entry in disk.list(&layout.dir).map_err(at(&layout.dir))? {
        let Some(first) = parse_segment_name(&entry.name) else {
            continue;
        };
        let path = layout.segment(first);
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let read = disk
            .open(&path, Access::Read)
            .and_then(|file| file.read_at(&mut bytes, 0))
            .map_err(at(&path))?;
        let header = match SegmentHeader::decode(&bytes[..read]) {
            Ok(header) if header.first == first => Some(header),
            Err(BadHeader::Version(version)) => return Err(OpenError::Version { path, version }),
            _ => None,
        };
        found.push(FoundSegment {
            first,
            bytes: entry.bytes,
            header,
        });
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// Segments whose header cannot be read. A last one that is shorter than a header is no damage: the process died while it made
/// that file, which has taken no record.
fn damaged_headers(found: &[FoundSegment]) -> usize {
    let unfinished = found
        .last()
        .is_some_and(|last| last.bytes < SEGMENT_HEADER_BYTES as u64);
    found.iter().filter(|segment| segment.header.is_none()).count() - usize::from(unfinished)
}

/// The identity from its file, else from any segment, else a new one.
fn identity(disk: &dyn Disk, layout: &Layout, found: &[FoundSegment]) -> io::Result<u64> {
    let file = read_small(disk, &layout.identity())?;
    if let Some(identity) = file.as_deref().and_then(decode_identity) {
        return Ok(identity);
    }
    let known = found
        .iter()
        .find_map(|segment| segment.header.map(|header| header.identity));
    let identity = known.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
    replace(disk, &layout.identity(), &encode_identity(identity))?;
    Ok(identity)
}

/// The list of segments: each ends where the next one says. The last one's end is found by reading it.
fn list(found: &[FoundSegment], layout: &Layout, segment_bytes: u64) -> VecDeque<Kept> {
    let mut kept: VecDeque<Kept> = VecDeque::new();
    for segment in found {
        let first = segment.first;
        let lowest = kept.back().map_or(Offset::ZERO, |last| last.segment.first);
        let previous_end = segment
            .header
            .map_or(first, |header| header.previous_end)
            .clamp(lowest, first);
        if let Some(last) = kept.back_mut() {
            last.end = previous_end;
        }
        let gap = segment.header.and_then(|header| header.gap);
        let path = layout.segment(first);
        kept.push_back(Kept {
            segment: Arc::new(Segment::new(first, previous_end, gap, path, segment_bytes)),
            end: first,
            bytes: segment.bytes,
            consumed_at: None,
        });
    }
    kept
}

/// What reading the last segment gave.
struct Tail {
    /// The ordinal after its last good record.
    end: Offset,
    /// The byte after it.
    bytes: u64,
    /// Damage before it.
    damaged: Vec<std::ops::Range<u64>>,
    /// Ordinals missing before it.
    missing: u64,
}

/// Reads the last segment, cuts what follows its last good record, and goes on appending to it if nothing was wrong.
fn recover_tail(inner: &Inner, intact: bool, report: &mut OpenReport) -> Result<(), OpenError> {
    let last = {
        let core = inner.core();
        core.segments.back().map(|kept| (Arc::clone(&kept.segment), kept.bytes))
    };
    let Some((segment, bytes)) = last else {
        return Ok(());
    };
    let path = &segment.path;
    let file = inner.disk.open(path, Access::Write).map_err(at(path))?;
    let settled = settle(file.as_ref()).map_err(at(path))?;
    let tail = scan_tail(inner, &segment, &file, bytes).map_err(at(path))?;
    for damage in &tail.damaged {
        inner.note_damage(&segment, file.as_ref(), damage);
        report.corrupt_bytes += damage.end - damage.start;
    }
    report.corrupt_records = tail.missing;
    let torn = bytes - tail.bytes.min(bytes);
    report.torn_bytes = torn;
    let cut = cut_torn(inner, &segment, file.as_ref(), &tail, bytes);
    let mut core = inner.core();
    core.counters.torn_bytes = torn;
    core.counters.corrupt_records += tail.missing;
    core.next = tail.end;
    core.durable = tail.end;
    let size = file.bytes().unwrap_or(bytes).min(bytes);
    core.bytes -= bytes - size;
    if let Some(kept) = core.segments.back_mut() {
        kept.end = tail.end;
        kept.bytes = size;
    }
    if intact && tail.damaged.is_empty() && settled && cut.is_ok() {
        core.active = Some(Active {
            file,
            durable_bytes: tail.bytes,
        });
    }
    Ok(())
}

fn scan_tail(inner: &Inner, segment: &Segment, file: &Arc<dyn DiskFile>, bytes: u64) -> io::Result<Tail> {
    let header = SEGMENT_HEADER_BYTES as u64;
    let seed = Seed::of(inner.identity);
    let mut scan = Scan::new(Arc::clone(file), seed, header, bytes);
    let mut tail = Tail {
        end: segment.first,
        // A file that was cut within its header has no byte worth keeping.
        bytes: header.min(bytes),
        damaged: Vec::new(),
        missing: 0,
    };
    let mut pending = Vec::new();
    loop {
        match scan.step(tail.end..Offset(u64::MAX))? {
            Step::Record { header, at } => {
                segment.mark(header.ordinal, at);
                let missing = header.ordinal.since(tail.end);
                if missing > 0 {
                    segment.is_new_gap(tail.end);
                    tail.missing += missing;
                }
                tail.end = header.ordinal.successor();
                tail.bytes = scan.position();
                tail.damaged.append(&mut pending);
            }
            // Torn, unless a good record follows.
            Step::Damage { bytes } => pending.push(bytes),
            Step::End => return Ok(tail),
        }
    }
}

/// Cuts the file after its last good record. What is cut is kept aside unless it is only zeros.
fn cut_torn(inner: &Inner, segment: &Segment, file: &dyn DiskFile, tail: &Tail, bytes: u64) -> io::Result<()> {
    if bytes <= tail.bytes {
        return Ok(());
    }
    tracing::warn!(path = %segment.path.display(), bytes = bytes - tail.bytes, "spool cuts a torn tail");
    let range = tail.bytes..bytes;
    if !is_zero(file, range.clone())? {
        inner
            .corrupt()
            .keep(inner.disk.as_ref(), &inner.layout, segment.first, file, &range);
    }
    file.set_bytes(tail.bytes)?;
    file.sync()
}

fn is_zero(file: &dyn DiskFile, range: std::ops::Range<u64>) -> io::Result<bool> {
    let mut chunk = vec![0; crate::scan::READ_AHEAD_BYTES];
    let mut at = range.start;
    while at < range.end {
        let want = chunk.len().min((range.end - at) as usize);
        let read = file.read_at(&mut chunk[..want], at)?;
        if chunk[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(true)
}

fn load_shed(inner: &Inner) -> Result<(), OpenError> {
    let path = inner.layout.shed();
    let bytes = read_small(inner.disk.as_ref(), &path).map_err(at(&path))?;
    if let Some(log) = bytes.as_deref().and_then(ShedLog::decode) {
        inner.core().shed = log;
    }
    Ok(())
}

/// The names and positions of cursor files that the configuration does not name.
fn undeclared(disk: &dyn Disk, layout: &Layout, config: &Config) -> io::Result<Vec<(String, Offset)>> {
    Ok(list_cursors(disk, layout)?
        .into_iter()
        .filter(|(name, _)| !config.cursors.contains(name))
        .collect())
}

/// All cursor files and their positions; a damaged one counts as at the beginning.
pub(crate) fn list_cursors(disk: &dyn Disk, layout: &Layout) -> io::Result<Vec<(String, Offset)>> {
    let mut found = Vec::new();
    for entry in disk.list(&layout.cursors())? {
        if is_cursor_name(&entry.name) {
            let at = match look(disk, &layout.cursors().join(&entry.name))?.0 {
                Found::At(at) => at,
                Found::Missing => continue,
                Found::Damaged => Offset::ZERO,
            };
            found.push((entry.name, at));
        }
    }
    found.sort();
    Ok(found)
}

/// Cursors, and with them the end of the log: an ordinal that a cursor has passed is never given again.
fn load_cursors(inner: &mut Inner, report: &mut OpenReport) -> Result<(), OpenError> {
    let oldest = inner.core().oldest();
    let mut positions = Vec::new();
    for index in 0..inner.config.cursors.len() {
        let path: PathBuf = inner.cursor_path(index);
        let mut file = CursorFile::new(path.clone());
        let name = &inner.config.cursors[index];
        let found = file.load(inner.disk.as_ref()).map_err(at(&path))?;
        let known = matches!(found, Found::At(_));
        positions.push(match found {
            Found::At(at) => at,
            Found::Missing => {
                report.new_cursors.push(name.clone());
                oldest
            }
            Found::Damaged => {
                report.reset_cursors.push(name.clone());
                oldest
            }
        });
        if let Some(at) = positions.last().filter(|_| !known) {
            // Its file should exist before the disk is full. If that fails, the first commit makes it.
            let _ = file.store(inner.disk.as_ref(), *at);
        }
        inner.cursors.push(Mutex::new(file));
    }
    let passed = positions.iter().chain(inner.undeclared.iter().map(|(_, at)| at));
    let highest = passed.copied().max().unwrap_or(Offset::ZERO);
    let mut core = inner.core();
    let highest = highest.max(core.shed.to);
    core.cursors = positions;
    if highest > core.next {
        report.lost_tail_records = highest.since(core.next);
        core.pending_gap = GapReason::Corrupt;
        core.active = None;
        core.next = highest;
        core.durable = highest;
    }
    Ok(())
}

fn report_state(inner: &Inner, report: &mut OpenReport) {
    let core = inner.core();
    report.oldest = core.oldest();
    report.next = core.next;
    report.segments = core.segments.len();
    report.bytes = core.bytes;
    report.undeclared.clone_from(&inner.undeclared);
    let backlog = |(name, at): (&String, &Offset)| (name.clone(), core.next.since((*at).max(report.oldest)));
    report.backlog = inner.config.cursors.iter().zip(&core.cursors).map(backlog).collect();
}
