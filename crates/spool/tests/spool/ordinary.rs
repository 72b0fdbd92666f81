//! An ordinary day: append, sync, read, commit, restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spool::testing::SimDisk;
use spool::{AppendReason, CursorError, Item, NewRecord, Offset, OpenError, OsDisk, ReaderError, Spool};

use crate::kit::*;

#[test]
fn what_was_synced_is_read_back_in_order_with_lane_time_and_bytes() {
    let disk = SimDisk::new(1);
    let (spool, report) = open(&small(&["store"]), &disk);
    assert_eq!(report.next, Offset(0));
    append_all(&spool, 0..300);
    assert_eq!(spool.sync().unwrap(), Offset(300));
    assert!(spool.state().segments > 3);
    let items = read_all(&mut spool.reader("store").unwrap());
    assert_seamless(&items, Offset::ZERO);
    for (number, item) in (0..300).zip(&items) {
        let record = item.record().unwrap();
        assert_eq!(record.offset, Offset(number));
        assert_eq!(record.lane, (number % 3) as u32);
        assert_eq!(record.appended_at, now());
        assert_eq!(record.bytes, payload(number));
    }
}

#[test]
fn readers_see_durable_records_only() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    let mut reader = spool.reader("store").unwrap();
    append(&spool, 0..3);
    assert_eq!(reader.read(10, 10_000).unwrap(), []);
    assert!(matches!(
        reader.commit(Offset(1)),
        Err(CursorError::BeyondDurable { .. })
    ));
    spool.sync().unwrap();
    append(&spool, 3..6);
    assert_eq!(payloads(&read_all(&mut reader)).len(), 3);
    spool.sync().unwrap();
    assert_eq!(payloads(&read_all(&mut reader)), [payload(3), payload(4), payload(5)]);
}

#[test]
fn a_restart_goes_on_where_each_cursor_was_committed_and_ordinals_go_on() {
    let disk = SimDisk::new(1);
    let config = small(&["store", "forward"]);
    let (spool, report) = open(&config, &disk);
    assert_eq!(report.new_cursors, ["store", "forward"]);
    append(&spool, 0..20);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    for position in [3, 8, 12] {
        reader.commit(Offset(position)).unwrap();
    }
    reader.commit(Offset(5)).unwrap();
    drop((reader, spool));
    let (spool, report) = open(&config, &disk);
    assert_eq!(report.next, Offset(20));
    assert_eq!(report.backlog, [("store".to_owned(), 8), ("forward".to_owned(), 20)]);
    assert!(report.new_cursors.is_empty());
    assert_eq!(spool.reader("store").unwrap().position(), Offset(12));
    assert_eq!(append(&spool, 20..21).first, Offset(20));
}

#[test]
fn an_undeclared_cursor_is_reported_and_holds_nothing_back() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store", "removed-reader"]), &disk);
    append(&spool, 0..10);
    spool.sync().unwrap();
    spool.reader("removed-reader").unwrap().commit(Offset(2)).unwrap();
    drop(spool);
    let (spool, report) = open(&small(&["store"]), &disk);
    assert_eq!(report.undeclared, [("removed-reader".to_owned(), Offset(2))]);
    assert!(matches!(
        spool.reader("removed-reader"),
        Err(ReaderError::Undeclared(_))
    ));
    append_all(&spool, 10..200);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(200)).unwrap();
    assert!(spool.maintain(now()).retired_segments > 3);
}

#[test]
fn seek_goes_back_but_never_beyond_the_end() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..100);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    for target in [90, 10, 55, 54, 0, 99] {
        reader.seek(Offset(target));
        let items = reader.read(1, 1).unwrap();
        assert_eq!(payloads(&items), [payload(target)]);
    }
    assert_eq!(reader.seek(Offset(500)), Offset(100));
    append(&spool, 100..101);
    spool.sync().unwrap();
    assert_eq!(payloads(&read_all(&mut reader)), [payload(100)]);
}

proptest::proptest! {
    #![proptest_config(cases(64))]

    /// With appends and segments that go in between: the file and the bytes that are kept must never show what was.
    #[test]
    fn looking_back_at_any_places_in_any_order_shows_what_is_there(
        places in proptest::collection::vec((0u64..300, 1usize..4, proptest::bool::ANY), 1..40),
    ) {
        let disk = SimDisk::new(1);
        let (spool, _) = open(&small(&["store"]), &disk);
        append_all(&spool, 0..100);
        spool.sync().unwrap();
        let mut next = 100;
        let mut earlier = spool.look_back();
        for (place, records, grows) in places {
            let afresh = spool.read_range(Offset(place), records, 1 << 20).unwrap();
            proptest::prop_assert_eq!(earlier.read(Offset(place), records, 1 << 20).unwrap(), afresh);
            if grows && next < 300 {
                append_all(&spool, next..next + 20);
                spool.sync().unwrap();
                next += 20;
                spool.reader("store").unwrap().commit(Offset(next / 2)).unwrap();
                spool.maintain(later(100_000));
            }
        }
    }
}

#[test]
fn what_is_too_large_is_refused_and_costs_nothing_else() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    let large = vec![0; 2049];
    let one = NewRecord { lane: 0, bytes: &large };
    let error = spool.append(&[one], now()).unwrap_err();
    assert_eq!(error.reason(), AppendReason::RecordTooLarge);
    let half = NewRecord {
        lane: 0,
        bytes: &large[..2048],
    };
    let error = spool.append(&[half, half], now()).unwrap_err();
    assert_eq!(error.reason(), AppendReason::BatchTooLarge);
    assert_eq!(append(&spool, 0..1).first, Offset(0));
    let empty = NewRecord { lane: 9, bytes: b"" };
    let _ = spool.append(&[empty], now()).unwrap();
    spool.sync().unwrap();
    assert_eq!(look(&spool)[1].record().unwrap().bytes, b"");
}

