//! The spool against a model of it: random lives with appends, syncs, readers, maintenance, failing disks, kills and
//! power cuts. Whatever happens, the promises hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::Duration;

use proptest::prelude::*;
use spool::testing::{Op as Call, SimDisk};
use spool::{Appended, AtCap, Config, Fate, Gap, GapReason, Item, Offset, Reader, Spool};

use crate::kit::*;

const CURSORS: [&str; 2] = ["store", "forward"];

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Sync,
    Read {
        cursor: usize,
        records: u8,
    },
    Commit {
        cursor: usize,
    },
    Seek {
        cursor: usize,
        back: u8,
    },
    Maintain {
        seconds: u8,
    },
    Reopen,
    Kill,
    CutPower,
    Fail {
        call: Call,
        part: &'static str,
        after: u8,
        kind: ErrorKind,
    },
    FillDisk {
        room: u16,
    },
    Heal,
}

fn step(with_trouble: bool) -> BoxedStrategy<Step> {
    let ordinary = prop_oneof![
        8 => (1..9_u8).prop_map(Step::Append),
        5 => Just(Step::Sync),
        5 => (0..2_usize, 1..40_u8).prop_map(|(cursor, records)| Step::Read { cursor, records }),
        3 => (0..2_usize).prop_map(|cursor| Step::Commit { cursor }),
        1 => (0..2_usize, any::<u8>()).prop_map(|(cursor, back)| Step::Seek { cursor, back }),
        2 => (0..90_u8).prop_map(|seconds| Step::Maintain { seconds }),
        1 => Just(Step::Reopen),
    ];
    if !with_trouble {
        return ordinary.boxed();
    }
    let calls = prop::sample::select(vec![
        Call::Create,
        Call::Write,
        Call::Sync,
        Call::SyncDir,
        Call::Rename,
        Call::Remove,
        Call::SetBytes,
    ]);
    let kind = prop::sample::select(vec![ErrorKind::Other, ErrorKind::Interrupted]);
    let part = prop::sample::select(vec!["", ".seg", "cursors", "shed"]);
    prop_oneof![
        12 => ordinary,
        1 => Just(Step::Kill),
        1 => Just(Step::CutPower),
        2 => (calls, part, 0..4_u8, kind).prop_map(|(call, part, after, kind)| {
            Step::Fail { call, part, after, kind }
        }),
        1 => (0..6000_u16).prop_map(|room| Step::FillDisk { room }),
        2 => Just(Step::Heal),
    ]
    .boxed()
}

/// What the world outside knows.
struct Life {
    disk: SimDisk,
    config: Config,
    open: Option<(Spool, Vec<Reader>)>,
    seconds: u64,
    number: u64,
    /// Every number that was ever appended at an offset.
    tried: BTreeMap<u64, Vec<u64>>,
    unsynced: Vec<Appended>,
    /// Acknowledged: must be there until consumed.
    acknowledged: BTreeMap<u64, u64>,
    /// Told as lost: must not come as a record in this process.
    lost: BTreeSet<u64>,
    /// What a reader got at an offset: never anything else afterwards.
    seen: BTreeMap<u64, Vec<u8>>,
    committed: [u64; 2],
    attempted: [u64; 2],
}

impl Life {
    fn new(seed: u64, at_cap: AtCap) -> Self {
        let config = Config {
            cap_bytes: 6 * SEGMENT,
            at_cap,
            keep: Duration::from_secs(30),
            ..small(&CURSORS)
        };
        let mut life = Life {
            disk: SimDisk::new(seed),
            config,
            open: None,
            seconds: 0,
            number: 0,
            tried: BTreeMap::new(),
            unsynced: Vec::new(),
            acknowledged: BTreeMap::new(),
            lost: BTreeSet::new(),
            seen: BTreeMap::new(),
            committed: [0; 2],
            attempted: [0; 2],
        };
        life.reopen();
        life
    }

    fn spool(&self) -> &Spool {
        &self.open.as_ref().unwrap().0
    }

    fn reader(&mut self, cursor: usize) -> &mut Reader {
        &mut self.open.as_mut().unwrap().1[cursor]
    }

