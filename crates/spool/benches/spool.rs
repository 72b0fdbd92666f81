//! What the log costs: append, group commit, read back, open with a backlog. Needs a real disk for its fsyncs.
//!
//! `SPOOL_BENCH_BACKLOG_MIB` (64) is the size of the backlog that is opened and read.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spool::{AtCap, Config, NewRecord, Offset, OsDisk, Spool};

const RECORD_BYTES: usize = 300;
const BATCHES: [usize; 3] = [1, 64, 1024];

fn fresh(dir: &tempfile::TempDir) -> Spool {
    let config = Config {
        at_cap: AtCap::Shed,
        ..Config::new(dir.path(), &[])
    };
    Spool::open(config, Arc::new(OsDisk)).unwrap().0
}

fn append(c: &mut Criterion) {
    let bytes = [0x5A; RECORD_BYTES];
    for (name, sync) in [("append", false), ("append_and_sync", true)] {
        let mut group = c.benchmark_group(name);
        group.measurement_time(Duration::from_secs(3));
        for batch in BATCHES {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let spool = fresh(&dir);
            let now = SystemTime::now();
            let records = vec![NewRecord { lane: 1, bytes: &bytes }; batch];
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |b| {
                b.iter(|| {
                    black_box(spool.append(&records, now).unwrap());
                    if sync {
                        black_box(spool.sync().unwrap());
                    }
                });
            });
        }
        group.finish();
    }
}

fn backlog(dir: &tempfile::TempDir) -> (Config, u64) {
    let mib = std::env::var("SPOOL_BENCH_BACKLOG_MIB").ok();
    let mib: u64 = mib.and_then(|mib| mib.parse().ok()).unwrap_or(64);
    let config = Config {
        cap_bytes: (mib + 64) << 20,
        ..Config::new(dir.path(), &["store"])
    };
    let (spool, _) = Spool::open(config.clone(), Arc::new(OsDisk)).unwrap();
    let bytes = [0x5A; RECORD_BYTES];
    let records = vec![NewRecord { lane: 1, bytes: &bytes }; 1024];
    while spool.state().bytes < mib << 20 {
        let _ = spool.append(&records, SystemTime::now()).unwrap();
    }
    let records = spool.sync().unwrap().0;
    (config, records)
}

fn open_and_read(c: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (config, records) = backlog(&dir);
    let mut group = c.benchmark_group("backlog");
    group.sample_size(10);
    group.bench_function("open", |b| {
        b.iter(|| black_box(Spool::open(config.clone(), Arc::new(OsDisk)).unwrap().1.next));
    });
    let (spool, _) = Spool::open(config, Arc::new(OsDisk)).unwrap();
    let mut reader = spool.reader("store").unwrap();
    group.throughput(Throughput::Elements(records));
    group.bench_function("read", |b| {
        b.iter(|| {
            reader.seek(Offset::ZERO);
            while !black_box(reader.read(1024, 1 << 20).unwrap()).is_empty() {}
        });
    });
    group.finish();
}

criterion_group!(benches, append, open_and_read);
criterion_main!(benches);
