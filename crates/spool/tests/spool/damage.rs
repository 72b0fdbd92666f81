//! Bytes that rot, files that are cut: damage costs the damaged records, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use spool::format::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use spool::testing::SimDisk;
use spool::{Gap, GapReason, Item, NewRecord, Offset};

use crate::kit::*;

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let all = disk.paths().into_iter();
    all.filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect()
}

/// Where each record's bytes stand: by offset, the file and the first and last byte.
fn places(disk: &SimDisk, records: u64) -> BTreeMap<u64, (PathBuf, usize, usize)> {
    let files = segments(disk);
    let first = |path: &Path| -> u64 { path.file_stem().unwrap().to_str().unwrap().parse().unwrap() };
    let mut places = BTreeMap::new();
    for (index, path) in files.iter().enumerate() {
        let end = files.get(index + 1).map_or(records, |next| first(next));
        let mut at = SEGMENT_HEADER_BYTES;
        for number in first(path)..end {
            let length = RECORD_HEADER_BYTES + payload(number).len();
            places.insert(number, (path.clone(), at, at + length));
            at += length;
        }
    }
    places
}

fn filled(records: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store"]), &disk);
    append_all(&spool, 0..records);
    spool.sync().unwrap();
    disk
}

fn record_byte(disk: &SimDisk, records: u64, number: u64, byte: usize) -> (PathBuf, usize) {
    let (path, from, _) = places(disk, records)[&number].clone();
    (path, from + byte)
}

#[test]
fn a_torn_tail_is_cut_and_counted_and_the_log_goes_on() {
    let disk = filled(10);
    let (path, from, end) = places(&disk, 10)[&9].clone();
    disk.truncate(&path, end - 3);
    let (spool, report) = open(&small(&["store"]), &disk);
    assert_eq!(report.torn_bytes, (end - 3 - from) as u64);
    assert_eq!((report.corrupt_records, report.next), (0, Offset(9)));
    assert_eq!(disk.content(&path).unwrap().len(), from);
    append(&spool, 9..12);
    spool.sync().unwrap();
    assert_eq!(payloads(&look(&spool)), (0..12).map(payload).collect::<Vec<_>>());
}

#[test]
fn damage_in_the_middle_of_the_last_segment_is_told_from_a_torn_tail() {
    for byte in [0, 5, 9, 17, RECORD_HEADER_BYTES + 2] {
        let disk = filled(10);
        let (path, at) = record_byte(&disk, 10, 4, byte);
        disk.flip(&path, at, 0x10);
        let (spool, report) = open(&small(&["store"]), &disk);
        assert_eq!(
            (report.torn_bytes, report.corrupt_records, report.next),
            (0, 1, Offset(10))
        );
        let items = read_all(&mut spool.reader("store").unwrap());
        assert_seamless(&items, Offset::ZERO);
        let gap = Gap {
            from: Offset(4),
            to: Offset(5),
            reason: GapReason::Corrupt,
        };
        assert_eq!(items[4], Item::Gap(gap));
        assert_eq!(payloads(&items).len(), 9);
        assert_eq!(spool.state().counters.corrupt_records, 1, "counted once");
        assert!(spool.state().corrupt_kept_bytes > 0);
        append(&spool, 10..12);
        spool.sync().unwrap();
        assert_eq!(look(&spool).len(), 12);
    }
}

#[test]
fn damage_that_comes_while_it_runs_is_found_by_the_reader_and_counted_once() {
    let disk = SimDisk::new(1);
    let (spool, _) = open(&small(&["store", "forward"]), &disk);
    append_all(&spool, 0..100);
    spool.sync().unwrap();
    let (path, at) = record_byte(&disk, 100, 20, 12);
    disk.flip(&path, at, 1);
    for cursor in ["store", "forward", "store"] {
        let items = read_all(&mut spool.reader(cursor).unwrap());
        assert_seamless(&items, Offset::ZERO);
        assert_eq!(payloads(&items).len(), 99);
        assert!(matches!(
            items[20],
            Item::Gap(Gap {
                reason: GapReason::Corrupt,
                ..
            })
        ));
    }
    let (length, counters) = (RECORD_HEADER_BYTES + payload(20).len(), spool.state().counters);
    assert_eq!((counters.corrupt_records, counters.corrupt_bytes), (1, length as u64));
    assert_eq!(spool.state().corrupt_kept_bytes, length as u64);
    let kept = disk
        .paths()
        .into_iter()
        .find(|path| path.starts_with("/spool/corrupt"))
        .unwrap();
    let damaged = disk.content(&path).unwrap()[at - 12..][..length].to_vec();
    assert_eq!(disk.content(&kept), Some(damaged));
}

