//! Frames for tests: valid ones of every body, drawn at random.
use proptest::prelude::*;
use prost::Message as _;
use telemetry::Topic;
use telemetry::proto::{self, frame};

pub(crate) fn topic() -> Topic {
    "dermatel/v1/acme/acme-north/pen-0042/telemetry".parse().unwrap()
}

pub(crate) fn header() -> proto::Header {
    proto::Header {
        schema_version: Some(1),
        device_id: Some("pen-0042".to_owned()),
        boot_id: Some(7),
        sequence: Some(1),
        uptime_us: Some(1_000_000),
        ..Default::default()
    }
}

pub(crate) fn encode(body: frame::Body) -> Vec<u8> {
    proto::Frame {
        header: Some(header()),
        body: Some(body),
    }
    .encode_to_vec()
}

prop_compose! {
    pub(crate) fn stroke_batch()(
        depth_um in proptest::collection::vec(0u32..=3_000, 1..200),
    )(
        intervals in proptest::option::of(proptest::collection::vec(0u32..5_000, depth_um.len())),
        unread in proptest::collection::btree_set(0..depth_um.len() as u32, 0..=depth_um.len().min(8)),
        depth_um in Just(depth_um),
        first_ordinal in 0u64..1 << 40,
        first_uptime_us in 0u64..1 << 45,
        duration_us in proptest::option::of(0u32..=1_000_000),
        zone in proptest::option::of(-1i32..30),
        setpoint in proptest::option::of(0u32..3_000),
    ) -> proto::StrokeBatch {
        proto::StrokeBatch {
            first_ordinal: Some(first_ordinal),
            first_uptime_us: Some(first_uptime_us),
            duration_us,
            zone,
            depth_setpoint_um: setpoint,
            depth_um,
            interval_us: intervals.unwrap_or_default(),
            unread_index: unread.into_iter().collect(),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn pulse_batch()(
        steps in proptest::collection::vec((1u64..5, 0u64..1 << 40, 0u32..=1_000_000, any::<bool>()), 1..20),
        skin in proptest::option::of(0i32..9),
    ) -> proto::PulseBatch {
        let mut ordinal = 0;
        let pulses = steps.into_iter().map(|(step, uptime, energy, fired)| {
            ordinal += step;
            proto::Pulse {
                ordinal: Some(ordinal),
                uptime_us: Some(uptime),
                energy_measured_mj: Some(energy),
                skin_type: skin,
                tip_temperature_mdegc: Some(energy as i32 % 20_000 - 5_000),
                fired: Some(fired),
                ..Default::default()
            }
        });
        proto::PulseBatch { pulses: pulses.collect(), flush_reason: Some(1) }
    }
}

/// A body that is let in.
pub(crate) fn body() -> impl Strategy<Value = frame::Body> {
    let serial = "[A-Za-z0-9._:-]{1,64}";
    prop_oneof![
        4 => stroke_batch().prop_map(frame::Body::StrokeBatch),
        2 => pulse_batch().prop_map(frame::Body::PulseBatch),
        1 => (serial, -10_000i32..=10_000).prop_map(|(serial, offset)| frame::Body::Birth(proto::Birth {
            serial: Some(serial),
            depth_offset_um: Some(offset),
            ..Default::default()
        })),
        1 => (proptest::collection::vec(serial, 0..20), 0i32..5).prop_map(|(items, outcome)| {
            frame::Body::SterilizationCycle(proto::SterilizationCycle {
                items,
                outcome: Some(outcome),
                ..Default::default()
            })
        }),
        1 => (any::<bool>(), 0u32..=100).prop_map(|(in_session, battery)| frame::Body::Heartbeat(proto::Heartbeat {
            in_session: Some(in_session),
            battery_percent: Some(battery),
            ..Default::default()
        })),
        1 => (0u64..1 << 47).prop_map(|total| frame::Body::SessionEnd(proto::SessionEnd {
            strokes_total: Some(total),
            ..Default::default()
        })),
    ]
}
