//! What a receiver must not believe: other people's clinics, wrong shards, bombs, bytes of any kind.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use telemetry::{ClockQuality, Origin};

use super::*;
use crate::stretch::tests::stretch;
use crate::topic::Way;

fn admitted(tenant: &str, clinic: &str, gateway: &str) -> Admitted {
    Admitted {
        recorded_by: None,
        tenant: tenant.parse().unwrap(),
        clinic: clinic.parse().unwrap(),
        device: "pen-1".parse().unwrap(),
        content: Content::Telemetry,
        payload: Bytes::from_static(b"a frame"),
        received_at: UnixMicros(1_790_000_000_000_000),
        anchor: Some(UnixMicros(1_780_000_000_000_000)),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: true,
        maybe_seen_before: true,
        gateway: gateway.parse().unwrap(),
        retained: true,
    }
}

fn batch(of: &[Admitted]) -> Bytes {
    let encoded = of.iter().map(|one| Bytes::from(one.encode())).collect();
    pack_messages("gw-1", encoded, Vec::new()).payload(&stretch(0, 0, 1))
}

fn open(topic: &str, payload: &[u8], own: ShardSet) -> Result<Opened, Refusal> {
    Envelope::read(topic, Bytes::copy_from_slice(payload), own)?.open()
}

fn topic(way: Way) -> String {
    Up::clinic(way, "acme".parse().unwrap(), "acme-north".parse().unwrap()).to_string()
}

fn reason(topic: &str, payload: &[u8]) -> Reason {
    open(topic, payload, ShardSet::ALL).unwrap_err().reason
}

#[test]
fn what_the_gateway_fixed_arrives_as_it_was() {
    let sent = [
        admitted("acme", "acme-north", "gw-1"),
        admitted("acme", "acme-north", "gw-1"),
    ];
    match open(&topic(Way::Uplink), &batch(&sent), ShardSet::ALL).unwrap() {
        Opened::Messages { messages, .. } => {
            let got: Vec<Admitted> = messages.iter().map(|one| one.admitted.clone()).collect();
            assert_eq!(got, sent);
            assert_eq!(messages[0].encoded, sent[0].encode());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_of_another_tenant_clinic_or_gateway_inside_costs_the_batch() {
    let right = admitted("acme", "acme-north", "gw-1");
    for wrong in [
        admitted("other", "acme-north", "gw-1"),
        admitted("acme", "acme-south", "gw-1"),
        admitted("acme", "acme-north", "gw-2"),
    ] {
        let payload = batch(&[right.clone(), wrong]);
        assert_eq!(reason(&topic(Way::Uplink), &payload), Reason::Identity);
    }
}

#[test]
fn a_gateway_cannot_write_alerts_and_alerting_cannot_write_frames() {
    let frame = admitted("acme", "acme-north", "gw-1");
    let alert = Admitted {
        content: Content::Alert,
        ..frame.clone()
    };
    assert_eq!(reason(&topic(Way::Alerts), &batch(&[frame])), Reason::Kind);
    assert_eq!(
        reason(&topic(Way::Uplink), &batch(std::slice::from_ref(&alert))),
        Reason::Kind
    );
    assert!(open(&topic(Way::Alerts), &batch(&[alert]), ShardSet::ALL).is_ok());
}

#[test]
fn another_shard_is_refused_whether_the_topic_lies_or_we_do_not_own_it() {
    let payload = batch(&[admitted("acme", "acme-north", "gw-1")]);
    let right = Up::parse(&topic(Way::Uplink)).unwrap().shard();
    let lie = format!("dermatel/v1/uplink/{}/acme/acme-north", (right + 1) % SHARDS);
    assert_eq!(reason(&lie, &payload), Reason::Topic);
    let others = ShardSet::ALL.without(ShardSet::EMPTY.with(right));
    let refusal = open(&topic(Way::Uplink), &payload, others).unwrap_err();
    assert_eq!(refusal.reason, Reason::NotOwned);
}

#[test]
fn a_bomb_is_given_up_at_the_bound() {
    // A gigabyte of zeros would be a megabyte packed; a hundredth of that does.
    let bomb = pack(&vec![0; 16 * OPENED_BYTES_MAX]).payload(&stretch(0, 0, 1));
    assert!(bomb.len() < OPENED_BYTES_MAX / 4, "{}", bomb.len());
    assert_eq!(reason(&topic(Way::Uplink), &bomb), Reason::TooLarge);
}

#[test]
fn progress_is_believed_of_the_gateway_of_the_topic_only() {
    let said = |gateway: &str, shards: u64| {
        let progress = proto::UplinkProgress {
            gateway: gateway.to_owned(),
            watermark_us: Some(5),
            shards,
            backlogs: Vec::new(),
        };
        let hello = Stretch {
            parts: 0,
            ..stretch(0, 0, 0)
        };
        pack(&progress.encode_to_vec()).payload(&hello)
    };
    let topic = "dermatel/v1/uplink/3/_progress/gw-1";
    assert!(open(topic, &said("gw-1", 0b1000), ShardSet::ALL).is_ok());
    assert_eq!(reason(topic, &said("gw-2", 0b1000)), Reason::Identity);
    assert_eq!(reason(topic, &said("gw-1", 0b0100)), Reason::Identity);
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = open(&topic(Way::Uplink), &payload, ShardSet::ALL);
        let _ = open(&topic(Way::Uplink), &pack(&payload).payload(&stretch(0, 0, 1)), ShardSet::ALL);
    }

    #[test]
    fn a_flipped_bit_never_gives_a_message_of_somebody_else(at in 0usize..10_000, bit in 0u8..8) {
        let mut payload = batch(&[admitted("acme", "acme-north", "gw-1")]).to_vec();
        let at = at % payload.len();
        payload[at] ^= 1 << bit;
        if let Ok(Opened::Messages { messages, .. }) = open(&topic(Way::Uplink), &payload, ShardSet::ALL) {
            for one in messages {
                prop_assert_eq!(one.admitted.tenant.as_str(), "acme");
                prop_assert_eq!(one.admitted.clinic.as_str(), "acme-north");
            }
        }
    }
}
