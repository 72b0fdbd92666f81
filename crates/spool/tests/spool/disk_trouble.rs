//! Writes and fsyncs that fail, disks that fill up: nothing is acknowledged that is not there, and it goes on by itself.

use std::io::ErrorKind;
use std::path::PathBuf;

use spool::testing::{Op, SimDisk};
use spool::{AppendReason, CursorError, Fate, Gap, GapReason, Health, Item, Offset};

use crate::kit::*;

fn first_segment() -> PathBuf {
    PathBuf::from("/spool/00000000000000000000.seg")
}

#[test]
fn after_a_failed_fsync_the_file_is_never_synced_again_and_the_lost_are_named() {
    let disk = SimDisk::new(1);
    let config = small(&["store"]);
    let (spool, _) = open(&config, &disk);
    let kept = append(&spool, 0..5);
    spool.sync().unwrap();
    let lost = append(&spool, 5..9);
    assert_eq!(spool.fate(&lost), Fate::Pending);
    disk.fail(Op::Sync, ".seg", 0, 1, ErrorKind::Other);
    let error = spool.sync().unwrap_err();
    assert_eq!((error.from, error.to, error.disk_full), (Offset(5), Offset(9), false));
    assert_eq!(spool.fate(&kept), Fate::Durable);
    assert_eq!(spool.fate(&lost), Fate::Lost);
    assert!(matches!(spool.state().health, Health::Suspect { .. }));
    let _ = disk.take_calls();

    let again = append(&spool, 5..9);
    assert_eq!(again.first, Offset(9), "fresh ordinals");
    assert_eq!(spool.sync().unwrap(), Offset(13));
    assert_eq!(spool.state().health, Health::Healthy);
    assert_eq!(spool.fate(&lost), Fate::Lost, "although durable() has passed it");
    assert!(spool.sync_appended(&lost).is_err());
    let synced = |call: &spool::testing::Call| call.op == Op::Sync && call.path == first_segment();
    assert!(!disk.take_calls().iter().any(synced));

    let gap = Item::Gap(Gap {
        from: Offset(5),
        to: Offset(9),
        reason: GapReason::Suspect,
    });
    let check = |spool: &spool::Spool| {
        let items = read_all(&mut spool.reader("store").unwrap());
        assert_seamless(&items, Offset::ZERO);
        assert_eq!(items[5], gap);
        assert_eq!(payloads(&items), (0..9).map(payload).collect::<Vec<_>>());
    };
    check(&spool);
    drop(spool);
    disk.cut_power();
    check(&open(&config, &disk).0);
}

#[test]
fn a_failed_write_refuses_its_batch_whole_and_loses_only_what_was_unsynced() {
    let disk = SimDisk::new(3);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..5);
    spool.sync().unwrap();
    append(&spool, 5..7);
    disk.fail(Op::Write, ".seg", 0, 1, ErrorKind::Other);
    let error = try_append(&spool, 7..12).unwrap_err();
    assert_eq!(error.reason(), AppendReason::Suspect);
    let lost = spool.sync().unwrap_err();
    assert_eq!(
        (lost.from, lost.to),
        (Offset(5), Offset(7)),
        "the refused batch took no ordinals"
    );
    append(&spool, 20..22);
    assert_eq!(spool.sync().unwrap(), Offset(9));
    let items = look(&spool);
    assert_seamless(&items, Offset::ZERO);
    let expected: Vec<_> = (0..5).chain(20..22).map(payload).collect();
    assert_eq!(payloads(&items), expected);
}

#[test]
fn a_failed_fsync_is_told_to_every_thread_whose_records_it_took() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..1);
    spool.sync().unwrap();
    let lost: Vec<_> = (1..5).map(|number| append(&spool, [number])).collect();
    disk.fail(Op::Sync, ".seg", 0, 1, ErrorKind::Other);
    std::thread::scope(|scope| {
        for appended in &lost {
            scope.spawn(|| assert!(spool.sync_appended(appended).is_err()));
        }
    });
    let later = append(&spool, [9]);
    assert!(spool.sync_appended(&later).is_ok());
    assert!(lost.iter().all(|appended| spool.sync_appended(appended).is_err()));
}

