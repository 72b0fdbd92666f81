//! Tenants whose bucket refuses: parked, out of the others' way, and stored in the end as if there had been no trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ingestor::config::Parking;
use ingestor::testing::{InfluxDouble, Trouble};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use proptest::prelude::*;
use spool::AtCap;
use telemetry::Admitted;

use crate::influx::config;
use crate::support::{Device, Site, wait_until};

const TENANTS: [&str; 3] = ["acme", "bravo", "coral"];

/// Parks after a fraction of a second, or with a few records in memory.
const PARKING: Parking = Parking {
    after: Duration::from_millis(600),
    records: 40,
    lanes: 2,
    cap_bytes: 4 * 1024 * 1024,
    at_cap: AtCap::Refuse,
};

fn site(url: &str, parking: Parking) -> Site {
    let mut site = Site::new();
    site.config.influx = Some(config(url, "clinics", "secret"));
    site.config.rollups.on = false;
    let flow = &mut site.config.flow;
    flow.parking = parking;
    flow.batch_points = 10;
    flow.held_records = 200;
    flow.retry_cap = Duration::from_millis(20);
    flow.fatal_retry = Duration::from_millis(20);
    site
}

fn bucket(tenant: &str) -> String {
    format!("dermatel-{tenant}")
}

fn windows(double: &InfluxDouble, tenant: &str) -> usize {
    let lines = double.lines(&bucket(tenant));
    lines.iter().filter(|line| line.starts_with("stroke_window")).count()
}

/// `count` frames of each tenant's pen, in turns, from `first` on, of 20 strokes each.
fn frames(pens: &mut [Device], first: u64, count: u64) -> Vec<Admitted> {
    let frame = |n: u64, pen: &mut Device| pen.range(n * 20, n * 20 + 20);
    (first..first + count)
        .flat_map(|n| pens.iter_mut().map(move |pen| frame(n, pen)).collect::<Vec<_>>())
        .collect()
}

