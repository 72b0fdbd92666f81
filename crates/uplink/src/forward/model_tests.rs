//! The law of the uplink, on a model of what lies between: whatever a broker loses, whoever dies and whichever disk is lost, the cursor
//! never passes what a reader has not had, and once everything is there again every reader has everything, each clinic in order.
#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::SystemTime;

use bytes::Bytes;
use proptest::prelude::*;
use spool::{Gap, GapReason, Item, Record};
use telemetry::{Admitted, ClockQuality, Content, Origin, UnixMicros};

use super::cut::Cutter;
use super::far::{Back, Far};
use crate::ShardSet;
use crate::batch::{Envelope, Opened, pack};
use crate::held::{Held, Verdict};
use crate::readers::ReaderId;
use crate::stretch::Stretch;
use crate::topic::{Role, Up, Way};

const CLINICS: [&str; 3] = ["acme-north", "acme-south", "acme-west"];
const READERS: usize = 2;
const RESEND: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, Clone)]
enum Step {
    /// A record of a clinic enters the log.
    Append(usize),
    /// The forwarder reads so many records and sends them; the broker loses the message with this number for that reader.
    Send(usize, Option<(usize, usize)>),
    /// A gateway's progress.
    Tell,
    /// A reader takes so many messages; or its disk refuses to.
    Take(usize, usize, bool),
    /// A reader says what it holds.
    Say(usize),
    /// The broker forgets a reader's session.
    Forget(usize),
    /// A reader dies and comes back; or without its disk.
    Die(usize, bool),
    /// The gateway dies and comes back.
    Restart,
    /// A copy of the gateway's disk is taken, or put back.
    Copy(bool),
    /// The cursor moves, and what is before it goes.
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let reader = || 0..READERS;
    prop_oneof![
        6 => (0..CLINICS.len()).prop_map(Step::Append),
        5 => (1usize..6, prop::option::weighted(0.3, (0usize..4, reader()))).prop_map(|(n, lost)| Step::Send(n, lost)),
        2 => Just(Step::Tell),
        6 => (reader(), 1usize..5, prop::bool::weighted(0.1)).prop_map(|(r, n, fails)| Step::Take(r, n, fails)),
        4 => reader().prop_map(Step::Say),
        1 => reader().prop_map(Step::Forget),
        1 => (reader(), prop::bool::weighted(0.3)).prop_map(|(r, disk)| Step::Die(r, disk)),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Copy),
        3 => Just(Step::Move),
    ]
}

/// The gateway's disk.
#[derive(Clone)]
struct Disk {
    log: Vec<(u64, usize)>,
    cursor: u64,
    oldest: u64,
    era: u64,
}

#[derive(Default)]
struct Side {
    held: Held,
    stored: Vec<u8>,
    /// What it has on disk, as it came, and whatever it had.
    log: Vec<(u64, usize)>,
    ever: BTreeSet<u64>,
    lost_its_disk: bool,
    queue: VecDeque<(String, Bytes)>,
}

struct World {
    disk: Disk,
    copy: Option<Disk>,
    next_record: u64,
    eras: u64,
    far: Far,
    cutter: Cutter,
    at: u64,
    sides: Vec<Side>,
}

fn id(reader: usize) -> ReaderId {
    let role = Role::ALL[reader % 2];
    let instance = reader.to_string();
    ReaderId { role, instance }
}

fn topic(clinic: usize) -> Up {
    Up::clinic(Way::Uplink, "acme".parse().unwrap(), CLINICS[clinic].parse().unwrap())
}

fn shards() -> ShardSet {
    (0..CLINICS.len()).map(|clinic| topic(clinic).shard()).collect()
}

fn record(number: u64, clinic: usize) -> Vec<u8> {
    let admitted = Admitted {
        recorded_by: None,
        tenant: "acme".parse().unwrap(),
        clinic: CLINICS[clinic].parse().unwrap(),
        device: "pen-1".parse().unwrap(),
        content: Content::Telemetry,
        payload: Bytes::from(number.to_string()),
        received_at: UnixMicros(number as i64),
        anchor: None,
        clock: ClockQuality::Received,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "gw-1".parse().unwrap(),
        retained: false,
    };
    admitted.encode()
}

