//! What the tests share: small segments, records whose content tells their number, reading everything.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spool::testing::SimDisk;
use spool::{Appended, AtCap, Config, Item, NewRecord, Offset, OpenReport, Reader, Spool};

pub const SEGMENT: u64 = 4 * 1024;

/// So many cases unless the environment asks for more; the seed of a failure is printed, no file is left behind.
pub fn cases(count: u32) -> proptest::test_runner::Config {
    let asked = std::env::var("PROPTEST_CASES").ok();
    proptest::test_runner::Config {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(count),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}

pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub fn later(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

pub fn small(cursors: &[&str]) -> Config {
    Config {
        segment_bytes: SEGMENT,
        cap_bytes: 16 * SEGMENT,
        at_cap: AtCap::Refuse,
        max_record_bytes: 2048,
        ..Config::new("/spool", cursors)
    }
}

pub fn open(config: &Config, disk: &SimDisk) -> (Spool, OpenReport) {
    Spool::open(config.clone(), Arc::new(disk.clone())).unwrap()
}

/// A payload that tells its number, of a length that depends on it.
pub fn payload(number: u64) -> Vec<u8> {
    let mut bytes = format!("record {number} ").into_bytes();
    bytes.resize(bytes.len() + (number * 37 % 200) as usize, b'.');
    bytes
}

pub fn append(spool: &Spool, numbers: impl IntoIterator<Item = u64>) -> Appended {
    try_append(spool, numbers).unwrap()
}

/// Appends in calls of five: more than fits into one call.
pub fn append_all(spool: &Spool, numbers: std::ops::Range<u64>) {
    for start in numbers.clone().step_by(5) {
        append(spool, start..(start + 5).min(numbers.end));
    }
}

pub fn try_append(spool: &Spool, numbers: impl IntoIterator<Item = u64>) -> Result<Appended, spool::AppendError> {
    let payloads: Vec<(u32, Vec<u8>)> = numbers
        .into_iter()
        .map(|number| ((number % 3) as u32, payload(number)))
        .collect();
    let records: Vec<NewRecord<'_>> = payloads
        .iter()
        .map(|(lane, bytes)| NewRecord { lane: *lane, bytes })
        .collect();
    spool.append(&records, now())
}

/// Reads until nothing comes, in reads of odd sizes.
pub fn read_all(reader: &mut Reader) -> Vec<Item> {
    let mut all = Vec::new();
    loop {
        let items = reader.read(7, 700).unwrap();
        if items.is_empty() {
            return all;
        }
        all.extend(items);
    }
}

/// Everything that is kept, without moving a cursor.
pub fn look(spool: &Spool) -> Vec<Item> {
    let (mut all, mut from) = (Vec::new(), Offset::ZERO);
    loop {
        let items = spool.read_range(from, 100, 1 << 20).unwrap();
        let Some(last) = items.last() else {
            return all;
        };
        from = last.next();
        all.extend(items);
    }
}

/// The payloads of the records among items.
pub fn payloads(items: &[Item]) -> Vec<Vec<u8>> {
    items
        .iter()
        .filter_map(|item| Some(item.record()?.bytes.clone()))
        .collect()
}

/// Items must follow on one another without a hole, and gaps must not be empty: nothing is passed over silently.
pub fn assert_seamless(items: &[Item], from: Offset) {
    let mut expected = from;
    for item in items {
        let begins = match item {
            Item::Record(record) => record.offset,
            Item::Gap(gap) => gap.from,
        };
        assert_eq!(begins, expected, "a silent hole");
        assert!(item.next() > begins, "an empty item");
        expected = item.next();
    }
}