#[test]
fn one_process_at_a_time_has_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let config = || spool::Config::new(dir.path(), &["store"]);
    let (spool, _) = Spool::open(config(), Arc::new(OsDisk)).unwrap();
    let second = Spool::open(config(), Arc::new(OsDisk));
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    let reader = spool.reader("store").unwrap();
    drop(spool);
    let second = Spool::open(config(), Arc::new(OsDisk));
    assert!(
        matches!(second, Err(OpenError::Locked { .. })),
        "a reader still uses it"
    );
    drop(reader);
    Spool::open(config(), Arc::new(OsDisk)).unwrap();
}

#[test]
fn a_contradictory_configuration_is_refused() {
    let disk = SimDisk::new(1);
    let with = |change: fn(&mut spool::Config)| {
        let mut config = small(&["store"]);
        change(&mut config);
        matches!(
            Spool::open(config, Arc::new(disk.clone())),
            Err(OpenError::Config { .. })
        )
    };
    assert!(with(|c| c.cap_bytes = c.segment_bytes));
    assert!(with(|c| c.max_record_bytes = c.segment_bytes as u32));
    assert!(with(|c| c.cursors = vec!["../etc".to_owned()]));
    assert!(with(|c| c.cursors = vec!["a".to_owned(), "a".to_owned()]));
    assert!(!with(|_| ()));
}

#[test]
fn whoever_waits_for_durability_is_woken_by_the_sync() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    let told = Arc::new(AtomicU64::new(0));
    let hooked = Arc::clone(&told);
    spool.on_durable(Box::new(move |durable| hooked.store(durable.0, Ordering::SeqCst)));
    append(&spool, 0..5);
    assert_eq!(spool.wait_durable(Offset(0), Duration::from_millis(1)), Offset(0));
    let waiting = spool.clone();
    let waiter = std::thread::spawn(move || waiting.wait_durable(Offset(0), Duration::from_secs(60)));
    spool.sync().unwrap();
    assert_eq!(waiter.join().unwrap(), Offset(5));
    assert_eq!(told.load(Ordering::SeqCst), 5);
}

#[test]
fn concurrent_appenders_share_syncs_and_each_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let config = spool::Config {
        segment_bytes: 64 * 1024,
        max_record_bytes: 1024,
        ..spool::Config::new(dir.path(), &["store"])
    };
    let (spool, _) = Spool::open(config, Arc::new(OsDisk)).unwrap();
    std::thread::scope(|scope| {
        for lane in 0..4_u32 {
            let spool = &spool;
            scope.spawn(move || {
                for number in 0..200_u64 {
                    let bytes = number.to_le_bytes();
                    let record = NewRecord { lane, bytes: &bytes };
                    let appended = spool.append(&[record], now()).unwrap();
                    assert!(spool.sync_appended(&appended).unwrap() >= appended.next);
                }
            });
        }
    });
    assert!(spool.state().counters.syncs <= 800);
    let mut next = [0_u64; 4];
    for item in look(&spool) {
        let Item::Record(record) = item else {
            panic!("a gap on a healthy disk");
        };
        let expected = &mut next[record.lane as usize];
        assert_eq!(record.bytes, expected.to_le_bytes());
        *expected += 1;
    }
    assert_eq!(next, [200; 4]);
}

#[test]
fn the_state_tells_each_cursors_share_and_age() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store", "forward"]), &disk);
    for number in 0..40 {
        let bytes = [0; 100];
        let record = NewRecord { lane: 0, bytes: &bytes };
        let _ = spool.append(&[record], later(number)).unwrap();
    }
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(40)).unwrap();
    spool.reader("forward").unwrap().commit(Offset(30)).unwrap();
    let state = spool.state();
    let (store, forward) = (&state.cursors[0], &state.cursors[1]);
    assert_eq!((store.backlog_records, store.backlog_bytes), (0, 0));
    assert_eq!(store.oldest_unread_at, None);
    assert_eq!(forward.backlog_records, 10);
    let about = 10 * 136;
    assert!(forward.backlog_bytes.abs_diff(about) < 150, "{}", forward.backlog_bytes);
    assert_eq!(forward.oldest_unread_at, Some(later(30)));
    assert_eq!(
        state.bytes,
        disk.paths()
            .iter()
            .filter(|p| p.extension().is_some())
            .map(|p| { disk.content(p).unwrap().len() as u64 })
            .sum::<u64>()
    );
}

#[test]
fn inspection_reads_beside_a_running_process_and_writes_nothing() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..100);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(7)).unwrap();
    let before: Vec<_> = disk.paths().iter().map(|p| disk.content(p)).collect();
    let found = spool::inspect(std::path::Path::new("/spool"), &disk).unwrap();
    assert_eq!(found.segments.iter().map(|s| s.records).sum::<u64>(), 100);
    assert_eq!(found.cursors, [("store".to_owned(), Offset(7))]);
    assert!(
        found
            .segments
            .iter()
            .all(|s| s.header_intact && s.damage.is_empty() && s.tail_bytes == 0)
    );
    assert_eq!(before, disk.paths().iter().map(|p| disk.content(p)).collect::<Vec<_>>());
}