    fn reopen(&mut self) {
        self.open = None;
        self.unsynced.clear();
        self.lost.clear();
        let opened = Spool::open(self.config.clone(), std::sync::Arc::new(self.disk.clone()));
        let (spool, _) = match opened {
            Ok(opened) => opened,
            // A disk that fails may refuse to open; one that works must not.
            Err(_) => {
                self.disk.heal();
                self.disk.set_capacity(None);
                Spool::open(self.config.clone(), std::sync::Arc::new(self.disk.clone())).unwrap()
            }
        };
        let readers: Vec<Reader> = CURSORS.iter().map(|name| spool.reader(name).unwrap()).collect();
        for (cursor, reader) in readers.iter().enumerate() {
            let at = reader.position().0;
            assert!(at >= self.committed[cursor], "a cursor went back");
            assert!(
                at <= self.attempted[cursor].max(self.first_kept(&spool)),
                "a cursor ran ahead"
            );
            self.committed[cursor] = self.committed[cursor].max(at.min(self.attempted[cursor]));
        }
        let highest = self.seen.keys().next_back().map_or(0, |last| last + 1);
        assert!(spool.next().0 >= highest, "an ordinal that was read is given again");
        self.open = Some((spool, readers));
    }

    fn first_kept(&self, spool: &Spool) -> u64 {
        spool.state().oldest.0
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(count) => self.append(u64::from(*count)),
            Step::Sync => self.sync(),
            Step::Read { cursor, records } => self.read(*cursor, usize::from(*records)),
            Step::Commit { cursor } => self.commit(*cursor),
            Step::Seek { cursor, back } => {
                let to = self.spool().next().0.saturating_sub(u64::from(*back));
                // Only backwards: a reader that jumps ahead decides to pass over what is between.
                let to = to.min(self.reader(*cursor).position().0);
                self.reader(*cursor).seek(Offset(to));
            }
            Step::Maintain { seconds } => {
                self.seconds += u64::from(*seconds);
                let now = later(self.seconds);
                self.spool().maintain(now);
            }
            Step::Reopen => self.reopen(),
            Step::Kill => {
                self.disk.kill_process();
                self.reopen();
            }
            Step::CutPower => {
                self.disk.cut_power();
                self.reopen();
            }
            Step::Fail {
                call,
                part,
                after,
                kind,
            } => {
                self.disk.fail(*call, part, u32::from(*after), 1, *kind);
            }
            Step::FillDisk { room } => {
                let capacity = self.disk.used() + u64::from(*room);
                self.disk.set_capacity(Some(capacity));
            }
            Step::Heal => {
                self.disk.heal();
                self.disk.set_capacity(None);
            }
        }
    }

    fn append(&mut self, count: u64) {
        let numbers = self.number..self.number + count;
        self.number += count;
        self.seconds += 1;
        let before = self.spool().next();
        match try_append(self.spool(), numbers.clone()) {
            Ok(appended) => {
                assert_eq!(appended.next.since(appended.first), count);
                for (offset, number) in (appended.first.0..).zip(numbers) {
                    self.tried.entry(offset).or_default().push(number);
                }
                self.unsynced.push(appended);
            }
            Err(_) => {
                assert_eq!(self.spool().next(), before, "a refused batch took ordinals");
                // After a crash its first part may be there: it was in the middle of its write.
                for (offset, number) in (before.0..).zip(numbers) {
                    self.tried.entry(offset).or_default().push(number);
                }
            }
        }
    }

    fn sync(&mut self) {
        let result = self.spool().sync();
        for appended in std::mem::take(&mut self.unsynced) {
            let own = self.spool().sync_appended(&appended);
            assert_eq!(own.is_ok(), self.spool().fate(&appended) == Fate::Durable);
            if result.is_ok() {
                assert!(own.is_ok(), "sync said yes to what is not durable");
            }
            for offset in appended.first.0..appended.next.0 {
                match own {
                    Ok(_) => {
                        let number = *self.tried[&offset].last().unwrap();
                        self.acknowledged.insert(offset, number);
                    }
                    Err(_) => {
                        self.lost.insert(offset);
                    }
                }
            }
        }
    }

    fn read(&mut self, cursor: usize, records: usize) {
        let from = self.reader(cursor).position();
        let Ok(items) = self.reader(cursor).read(records, 2000) else {
            assert_eq!(self.reader(cursor).position(), from);
            return;
        };
        assert_seamless(&items, from);
        self.check(&items, self.committed[cursor]);
    }

    fn commit(&mut self, cursor: usize) {
        let at = self.reader(cursor).position();
        self.attempted[cursor] = self.attempted[cursor].max(at.0);
        if self.reader(cursor).commit(at).is_ok() {
            self.committed[cursor] = self.committed[cursor].max(at.0);
        }
    }

    /// Items are what was appended there; gaps hold nothing that was promised to whoever stands at `consumed`.
    fn check(&mut self, items: &[Item], consumed: u64) {
        for item in items {
            match item {
                Item::Record(record) => {
                    let offset = record.offset.0;
                    assert!(!self.lost.contains(&offset), "{offset} was told as lost");
                    let known = self.tried[&offset].iter().any(|n| payload(*n) == record.bytes);
                    assert!(known, "{offset} holds what nobody appended there");
                    if let Some(number) = self.acknowledged.get(&offset) {
                        assert_eq!(record.bytes, payload(*number));
                    }
                    let seen = self.seen.entry(offset).or_insert_with(|| record.bytes.clone());
                    assert_eq!(*seen, record.bytes, "{offset} changed");
                }
                Item::Gap(gap) => self.check_gap(gap, consumed),
            }
        }
    }

    fn check_gap(&self, gap: &Gap, consumed: u64) {
        if gap.reason == GapReason::Shed && self.config.at_cap == AtCap::Shed {
            return;
        }
        let promised = self
            .acknowledged
            .range(gap.from.0.max(consumed)..gap.to.0.max(consumed));
        assert_eq!(promised.count(), 0, "acknowledged records are missing: {gap:?}");
    }

    /// A healthy disk, a reopened spool: everything promised is there, and it works.
    fn end(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        self.disk.cut_power();
        self.reopen();
        for cursor in 0..CURSORS.len() {
            let from = self.reader(cursor).position();
            let items = read_all(self.reader(cursor));
            assert_seamless(&items, from);
            let end = items.last().map_or(from, Item::next);
            assert_eq!(end, self.spool().durable());
            self.check(&items, self.committed[cursor]);
            self.reader(cursor).commit(end).unwrap();
        }
        let appended = try_append(self.spool(), [self.number]).unwrap();
        assert_eq!(self.spool().sync().unwrap(), appended.next);
        let items = read_all(self.reader(0));
        assert_eq!(payloads(&items), [payload(self.number)]);
        // A byte too many in the books would one day refuse everything.
        let state = self.spool().state();
        let on_disk: usize = self
            .disk
            .paths()
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "seg"))
            .map(|path| self.disk.content(path).unwrap().len())
            .sum();
        assert_eq!(state.bytes, on_disk as u64);
    }
}

fn live(seed: u64, at_cap: AtCap, steps: &[Step]) {
    let mut life = Life::new(seed, at_cap);
    for step in steps {
        life.apply(step);
    }
    life.end();
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn on_a_healthy_disk_everything_is_read_in_order_and_nothing_is_missing(
        steps in prop::collection::vec(step(false), 1..150),
        seed in any::<u64>(),
    ) {
        live(seed, AtCap::Refuse, &steps);
    }

    #[test]
    fn nothing_acknowledged_is_lost_through_failing_calls_full_disks_kills_and_power_cuts(
        steps in prop::collection::vec(step(true), 1..150),
        seed in any::<u64>(),
    ) {
        live(seed, AtCap::Refuse, &steps);
    }

    #[test]
    fn shedding_under_the_same_trouble_loses_only_what_is_named_as_shed(
        steps in prop::collection::vec(step(true), 1..150),
        seed in any::<u64>(),
    ) {
        live(seed, AtCap::Shed, &steps);
    }
}