fn pens(tenants: &[&'static str]) -> Vec<Device> {
    tenants.iter().map(|tenant| Device::new(tenant, "pen-1", 1)).collect()
}

fn parked(site: &Site) -> BTreeSet<String> {
    let dir = site.config.dir.join(ingestor::PARKED_FOLDER);
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

fn remark(site: &Site) -> (bool, String) {
    let report = site.health.report();
    let told = report
        .iter()
        .find(|condition| condition.name == "parked-tenants")
        .unwrap();
    (told.green, told.reason.clone())
}

/// What people of one tenant are told, of all conditions.
fn told_to(site: &Site, tenant: &str) -> String {
    let report = site.health.report_to(tenant);
    report.into_iter().map(|condition| condition.reason).collect()
}

/// Everything in the store, and nobody parked.
fn is_over(site: &Site) -> bool {
    site.caught_up() && parked(site).is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_refused_for_hours_holds_nobody_up_and_is_whole_in_the_end() {
    for trouble in [Trouble::NotFound, Trouble::Unauthorized, Trouble::Unavailable(u32::MAX)] {
        let straight = InfluxDouble::start().await.unwrap();
        let double = InfluxDouble::start().await.unwrap();
        let untroubled = site(straight.url(), PARKING);
        let site = site(double.url(), PARKING);
        double.trouble("dermatel-acme", Some(trouble.clone()));
        let mut both = pens(&["acme", "bravo"]);
        // Ten times what fits into memory.
        let mut frames = frames(&mut both, 0, 1_000);
        frames.extend(both.iter_mut().map(|pen| pen.end(Some(20_000), None)));
        for site in [&untroubled, &site] {
            site.append(&frames);
        }
        untroubled.run().await;
        site.run_and_kill(|| windows(&double, "bravo") == 1_000 && site.caught_up())
            .await;
        assert_eq!(windows(&double, "acme"), 0, "{trouble:?}");
        let (green, told) = remark(&site);
        assert!(green && told.contains("tenant acme since"), "{trouble:?}: {told}");
        assert!(site.health.is_ready(), "the others are fine: {trouble:?}");
        assert!(told_to(&site, "acme").contains("tenant acme since"), "{trouble:?}");
        assert_eq!(told_to(&site, "bravo"), "", "{trouble:?}");
        // Killed while the bucket is still in trouble, and again while the log drains.
        site.run_and_kill(|| double.requests("dermatel-acme") > 3).await;
        double.trouble("dermatel-acme", None);
        site.run_and_kill(|| windows(&double, "acme") > 300).await;
        site.run_until(|| is_over(&site)).await;
        for tenant in ["acme", "bravo"] {
            assert_eq!(
                straight.lines(&bucket(tenant)),
                double.lines(&bucket(tenant)),
                "{trouble:?}, {tenant}"
            );
        }
        assert_eq!(remark(&site), (true, String::new()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_nobodys_points_parks_nobody() {
    let double = InfluxDouble::start().await.unwrap();
    let site = site(double.url(), PARKING);
    let mut both = pens(&["acme", "bravo"]);
    site.append(&frames(&mut both, 0, 20));
    site.run().await;
    for tenant in ["acme", "bravo"] {
        double.trouble(&bucket(tenant), Some(Trouble::Unavailable(u32::MAX)));
    }
    site.append(&frames(&mut both, 20, 1_000));
    let tries = || ["acme", "bravo"].map(|tenant| double.requests(&bucket(tenant)));
    let before = tries();
    // Far longer than it takes to park one.
    let enough = || tries().iter().zip(before).all(|(now, before)| *now > before + 200);
    site.run_and_kill(|| enough() || !parked(&site).is_empty()).await;
    assert_eq!(parked(&site), BTreeSet::new());
    for tenant in ["acme", "bravo"] {
        double.trouble(&bucket(tenant), None);
    }
    site.run_until(|| is_over(&site)).await;
    assert_eq!(["acme", "bravo"].map(|tenant| windows(&double, tenant)), [1_020; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_cap_of_its_log_all_wait_and_it_is_said_and_nothing_is_lost() {
    let double = InfluxDouble::start().await.unwrap();
    double.trouble("dermatel-acme", Some(Trouble::NotFound));
    let cap_bytes = 64 * 1024;
    let site = site(double.url(), Parking { cap_bytes, ..PARKING });
    let mut both = pens(&["acme", "bravo"]);
    site.append(&frames(&mut both, 0, 1_000));
    site.run_and_kill(|| !remark(&site).0 && remark(&site).1.contains("parked.cap"))
        .await;
    assert!(!site.caught_up(), "the cursor passed what is nowhere");
    assert!(
        windows(&double, "bravo") < 1_000,
        "the log of acme was larger than its cap"
    );
    assert!(!site.health.is_ready());
    double.trouble("dermatel-acme", None);
    site.run_until(|| is_over(&site)).await;
    assert_eq!(["acme", "bravo"].map(|tenant| windows(&double, tenant)), [1_000; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_too_many_tenants_in_trouble_all_wait_and_it_is_said_and_nothing_is_lost() {
    let double = InfluxDouble::start().await.unwrap();
    for tenant in ["acme", "bravo"] {
        double.trouble(&bucket(tenant), Some(Trouble::NotFound));
    }
    let site = site(double.url(), Parking { lanes: 1, ..PARKING });
    site.append(&frames(&mut pens(&TENANTS), 0, 500));
    site.run_and_kill(|| remark(&site).1.contains("parked.lanes") && parked(&site).len() == 1)
        .await;
    assert!(!site.caught_up());
    for tenant in ["acme", "bravo"] {
        double.trouble(&bucket(tenant), None);
    }
    site.run_until(|| is_over(&site)).await;
    assert_eq!(TENANTS.map(|tenant| windows(&double, tenant)), [500; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_never_stops_sending_goes_live_again_all_the_same() {
    let double = InfluxDouble::start().await.unwrap();
    double.trouble("dermatel-acme", Some(Trouble::NotFound));
    let site = site(double.url(), PARKING);
    let mut both = pens(&["acme", "bravo"]);
    site.append(&frames(&mut both, 0, 300));
    site.run_refused_until(|| site.caught_up() && windows(&double, "bravo") == 300)
        .await;
    double.trouble("dermatel-acme", None);
    // Some of each with every look: there never is a moment without.
    let sending = std::cell::RefCell::new((both, 300));
    let send = || {
        let (both, made) = &mut *sending.borrow_mut();
        site.append(&frames(both, *made, 5));
        *made += 5;
    };
    let is_live = || {
        send();
        parked(&site).is_empty()
    };
    site.run_until(is_live).await;
    site.run_until(|| is_over(&site)).await;
    let made = sending.borrow().1 as usize;
    assert_eq!(["acme", "bravo"].map(|tenant| windows(&double, tenant)), [made; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_parked_goes_to_the_embedded_store_after_a_change_to_it() {
    let double = InfluxDouble::start().await.unwrap();
    double.trouble("dermatel-acme", Some(Trouble::NotFound));
    let mut site = site(double.url(), PARKING);
    site.append(&frames(&mut pens(&["acme", "bravo"]), 0, 300));
    site.run_refused_until(|| site.caught_up() && windows(&double, "bravo") == 300)
        .await;
    assert_eq!(parked(&site), BTreeSet::from(["acme".to_owned()]));
    site.config.influx = None;
    site.run_until(|| is_over(&site)).await;
    assert_eq!(site.store().counts().unwrap()[0].windows, 300);
}

/// Counts what counters count; every other metric goes nowhere.
#[derive(Default)]
struct Counts(std::sync::Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        let counts = self.0.lock().unwrap();
        counts
            .get(name)
            .map_or(0, |count| count.load(std::sync::atomic::Ordering::Relaxed))
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counts = self.0.lock().unwrap();
        Counter::from_arc(Arc::clone(counts.entry(key.name().to_owned()).or_default()))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// What happens to one of the tenants, or to the process.
#[derive(Debug, Clone)]
enum Event {
    /// So many more frames of each.
    Frames(u64),
    /// The bucket of a tenant refuses so, or no longer.
    Bucket(usize, Option<Trouble>),
    /// The process runs until the store was asked so many times more, or nothing more happens, and is killed.
    RunAndKill(u64),
    /// It runs as long and ends in good order.
    Run(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let trouble = prop_oneof![
        Just(Trouble::NotFound),
        Just(Trouble::Unauthorized),
        Just(Trouble::Unavailable(u32::MAX)),
        Just(Trouble::Unavailable(20)),
        Just(Trouble::TooLarge(3)),
    ];
    prop_oneof![
        3 => (1u64..120).prop_map(Event::Frames),
        3 => (0..TENANTS.len(), trouble).prop_map(|(tenant, trouble)| Event::Bucket(tenant, Some(trouble))),
        2 => (0..TENANTS.len()).prop_map(|tenant| Event::Bucket(tenant, None)),
        4 => (1u64..150).prop_map(Event::RunAndKill),
        1 => (1u64..150).prop_map(Event::Run),
    ]
}

async fn happen(events: &[Event], site: &Site, double: &InfluxDouble, pens: &mut [Device]) -> u64 {
    let mut made = 0;
    for event in events {
        let asked = || {
            TENANTS
                .map(|tenant| double.requests(&bucket(tenant)))
                .iter()
                .sum::<u64>()
        };
        let before = asked();
        match event {
            Event::Frames(count) => {
                site.append(&frames(pens, made, *count));
                made += count;
            }
            Event::Bucket(tenant, trouble) => double.trouble(&bucket(TENANTS[*tenant]), trouble.clone()),
            Event::RunAndKill(requests) => {
                site.run_and_kill(|| asked() >= before + requests || is_over(site))
                    .await;
            }
            Event::Run(requests) => {
                site.run_refused_until(|| asked() >= before + requests || is_over(site))
                    .await;
            }
        }
    }
    for tenant in TENANTS {
        double.trouble(&bucket(tenant), None);
    }
    site.append(
        &pens
            .iter_mut()
            .map(|pen| pen.end(Some(made * 20), None))
            .collect::<Vec<_>>(),
    );
    site.run_until(|| is_over(site)).await;
    made
}

/// The points of one tenant if there is no trouble.
async fn untroubled(made: u64) -> BTreeMap<&'static str, Vec<String>> {
    let double = InfluxDouble::start().await.unwrap();
    let site = site(double.url(), PARKING);
    let mut pens = pens(&TENANTS);
    site.append(&frames(&mut pens, 0, made));
    site.append(
        &pens
            .iter_mut()
            .map(|pen| pen.end(Some(made * 20), None))
            .collect::<Vec<_>>(),
    );
    site.run().await;
    TENANTS.map(|tenant| (tenant, double.lines(&bucket(tenant)))).into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_tenants_and_kills_do_every_point_is_stored_as_if_there_had_been_no_trouble(
        events in prop::collection::vec(event(), 1..24),
        cap_kib in prop_oneof![Just(64u64), Just(4_096)],
        lanes in 1usize..4,
    ) {
        let parking = Parking { cap_bytes: cap_kib * 1024, lanes, after: Duration::from_millis(60), ..PARKING };
        runtime().block_on(async {
            let double = InfluxDouble::start().await.unwrap();
            let site = site(double.url(), parking);
            let made = happen(&events, &site, &double, &mut pens(&TENANTS)).await;
            for (tenant, lines) in untroubled(made).await {
                assert_eq!(double.lines(&bucket(tenant)), lines, "{tenant}");
            }
            assert_eq!(site.ledger().quarantined_count().unwrap(), 0);
        });
    }

    #[test]
    fn what_a_log_sheds_at_its_cap_is_counted_and_named_and_everything_else_is_stored(
        events in prop::collection::vec(event(), 1..24),
    ) {
        let parking = Parking {
            cap_bytes: 16 * 1024,
            at_cap: AtCap::Shed,
            lanes: 3,
            after: Duration::from_millis(60),
            ..PARKING
        };
        let counts = Counts::default();
        let _here = metrics::set_default_local_recorder(&counts);
        runtime().block_on(async {
            let double = InfluxDouble::start().await.unwrap();
            let site = site(double.url(), parking);
            let made = happen(&events, &site, &double, &mut pens(&TENANTS)).await;
            let mut missing = 0;
            // What a kill left unsaid, and was shed after it, is stored and counts as missing all the same.
            for (tenant, lines) in untroubled(made).await {
                let of = |lines: Vec<String>| -> BTreeSet<String> {
                    lines.into_iter().filter(|line| !line.starts_with("session_summary")).collect()
                };
                assert!(of(double.lines(&bucket(tenant))).is_subset(&of(lines)), "{tenant}");
                let told = double.lines(&bucket(tenant));
                let told = told.iter().find(|line| line.starts_with("session_summary")).unwrap();
                assert!(told.contains(&format!(",strokes_total={}i,", made * 20)), "{told}");
                let (_, stored) = told.split_once(",strokes_stored=").unwrap();
                let stored: u64 = stored.split_once('i').unwrap().0.parse().unwrap();
                assert!(stored / 20 <= windows(&double, tenant) as u64, "{told}");
                missing += made - stored / 20;
            }
            let shed = counts.of(ingestor::metrics::PARKED_SHED);
            assert!(shed >= missing, "{missing} frames are missing, {shed} are counted");
        });
    }
}

#[test]
fn a_log_at_its_cap_that_sheds_holds_nobody_up_and_loses_the_oldest_of_its_tenant_only() {
    let parking = Parking {
        cap_bytes: 16 * 1024,
        at_cap: AtCap::Shed,
        ..PARKING
    };
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    runtime().block_on(async {
        let double = InfluxDouble::start().await.unwrap();
        double.trouble("dermatel-acme", Some(Trouble::NotFound));
        let site = site(double.url(), parking);
        site.append(&frames(&mut pens(&["acme", "bravo"]), 0, 1_000));
        site.run_refused_until(|| site.caught_up() && windows(&double, "bravo") == 1_000)
            .await;
        double.trouble("dermatel-acme", None);
        site.run_until(|| is_over(&site)).await;
        let stored = windows(&double, "acme") as u64;
        assert!((1..500).contains(&stored), "{stored}");
        let newest = format!("first_ordinal={}i", 999 * 20);
        assert!(double.lines("dermatel-acme").iter().any(|line| line.contains(&newest)));
        assert_eq!(counts.of(ingestor::metrics::PARKED_SHED), 1_000 - stored);
    });
}

#[test]
fn a_log_that_is_left_half_removed_is_gone_with_the_next_start() {
    let site = Site::new();
    let left: PathBuf = site.config.dir.join(ingestor::PARKED_FOLDER).join("acme.gone");
    std::fs::create_dir_all(&left).unwrap();
    runtime().block_on(async {
        site.run_until(|| !left.exists()).await;
        wait_until(|| is_over(&site)).await;
    });
}