#[test]
fn a_segment_that_a_kill_left_while_it_was_made_is_no_damage_and_is_made_again() {
    for bytes in [0, SEGMENT_HEADER_BYTES - 1] {
        let disk = filled(100);
        let last = segments(&disk).pop().unwrap();
        let digits = last.file_stem().unwrap().len();
        let next = last.with_file_name(format!("{:0digits$}.seg", 100));
        let file = spool::Disk::create(&disk, &next).unwrap();
        file.write_at(&vec![7; bytes], 0).unwrap();
        let (spool, report) = open(&small(&["store"]), &disk);
        assert_eq!(report.damaged_headers, 0, "{bytes} bytes");
        append_all(&spool, 100..200);
        spool.sync().unwrap();
        assert_eq!(payloads(&look(&spool)), (0..200).map(payload).collect::<Vec<_>>());
    }
}

#[test]
fn a_damaged_segment_header_costs_no_record() {
    let disk = filled(100);
    for path in segments(&disk) {
        disk.flip(&path, 20, 0xFF);
    }
    let (spool, report) = open(&small(&["store"]), &disk);
    assert_eq!(report.damaged_headers, segments(&disk).len());
    assert_eq!(payloads(&look(&spool)), (0..100).map(payload).collect::<Vec<_>>());
    append(&spool, 100..101);
    spool.sync().unwrap();
    assert_eq!(look(&spool).len(), 101);
}

#[test]
fn a_lost_identity_file_is_restored_from_the_segments() {
    let disk = filled(20);
    disk.truncate(Path::new("/spool/identity"), 3);
    let (spool, _) = open(&small(&["store"]), &disk);
    assert_eq!(look(&spool).len(), 20);
}

#[test]
fn a_damaged_cursor_slot_falls_back_to_the_one_before_and_a_lost_file_to_the_oldest_record() {
    /// The offset within a slot; the last of four positions stands in the first slot.
    const SLOT: usize = 16;
    let disk = SimDisk::new(1);
    let config = small(&["store"]);
    let (spool, _) = open(&config, &disk);
    append(&spool, 0..9);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    for at in [3, 5, 6] {
        reader.commit(Offset(at)).unwrap();
    }
    drop((reader, spool));
    let path = Path::new("/spool/cursors/store");
    disk.flip(path, SLOT, 1);
    let (spool, report) = open(&config, &disk);
    assert_eq!(spool.reader("store").unwrap().position(), Offset(5));
    assert!(report.reset_cursors.is_empty());
    drop(spool);
    disk.flip(path, 4096 + SLOT, 1);
    let (spool, report) = open(&config, &disk);
    assert_eq!(spool.reader("store").unwrap().position(), Offset(0));
    assert_eq!(report.reset_cursors, ["store"]);
}

#[test]
fn a_tail_that_was_lost_with_consumed_records_never_gives_their_ordinals_again() {
    let disk = SimDisk::new(1);
    let config = small(&["store"]);
    let (spool, _) = open(&config, &disk);
    append(&spool, 0..9);
    spool.sync().unwrap();
    spool.reader("store").unwrap().commit(Offset(9)).unwrap();
    let (path, at) = record_byte(&disk, 9, 6, 0);
    drop(spool);
    disk.truncate(&path, at);
    let (spool, report) = open(&config, &disk);
    assert_eq!((report.next, report.lost_tail_records), (Offset(9), 3));
    assert_eq!(append(&spool, 9..10).first, Offset(9));
    spool.sync().unwrap();
    let items = look(&spool);
    assert_seamless(&items, Offset::ZERO);
    let gap = Gap {
        from: Offset(6),
        to: Offset(9),
        reason: GapReason::Corrupt,
    };
    assert_eq!(items[6], Item::Gap(gap));
}

#[test]
fn a_payload_that_imitates_a_record_does_not_become_one() {
    let disk = SimDisk::new(1);
    let foreign = spool::Config {
        dir: "/foreign".into(),
        ..small(&[])
    };
    let (other, _) = open(&foreign, &disk);
    append(&other, 0..8);
    other.sync().unwrap();
    let imitation = disk.content(Path::new("/foreign/00000000000000000000.seg")).unwrap();
    let imitation = &imitation[SEGMENT_HEADER_BYTES..];

    let (spool, _) = open(&small(&["store"]), &disk);
    let good = NewRecord {
        lane: 1,
        bytes: b"good",
    };
    let bad = NewRecord {
        lane: 2,
        bytes: imitation,
    };
    let _ = spool.append(&[bad, good], now()).unwrap();
    spool.sync().unwrap();
    disk.flip(Path::new("/spool/00000000000000000000.seg"), SEGMENT_HEADER_BYTES, 1);
    assert_eq!(payloads(&look(&spool)), [b"good"]);
}

