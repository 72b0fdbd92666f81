//! Foreign bytes: nothing panics, nothing impossible passes, nothing that was sent is counted wrongly.
use proptest::prelude::*;
use prost::Message as _;
use telemetry::proto::{self, frame};
use telemetry::{
    Body, DepthUm, MAX_BATCH_DURATION_US, MAX_STROKES, RejectReason, Telemetry, Uptime, decode, decode_status,
};

use crate::frames::{body, encode, header, topic};

/// Everything that a decoded frame promises to whoever reads it.
fn assert_within_bounds(telemetry: &Telemetry) {
    const MAX_COUNT: u64 = 1 << 48;
    assert_eq!(telemetry.header.device, topic().device);
    assert!(telemetry.header.sequence < MAX_COUNT);
    assert!(telemetry.header.uptime < Uptime::MAX);
    match &telemetry.body {
        Body::Strokes(batch) => {
            assert!((1..=MAX_STROKES).contains(&batch.len()));
            assert!(batch.duration_us <= MAX_BATCH_DURATION_US);
            assert!(batch.depths().all(|(_, depth)| depth <= DepthUm::MAX));
            assert!(batch.next_ordinal() < MAX_COUNT + MAX_STROKES as u64);
            assert_eq!(batch.strokes().count(), batch.len());
            assert_eq!(batch.strokes().filter(|s| s.depth_um.is_none()).count(), batch.unread());
            assert!(batch.strokes().all(|s| s.uptime < Uptime::MAX));
        }
        Body::Pulses(batch) => {
            assert!((1..=64).contains(&batch.pulses.len()));
            assert!(batch.pulses.windows(2).all(|pair| pair[0].ordinal < pair[1].ordinal));
            assert!(batch.pulses.iter().all(|p| p.lamp_shots.is_none_or(|n| n < MAX_COUNT)));
        }
        Body::Heartbeat(heartbeat) => assert!(heartbeat.battery_percent.is_none_or(|p| p <= 100)),
        Body::SterilizationCycle(cycle) => assert!(cycle.items.len() <= 256),
        Body::Disinfection(wipe) => assert!(wipe.items.len() <= 256),
        _ => {}
    }
}

fn try_all(bytes: &[u8]) {
    if let Ok(telemetry) = decode(&topic(), bytes) {
        assert_within_bounds(&telemetry);
    }
    let mut status = topic();
    status.channel = telemetry::Channel::Status;
    let _ = decode_status(&status, bytes);
}

