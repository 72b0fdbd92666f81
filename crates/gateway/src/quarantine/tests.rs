//! Quarantine keeps what it said it kept, and one device's garbage costs that device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use telemetry::{DeviceId, DeviceKey, Origin, RejectReason, Rejected, TenantId, UnixMicros};

use super::*;

fn device(name: &str) -> DeviceKey {
    DeviceKey {
        tenant: TenantId::new("acme").unwrap(),
        device: DeviceId::new(name).unwrap(),
    }
}

fn refused(share: Option<&str>, payload: &[u8]) -> Refused {
    Refused {
        received_at: UnixMicros(7),
        share: share.map(device),
        peer: None,
        topic: "dermatel/v1/acme/soho/pen-1/telemetry".to_owned(),
        rejected: Rejected::new(RejectReason::Malformed, "payload", "no protobuf"),
        payload: Bytes::copy_from_slice(payload),
        origin: Origin::Endpoint,
        retained: false,
    }
}

fn bounds() -> Bounds {
    Bounds {
        share_entries: 10,
        share_bytes: 100_000,
        total_bytes: 1_000_000,
    }
}

fn of(name: &str) -> Filter {
    Filter {
        device: Some(device(name)),
        ..Filter::default()
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart_with_reason_and_payload() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), bounds()).unwrap();
    quarantine
        .keep(&[refused(Some("pen-1"), b"\xff\x00"), refused(None, b"x")])
        .unwrap();
    let held = quarantine.held();
    drop(quarantine);
    let quarantine = Quarantine::open(dir.path(), bounds()).unwrap();
    assert_eq!(quarantine.held(), held);
    let all = quarantine.ls(&Filter::default(), 10).unwrap();
    assert_eq!(
        all.iter().map(|k| k.share.as_deref()).collect::<Vec<_>>(),
        [Some("acme/pen-1"), None]
    );
    let (kept, payload) = quarantine.show(all[0].id).unwrap().unwrap();
    assert_eq!(
        (kept.reason.as_str(), kept.field.as_str(), &payload[..]),
        ("malformed", "payload", &b"\xff\x00"[..])
    );
    assert_eq!(quarantine.show(99).unwrap(), None);
}

#[test]
fn a_flood_of_one_device_evicts_its_own_oldest_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), bounds()).unwrap();
    quarantine
        .keep(&[refused(Some("pen-2"), b"good to know"), refused(None, b"who is it")])
        .unwrap();
    let flood: Vec<Refused> = (0..1_000u32)
        .map(|n| refused(Some("pen-1"), &n.to_le_bytes()))
        .collect();
    let evicted: u64 = flood.chunks(97).map(|batch| quarantine.keep(batch).unwrap()).sum();
    assert_eq!(evicted, 990);
    let kept = quarantine.ls(&of("pen-1"), 100).unwrap();
    let payloads: Vec<Bytes> = kept.iter().map(|k| quarantine.show(k.id).unwrap().unwrap().1).collect();
    assert_eq!(
        payloads,
        (990..1_000u32)
            .map(|n| Bytes::copy_from_slice(&n.to_le_bytes()))
            .collect::<Vec<_>>()
    );
    assert_eq!(quarantine.ls(&of("pen-2"), 100).unwrap().len(), 1);
    assert_eq!(quarantine.held().entries, 12);
}

#[test]
fn at_the_total_bound_the_largest_share_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        share_entries: 100,
        share_bytes: 20_000,
        total_bytes: 40_000,
    };
    let quarantine = Quarantine::open(dir.path(), bounds).unwrap();
    quarantine.keep(&[refused(Some("small"), b"x")]).unwrap();
    for name in ["a", "b", "c"] {
        let batch: Vec<Refused> = (0..15).map(|_| refused(Some(name), &[0; 1_000])).collect();
        quarantine.keep(&batch).unwrap();
    }
    assert!(quarantine.held().bytes <= 40_000);
    assert_eq!(quarantine.ls(&of("small"), 10).unwrap().len(), 1);
    for name in ["a", "b", "c"] {
        assert!(quarantine.ls(&of(name), 100).unwrap().len() >= 9, "{name}");
    }
}

#[test]
fn what_was_replayed_is_marked_hidden_and_the_first_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), bounds()).unwrap();
    let batch: Vec<Refused> = (0..10u8).map(|n| refused(Some("pen-1"), &[n])).collect();
    quarantine.keep(&batch).unwrap();
    let fifth = quarantine.ls(&of("pen-1"), 10).unwrap()[4].id;
    quarantine.mark_replayed(&[fifth], UnixMicros(8)).unwrap();
    assert_eq!(quarantine.ls(&of("pen-1"), 100).unwrap().len(), 9);
    let with = Filter {
        replayed_too: true,
        ..of("pen-1")
    };
    assert_eq!(quarantine.ls(&with, 100).unwrap()[4].replayed_at, Some(UnixMicros(8)));
    quarantine.keep(&[refused(Some("pen-1"), b"new")]).unwrap();
    assert_eq!(quarantine.show(fifth).unwrap(), None);
    assert_eq!(quarantine.ls(&with, 100).unwrap().len(), 10);
}

#[test]
fn a_listing_can_be_narrowed_by_id_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), bounds()).unwrap();
    let mut other = refused(Some("pen-1"), b"b");
    other.rejected.reason = RejectReason::TooMany;
    quarantine.keep(&[refused(Some("pen-1"), b"a"), other]).unwrap();
    let reason = Filter {
        reason: Some(RejectReason::TooMany),
        ..Filter::default()
    };
    let found = quarantine.ls(&reason, 10).unwrap();
    assert_eq!(found.len(), 1);
    let ids = Filter {
        ids: Some(vec![found[0].id]),
        ..Filter::default()
    };
    assert_eq!(quarantine.ls(&ids, 10).unwrap(), found);
    let again = Rejected::new(RejectReason::Columns, "stroke_batch.interval_us", "now this");
    quarantine.refused_again(&[(found[0].id, again)]).unwrap();
    assert_eq!(quarantine.ls(&ids, 10).unwrap()[0].reason, "columns");
}
