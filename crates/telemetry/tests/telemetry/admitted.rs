//! What stands in the logs is what was let in.
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{Admitted, ClinicId, ClockQuality, Content, DeviceId, GatewayId, Origin, TenantId, UnixMicros, proto};

use crate::topics::ID;

fn admitted() -> impl Strategy<Value = Admitted> {
    let content = prop_oneof![Just(Content::Telemetry), Just(Content::Status), Just(Content::Alert)];
    let clock = prop_oneof![
        Just(ClockQuality::Device),
        Just(ClockQuality::Received),
        Just(ClockQuality::Skewed)
    ];
    let origin = prop_oneof![
        Just(Origin::Endpoint),
        Just(Origin::Broker),
        Just(Origin::Recorded),
        Just(Origin::Replayed),
        Just(Origin::Internal)
    ];
    let times = (any::<i64>(), any::<Option<i64>>());
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    (ID, ID, content, payload, times, clock, origin, any::<[bool; 3]>()).prop_map(
        |(tenant, device, content, payload, (received, anchor), clock, origin, [reused, maybe, retained])| Admitted {
            recorded_by: None,
            tenant: TenantId::new(&tenant).unwrap(),
            clinic: ClinicId::new(&device).unwrap(),
            device: DeviceId::new(&device).unwrap(),
            content,
            payload: Bytes::from(payload),
            received_at: UnixMicros(received),
            anchor: anchor.map(UnixMicros),
            clock,
            origin,
            sequence_reused: reused,
            maybe_seen_before: maybe,
            gateway: GatewayId::new(&tenant).unwrap(),
            retained,
        },
    )
}

proptest! {
    #[test]
    fn what_is_logged_is_what_is_read_back(admitted in admitted()) {
        prop_assert_eq!(Admitted::decode(&admitted.encode()).unwrap(), admitted.clone());
        prop_assert_eq!(Admitted::from_wire(admitted.to_wire()).unwrap(), admitted);
    }

    #[test]
    fn the_short_way_into_a_log_gives_the_bytes_that_the_codec_gives(admitted in admitted(), before in any::<[u8; 3]>()) {
        let mut bytes = before.to_vec();
        admitted.encode_into(&mut bytes);
        prop_assert_eq!(&bytes[..3], before);
        prop_assert_eq!(&bytes[3..], admitted.to_wire().encode_to_vec());
    }

    #[test]
    fn arbitrary_or_damaged_log_bytes_never_panic(admitted in admitted(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = admitted.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Admitted::decode(&bytes);
        let _ = Admitted::decode(&bytes[..at]);
        if let Ok(read) = Admitted::decode(&bytes) {
            let _ = (read.telemetry(), read.status());
        }
    }
}

#[test]
fn an_origin_of_a_newer_version_never_pages() {
    let wire = proto::Admitted {
        tenant: "a".to_owned(),
        clinic: "b".to_owned(),
        device: "c".to_owned(),
        gateway: "g".to_owned(),
        channel: 1,
        origin: 99,
        ..Default::default()
    };
    assert_eq!(Admitted::from_wire(wire).unwrap().origin, Origin::Replayed);
}