impl World {
    fn new() -> Self {
        let disk = Disk {
            log: Vec::new(),
            cursor: 0,
            oldest: 0,
            era: 1,
        };
        let far = Far::new(1, 0);
        let mut world = Self {
            cutter: cutter(&disk, &far, None),
            disk,
            copy: None,
            next_record: 0,
            eras: 1,
            far,
            at: 0,
            sides: (0..READERS).map(|_| Side::default()).collect(),
        };
        world.hello();
        world
    }

    fn broadcast(&mut self, topic: &str, payload: &Bytes, but: Option<usize>) {
        for (reader, side) in self.sides.iter_mut().enumerate() {
            if but != Some(reader) {
                side.queue.push_back((topic.to_owned(), payload.clone()));
            }
        }
    }

    fn tell(&mut self, next: Option<u64>) {
        for shard in shards().iter() {
            let sent = self.far.sent[usize::from(shard)];
            let stretch = Stretch {
                after: sent,
                next: next.unwrap_or(sent).max(sent),
                ..self.cutter.line.clone()
            };
            let said = telemetry::proto::UplinkProgress {
                gateway: "gw-1".to_owned(),
                shards: shards().mask(),
                ..Default::default()
            };
            let payload = pack(&prost::Message::encode_to_vec(&said)).payload(&stretch);
            let gateway = "gw-1".parse().unwrap();
            self.broadcast(&Up::Progress { shard, gateway }.to_string(), &payload, None);
        }
    }

    fn hello(&mut self) {
        self.far.used = shards();
        self.tell(None);
    }

    fn line(&mut self, continues: Option<(u64, u64)>) {
        self.cutter = cutter(&self.disk, &self.far, continues);
        self.hello();
    }

    fn restart(&mut self) {
        let continues = (self.disk.era, self.disk.log.len() as u64);
        self.eras += 1;
        self.disk.era = self.eras;
        self.far = Far::new(self.disk.era, self.disk.cursor);
        self.at = self.disk.cursor;
        self.line(Some(continues));
    }

    fn send(&mut self, records: usize, lost: Option<(usize, usize)>) {
        let end = (self.at as usize + records).min(self.disk.log.len());
        let mut items = Vec::new();
        if self.at < self.disk.oldest {
            let (from, to) = (spool::Offset(self.at), spool::Offset(self.disk.oldest));
            items.push(Item::Gap(Gap {
                from,
                to,
                reason: GapReason::Trimmed,
            }));
            self.at = self.disk.oldest;
        }
        for offset in self.at as usize..end {
            let (number, clinic) = self.disk.log[offset];
            items.push(Item::Record(Record {
                offset: spool::Offset(offset as u64),
                lane: 0,
                appended_at: SystemTime::UNIX_EPOCH,
                bytes: record(number, clinic),
            }));
        }
        if items.is_empty() {
            return;
        }
        let chunk = self.cutter.chunk(items);
        self.at = chunk.next.0;
        for (shard, _, sent) in &chunk.sent {
            self.far.sent[usize::from(*shard)] = *sent;
        }
        for (number, message) in chunk.messages.into_iter().enumerate() {
            let but = lost.and_then(|(which, reader)| (which == number).then_some(reader));
            self.broadcast(&message.topic, &message.payload, but);
        }
    }

    fn take(&mut self, reader: usize, messages: usize, fails: bool) {
        let side = &mut self.sides[reader];
        let mut came = Vec::new();
        side.held.begin();
        let messages = messages.min(side.queue.len());
        for (topic, payload) in side.queue.iter().take(messages) {
            let envelope = Envelope::read(topic, payload.clone(), ShardSet::ALL).unwrap();
            let introduces = matches!(envelope.topic, Up::Progress { .. });
            let verdict = side
                .held
                .judge(Way::Uplink, envelope.topic.shard(), &envelope.stretch, introduces);
            let Opened::Messages { messages, .. } = envelope.open().unwrap() else {
                continue;
            };
            if verdict == Verdict::Take {
                came.extend(messages.iter().map(|message| {
                    let clinic = CLINICS
                        .iter()
                        .position(|clinic| *clinic == message.admitted.clinic.as_str());
                    (message.admitted.received_at.0 as u64, clinic.unwrap())
                }));
            }
        }
        if fails {
            side.held.take_back();
            return;
        }
        side.queue.drain(..messages);
        side.ever.extend(came.iter().map(|(number, _)| *number));
        side.log.extend(came);
    }