#[test]
fn a_failure_while_a_segment_is_full_is_told_by_the_next_sync() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..5);
    disk.fail(Op::Sync, "00000000000000000000.seg", 0, 1, ErrorKind::Other);
    let mut number = 5;
    while spool.state().health == Health::Healthy {
        append(&spool, [number]);
        number += 1;
    }
    let lost = spool.sync().unwrap_err();
    assert_eq!(lost.from, Offset(0));
    let end = append(&spool, 100..101).next;
    assert_eq!(spool.sync().unwrap(), end);
    assert_seamless(&look(&spool), Offset::ZERO);
}

#[test]
fn a_full_disk_refuses_with_its_reason_and_goes_on_by_itself() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..5);
    spool.sync().unwrap();
    disk.set_capacity(Some(disk.used() + 100));
    let error = try_append(&spool, 5..10).unwrap_err();
    assert_eq!(error.reason(), AppendReason::DiskFull);
    assert!(matches!(spool.state().health, Health::DiskFull { .. }));
    assert!(try_append(&spool, 5..10).is_err());
    assert_eq!(
        payloads(&read_all(&mut spool.reader("store").unwrap())).len(),
        5,
        "readers read on"
    );
    disk.set_capacity(None);
    let taken = (0..10).find_map(|wait| {
        let record = spool::NewRecord {
            lane: 0,
            bytes: b"room",
        };
        spool.append(&[record], later(wait)).ok()
    });
    assert_eq!(taken.map(|appended| appended.first), Some(Offset(5)));
    assert_eq!(spool.sync().unwrap(), Offset(6));
    assert_eq!(spool.state().health, Health::Healthy);
    assert_eq!(look(&spool).len(), 6);
}

#[test]
fn the_wait_between_attempts_on_a_full_disk_is_bounded_and_a_clock_that_jumps_back_does_not_prolong_it() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    disk.set_capacity(Some(disk.used()));
    let record = spool::NewRecord { lane: 0, bytes: b"x" };
    for second in 0..100 {
        assert!(spool.append(&[record], later(1000 + second)).is_err());
    }
    let _ = disk.take_calls();
    for _ in 0..50 {
        assert!(spool.append(&[record], later(1100)).is_err());
    }
    assert!(disk.take_calls().len() < 10, "it does not hammer the disk");
    disk.set_capacity(None);
    let _ = spool.append(&[record], later(0)).unwrap();
}

#[test]
fn maintenance_finds_out_that_there_is_room_again() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    disk.set_capacity(Some(disk.used()));
    assert!(try_append(&spool, 0..5).is_err());
    assert!(!spool.maintain(later(10)).recovered);
    disk.set_capacity(None);
    assert!((11..20).any(|second| spool.maintain(later(second)).recovered));
    assert_eq!(spool.state().health, Health::Healthy);
    append(&spool, 0..5);
    assert_eq!(spool.sync().unwrap(), Offset(5));
}

#[test]
fn a_cursor_that_cannot_be_written_stands_where_it_stood_and_can_be_committed_again() {
    for op in [Op::Write, Op::Sync] {
        let disk = SimDisk::new(1);
        let config = small(&["store"]);
        let (spool, _) = open(&config, &disk);
        append_all(&spool, 0..200);
        spool.sync().unwrap();
        let mut reader = spool.reader("store").unwrap();
        reader.commit(Offset(7)).unwrap();
        disk.fail(op, "cursors", 0, 1, ErrorKind::Other);
        assert!(matches!(reader.commit(Offset(200)), Err(CursorError::Io { .. })));
        assert_eq!(reader.committed(), Offset(7));
        assert_eq!(spool.maintain(now()).retired_segments, 0, "nothing goes because of it");
        reader.commit(Offset(100)).unwrap();
        drop((reader, spool));
        disk.cut_power();
        let (spool, _) = open(&config, &disk);
        assert_eq!(spool.reader("store").unwrap().position(), Offset(100));
    }
}

#[test]
fn a_segment_that_cannot_be_unlinked_is_tried_again() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..200);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(200)).unwrap();
    disk.fail(Op::Remove, ".seg", 1, 1, ErrorKind::Other);
    let first = spool.maintain(now());
    assert!(first.failed.is_some() && first.retired_segments == 1);
    let second = spool.maintain(now());
    assert!(second.failed.is_none() && second.retired_segments > 1);
    assert_eq!(spool.state().segments, 1);
    let files = disk.paths().iter().filter(|path| path.extension().is_some()).count();
    assert_eq!(files, 1);
}

