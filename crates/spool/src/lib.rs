//! A durable log with named cursors: what comes in is appended and group-committed, then acknowledged; readers move
//! their own cursor when *their* next hop holds the record; a segment goes when every cursor is past it.
//!
//! ```
//! use std::{sync::Arc, time::SystemTime};
//! use spool::{Config, Item, NewRecord, OsDisk, Spool};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let config = Config::new(dir.path(), &["store", "forward"]);
//! let (spool, _report) = Spool::open(config, Arc::new(OsDisk))?;
//! spool.append(&[NewRecord { lane: 7, bytes: b"a stroke" }], SystemTime::now())?;
//! spool.sync()?; // now, and not before, the sender may forget it
//!
//! let mut reader = spool.reader("store")?;
//! for item in reader.read(1000, 1 << 20)? {
//!     match &item {
//!         Item::Record(record) => assert_eq!(record.bytes, b"a stroke"),
//!         Item::Gap(gap) => println!("{} records are missing: {}", gap.count(), gap.reason.as_str()),
//!     }
//!     reader.commit(item.next())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it knows
//! Bytes, offsets and an opaque `u32` lane. No MQTT, no protobuf, no tokio, no clock: whoever calls gives `now`.
//!
//! # On disk
//! ```text
//! dir/00000000000000000000.seg   segments, named by their first ordinal; only the last one is written to
//!     00000000000000091234.seg
//!     cursors/store              a position, in two checksummed slots
//!     identity                   seeds the checksums, so that a payload cannot imitate a record
//!     shed                       what cursors lost at the cap, if they did
//!     corrupt/                   damaged bytes, kept aside within a bound
//!     lock                       held while open for writing
//! ```
//! The bytes are tabled in the module `format` (segments, records), `cursor` and `shed`.
//!
//! # Durability
//! 1. [`Spool::append`] writes; [`Spool::sync`] makes durable. A record before the offset that `sync` returned is on disk.
//! 2. Concurrent callers of `sync` share one fsync.
//! 3. A segment's header, then its name, are durable before a record is written into it. A full segment is synced before
//!    the next one begins, so only the last one can have a torn tail.
//! 4. A write or fsync that fails is the end of that file: it is sealed at what was durable, never synced again, and what
//!    was appended since is told as lost by a [`SyncError`]. The next append begins a new file, with ordinals of its own.
//! 5. A cursor is durable before anything is unlinked because of it; so are the names of what is shed.
//! 6. Segments are unlinked one by one, oldest first, each durably, the last one never.
//! 7. Open syncs what a killed process left unsynced before it counts, and reads past the cache, so that pages which a
//!    failed fsync left behind are not taken for stored.
//!
//! A full disk or a failing one refuses appends with a reason and is tried again by itself, after at most
//! [`MAX_BACKOFF`]; readers and cursors go on (a cursor's file is written in place and needs no room), and consumed
//! segments give room back before their `keep` is over.
//!
//! Several threads may append and sync: each asks [`Spool::sync_appended`] for its own records. Async code that waits
//! for [`Spool::on_durable`] asks [`Spool::fate`] before it acknowledges, because `durable` passes lost records too.
//!
//! # Invariants
//! - Ordinals are dense and strictly increasing; one that was readable never names another record, whatever crashes.
//! - Readers see durable records only, in the order of their offsets, and every ordinal that has no readable record in a
//!   [`Gap`] with its reason. Nothing is passed over silently.
//! - Damage costs the damaged records and nothing beside them. Damage at the very end of the last segment cannot be told
//!   from a torn write: it is cut and counted, and cursors beyond the cut show as [`OpenReport::lost_tail_records`].
//! - A cursor that nobody declares holds nothing back and is reported.
//! - Open reads every segment's header and one whole segment, however large the backlog.
//!
//! # Delivery
//! At least once: after a crash a reader gets again what it had read and not committed. Whoever cares deduplicates.

mod append;
mod commit;
mod config;
mod copy;
mod core;
mod corrupt;
mod cursor;
mod disk;
mod error;
mod files;
pub mod format;
mod inspect;
mod losses;
mod reader;
mod record;
mod recover;
mod retire;
mod scan;
mod segment;
mod shed;
mod spool;
mod state;
pub mod testing;
mod trouble;

pub use crate::config::{
    AtCap, Config, DEFAULT_CAP_BYTES, DEFAULT_MAX_RECORD_BYTES, DEFAULT_SEGMENT_BYTES, MAX_CURSOR_NAME_BYTES,
    MAX_CURSORS,
};
pub use crate::copy::{Copied, Copying};
pub use crate::corrupt::{CORRUPT_KEPT_BYTES, CORRUPT_KEPT_FILES};
pub use crate::disk::{Access, Disk, DiskFile, Entry, HeldLock, OsDisk};
pub use crate::error::{AppendError, AppendReason, CursorError, OpenError, ReadError, ReaderError, SyncError};
pub use crate::inspect::{DAMAGE_LISTED, Inspection, SegmentInspection, inspect};
pub use crate::reader::{LookBack, Reader};
pub use crate::record::{Appended, Gap, GapReason, Item, NewRecord, Offset, Record};
pub use crate::shed::ShedGap;
pub use crate::spool::{Fate, Spool};
pub use crate::state::{Counters, CursorState, Health, Maintained, OpenReport, State};
pub use crate::trouble::MAX_BACKOFF;
