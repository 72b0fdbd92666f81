//! The ledger's laws: any order, any duplication, restarts anywhere, and still one copy and one anchor of each frame.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{
    Admitted, ClinicId, ClockQuality, Content, DeviceId, DeviceKey, GatewayId, Header, Origin, TenantId, Topic,
    UnixMicros, decode, proto,
};

use super::*;

const NOW: UnixMicros = UnixMicros(1_790_000_000_000_000);

fn key() -> DeviceKey {
    DeviceKey {
        tenant: TenantId::new("acme").unwrap(),
        device: DeviceId::new("pen-1").unwrap(),
    }
}

/// A frame of one device; `other` makes another payload of the same sequence number.
fn frame(boot: u64, sequence: u64, other: u32) -> Bytes {
    let header = proto::Header {
        schema_version: Some(1),
        device_id: Some("pen-1".to_owned()),
        boot_id: Some(boot),
        sequence: Some(sequence),
        uptime_us: Some(1_000_000 + sequence * 100_000),
        ..Default::default()
    };
    let heartbeat = proto::Heartbeat {
        queued_frames: Some(other),
        ..Default::default()
    };
    let body = Some(proto::frame::Body::Heartbeat(heartbeat));
    proto::Frame {
        header: Some(header),
        body,
    }
    .encode_to_vec()
    .into()
}

fn header(payload: &Bytes) -> Header {
    let topic: Topic = "dermatel/v1/acme/soho/pen-1/telemetry".parse().unwrap();
    decode(&topic, payload).unwrap().header
}

fn admitted(payload: &Bytes, placed: Placed) -> Admitted {
    Admitted {
        recorded_by: None,
        tenant: TenantId::new("acme").unwrap(),
        clinic: ClinicId::new("soho").unwrap(),
        device: DeviceId::new("pen-1").unwrap(),
        content: Content::Telemetry,
        payload: payload.clone(),
        received_at: NOW,
        anchor: Some(placed.anchor),
        clock: placed.clock,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: GatewayId::new("gw").unwrap(),
        retained: false,
    }
}

/// A ledger with its log and its snapshot, as the committer keeps them.
#[derive(Default)]
struct Desk {
    ledger: Ledger,
    log: Vec<Admitted>,
    held: Vec<Admitted>,
    snapshot: Option<(Vec<u8>, usize)>,
    clock: u64,
}

impl Desk {
    fn deliver(&mut self, payload: &Bytes) -> Judged {
        self.deliver_from(payload, Origin::Endpoint)
    }

    fn deliver_from(&mut self, payload: &Bytes, origin: Origin) -> Judged {
        let received_at = NOW.plus(Duration::from_secs(self.clock));
        self.clock += 1;
        let (key, header, hash) = (key(), header(payload), payload_hash(payload));
        let judged = self
            .ledger
            .judge(&key, &header, hash, received_at, &ClockPolicy::default());
        if let Judged::New { placed, .. } = judged {
            let recorded = origin == Origin::Recorded;
            self.ledger.hold(&key, &header, hash, placed, recorded);
            self.held.push(Admitted {
                origin,
                ..admitted(payload, placed)
            });
        }
        judged
    }

    fn commit(&mut self) {
        self.log.append(&mut self.held);
        self.ledger.record();
    }

    fn fail(&mut self) {
        self.held.clear();
        self.ledger.release();
    }

    fn take_snapshot(&mut self) {
        self.snapshot = Some((self.ledger.encode(self.log.len() as u64), self.log.len()));
        self.ledger.provisional_is_durable();
    }