#[test]
fn an_unreadable_disk_is_an_error_and_no_gap() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append(&spool, 0..5);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    disk.fail(Op::Read, ".seg", 0, u32::MAX, ErrorKind::Other);
    assert!(reader.read(10, 10_000).is_err());
    disk.heal();
    assert_eq!(payloads(&read_all(&mut reader)).len(), 5);
}

#[test]
fn a_full_disk_can_be_reopened_and_drained_and_makes_its_own_room() {
    let disk = SimDisk::new(1);
    let config = spool::Config {
        keep: std::time::Duration::from_secs(3600),
        ..small(&["store", "forward"])
    };
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..100);
    spool.sync().unwrap();
    disk.set_capacity(Some(disk.used()));
    drop(spool);
    disk.kill_process();
    let (spool, report) = open(&config, &disk);
    assert_eq!(report.next, Offset(100));
    assert!(try_append(&spool, 100..105).is_err());
    for cursor in ["store", "forward"] {
        let mut reader = spool.reader(cursor).unwrap();
        assert_eq!(payloads(&read_all(&mut reader)).len(), 100);
        reader.commit(Offset(100)).unwrap();
    }
    assert!(
        spool.maintain(later(1)).retired_segments > 1,
        "evidence goes before the service does"
    );
    append(&spool, 100..105);
    assert_eq!(spool.sync().unwrap(), Offset(105));
}