#[test]
fn a_missing_segment_is_a_named_gap() {
    let disk = filled(100);
    let files = segments(&disk);
    spool::Disk::remove(&disk, &files[2]).unwrap();
    let (spool, _) = open(&small(&["store"]), &disk);
    let items = read_all(&mut spool.reader("store").unwrap());
    assert_seamless(&items, Offset::ZERO);
    let gaps: Vec<_> = items.iter().filter(|item| item.record().is_none()).collect();
    assert!(matches!(
        gaps[..],
        [Item::Gap(Gap {
            reason: GapReason::Corrupt,
            ..
        })]
    ));
}

#[test]
fn inspection_names_damage_and_torn_tails_without_touching_them() {
    let disk = filled(100);
    let (path, at) = record_byte(&disk, 100, 20, 12);
    disk.flip(&path, at, 1);
    let last = segments(&disk).pop().unwrap();
    let length = disk.content(&last).unwrap().len();
    disk.truncate(&last, length - 1);
    let found = spool::inspect(Path::new("/spool"), &disk).unwrap();
    let records: u64 = found.segments.iter().map(|segment| segment.records).sum();
    assert_eq!(records, 98);
    let damaged: u64 = found.segments.iter().map(|segment| segment.damaged_bytes).sum();
    assert_eq!(damaged, (RECORD_HEADER_BYTES + payload(20).len()) as u64);
    assert!(found.segments.last().unwrap().tail_bytes > 0);
    assert_eq!(disk.content(&last).unwrap().len(), length - 1);
}

proptest! {
    #![proptest_config(cases(96))]

    /// Flips and cuts anywhere in the segment files: every record none of whose bytes was touched is read, in order.
    #[test]
    fn nothing_outside_the_damaged_bytes_is_missing(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..=255_u8), 0..12),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        const RECORDS: u64 = 120;
        let disk = filled(RECORDS);
        let (places, files) = (places(&disk, RECORDS), segments(&disk));
        let mut damaged = BTreeSet::new();
        if let Some((file, at)) = cut {
            let path = file.get(&files);
            let at = at.index(disk.content(path).unwrap().len());
            disk.truncate(path, at);
            damaged.extend(places.iter().filter(|(_, place)| place.0 == *path && place.2 > at).map(|(n, _)| *n));
        }
        for (file, at, mask) in flips {
            let path = file.get(&files);
            let length = disk.content(path).unwrap().len();
            if length == 0 {
                continue;
            }
            let at = at.index(length);
            disk.flip(path, at, mask);
            let hit = |place: &(PathBuf, usize, usize)| place.0 == *path && (place.1..place.2).contains(&at);
            damaged.extend(places.iter().filter(|(_, place)| hit(place)).map(|(n, _)| *n));
        }
        let (spool, _) = open(&small(&["store"]), &disk);
        append(&spool, 1000..1001);
        spool.sync().unwrap();
        let items = read_all(&mut spool.reader("store").unwrap());
        assert_seamless(&items, Offset::ZERO);
        let mut found = BTreeMap::new();
        for record in items.iter().filter_map(Item::record) {
            found.insert(record.offset.0, record.bytes.clone());
        }
        let next = found.pop_last().unwrap();
        prop_assert_eq!(next.1, payload(1000));
        for number in 0..RECORDS {
            match found.get(&number) {
                Some(bytes) => prop_assert_eq!(bytes, &payload(number)),
                None => prop_assert!(damaged.contains(&number), "record {} is missing", number),
            }
        }
    }

    /// Arbitrary bytes as segments, cursors and the rest: it opens or says why, and never yields what it did not write.
    #[test]
    fn arbitrary_bytes_on_disk_neither_panic_nor_become_records(
        segment in prop::collection::vec(any::<u8>(), 0..600),
        small_file in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let disk = SimDisk::new(1);
        let put = |path: &str, bytes: &[u8]| {
            let file = spool::Disk::create(&disk, Path::new(path)).unwrap();
            file.write_at(bytes, 0).unwrap();
        };
        put("/spool/00000000000000000007.seg", &segment);
        put("/spool/00000000000000000100.seg", &segment);
        for path in ["/spool/cursors/store", "/spool/identity", "/spool/shed"] {
            put(path, &small_file);
        }
        let (spool, report) = open(&small(&["store"]), &disk);
        prop_assert!(report.next >= Offset(100));
        append(&spool, 0..1);
        spool.sync().unwrap();
        let items = read_all(&mut spool.reader("store").unwrap());
        prop_assert_eq!(payloads(&items), vec![payload(0)]);
    }
}