    /// Killed: what was held is gone, the ledger comes from the snapshot and the tail.
    fn restart(&mut self) {
        self.held.clear();
        let (mut ledger, from) = match &self.snapshot {
            Some((bytes, from)) => {
                let (ledger, offset) = Ledger::decode(bytes).unwrap();
                assert_eq!(offset, *from as u64);
                (ledger, *from)
            }
            None => (Ledger::new(), 0),
        };
        self.log[from..].iter().for_each(|admitted| ledger.replay(admitted));
        self.ledger = ledger;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Deliver(u64, u64, u32),
    Commit,
    Snapshot,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Few enough frames that a batch holds no more than the recent ring: within it, every copy is recognised.
        12 => (0u64..3, 0u64..40, 0u32..2).prop_map(|(boot, sequence, other)| Step::Deliver(boot, sequence, other)),
        3 => Just(Step::Commit),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn each_distinct_frame_is_let_in_once_with_the_anchor_that_it_has_without_restarts(
        steps in proptest::collection::vec(step(), 1..200)
    ) {
        let mut desk = Desk::default();
        let mut anchors: HashMap<u64, UnixMicros> = HashMap::new();
        for step in &steps {
            match step {
                Step::Deliver(boot, sequence, other) => {
                    if let Judged::New { placed, maybe_seen_before, .. } = desk.deliver(&frame(*boot, *sequence, *other)) {
                        prop_assert!(!maybe_seen_before);
                        if placed.fixed_now {
                            // Not recorded by anybody, so a restart may decide anew.
                            anchors.insert(*boot, placed.anchor);
                        }
                        prop_assert_eq!(anchors.get(boot), Some(&placed.anchor));
                    }
                }
                Step::Commit => desk.commit(),
                Step::Snapshot => {
                    desk.commit();
                    desk.take_snapshot();
                }
                Step::Restart => desk.restart(),
            }
        }
        desk.commit();
        let mut payloads: Vec<&Bytes> = desk.log.iter().map(|admitted| &admitted.payload).collect();
        payloads.sort();
        let before = payloads.len();
        payloads.dedup();
        prop_assert_eq!(before, payloads.len(), "a frame was let in twice");
        // Once in the log, one anchor per boot for ever.
        let mut by_boot: HashMap<u64, UnixMicros> = HashMap::new();
        for admitted in &desk.log {
            let boot = header(&admitted.payload).boot.0;
            prop_assert_eq!(*by_boot.entry(boot).or_insert(admitted.anchor.unwrap()), admitted.anchor.unwrap());
        }
    }

    #[test]
    fn a_ledger_from_snapshot_and_tail_is_the_ledger_itself(
        frames in proptest::collection::vec((0u64..12, 0u64..600, 0u32..2), 1..400),
        cut in 0usize..400,
    ) {
        let mut desk = Desk::default();
        for (at, (boot, sequence, other)) in frames.iter().enumerate() {
            desk.deliver(&frame(*boot, *sequence * 3, *other));
            if at % 7 == 0 {
                desk.commit();
            }
            if at == cut {
                desk.commit();
                desk.take_snapshot();
            }
        }
        desk.commit();
        let live = desk.ledger.devices.clone();
        desk.restart();
        prop_assert_eq!(&live, &desk.ledger.devices);
    }

    #[test]
    fn no_bytes_make_the_snapshot_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Ledger::decode(&bytes);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(at in 0usize..10_000, mask in 1u8..) {
        let mut desk = Desk::default();
        (0..20).for_each(|sequence| { desk.deliver(&frame(1, sequence, 0)); });
        desk.commit();
        let mut bytes = desk.ledger.encode(20);
        let at = at % bytes.len();
        bytes[at] ^= mask;
        prop_assert!(Ledger::decode(&bytes).is_err());
    }
}

#[test]
fn a_reused_sequence_number_is_let_in_and_marked_and_its_copies_are_duplicates() {
    let mut desk = Desk::default();
    let (first, second) = (frame(1, 5, 0), frame(1, 5, 1));
    let reused = |judged| {
        matches!(
            judged,
            Judged::New {
                sequence_reused: true,
                maybe_seen_before: false,
                ..
            }
        )
    };
    assert!(matches!(
        desk.deliver(&first),
        Judged::New {
            sequence_reused: false,
            ..
        }
    ));
    assert!(reused(desk.deliver(&second)));
    assert_eq!(desk.deliver(&first), Judged::DuplicateInBatch);
    desk.commit();
    assert_eq!(desk.deliver(&first), Judged::Duplicate);
    assert_eq!(desk.deliver(&second), Judged::Duplicate);
    assert!(reused(desk.deliver(&frame(1, 5, 2))));
}

#[test]
fn a_copy_that_is_too_old_to_compare_is_let_in_and_marked_never_dropped() {
    let mut desk = Desk::default();
    for sequence in 0..=RECENT_MAX as u64 {
        desk.deliver(&frame(1, sequence, 0));
    }
    desk.commit();
    let marked = |judged| {
        matches!(
            judged,
            Judged::New {
                sequence_reused: false,
                maybe_seen_before: true,
                ..
            }
        )
    };
    assert!(marked(desk.deliver(&frame(1, 0, 0))));
    assert_eq!(desk.deliver(&frame(1, 1, 0)), Judged::Duplicate);
}

#[test]
fn a_batch_that_failed_leaves_no_frame_and_keeps_its_anchor() {
    let mut desk = Desk::default();
    let Judged::New { placed, .. } = desk.deliver(&frame(1, 0, 0)) else {
        panic!("known")
    };
    assert!(desk.ledger.holds_new_anchor());
    desk.fail();
    assert_eq!(desk.ledger.devices(), 0);
    let Judged::New {
        placed: again,
        sequence_reused,
        maybe_seen_before,
    } = desk.deliver(&frame(1, 0, 0))
    else {
        panic!("taken for known although it is nowhere")
    };
    assert_eq!((again.anchor, again.fixed_now), (placed.anchor, false));
    assert!(!sequence_reused && !maybe_seen_before);
    // Still nowhere durable, so it must be made so first.
    assert!(desk.ledger.holds_new_anchor());
}

#[test]
fn the_anchor_of_a_refused_frame_survives_a_kill_once_a_snapshot_holds_it() {
    let mut desk = Desk::default();
    let Judged::New { placed, .. } = desk.deliver(&frame(1, 0, 0)) else {
        panic!("known")
    };
    desk.fail();
    desk.take_snapshot();
    desk.restart();
    desk.clock += 3_600;
    let Judged::New { placed: again, .. } = desk.deliver(&frame(1, 0, 0)) else {
        panic!("known")
    };
    assert_eq!((again.anchor, again.clock), (placed.anchor, ClockQuality::Received));
    assert!(!desk.ledger.holds_new_anchor());
    desk.commit();
    assert!(desk.ledger.provisional.is_empty());
}

#[test]
fn a_device_that_boots_for_ever_is_remembered_in_bounded_memory_and_the_forgetting_is_counted() {
    let mut desk = Desk::default();
    for boot in 0..BOOTS_MAX as u64 + 5 {
        desk.deliver(&frame(boot, 0, 0));
        desk.commit();
    }
    assert_eq!(desk.ledger.devices[&key()].len(), BOOTS_MAX);
    assert_eq!(desk.ledger.take_forgotten().boots, 5);
}

#[test]
fn what_people_record_of_a_device_makes_nobody_forget_the_boot_that_it_is_in() {
    let mut desk = Desk::default();
    let own = frame(1, 7, 0);
    desk.deliver(&own);
    desk.commit();
    let records: Vec<Bytes> = (100..120).map(|request| frame(request, 0, 0)).collect();
    for record in &records {
        desk.deliver_from(record, Origin::Recorded);
        desk.commit();
    }
    assert_eq!(desk.ledger.recorded[&key()].len(), BOOTS_MAX);
    // Also after a start, from the snapshot and from the log alone.
    for with_snapshot in [false, false, true] {
        assert_eq!(desk.deliver(&own), Judged::Duplicate);
        let newest = records.last().unwrap();
        assert_eq!(desk.deliver_from(newest, Origin::Recorded), Judged::Duplicate);
        if with_snapshot {
            desk.take_snapshot();
        }
        desk.restart();
    }
    assert_eq!(desk.deliver(&own), Judged::Duplicate);
}

#[test]
fn more_holes_than_are_remembered_make_no_frame_look_like_a_copy() {
    let mut desk = Desk::default();
    for sequence in 0..INTERVALS_MAX as u64 * 2 {
        desk.deliver(&frame(1, sequence * 2, 0));
        desk.commit();
    }
    assert!(desk.ledger.take_forgotten().holes > 0);
    for sequence in 0..INTERVALS_MAX as u64 * 2 {
        let judged = desk.deliver(&frame(1, sequence * 2 + 1, 0));
        assert!(matches!(judged, Judged::New { .. }), "{sequence}: {judged:?}");
    }
}
