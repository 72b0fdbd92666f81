//! The short way and the general decoder are held against each other.
use proptest::prelude::*;

use super::*;

fn topic() -> Topic {
    "dermatel/v1/acme/acme-north/pen-0042/telemetry".parse().unwrap()
}

/// A full frame of strokes; numbers of every length on the wire.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0u32..128, 0u32..16_384, 0u32..10_500, any::<u32>()];
    // Columns of a working pen, and columns of anything.
    let plain = proptest::collection::vec(128u32..5_000, 0..40);
    let column = || prop_oneof![plain.clone(), proptest::collection::vec(number.clone(), 0..40)];
    let texts = ("[a-z0-9-]{0,9}|pen-0042", "[A-Za-z0-9]{0,70}");
    let options = (
        any::<Option<u64>>(),
        any::<Option<i64>>(),
        any::<Option<i32>>(),
        any::<bool>(),
    );
    (column(), column(), column(), texts, options).prop_map(|(depth_um, interval_us, unread_index, texts, options)| {
        let (number, wall, kind, own) = options;
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(if own { "pen-0042".to_owned() } else { texts.0 }),
            boot_id: number,
            sequence: Some(number.unwrap_or(0) >> 20),
            uptime_us: Some(number.unwrap_or(0) >> 18),
            wall_time_us: wall,
            wall_time_source: kind,
            session_id: number.map(|n| [n.to_le_bytes(); 2].concat()),
            session_start_uptime_us: number,
            visit_id: wall.map(|n| vec![7; n.rem_euclid(18) as usize]),
            oldest_unacknowledged_sequence: number,
            wants_ack_up_to: number.map(|number| number % 2 == 0),
        };
        let batch = proto::StrokeBatch {
            first_ordinal: number.map(|n| n >> 20),
            first_uptime_us: Some(5),
            duration_us: wall.map(|n| n as u32 >> 12),
            zone: kind,
            depth_um,
            interval_us: if own { Vec::new() } else { interval_us },
            unread_index: if own { Vec::new() } else { unread_index },
            cartridge_serial: wall.map(|_| texts.1),
            ..Default::default()
        };
        proto::Frame {
            header: Some(header),
            body: Some(proto::frame::Body::StrokeBatch(batch)),
        }
        .encode_to_vec()
    })
}

/// Both ways read the same fields, and come to the same end.
fn assert_same(bytes: &[u8]) {
    if let Some((header, batch)) = fast::stroke_frame(bytes) {
        let frame = proto::Frame::decode(bytes).unwrap();
        assert_eq!(header, HeaderView::from(&frame.header.unwrap()));
        assert_eq!(Some(proto::frame::Body::StrokeBatch(batch)), frame.body);
        assert_eq!(unknown::in_frame(bytes), 0);
    }
    assert_eq!(decode(&topic(), bytes), decode_any(&topic(), bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_short_way_says_what_the_general_decoder_says(
        bytes in frame(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        assert_same(&bytes);
        let mut bytes = bytes;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        assert_same(&bytes);
    }
}

#[test]
fn a_plain_frame_takes_the_short_way() {
    let header = proto::Header {
        device_id: Some("pen-0042".to_owned()),
        ..Default::default()
    };
    let batch = proto::StrokeBatch {
        depth_um: vec![0, 127, 128, 16_384, u32::MAX],
        ..Default::default()
    };
    let bytes = proto::Frame {
        header: Some(header.clone()),
        body: Some(proto::frame::Body::StrokeBatch(batch.clone())),
    }
    .encode_to_vec();
    assert_eq!(fast::stroke_frame(&bytes), Some((HeaderView::from(&header), batch)));
}
