//! All rules on strokes: budget 20 ns a stroke (design, 9), amortised over a second of strokes in one batch.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::engine::{Cold, ColdError, Engine, FactKey, Snapshot};
use alerting::intake::{self, Input};
use alerting::rules::builtin;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telemetry::{Admitted, ClockQuality, Content, Origin, UnixMicros, proto};

/// Strokes of one batch: a second at 120 Hz.
const STROKES: u64 = 120;

struct Nothing;

impl Cold for Nothing {
    fn fact(&self, _: &FactKey) -> Result<Option<String>, ColdError> {
        Ok(None)
    }
}

fn record(sequence: u64) -> Vec<u8> {
    let at = 1_000_000 + sequence * 1_000_000;
    let frame = proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some("pen-0001".into()),
            boot_id: Some(7),
            sequence: Some(sequence),
            uptime_us: Some(at),
            session_id: Some(vec![1; 16]),
            visit_id: Some(vec![2; 16]),
            ..Default::default()
        }),
        body: Some(proto::frame::Body::StrokeBatch(proto::StrokeBatch {
            first_ordinal: Some(sequence * STROKES),
            first_uptime_us: Some(at),
            duration_us: Some(1_000_000),
            zone: Some(6),
            depth_setpoint_um: Some(800),
            depth_um: (0..STROKES).map(|n| 780 + (n * 7 % 40) as u32).collect(),
            ..Default::default()
        })),
    };
    let admitted = Admitted {
        recorded_by: None,
        tenant: "aurora".parse().unwrap(),
        clinic: "aurora-berlin".parse().unwrap(),
        device: "pen-0001".parse().unwrap(),
        content: Content::Telemetry,
        payload: prost::Message::encode_to_vec(&frame).into(),
        received_at: UnixMicros(at as i64),
        anchor: Some(UnixMicros(0)),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "gw-1".parse().unwrap(),
        retained: false,
    };
    let mut into = Vec::new();
    intake::encode_frame(&admitted, UnixMicros(at as i64), &mut into);
    into
}

fn strokes(c: &mut Criterion) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/registry");
    let registry = Arc::new(registry::Registry::load(&folder).unwrap());
    let rules = Arc::new(builtin().unwrap());
    let inputs: Vec<Input> = (0..4_096).map(|n| intake::decode(&record(n)).unwrap()).collect();
    let mut group = c.benchmark_group("rules");
    group.throughput(Throughput::Elements(STROKES));
    let fresh = || {
        Engine::new(
            Arc::clone(&rules),
            Arc::new(RegistryFleet(Arc::clone(&registry))),
            Snapshot::default(),
        )
    };
    let (mut engine, mut next) = (fresh(), 0usize);
    group.bench_function("apply a decoded batch of 120 strokes", |b| {
        b.iter(|| {
            if next == inputs.len() {
                (engine, next) = (fresh(), 0);
            }
            let outcome = engine.apply(next as u64, black_box(&inputs[next]), &Nothing).unwrap();
            next += 1;
            black_box(outcome.transitions.len())
        });
    });
    let bytes = record(1);
    group.bench_function("decode a record of the log with 120 strokes", |b| {
        b.iter(|| black_box(intake::decode(black_box(&bytes)).is_ok()));
    });
    group.finish();
}

criterion_group!(benches, strokes);
criterion_main!(benches);
