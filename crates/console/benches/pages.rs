//! Server time of each page, with ten thousand open alerts. The figure of the budget: 200 ms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/console/behind.rs"]
mod behind;
#[path = "../tests/console/support.rs"]
mod support;

use support::{World, open};

const ALERTS: u32 = 10_000;

fn pages(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, one) = runtime.block_on(async {
        let world = World::start(open());
        let one = world.hazard("acme", "pen-1").await;
        world.put_many(&one, ALERTS);
        (world, one)
    });
    for (name, path) in [
        ("inbox", "/".to_owned()),
        ("inbox, last page", "/?page=200".to_owned()),
        (
            "inbox, filtered",
            "/?clinic=north&state=firing&priority=high".to_owned(),
        ),
        ("one alert", format!("/alerts/{}", one.id)),
        (
            "preview of a silence",
            format!("/alerts/{}/silence?scope=clinic", one.id),
        ),
        ("silences", "/silences".to_owned()),
        ("fleet", "/fleet".to_owned()),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let page = runtime.block_on(world.browser().get(&path));
                assert_eq!(page.status, 200);
                page.body.len()
            });
        });
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
