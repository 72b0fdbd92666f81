//! What it costs to let a message in: decode and validate, per stroke, per pulse, per frame.
#![allow(missing_docs, clippy::unwrap_used)]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message as _;
use telemetry::proto::{self, frame};
use telemetry::{Body, Topic, decode};

const STROKES: u64 = 120;
const PULSES: u64 = 8;

fn bytes(body: frame::Body) -> Vec<u8> {
    proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some("pen-0042".to_owned()),
            boot_id: Some(0x1122_3344_5566_7788),
            sequence: Some(4_711),
            uptime_us: Some(3_600_000_000),
            session_id: Some(vec![7; 16]),
            session_start_uptime_us: Some(3_000_000_000),
            visit_id: Some(vec![9; 16]),
            oldest_unacknowledged_sequence: Some(4_700),
            wants_ack_up_to: None,
            ..Default::default()
        }),
        body: Some(body),
    }
    .encode_to_vec()
}

/// A second of a pen at 120 Hz around 0.9 mm.
fn strokes(intervals: bool) -> Vec<u8> {
    let count = STROKES as u32;
    bytes(frame::Body::StrokeBatch(proto::StrokeBatch {
        first_ordinal: Some(60_000),
        first_uptime_us: Some(3_599_000_000),
        duration_us: Some(1_000_000),
        zone: Some(6),
        depth_setpoint_um: Some(900),
        depth_limit_um: Some(1_200),
        depth_um: (0..count).map(|n| 880 + n * 7 % 41).collect(),
        interval_us: if intervals {
            (0..count).map(|n| 8_300 + n * 13 % 90).collect()
        } else {
            Vec::new()
        },
        cartridge_serial: Some("C-104417".to_owned()),
        ..Default::default()
    }))
}

fn pulses() -> Vec<u8> {
    let pulse = |n: u64| proto::Pulse {
        ordinal: Some(n),
        uptime_us: Some(3_590_000_000 + n * 1_000_000),
        energy_set_mj: Some(38_400),
        energy_measured_mj: Some(38_900),
        fluence_set_mj_per_cm2: Some(8_000),
        fluence_measured_mj_per_cm2: Some(8_104),
        width_us: Some(15_000),
        sub_pulse_count: Some(2),
        sub_pulse_delay_us: Some(10_000),
        filter_cutoff_nm: Some(560),
        spot_area_mm2: Some(480),
        zone: Some(6),
        skin_type: Some(3),
        skin_temperature_mdegc: Some(33_500),
        tip_temperature_mdegc: Some(8_000),
        lamp_shot_count: Some(41_000 + n),
        fired: Some(true),
    };
    bytes(frame::Body::PulseBatch(proto::PulseBatch {
        pulses: (0..PULSES).map(pulse).collect(),
        flush_reason: Some(1),
    }))
}

fn heartbeat() -> Vec<u8> {
    bytes(frame::Body::Heartbeat(proto::Heartbeat {
        in_session: Some(true),
        battery_percent: Some(80),
        queued_frames: Some(3),
        dropped_frames: Some(0),
    }))
}

fn bench(c: &mut Criterion) {
    let topic: Topic = "dermatel/v1/acme/acme-north/pen-0042/telemetry".parse().unwrap();
    let cases = [
        ("strokes_120", strokes(false), STROKES),
        ("strokes_120_with_intervals", strokes(true), STROKES),
        ("pulses_8", pulses(), PULSES),
        ("heartbeat", heartbeat(), 1),
    ];
    // Time per element is time per stroke, pulse, frame.
    let mut group = c.benchmark_group("decode");
    for (name, bytes, elements) in &cases {
        group.throughput(Throughput::Elements(*elements));
        group.bench_function(*name, |b| b.iter(|| decode(black_box(&topic), black_box(bytes))));
    }
    group.finish();

    let decoded = decode(&topic, &strokes(true)).unwrap();
    if let Body::Strokes(batch) = &decoded.body {
        let mut group = c.benchmark_group("read");
        group.throughput(Throughput::Elements(STROKES));
        group.bench_function("strokes", |b| {
            b.iter(|| black_box(batch).strokes().map(|s| s.uptime.micros()).sum::<u64>())
        });
        group.bench_function("depths", |b| {
            b.iter(|| black_box(batch).depths().map(|(_, d)| u64::from(d)).sum::<u64>())
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
