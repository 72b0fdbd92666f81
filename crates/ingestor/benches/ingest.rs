//! What one stroke, one point and one batch cost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ingestor::Fleet;
use ingestor::frame::FrameReader;
use ingestor::record::Record;
use ingestor::rollup::{Group, Rollups, Span, Subject, Touched, second_of, start_of};
use ingestor::store::{SqliteStore, influx};
use prost::Message as _;
use telemetry::proto;
use telemetry::{
    Admitted, Body, ClockQuality, Content, DeviceKey, DeviceKind, ModelId, Origin, StrokeBatch, UnixMicros,
};

/// Strokes per batch: one second of a pen at 120 Hz.
const STROKES: usize = 120;

struct Nobody;

impl Fleet for Nobody {
    fn describe(&self, _: &DeviceKey) -> Option<(ModelId, DeviceKind)> {
        None
    }

    fn version(&self) -> u64 {
        1
    }
}

fn admitted(first: u64) -> Admitted {
    admitted_of("pen-1", first)
}

fn admitted_of(device: &str, first: u64) -> Admitted {
    let batch = proto::StrokeBatch {
        first_ordinal: Some(first),
        first_uptime_us: Some(first * 8_000),
        duration_us: Some(1_000_000),
        zone: Some(proto::Zone::Cheek as i32),
        depth_setpoint_um: Some(500),
        depth_limit_um: Some(600),
        depth_um: (0..STROKES as u32).map(|n| 450 + (n * 37) % 101).collect(),
        ..Default::default()
    };
    let header = proto::Header {
        schema_version: Some(1),
        device_id: Some(device.to_owned()),
        boot_id: Some(7),
        sequence: Some(first / STROKES as u64),
        uptime_us: Some(first * 8_000 + 1_000_000),
        session_id: Some(vec![1; 16]),
        session_start_uptime_us: Some(0),
        ..Default::default()
    };
    let frame = proto::Frame {
        header: Some(header),
        body: Some(proto::frame::Body::StrokeBatch(batch)),
    };
    Admitted {
        recorded_by: None,
        tenant: "acme".parse().unwrap(),
        clinic: "north".parse().unwrap(),
        device: device.parse().unwrap(),
        content: Content::Telemetry,
        payload: frame.encode_to_vec().into(),
        received_at: UnixMicros(1_795_348_800_000_000),
        anchor: Some(UnixMicros(1_795_348_800_000_000)),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "edge-1".parse().unwrap(),
        retained: false,
    }
}

fn batch() -> StrokeBatch {
    match admitted(0).telemetry().unwrap().body {
        Body::Strokes(batch) => batch,
        _ => unreachable!("a stroke batch was made"),
    }
}

fn records(count: u64) -> Vec<Record> {
    let mut reader = FrameReader::new(Arc::new(Nobody));
    (0..count)
        .flat_map(|n| reader.decode(&admitted(n * STROKES as u64).encode()).unwrap().records)
        .collect()
}

fn per_stroke(c: &mut Criterion) {
    let mut group = c.benchmark_group("per_stroke");
    group.throughput(Throughput::Elements(STROKES as u64));
    let strokes = batch();
    group.bench_function("window", |b| b.iter(|| ingestor::window::depths(black_box(&strokes))));
    let bytes = admitted(0).encode();
    let mut reader = FrameReader::new(Arc::new(Nobody));
    group.bench_function("decode_validate_window", |b| {
        b.iter(|| reader.decode(black_box(&bytes)).unwrap())
    });
    group.finish();
}

fn per_point(c: &mut Criterion) {
    let records = records(1_000);
    let text = influx::lines(&records);
    let mut group = c.benchmark_group("per_point");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("line_protocol", |b| b.iter(|| influx::lines(black_box(&records))));
    group.bench_function("gzip", |b| b.iter(|| influx::compress(black_box(&text))));
    group.sample_size(10);
    group.bench_function("sqlite", |b| {
        let dir = tempfile::tempdir().unwrap();
        let mut file = 0;
        b.iter_batched(
            || {
                file += 1;
                SqliteStore::open(&dir.path().join(file.to_string()), None).unwrap()
            },
            |store| store.write(&records, 0).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Devices that speak at once, for roll-ups: their windows lie among one another in the store, as they come.
const DEVICES: u64 = 200;
/// Windows of each in a minute.
const WINDOWS: u64 = 60;

fn per_rolled_up_window(c: &mut Criterion) {
    let mut reader = FrameReader::new(Arc::new(Nobody));
    let mut records = Vec::new();
    for n in 0..WINDOWS {
        for device in 0..DEVICES {
            let frame = admitted_of(&format!("pen-{device}"), n * STROKES as u64);
            records.extend(reader.decode(&frame.encode()).unwrap().records);
        }
    }
    let mut group = c.benchmark_group("per_rolled_up_window");
    group.throughput(Throughput::Elements(DEVICES * WINDOWS));
    let rollups = Rollups {
        on: true,
        after: Duration::from_secs(15),
        max_touched: 200_000,
        points_kept: None,
        kept: None,
    };
    group.bench_function("note", |b| {
        let mut touched = Touched::new(rollups, Vec::new(), 0);
        b.iter(|| {
            for record in &records {
                touched.point(record.tags().key(), Subject::Strokes, record.time_ns(), 0);
            }
        });
    });
    group.sample_size(10);
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("store"), None).unwrap();
    for batch in records.chunks(5_000) {
        store.write(batch, 0).unwrap();
    }
    for (name, devices) in [("sqlite_one_pass", DEVICES), ("sqlite_one_device", 1)] {
        group.throughput(Throughput::Elements(devices * WINDOWS));
        let key = |n: u64| DeviceKey {
            tenant: "acme".parse().unwrap(),
            device: format!("pen-{n}").parse().unwrap(),
        };
        let mut minutes: Vec<i64> = records
            .iter()
            .map(|r| start_of(second_of(r.time_ns()), Span::Minute))
            .collect();
        minutes.sort_unstable();
        minutes.dedup();
        let groups: Vec<Group> = minutes
            .into_iter()
            .map(|start_s| Group {
                subject: Subject::Strokes,
                span: Span::Minute,
                start_s,
                devices: (0..devices).map(key).collect(),
            })
            .collect();
        group.bench_function(name, |b| {
            b.iter(|| {
                groups
                    .iter()
                    .map(|group| store.roll_up(group).unwrap().len())
                    .sum::<usize>()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, per_stroke, per_point, per_rolled_up_window);
criterion_main!(benches);
