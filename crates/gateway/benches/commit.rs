//! What one stroke message costs in the gateway: the decision alone, and with encoding and appending to the store, without
//! fsync: CPU is measured, the disk's time is the disk's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway::admit::{Admission, Context, Delivery, admit};
use gateway::ledger::{ClockPolicy, Ledger};
use prost::Message as _;
use registry::Registry;
use telemetry::{GatewayId, Origin, UnixMicros, proto};

const STROKES: u32 = 120;
const MESSAGES: u64 = 4_096;
const DEVICES: u64 = 64;
const NOW: UnixMicros = UnixMicros(1_790_000_000_000_000);

fn registry() -> Registry {
    let devices: String = (0..DEVICES)
        .map(|n| format!("  {{ id = \"pen-{n}\", clinic = \"soho\", model = \"pen\", serial = \"P-{n}\" }},\n"))
        .collect();
    let devices = format!("device = [\n{devices}]\n");
    let model = "kind = \"pen\"\nname = \"Pen\"\nmaker = \"Maker\"\n[limits]\ndepth_max_um = 1500\ndepth_tolerance_um = 150\ndepth_sigma_um = 20\nstroke_rate_min_hz = 80\nstroke_rate_max_hz = 160\nzone_depth_max_um = { cheek = 1000 }\n";
    let tenant =
        "number = 7\nname = \"Acme\"\n[[clinic]]\nid = \"soho\"\nname = \"Soho\"\ntime_zone = \"Europe/London\"\n";
    Registry::from_sources(&[
        ("registry.toml", "version = 1\n"),
        ("models/pen.toml", model),
        ("tenants/acme/tenant.toml", tenant),
        ("tenants/acme/devices.toml", &devices),
    ])
    .unwrap()
}

fn message(n: u64) -> (String, Bytes) {
    let (device, sequence) = (format!("pen-{}", n % DEVICES), n / DEVICES);
    let header = proto::Header {
        schema_version: Some(1),
        device_id: Some(device.clone()),
        boot_id: Some(7),
        sequence: Some(sequence),
        uptime_us: Some(10_000_000 + sequence * 1_000_000),
        session_id: Some(vec![7; 16]),
        session_start_uptime_us: Some(9_000_000),
        ..Default::default()
    };
    let strokes = proto::StrokeBatch {
        first_ordinal: Some(sequence * u64::from(STROKES)),
        first_uptime_us: Some(9_000_000 + sequence * 1_000_000),
        duration_us: Some(990_000),
        zone: Some(proto::Zone::Cheek as i32),
        depth_setpoint_um: Some(500),
        depth_um: (0..STROKES).map(|n| 480 + n % 40).collect(),
        ..Default::default()
    };
    let frame = proto::Frame {
        header: Some(header),
        body: Some(proto::frame::Body::StrokeBatch(strokes)),
    };
    (
        format!("dermatel/v1/acme/soho/{device}/telemetry"),
        frame.encode_to_vec().into(),
    )
}

fn decide(registry: &Registry, messages: &[(String, Bytes)], ledger: &mut Ledger, mut each: impl FnMut(Admission)) {
    let gateway = GatewayId::new("gw-1").unwrap();
    let clocks = ClockPolicy::default();
    let context = Context {
        registry,
        clocks: &clocks,
        gateway: &gateway,
    };
    for (topic, payload) in messages {
        let delivery = Delivery {
            recorded_by: None,
            topic,
            payload,
            received_at: NOW,
            origin: Origin::Endpoint,
            peer: None,
            retained: false,
        };
        each(admit(&context, ledger, &delivery));
    }
    ledger.record();
}

fn benches(criterion: &mut Criterion) {
    let registry = registry();
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    let mut group = criterion.benchmark_group("gateway");
    group.throughput(Throughput::Elements(MESSAGES));
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    group.bench_function("admit_and_record", |b| {
        b.iter_batched_ref(
            Ledger::new,
            |ledger| {
                decide(&registry, &messages, ledger, |a| {
                    assert!(matches!(a, Admission::Admit(_)))
                })
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("known_copies", |b| {
        // The recent copies of each device, so that none is beyond the ring.
        let mut ledger = Ledger::new();
        decide(&registry, &messages, &mut ledger, drop);
        b.iter(|| {
            decide(&registry, &messages, &mut ledger, |a| {
                assert_eq!(a, Admission::Duplicate)
            })
        });
    });
    let mut admitted = Vec::new();
    decide(&registry, &messages, &mut Ledger::new(), |a| match a {
        Admission::Admit(entry) => admitted.push(entry.admitted),
        other => panic!("{other:?}"),
    });
    group.bench_function("encode_for_two_logs", |b| {
        let (mut bytes, mut wrapped) = (Vec::new(), Vec::new());
        b.iter(|| {
            bytes.clear();
            wrapped.clear();
            for one in &admitted {
                let start = bytes.len();
                one.encode_into(&mut bytes);
                wrapped.extend_from_slice(&[0; 20]);
                wrapped.extend_from_slice(&bytes[start..]);
            }
            bytes.len() + wrapped.len()
        });
    });
    let dir = tempfile::tempdir().unwrap();
    let config = spool::Config {
        cap_bytes: 16 << 30,
        ..spool::Config::new(dir.path(), &[])
    };
    let spool = spool::Spool::open(config, Arc::new(spool::OsDisk)).unwrap().0;
    group.bench_function("admit_encode_append_record", |b| {
        b.iter_batched_ref(
            Ledger::new,
            |ledger| {
                let (mut bytes, mut ends) = (Vec::new(), Vec::new());
                decide(&registry, &messages, ledger, |admission| {
                    let Admission::Admit(entry) = admission else {
                        panic!("not let in")
                    };
                    entry.admitted.encode_into(&mut bytes);
                    ends.push((entry.lane, bytes.len()));
                });
                let mut start = 0;
                let records: Vec<_> = ends
                    .iter()
                    .map(|&(lane, end)| {
                        let record = spool::NewRecord {
                            lane,
                            bytes: &bytes[start..end],
                        };
                        start = end;
                        record
                    })
                    .collect();
                spool.append(&records, SystemTime::now()).unwrap()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
