//! At the cap the operator's choice applies, and consumed segments go when nobody needs them.

use std::time::Duration;

use spool::testing::SimDisk;
use spool::{AppendReason, AtCap, Config, Gap, GapReason, Item, Offset};

use crate::kit::*;

fn fill_until_refused(spool: &spool::Spool) -> u64 {
    for number in 0.. {
        if let Err(e) = try_append(spool, [number]) {
            assert_eq!(e.reason(), AppendReason::AtCap);
            return number;
        }
    }
    unreachable!()
}

#[test]
fn refuse_keeps_everything_says_so_and_goes_on_once_readers_made_room() {
    let disk = SimDisk::new(1);
    let config = small(&["store", "forward"]);
    let (spool, _) = open(&config, &disk);
    let count = fill_until_refused(&spool);
    spool.sync().unwrap();
    let state = spool.state();
    assert!(state.at_cap && state.bytes <= config.cap_bytes);
    assert!(state.bytes > config.cap_bytes - config.segment_bytes);
    assert_eq!(state.counters.refused_at_cap, 1);
    spool.reader("store").unwrap().commit(Offset(count)).unwrap();
    assert!(try_append(&spool, [count]).is_err(), "forward has not read it");
    let mut forward = spool.reader("forward").unwrap();
    assert_eq!(
        payloads(&read_all(&mut forward)),
        (0..count).map(payload).collect::<Vec<_>>()
    );
    forward.commit(Offset(count)).unwrap();
    assert_eq!(append(&spool, [count]).first, Offset(count));
    assert!(!spool.state().at_cap);
}

#[test]
fn a_batch_that_is_refused_at_the_cap_leaves_no_part_behind() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    let count = fill_until_refused(&spool);
    assert!(try_append(&spool, 0..10).is_err());
    assert_eq!(spool.next(), Offset(count));
    spool.sync().unwrap();
    assert_eq!(look(&spool).len() as u64, count);
}

#[test]
fn evidence_is_kept_after_consumption_but_goes_before_an_append_is_refused() {
    let disk = SimDisk::new(1);
    let config = Config {
        keep: Duration::from_secs(60),
        ..small(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..100);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(100)).unwrap();
    assert_eq!(spool.maintain(later(0)).retired_segments, 0);
    assert_eq!(spool.maintain(later(59)).retired_segments, 0);
    assert_eq!(look(&spool)[0].record().unwrap().offset, Offset(0));
    assert!(spool.maintain(later(60)).retired_segments > 1);
    let trimmed = &look(&spool)[0];
    assert!(matches!(
        trimmed,
        Item::Gap(Gap {
            from: Offset(0),
            reason: GapReason::Trimmed,
            ..
        })
    ));

    let mut reader = spool.reader("store").unwrap();
    for start in (100..2000).step_by(5) {
        append(&spool, start..start + 5);
        spool.sync().unwrap();
        reader.commit(Offset(start + 5)).unwrap();
    }
    let state = spool.state();
    assert_eq!(state.counters.refused_at_cap, 0);
    assert!(state.counters.retired_early_segments > 0 && state.bytes <= config.cap_bytes);
}

#[test]
fn without_any_cursor_records_stay_for_their_time_only() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&[]), &disk);
    append_all(&spool, 0..2000);
    spool.sync().unwrap();
    assert_eq!(spool.state().counters.refused_at_cap, 0);
    spool.maintain(later(0));
    assert_eq!(spool.state().segments, 1);
}

fn shedding(cursors: &[&str]) -> Config {
    Config {
        at_cap: AtCap::Shed,
        ..small(cursors)
    }
}

#[test]
fn shed_drops_the_oldest_as_a_gap_named_to_each_cursor_that_had_not_read_it() {
    let disk = SimDisk::new(1);
    let config = shedding(&["store", "forward"]);
    let (spool, _) = open(&config, &disk);
    append_all(&spool, 0..40);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(3)).unwrap();
    append_all(&spool, 40..600);
    spool.sync().unwrap();
    spool.reader("forward").unwrap().commit(Offset(500)).unwrap();
    append_all(&spool, 600..700);
    spool.sync().unwrap();

    let check = |spool: &spool::Spool| {
        let state = spool.state();
        assert!(state.bytes <= config.cap_bytes);
        let shed = state.cursors[0].shed.clone().unwrap();
        assert_eq!((shed.from, shed.to), (Offset(3), state.oldest));
        assert!(shed.bytes > 36 * shed.count());
        assert_eq!(state.cursors[1].shed, None, "forward is past what it lost");
        assert_eq!(state.cursors[0].backlog_records, 700 - state.oldest.0);
        let items = read_all(&mut spool.reader("store").unwrap());
        assert_seamless(&items, Offset(3));
        let gap = Gap {
            from: Offset(3),
            to: state.oldest,
            reason: GapReason::Shed,
        };
        assert_eq!(items[0], Item::Gap(gap));
        let expected: Vec<_> = (state.oldest.0..700).map(payload).collect();
        assert_eq!(payloads(&items), expected);
        let items = read_all(&mut spool.reader("forward").unwrap());
        assert_eq!(payloads(&items), (500..700).map(payload).collect::<Vec<_>>());
    };
    check(&spool);
    assert!(spool.state().counters.shed_records > 0);
    drop(spool);
    disk.cut_power();
    check(&open(&config, &disk).0);
}

#[test]
fn a_lowered_cap_sheds_at_the_next_maintenance_and_tells() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..400);
    spool.sync().unwrap();
    drop(spool);
    let config = Config {
        cap_bytes: 4 * SEGMENT,
        ..shedding(&["store"])
    };
    let (spool, _) = open(&config, &disk);
    let done = spool.maintain(now());
    assert!(!done.shed.is_empty() && done.failed.is_none());
    assert_eq!(done.shed[0].from, Offset(0));
    assert!(spool.state().bytes <= config.cap_bytes);
    let items = read_all(&mut spool.reader("store").unwrap());
    assert_seamless(&items, Offset::ZERO);
}
