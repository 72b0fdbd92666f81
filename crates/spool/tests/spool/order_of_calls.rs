//! What must be durable before what, seen in the calls that reach the disk.

use std::path::Path;

use spool::testing::{Call, Op, SimDisk};
use spool::{AtCap, Config, Offset};

use crate::kit::*;

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "seg")
}

fn index(calls: &[Call], what: &str, test: impl Fn(&Call) -> bool) -> usize {
    calls.iter().position(test).unwrap_or_else(|| panic!("no call: {what}"))
}

#[test]
fn a_cursor_is_durable_before_a_segment_goes_because_of_it() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..200);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    reader.commit(Offset(1)).unwrap();
    let _ = disk.take_calls();
    reader.commit(Offset(200)).unwrap();
    assert!(spool.maintain(now()).retired_segments > 2);
    let calls = disk.take_calls();
    let in_cursor = |op| move |call: &Call| call.op == op && call.path.ends_with("cursors/store");
    let written = index(&calls, "cursor written", in_cursor(Op::Write));
    let synced = index(&calls, "cursor synced", in_cursor(Op::Sync));
    let removed = index(&calls, "segment removed", |call| {
        call.op == Op::Remove && is_segment(&call.path)
    });
    assert!(written < synced && synced < removed);
    for pair in calls.windows(2).filter(|pair| pair[0].op == Op::Remove) {
        assert_eq!(pair[1].op, Op::SyncDir, "each unlink is durable before the next one");
    }
}

#[test]
fn a_new_cursor_is_durable_with_its_name_from_the_first_open_on() {
    let disk = SimDisk::new(1);
    let _ = open(&small(&["store"]), &disk);
    let calls = disk.take_calls().into_iter();
    let ops: Vec<Op> = calls
        .filter(|call| call.path.starts_with("/spool/cursors") && call.op != Op::Open)
        .map(|call| call.op)
        .collect();
    // The directory as it was found, then the new file.
    let create = [Op::Remove, Op::Create, Op::Write, Op::Sync, Op::Rename, Op::SyncDir];
    assert_eq!(ops[0], Op::SyncDir);
    assert_eq!(ops[1..], create);
}

#[test]
fn shed_gaps_are_durable_before_their_segments_go() {
    let disk = SimDisk::new(1);
    let config = Config {
        at_cap: AtCap::Shed,
        ..small(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..600);
    let calls = disk.take_calls();
    let renamed = index(&calls, "shed written", |call| {
        call.op == Op::Rename && call.path.ends_with("shed")
    });
    let removed = index(&calls, "segment removed", |call| {
        call.op == Op::Remove && is_segment(&call.path)
    });
    assert_eq!(calls[renamed + 1].op, Op::SyncDir);
    assert!(renamed + 1 < removed);
}

#[test]
fn a_segments_header_and_name_are_durable_before_its_first_record_and_the_former_one_is_synced() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..100);
    let mut unsynced: Option<std::path::PathBuf> = None;
    let mut fresh: Option<(std::path::PathBuf, Vec<Op>)> = None;
    for call in disk.take_calls().into_iter().filter(|call| call.ok) {
        if let Some((path, ops)) = &mut fresh {
            let done = call.op == Op::Write && call.path == *path && ops.len() > 1;
            ops.push(call.op);
            if done {
                assert_eq!(*ops, [Op::Create, Op::Write, Op::Sync, Op::SyncDir, Op::Write]);
                unsynced = Some(call.path);
                fresh = None;
            }
        } else if is_segment(&call.path) {
            match call.op {
                Op::Create => {
                    assert_eq!(unsynced, None, "the former segment was not synced");
                    fresh = Some((call.path, vec![Op::Create]));
                }
                Op::Write => unsynced = Some(call.path),
                Op::Sync => unsynced = None,
                _ => {}
            }
        }
    }
}

#[test]
fn opening_reads_the_header_of_each_segment_and_the_bytes_of_the_last_one_only() {
    let disk = SimDisk::new(1);
    let config = small(&["store"]);
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..300);
    spool.sync().unwrap();
    drop(spool);
    let _ = disk.take_calls();
    let (_, report) = open(&config, &disk);
    assert!(report.segments > 5);
    let mut reads = std::collections::BTreeMap::new();
    for call in disk.take_calls() {
        if call.op == Op::Read && is_segment(&call.path) {
            *reads.entry(call.path).or_insert(0) += 1;
        }
    }
    assert_eq!(reads.len(), report.segments);
    reads.pop_last();
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
}

#[test]
fn one_append_is_one_write_and_one_sync_is_one_fsync() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..1);
    spool.sync().unwrap();
    let _ = disk.take_calls();
    append(&spool, 1..9);
    spool.sync().unwrap();
    spool.sync().unwrap();
    let ops: Vec<Op> = disk.take_calls().iter().map(|call| call.op).collect();
    assert_eq!(ops, [Op::Write, Op::Sync]);
}