#[test]
fn at_the_cap_a_file_that_cannot_be_unlinked_does_not_let_more_be_shed() {
    let disk = SimDisk::new(1);
    let config = spool::Config {
        at_cap: spool::AtCap::Shed,
        ..small(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    disk.fail(Op::Remove, ".seg", 0, u32::MAX, ErrorKind::Other);
    let refused = (0..1000).find(|number| try_append(&spool, [*number]).is_err()).unwrap();
    for _ in 0..20 {
        assert_eq!(try_append(&spool, [refused]).unwrap_err().reason(), AppendReason::AtCap);
    }
    assert_eq!(spool.state().counters.shed_segments, 1);
    disk.heal();
    append(&spool, [refused]);
}

#[test]
fn a_bad_sector_costs_the_records_in_it_and_does_not_stop_a_reader() {
    let disk = SimDisk::new(1);
    let config = spool::Config {
        segment_bytes: 64 * 1024,
        cap_bytes: 256 * 1024,
        ..small(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..300);
    spool.sync().unwrap();
    disk.break_page(&first_segment(), 5 * 4096);
    let items = read_all(&mut spool.reader("store").unwrap());
    assert_seamless(&items, Offset::ZERO);
    let gaps: Vec<_> = items.iter().filter(|item| item.record().is_none()).collect();
    assert_eq!(gaps.len(), 1);
    let found = payloads(&items).len();
    assert!((250..300).contains(&found), "{found}");
}

#[test]
fn what_a_failed_fsync_left_in_the_cache_only_is_not_taken_for_stored_by_the_next_process() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let config = small(&["store"]);
        let (spool, _) = open(&config, &disk);
        append(&spool, 0..5);
        spool.sync().unwrap();
        append(&spool, 5..9);
        disk.fail(Op::Sync, ".seg", 0, 1, ErrorKind::Other);
        disk.fail(Op::SetBytes, ".seg", 0, 1, ErrorKind::Other);
        assert!(spool.sync().is_err());
        disk.kill_process();
        drop(spool);
        let (spool, _) = open(&config, &disk);
        let durable = spool.durable();
        let seen = look(&spool);
        disk.cut_power();
        drop(spool);
        let (spool, _) = open(&config, &disk);
        assert!(spool.durable() >= durable, "seed {seed}");
        assert_eq!(look(&spool), seen, "seed {seed}");
    }
}

#[test]
fn a_cursor_that_a_killed_process_had_written_and_not_synced_stays_once_it_counts() {
    for seed in 0..20 {
        for kind in [ErrorKind::Interrupted, ErrorKind::Other] {
            let disk = SimDisk::new(seed);
            let config = small(&["store"]);
            let (spool, _) = open(&config, &disk);
            append_all(&spool, 0..100);
            spool.sync().unwrap();
            disk.fail(Op::Sync, "cursors", 0, 1, kind);
            assert!(spool.reader("store").unwrap().commit(Offset(90)).is_err());
            disk.kill_process();
            drop(spool);
            let (spool, _) = open(&config, &disk);
            let at = spool.reader("store").unwrap().position();
            spool.maintain(now());
            disk.cut_power();
            drop(spool);
            let (spool, _) = open(&config, &disk);
            assert_eq!(spool.reader("store").unwrap().position(), at, "seed {seed}");
        }
    }
}

#[test]
fn an_fsync_counts_for_nothing_if_a_write_of_the_same_file_failed_meanwhile() {
    for fsync_fails_too in [false, true] {
        let disk = SimDisk::new(1);
        let (spool, _) = open(&small(&["store"]), &disk);
        append(&spool, 0..2);
        spool.sync().unwrap();
        let torn = append(&spool, 2..5);
        if fsync_fails_too {
            disk.fail(Op::Sync, ".seg", 0, 1, ErrorKind::Other);
        }
        let (meanwhile, failing) = (spool.clone(), disk.clone());
        disk.during_next_sync(Box::new(move || {
            failing.fail(Op::Write, ".seg", 0, 1, ErrorKind::Other);
            assert!(try_append(&meanwhile, 5..7).is_err());
            append(&meanwhile, 7..9);
        }));
        assert!(spool.sync().is_err(), "the file was sealed while it was synced");
        assert_eq!(spool.fate(&torn), Fate::Lost);
        assert!(spool.durable() < spool.next(), "the new file was not synced yet");
        assert!(matches!(spool.state().health, Health::Suspect { .. }));
        assert_eq!(spool.sync().unwrap(), spool.next(), "the new file is not to blame");
        let items = look(&spool);
        assert_seamless(&items, Offset::ZERO);
        assert_eq!(payloads(&items), [0, 1, 7, 8].map(payload));
    }
}

#[test]
fn a_loss_is_remembered_however_many_follow() {
    let disk = SimDisk::new(1);
    let config = spool::Config {
        cap_bytes: 1024 * SEGMENT,
        ..small(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    let mut lost = Vec::new();
    for second in 0..100 {
        let record = spool::NewRecord { lane: 0, bytes: b"x" };
        lost.push(spool.append(&[record], later(second * 10)).unwrap());
        disk.fail(Op::Sync, ".seg", 0, 1, ErrorKind::Other);
        assert!(spool.sync().is_err());
    }
    assert!(lost.iter().all(|appended| spool.fate(appended) == Fate::Lost));
    let record = spool::NewRecord { lane: 0, bytes: b"x" };
    let kept = spool.append(&[record], later(2000)).unwrap();
    spool.sync().unwrap();
    assert_eq!(spool.fate(&kept), Fate::Durable);
}

#[test]
fn threads_that_append_through_trouble_lose_nothing_that_was_acknowledged_to_them() {
    for seed in 0..8 {
        let disk = SimDisk::new(seed);
        let config = spool::Config {
            cap_bytes: 1024 * SEGMENT,
            ..small(&["store"])
        };
        let (spool, _) = open(&config, &disk);
        for after in [3, 9, 20, 35, 50] {
            disk.fail(Op::Sync, ".seg", after, 1, ErrorKind::Other);
            disk.fail(Op::Write, ".seg", after * 2, 1, ErrorKind::Other);
        }
        let acknowledged = std::sync::Mutex::new(std::collections::BTreeMap::new());
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (spool, acknowledged) = (&spool, &acknowledged);
                scope.spawn(move || {
                    for number in (0..40).map(|step| thread * 1000 + step) {
                        let record = spool::NewRecord {
                            lane: 0,
                            bytes: &payload(number),
                        };
                        // Each attempt later than any back-off: the clock is an argument.
                        let Ok(appended) = spool.append(&[record], later(number * 10)) else {
                            continue;
                        };
                        if spool.sync_appended(&appended).is_ok() {
                            acknowledged.lock().unwrap().insert(appended.first, payload(number));
                        }
                    }
                });
            }
        });
        disk.cut_power();
        drop(spool);
        let (spool, _) = open(&config, &disk);
        let items = look(&spool);
        assert_seamless(&items, Offset::ZERO);
        let acknowledged = acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() > 50);
        for (offset, bytes) in acknowledged {
            let found = items
                .iter()
                .filter_map(Item::record)
                .find(|record| record.offset == offset);
            assert_eq!(found.map(|record| &record.bytes), Some(&bytes), "{offset}");
        }
    }
}