/// An unknown field in one of the encodings.
fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
    // Numbers from 300 on are nowhere in the schema; two bytes of key.
    (300u32..2_000, 0usize..5, proptest::collection::vec(0u8..0x80, 1..20)).prop_map(|(number, shape, content)| {
        let key = |wire_type: u32| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(u64::from(number << 3 | wire_type), &mut bytes);
            bytes
        };
        match shape {
            0 => [key(0), vec![content[0]]].concat(),
            1 => [key(1), vec![7; 8]].concat(),
            2 => [key(5), vec![7; 4]].concat(),
            3 => [key(2), vec![content.len() as u8], content].concat(),
            _ => [key(3), vec![0x08, content[0]], key(4)].concat(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic_and_what_passes_is_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_all(&bytes);
    }

    #[test]
    fn arbitrary_bytes_behind_a_good_header_never_panic(
        number in 10u32..20, bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut frame = proto::Frame { header: Some(header()), body: None }.encode_to_vec();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut frame);
        prost::encoding::encode_varint(bytes.len() as u64, &mut frame);
        frame.extend(bytes);
        try_all(&frame);
    }

    #[test]
    fn damaged_frames_never_panic_and_what_passes_is_within_bounds(
        body in body(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        inserted in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(body);
        let whole = bytes.clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        try_all(&bytes);
        for (at, byte) in inserted {
            let at = at.index(bytes.len());
            bytes.insert(at, byte);
        }
        try_all(&bytes);
        try_all(&whole[..cut.index(whole.len())]);
    }

    #[test]
    fn a_frame_of_possible_numbers_passes_and_twice_gives_the_same(body in body()) {
        let bytes = encode(body.clone());
        match decode(&topic(), &bytes) {
            Ok(telemetry) => {
                assert_within_bounds(&telemetry);
                prop_assert_eq!(decode(&topic(), &bytes).unwrap(), telemetry);
            }
            // Intervals drawn at random may add up to more than a batch.
            Err(rejected) => prop_assert_eq!((rejected.reason, rejected.field), (RejectReason::OutOfRange, "stroke_batch.duration_us")),
        }
    }

    #[test]
    fn unknown_fields_are_counted_at_every_depth_and_change_nothing_else(
        body in body(),
        in_frame in proptest::collection::vec(unknown_field(), 0..3),
        in_header in proptest::collection::vec(unknown_field(), 0..3),
        in_body in proptest::collection::vec(unknown_field(), 0..3),
    ) {
        let Ok(plain) = decode(&topic(), &encode(body.clone())) else { return Ok(()) };
        let nested = |number: u32, message: Vec<u8>, unknown: &[Vec<u8>]| {
            let inner = [message, unknown.concat()].concat();
            let mut bytes = Vec::new();
            prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
            prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
            bytes.extend(inner);
            bytes
        };
        let (number, message) = parts(&body);
        let bytes = [
            in_frame.concat(),
            nested(1, header().encode_to_vec(), &in_header),
            nested(number, message, &in_body),
        ].concat();
        let counted = decode(&topic(), &bytes).unwrap();
        prop_assert_eq!(counted.unknown.fields as usize, in_frame.len() + in_header.len() + in_body.len());
        prop_assert_eq!(counted.unknown.enum_values, plain.unknown.enum_values);
        prop_assert_eq!((counted.header, counted.body), (plain.header, plain.body));
    }
}

/// Number and bytes of a body.
fn parts(body: &frame::Body) -> (u32, Vec<u8>) {
    match body {
        frame::Body::Birth(b) => (10, b.encode_to_vec()),
        frame::Body::StrokeBatch(b) => (11, b.encode_to_vec()),
        frame::Body::PulseBatch(b) => (12, b.encode_to_vec()),
        frame::Body::SessionEnd(b) => (14, b.encode_to_vec()),
        frame::Body::SterilizationCycle(b) => (15, b.encode_to_vec()),
        frame::Body::Heartbeat(b) => (18, b.encode_to_vec()),
        other => panic!("{other:?} is not drawn"),
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_every_golden_vector_is_survived() {
    for vector in crate::vectors::all().iter().filter(|v| v.bytes.len() < 400) {
        for at in 0..vector.bytes.len() {
            try_all(&vector.bytes[..at]);
            for bit in 0..8 {
                let mut bytes = vector.bytes.clone();
                bytes[at] ^= 1 << bit;
                try_all(&bytes);
            }
        }
    }
}

#[test]
fn a_payload_is_refused_for_its_size_before_it_is_looked_at() {
    let mut bytes = encode(frame::Body::Heartbeat(proto::Heartbeat::default()));
    // A text of a newer schema, as long as the limit allows and one byte longer.
    let room = telemetry::MAX_PAYLOAD_BYTES - bytes.len();
    for (fill, fits) in [(room - 5, true), (room - 4, false)] {
        let mut longer = bytes.clone();
        prost::encoding::encode_key(300, prost::encoding::WireType::LengthDelimited, &mut longer);
        prost::encoding::encode_varint(fill as u64, &mut longer);
        longer.extend(std::iter::repeat_n(b'x', fill));
        assert_eq!(longer.len() <= telemetry::MAX_PAYLOAD_BYTES, fits);
        let reason = decode(&topic(), &longer).err().map(|r| r.reason);
        assert_eq!(reason, (!fits).then_some(RejectReason::TooLarge));
    }
    bytes.clear();
}

#[test]
fn groups_nested_deeper_than_any_schema_are_refused_without_a_stack_overflow() {
    let mut bytes = encode(frame::Body::Heartbeat(proto::Heartbeat::default()));
    bytes.extend([0xe3, 0x12].repeat(20_000));
    assert_eq!(
        decode(&topic(), &bytes).err().map(|r| r.reason),
        Some(RejectReason::Malformed)
    );
}
