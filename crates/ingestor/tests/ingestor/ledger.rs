//! Sessions: when they count as over, what amends them, and the bounds of the ledger.

use std::sync::Arc;
use std::time::Duration;

use ingestor::config::RawConfig;
use ingestor::frame::FrameReader;
use ingestor::ledger::{
    Closed, Completeness, Fate, Ledger, Limits, Quarantined, QuarantinedKind, Reading, SessionKey, Step, Stepped,
};
use telemetry::{Admitted, Content, Origin, UnixMicros, proto};

use crate::support::{ANCHOR_US, Device, OneModel};

struct Book {
    _dir: tempfile::TempDir,
    ledger: Ledger,
    reader: FrameReader,
}

impl Book {
    fn new(change: impl Fn(&mut Limits)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut limits = RawConfig::default().resolve().unwrap().ledger;
        change(&mut limits);
        let ledger = Ledger::open(&dir.path().join("ledger"), limits).unwrap();
        Self {
            _dir: dir,
            ledger,
            reader: FrameReader::new(Arc::new(OneModel)),
        }
    }

    fn take(&mut self, frame: &Admitted) -> Stepped {
        let decoded = self.reader.decode(&frame.encode()).unwrap();
        self.ledger
            .apply(&Step {
                sightings: decoded.sighting.into_iter().collect(),
                readings: decoded
                    .records
                    .iter()
                    .filter_map(|r| Reading::of(r, Fate::Stored))
                    .collect(),
                watermark: decoded.received_at,
                ..Step::default()
            })
            .unwrap()
    }

    fn of(&self, device: &Device) -> Option<Completeness> {
        let key = SessionKey {
            tenant: device.tenant_id(),
            device: device.device.parse().unwrap(),
            session: device.session_id(),
        };
        self.ledger.completeness(&key).unwrap()
    }

    /// Tells every summary, as the pipeline does once the store confirmed it.
    fn tell(&mut self) -> usize {
        let due = self.ledger.due(10_000, &[], &|_| false).unwrap();
        let told: Vec<_> = due.into_iter().map(|due| (due.key, due.version)).collect();
        self.ledger.told(&told).unwrap();
        told.len()
    }
}

#[test]
fn a_session_is_over_by_its_end_by_the_next_one_or_by_silence_of_the_watermark() {
    let mut book = Book::new(|limits| limits.quiet_after = Duration::from_secs(600));
    let mut first = Device::new("acme", "pen-1", 1);
    book.take(&first.range(0, 10));
    assert_eq!(book.of(&first).unwrap().closed, None);
    let mut second = Device::new("acme", "pen-1", 2);
    book.take(&second.range(0, 10));
    assert_eq!(book.of(&first).unwrap().closed, Some(Closed::Next));
    assert_eq!(book.of(&second).unwrap().closed, None);
    book.take(&first.end(Some(10), None));
    assert_eq!(book.of(&first).unwrap().closed, Some(Closed::End));
    assert_eq!(
        book.of(&second).unwrap().closed,
        None,
        "the end of the earlier one says nothing of the later"
    );

    // Another device is heard of 11 minutes later: the watermark has moved on.
    let mut other = Device::new("acme", "pen-2", 13);
    book.take(&other.range(0, 10));
    assert_eq!(book.of(&second).unwrap().closed, Some(Closed::Quiet));
    // Over is only a flag.
    book.take(&second.range(10, 20));
    assert_eq!(book.of(&second).unwrap().strokes.stored, 20);
}

#[test]
fn a_later_boot_closes_the_session_whatever_comes_first() {
    let boot_later = |device: &mut Device| {
        let mut beat = device.heartbeat(1_000_000);
        beat.anchor = Some(UnixMicros(ANCHOR_US + 600_000_000));
        beat
    };
    let mut pen = Device::new("acme", "pen-1", 1);
    let mut rebooted = Device {
        boot: 8,
        session: 0,
        started_us: None,
        ..pen.clone()
    };
    let (session, boot) = (pen.range(0, 10), boot_later(&mut rebooted));
    for order in [[&session, &boot], [&boot, &session]] {
        let mut book = Book::new(|_| ());
        for frame in &order {
            book.take(frame);
        }
        assert_eq!(book.of(&pen).unwrap().closed, Some(Closed::Next));
    }
}

#[test]
fn what_a_person_records_about_a_device_does_not_end_its_session() {
    let mut book = Book::new(|_| ());
    let mut pen = Device::new("acme", "pen-1", 1);
    book.take(&pen.range(0, 10));
    let frame = proto::Frame {
        header: Some(proto::Header {
            device_id: Some("pen-1".to_owned()),
            boot_id: Some(8),
            sequence: Some(0),
            uptime_us: Some(0),
            ..Default::default()
        }),
        body: Some(proto::frame::Body::Disinfection(proto::Disinfection::default())),
    };
    let mut wipe = pen.admitted(0, Content::Telemetry, prost::Message::encode_to_vec(&frame));
    wipe.anchor = Some(UnixMicros(ANCHOR_US + 600_000_000));
    wipe.origin = Origin::Recorded;
    book.take(&wipe);
    assert_eq!(book.of(&pen).unwrap().closed, None);
}

