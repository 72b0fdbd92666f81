//! SIGKILL of a real process on a real disk, at random moments, again and again in the same directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spool::{Config, Item, NewRecord, Offset, OsDisk, Spool};

use crate::kit::{assert_seamless, payload, read_all};

/// Tells the test binary that it is the child, and where.
const CHILD_DIR: &str = "SPOOL_TEST_CHILD_DIR";
const CHILD_ROUND: &str = "SPOOL_TEST_CHILD_ROUND";
const ROUNDS: u64 = 14;
const LANES: u32 = 3;
/// Each round numbers its records from here, so that order within a lane shows across rounds.
const ROUND_NUMBERS: u64 = 1_000_000;

fn config(dir: &Path) -> Config {
    Config {
        segment_bytes: 16 * 1024,
        cap_bytes: 1024 * 1024,
        max_record_bytes: 1024,
        ..Config::new(dir, &["store", "slow"])
    }
}

/// Not a promise but the victim: does nothing unless the test below started it.
#[test]
fn child_process() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let round: u64 = std::env::var(CHILD_ROUND).unwrap().parse().unwrap();
    let (spool, _) = Spool::open(config(Path::new(&dir)), Arc::new(OsDisk)).unwrap();
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let spool = &spool;
            scope.spawn(move || append_for_ever(spool, lane, round * ROUND_NUMBERS));
        }
        scope.spawn(|| consume_for_ever(&spool));
    });
}

fn append_for_ever(spool: &Spool, lane: u32, first: u64) {
    let mut number = first;
    loop {
        let batch = 1 + number % 7;
        let payloads: Vec<Vec<u8>> = (number..number + batch).map(payload).collect();
        let records: Vec<_> = payloads.iter().map(|bytes| NewRecord { lane, bytes }).collect();
        // Refused at the cap: the consumer makes room.
        let Ok(appended) = spool.append(&records, SystemTime::now()) else {
            let _ = spool.wait_durable(spool.durable(), Duration::from_millis(1));
            continue;
        };
        spool.sync_appended(&appended).unwrap();
        tell(&format!("ack {} {lane} {number} {batch}\n", appended.first));
        number += batch;
    }
}

fn consume_for_ever(spool: &Spool) {
    let mut readers = [spool.reader("store").unwrap(), spool.reader("slow").unwrap()];
    let mut turns = 0;
    loop {
        let _ = spool.wait_durable(readers[0].position(), Duration::from_millis(5));
        for (index, reader) in readers.iter_mut().enumerate() {
            turns += 1;
            if index == 1 && turns % 8 != 0 {
                continue;
            }
            let items = reader.read(200, 1 << 20).unwrap();
            if let Some(last) = items.last() {
                reader.commit(last.next()).unwrap();
                tell(&format!("commit {index} {}\n", last.next()));
            }
        }
        spool.maintain(SystemTime::now());
    }
}

/// One write per line, so that a line that arrives is whole.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What the child said before it died.
#[derive(Default)]
struct Told {
    /// By offset: lane and number.
    acknowledged: BTreeMap<u64, (u32, u64)>,
    committed: [u64; 2],
}

impl Told {
    fn hear(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match words.first() {
            Some(&"ack") => {
                for step in 0..number(4) {
                    let what = (number(2) as u32, number(3) + step);
                    self.acknowledged.insert(number(1) + step, what);
                }
                true
            }
            Some(&"commit") => {
                self.committed[number(1) as usize] = number(2);
                false
            }
            _ => false,
        }
    }
}

fn run_and_kill(dir: &Path, round: u64, after_acks: usize, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sigkill::child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acks = 0;
    let mut killed = after_acks == 0;
    if killed {
        child.kill().unwrap();
    }
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') && told.hear(&line) {
            acks += 1;
        }
        if acks >= after_acks && !killed {
            killed = true;
            child.kill().unwrap();
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "it lives until it is killed");
    assert!(killed, "the child died by itself: {status}");
}

fn check(dir: &Path, told: &Told) {
    let (spool, report) = Spool::open(config(dir), Arc::new(OsDisk)).unwrap();
    assert_eq!((report.corrupt_records, report.damaged_headers), (0, 0));
    for (index, cursor) in ["store", "slow"].iter().enumerate() {
        let mut reader = spool.reader(cursor).unwrap();
        let from = reader.position();
        assert!(from.0 >= told.committed[index], "a committed cursor went back");
        let items = read_all(&mut reader);
        assert_seamless(&items, from);
        let mut found = BTreeMap::new();
        let mut last = [None; LANES as usize];
        for item in items {
            let Item::Record(record) = item else {
                panic!("a gap after a kill: {item:?}");
            };
            let text = String::from_utf8(record.bytes.clone()).unwrap();
            let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(record.bytes, payload(number));
            let former = last[record.lane as usize].replace(number);
            assert!(former < Some(number), "order within the lane");
            found.insert(record.offset.0, (record.lane, number));
        }
        for (offset, what) in told.acknowledged.range(from.0..) {
            assert_eq!(found.get(offset), Some(what), "acknowledged and lost");
        }
    }
    assert!(
        spool.next()
            >= told
                .acknowledged
                .keys()
                .next_back()
                .map_or(Offset::ZERO, |o| Offset(o + 1))
    );
}

#[test]
fn everything_acknowledged_before_a_sigkill_is_there_in_order_and_intact() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    let random = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
    for round in 0..ROUNDS {
        // Now and then at once, while it is opening.
        let after = match round % 5 {
            3 => 0,
            _ => 1 + (random >> (round * 4)) as usize % 150,
        };
        run_and_kill(dir.path(), round, after, &mut told);
        check(dir.path(), &told);
    }
    assert!(told.acknowledged.len() > 100);
}