    fn say(&mut self, reader: usize) {
        let side = &mut self.sides[reader];
        side.stored = side.held.encode();
        for (_, _, said) in side.held.say(true) {
            if let Some(back) = self.far.hear(&id(reader), &said, RESEND, std::time::Instant::now()) {
                self.back(&back);
                return;
            }
        }
    }

    fn back(&mut self, back: &Back) {
        self.at = self.far.go_back(back, self.at, self.disk.oldest);
        self.far.line += 1;
        let continues = self.cutter.line.continues;
        self.line(continues);
    }

    fn die(&mut self, reader: usize, with_its_disk: bool) {
        let side = &mut self.sides[reader];
        if with_its_disk {
            (side.stored, side.lost_its_disk) = (Vec::new(), true);
            side.log.clear();
        }
        side.held = Held::decode(&side.stored).unwrap();
    }

    fn move_cursor(&mut self) -> Result<(), TestCaseError> {
        let announced: HashMap<_, _> = (0..READERS).map(|reader| (id(reader), ShardSet::ALL)).collect();
        let Some(cursor) = self.far.cursor(self.at, &announced) else {
            return Ok(());
        };
        if cursor <= self.disk.cursor {
            return Ok(());
        }
        for (number, _) in &self.disk.log[self.disk.cursor as usize..cursor as usize] {
            for (reader, side) in self.sides.iter().enumerate() {
                prop_assert!(
                    side.ever.contains(number),
                    "the cursor passed {number}, which reader {reader} never had"
                );
            }
        }
        self.disk.oldest = self.disk.cursor;
        self.disk.cursor = cursor;
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Append(clinic) => {
                self.disk.log.push((self.next_record, clinic));
                self.next_record += 1;
            }
            Step::Send(records, lost) => self.send(records, lost),
            Step::Tell => self.tell(Some(self.at)),
            Step::Take(reader, messages, fails) => self.take(reader, messages, fails),
            Step::Say(reader) => self.say(reader),
            Step::Forget(reader) => self.sides[reader].queue.clear(),
            Step::Die(reader, with_its_disk) => self.die(reader, with_its_disk),
            Step::Restart => self.restart(),
            Step::Copy(true) => self.copy = Some(self.disk.clone()),
            Step::Copy(false) => {
                if let Some(copy) = self.copy.take() {
                    self.disk = copy;
                    self.restart();
                }
            }
            Step::Move => self.move_cursor()?,
        }
        Ok(())
    }

    /// Everything is there again.
    fn heal(&mut self) -> Result<u64, TestCaseError> {
        // What there is from here on nobody may lack in the end, whose disk ever was lost.
        let oldest = self.disk.oldest;
        for _ in 0..12 {
            self.send(usize::MAX / 2, None);
            self.tell(Some(self.at));
            for reader in 0..READERS {
                self.take(reader, usize::MAX, false);
                self.say(reader);
            }
        }
        self.move_cursor()?;
        Ok(oldest)
    }

    fn check(&self, oldest: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(
            self.disk.cursor,
            self.disk.log.len() as u64,
            "the cursor stays behind for ever"
        );
        for (reader, side) in self.sides.iter().enumerate() {
            let held: BTreeSet<u64> = side.log.iter().map(|(number, _)| *number).collect();
            let from = if side.lost_its_disk { oldest as usize } else { 0 };
            for (number, _) in &self.disk.log[from..] {
                prop_assert!(held.contains(number), "reader {reader} lacks {number}");
            }
            let mut last: BTreeMap<usize, u64> = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for (number, clinic) in &side.log {
                if seen.insert(*number) {
                    let before = last.insert(*clinic, *number);
                    prop_assert!(
                        before < Some(*number),
                        "reader {reader}: {number} after {before:?} of one clinic"
                    );
                }
            }
        }
        Ok(())
    }
}

fn cutter(disk: &Disk, far: &Far, continues: Option<(u64, u64)>) -> Cutter {
    Cutter {
        line: Stretch {
            line: far.line,
            floor: disk.cursor,
            oldest: disk.oldest,
            continues,
            ..Stretch::of("gw-1".parse().unwrap(), far.era)
        },
        sent: far.sent,
        // Small: several messages of a clinic in one chunk.
        batch_bytes: 40,
        connections: 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whatever_is_lost_between_every_reader_has_everything_in_the_end_and_the_cursor_never_passes_what_one_lacks(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step)?;
        }
        let oldest = world.heal()?;
        world.check(oldest)?;
    }
}