#[test]
fn without_an_end_the_total_is_said_to_be_unknown() {
    let mut book = Book::new(|_| ());
    let mut pen = Device::new("acme", "pen-1", 1);
    book.take(&pen.range(0, 10));
    book.take(&pen.range(15, 20));
    let told = book.of(&pen).unwrap();
    assert_eq!(
        told.to_string(),
        "15 strokes stored, total unknown, last ordinal 19, missing 10–14"
    );
    assert_eq!(told.complete(), None);
}

#[test]
fn the_same_news_twice_changes_nothing_and_is_not_told_again() {
    let mut book = Book::new(|_| ());
    let mut pen = Device::new("acme", "pen-1", 1);
    let frames = [pen.strokes(0, &[500; 20], &[4, 5]), pen.end(Some(20), None)];
    for frame in &frames {
        book.take(frame);
    }
    let before = book.of(&pen);
    assert_eq!(book.tell(), 1);
    for frame in &frames {
        book.take(frame);
    }
    assert_eq!(book.of(&pen), before);
    assert_eq!(before.unwrap().strokes_unread, 2);
    assert_eq!(book.tell(), 0);
}

#[test]
fn one_session_id_of_two_devices_is_two_sessions() {
    let mut book = Book::new(|_| ());
    let (mut a, mut b) = (Device::new("acme", "pen-1", 1), Device::new("bravo", "pen-1", 1));
    book.take(&a.range(0, 10));
    book.take(&b.range(0, 30));
    assert_eq!(
        (book.of(&a).unwrap().strokes.stored, book.of(&b).unwrap().strokes.stored),
        (10, 30)
    );
}

#[test]
fn a_session_that_left_is_not_replaced_by_a_straggler() {
    let mut book = Book::new(|limits| {
        limits.quiet_after = Duration::from_secs(60);
        limits.retention = Duration::from_secs(300);
    });
    let mut pen = Device::new("acme", "pen-1", 1);
    book.take(&pen.range(0, 10));
    book.take(&pen.end(Some(10), None));
    let mut other = Device::new("acme", "pen-2", 30);
    book.take(&other.range(0, 10));
    assert!(book.of(&pen).is_some(), "its summary is not told yet");
    book.tell();
    assert_eq!(book.take(&other.range(10, 20)).forgotten, 1);
    assert!(book.of(&pen).is_none());
    assert_eq!(book.take(&pen.range(0, 5)).too_late, 2);
    assert!(book.of(&pen).is_none());
}

#[test]
fn the_ledger_and_the_quarantine_stay_within_their_bounds() {
    let mut book = Book::new(|limits| {
        limits.max_sessions = 50;
        limits.max_markers = 20;
        limits.max_quarantined = 40;
    });
    let mut evicted = 0;
    let names: Vec<&'static str> = (0..200)
        .map(|n| &*Box::leak(format!("pen-{n}").into_boxed_str()))
        .collect();
    for name in names {
        evicted += book.take(&Device::new("acme", name, 1).range(0, 10)).evicted;
    }
    assert_eq!((book.ledger.sessions().unwrap(), evicted), (50, 150));
    let entry = |n: u32| Quarantined {
        kind: QuarantinedKind::Frame,
        tenant: None,
        reason: "malformed",
        detail: "µ".repeat(1_000),
        at: UnixMicros(0),
        bytes: n.to_le_bytes().to_vec(),
    };
    let quarantined: Vec<_> = (0..100).chain(0..100).map(entry).collect();
    let stepped = book
        .ledger
        .apply(&Step {
            quarantined,
            ..Step::default()
        })
        .unwrap();
    assert!(stepped.quarantine_dropped >= 60);
    let kept = book.ledger.quarantined(1_000).unwrap();
    assert!(kept.len() <= 40, "{}", kept.len());
    assert!(
        kept.iter()
            .all(|entry| entry.detail.len() <= ingestor::ledger::MAX_DETAIL_BYTES)
    );
}

#[test]
fn a_session_says_when_its_last_stored_reading_ended_whatever_comes_later() {
    let mut pen = Device::new("acme", "pen-1", 1);
    let mut book = Book::new(|_| ());
    let (early, late) = (pen.range(0, 20), pen.range(100, 120));
    // 20 strokes take 40 ms; the second batch begins a second after the first.
    let end_ms = (ANCHOR_US + 60_000_000) / 1_000 + 1_040;
    for frame in [&late, &early] {
        book.take(frame);
        assert_eq!(book.of(&pen).unwrap().until_ms, Some(end_ms));
    }
}
