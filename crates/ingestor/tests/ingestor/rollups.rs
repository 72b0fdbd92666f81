//! Roll-ups: what they say, and that nothing on the way changes it.

use std::time::Duration;

use ingestor::rollup::{Period, Rollups, Span, Subject, Touched};
use ingestor::testing::{Influx1, VictoriaMetrics};
use proptest::prelude::*;
use rusqlite::{Connection, OpenFlags};
use telemetry::Admitted;

use crate::influx::config;
use crate::scratch::{Row, from_scratch};
use crate::support::{Device, Site};

const TABLES: [&str; 4] = ["stroke_1m", "stroke_1h", "pulse_1m", "pulse_1h"];

fn site() -> Site {
    let mut site = Site::new();
    site.config.rollups.after = Duration::ZERO;
    site.config.flow.rollup_every = Duration::from_millis(5);
    site
}

/// Nothing has news in the ledger, and the cursor stands behind everything.
fn settled(site: &Site) -> bool {
    let file = site.config.dir.join(ingestor::LEDGER_FILE);
    let count = || -> rusqlite::Result<i64> {
        let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.query_row("SELECT count(*) FROM touched", [], |row| row.get(0))
    };
    // In this order: what the cursor has passed stands in the ledger before.
    site.caught_up() && count().is_ok_and(|n| n == 0)
}

fn text(value: rusqlite::types::ValueRef<'_>) -> Option<String> {
    use rusqlite::types::ValueRef as V;
    match value {
        V::Null => None,
        V::Integer(n) => Some(n.to_string()),
        V::Real(n) => Some(n.to_string()),
        V::Text(t) => Some(String::from_utf8_lossy(t).into_owned()).filter(|t| !t.is_empty()),
        V::Blob(_) => panic!("no blob is stored"),
    }
}

fn rows(site: &Site, table: &str) -> Vec<Row> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = Connection::open_with_flags(site.config.dir.join(ingestor::STORE_FILE), flags).unwrap();
    let mut all = db
        .prepare(&format!(
            "SELECT * FROM {table} ORDER BY time_ns, tenant, device, clinic, zone"
        ))
        .unwrap();
    let names: Vec<String> = all.column_names().map(str::to_owned).collect();
    all.query_map([], |row| {
        Ok(names
            .iter()
            .enumerate()
            .filter_map(|(at, name)| Some((name.clone(), text(row.get_ref(at).unwrap())?)))
            .collect())
    })
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Treatments of two tenants around the end of an hour, with pauses, two pens and an IPL unit.
fn frames() -> Vec<Admitted> {
    let mut frames = Vec::new();
    for (tenant, device, session) in [("acme", "pen-1", 1), ("acme", "pen-2", 59), ("bravo", "pen-1", 60)] {
        let mut pen = Device::new(tenant, device, session);
        for first in (0..9_000).step_by(900) {
            frames.push(pen.strokes(first, &[480, 520, 610, 0, 3_100].repeat(10), &[3, 7]));
        }
    }
    let mut unit = Device::new("acme", "ipl-1", 59);
    frames.push(unit.pulses(0, 40));
    frames.push(unit.pulses(55, 10));
    frames
}

#[test]
fn a_minute_and_its_hour_are_these_numbers() {
    let site = site();
    let mut pen = Device::new("acme", "pen-1", 1);
    // 12:01:00 and 12:01:01 (setpoint 500, limit 600), and 12:02:00.
    let frames = [
        pen.strokes(0, &[480, 520, 610, 0], &[3]),
        pen.strokes(100, &[700, 100], &[]),
        pen.strokes(6_000, &[1_300], &[]),
    ];
    site.append(&frames);
    runtime().block_on(site.run_until(|| settled(&site)));
    let numbers = |row: &Row| -> Vec<String> {
        [
            "windows",
            "count",
            "unread",
            "depth_min_um",
            "depth_max_um",
            "depth_sum_um",
            "depth_sum_squares_um2",
            "over_limit",
        ]
        .iter()
        .chain(&[
            "band1_01",
            "band1_04",
            "band1_05",
            "band1_06",
            "band1_10",
            "setpoint_max_um",
            "limit_min_um",
            "duration_us",
        ])
        .map(|name| row.get(*name).cloned().unwrap_or_default())
        .collect()
    };
    let minutes = rows(&site, "stroke_1m");
    assert_eq!(minutes.len(), 2);
    assert_eq!(minutes[0]["time_ns"], "1795348860000000000");
    assert_eq!(minutes[0]["zone"], "cheek");
    // 480 + 520 + 610 + 700 + 100; 480² + 520² + 610² + 700² + 100²; 610 and 700 lie above 600.
    assert_eq!(
        numbers(&minutes[0]).join(" "),
        "2 6 1 100 700 2410 1372900 2 1 1 2 1 0 500 600 12000"
    );
    assert_eq!(minutes[0]["depth_mean_um"], "482");
    assert_eq!(
        numbers(&minutes[1]).join(" "),
        "1 1 0 1300 1300 1300 1690000 1 0 0 0 0 1 500 600 2000"
    );
    let hours = rows(&site, "stroke_1h");
    assert_eq!(hours.len(), 1);
    assert_eq!(hours[0]["time_ns"], "1795348800000000000");
    assert_eq!(
        numbers(&hours[0]).join(" "),
        "3 7 1 100 1300 3710 3062900 3 1 1 2 1 1 500 600 14000"
    );
    assert_eq!(hours[0]["depth_mean_um"], (3_710.0 / 6.0).to_string());
}

#[test]
fn roll_ups_are_what_a_computation_from_scratch_gives() {
    let site = site();
    site.append(&frames());
    runtime().block_on(site.run_until(|| settled(&site)));
    for table in TABLES {
        let rows = rows(&site, table);
        assert!(!rows.is_empty(), "{table}");
        assert_eq!(rows, from_scratch(&frames(), table), "{table}");
    }
}

#[test]
fn a_reading_that_comes_late_makes_its_minute_and_hour_anew() {
    let site = site();
    let mut frames = frames();
    let late = frames.remove(3);
    site.append(&frames);
    let rt = runtime();
    rt.block_on(site.run_until(|| settled(&site)));
    let before = rows(&site, "stroke_1m");
    assert_eq!(before, from_scratch(&frames, "stroke_1m"));
    frames.push(late.clone());
    site.append(&[late]);
    rt.block_on(site.run_until(|| settled(&site)));
    assert_ne!(before, rows(&site, "stroke_1m"));
    for table in TABLES {
        assert_eq!(rows(&site, table), from_scratch(&frames, table), "{table}");
    }
}

#[test]
fn a_minute_that_reaches_beyond_what_is_kept_is_left_as_it_was() {
    let mut site = site();
    let mut pen = Device::new("acme", "pen-1", 1);
    site.append(&[pen.range(0, 100), pen.range(3_000, 3_100)]);
    let rt = runtime();
    rt.block_on(site.run_until(|| settled(&site)));
    let whole = rows(&site, "stroke_1m");
    assert_eq!(whole[0]["count"], "200");
    // The clock stands at 13:00; the first half of the minute from 12:01:00 has expired, and a reading of the second comes.
    site.config.retention = Some(Duration::from_secs(3_600 - 65));
    site.config.rollups.points_kept = site.config.retention;
    site.append(&[pen.range(3_100, 3_200)]);
    rt.block_on(site.run_until(|| settled(&site)));
    assert_eq!(rows(&site, "stroke_1m"), whole);
}

#[test]
fn a_reading_that_comes_again_from_elsewhere_is_counted_there_only() {
    let site = site();
    let mut pen = Device::new("acme", "pen-1", 1);
    let (moves, stays) = (pen.range(0, 100), pen.range(500, 600));
    site.append(std::slice::from_ref(&moves));
    let rt = runtime();
    rt.block_on(site.run_until(|| settled(&site)));
    let clinics = |table| -> Vec<(String, String)> {
        let all = rows(&site, table);
        all.iter()
            .map(|row| (row["clinic"].clone(), row["count"].clone()))
            .collect()
    };
    let pair = |clinic: &str, count: &str| (clinic.to_owned(), count.to_owned());
    assert_eq!(clinics("stroke_1m"), [pair("north", "100")]);
    let mut moved = moves;
    moved.clinic = "south".parse().unwrap();
    site.append(&[moved]);
    rt.block_on(site.run_until(|| settled(&site)));
    for table in ["stroke_1m", "stroke_1h"] {
        assert_eq!(clinics(table), [pair("south", "100")], "{table}");
    }
    site.append(&[stays]);
    rt.block_on(site.run_until(|| settled(&site)));
    for table in ["stroke_1m", "stroke_1h"] {
        assert_eq!(clinics(table), [pair("north", "100"), pair("south", "100")], "{table}");
    }
}

#[test]
fn roll_ups_are_kept_for_a_time_of_their_own() {
    let mut site = site();
    site.append(&frames());
    let rt = runtime();
    rt.block_on(site.run_until(|| settled(&site)));
    let rolled: Vec<_> = TABLES.iter().map(|table| rows(&site, table)).collect();
    assert!(rolled.iter().all(|rows| !rows.is_empty()));
    site.config.retention = Some(Duration::from_secs(1));
    site.config.rollups.points_kept = site.config.retention;
    site.clock.advance(Duration::from_secs(7_200));
    rt.block_on(site.run_until(|| rows(&site, "stroke_window").is_empty()));
    assert_eq!(
        rolled,
        TABLES.iter().map(|table| rows(&site, table)).collect::<Vec<_>>()
    );
    site.config.rollups.kept = Some(Duration::from_secs(1));
    rt.block_on(site.run_until(|| TABLES.iter().all(|table| rows(&site, table).is_empty())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_influxdb_gives_the_same_roll_ups_as_a_computation_from_scratch() {
    let influx = Influx1::start().await.unwrap();
    let mut site = site();
    site.config.influx = Some(config(influx.url(), "clinics", "secret"));
    for tenant in ["acme", "bravo"] {
        influx.create_bucket(&format!("dermatel-{tenant}")).await.unwrap();
    }
    let mut all = frames();
    let late = all.remove(3);
    site.append(&all);
    site.run_until(|| settled(&site)).await;
    all.push(late.clone());
    site.append(&[late]);
    site.run_until(|| settled(&site)).await;
    assert!(site.health.is_ready());
    for table in TABLES {
        let mut expected = from_scratch(&all, table);
        let mut told = Vec::new();
        for tenant in ["acme", "bravo"] {
            let sql = format!("SELECT * FROM \"rollup\".\"{table}\"");
            told.extend(influx.rows(&format!("dermatel-{tenant}"), &sql).await.unwrap());
        }
        let sort = |rows: &mut Vec<Row>| rows.sort();
        sort(&mut expected);
        sort(&mut told);
        assert!(!told.is_empty());
        assert_eq!(told, expected, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_flow_into_a_store_that_cannot_be_asked_and_nothing_is_red() {
    let victoria = VictoriaMetrics::start().await.unwrap();
    let mut site = site();
    site.config.influx = Some(config(victoria.url(), "clinics", "secret"));
    site.append(&frames());
    site.run().await;
    assert_eq!(victoria.export("stroke_window_count").await.unwrap().len(), 3);
    assert!(site.health.is_ready(), "{:?}", site.health.report());
    // What was noted before that was known waits for a store that can be asked.
    assert!(!settled(&site));
}

#[test]
fn what_is_touched_is_bounded_and_what_is_beyond_is_counted() {
    let rollups = Rollups {
        on: true,
        after: Duration::from_secs(15),
        max_touched: 10,
        points_kept: None,
        kept: None,
    };
    let mut touched = Touched::new(rollups, Vec::new(), 0);
    let pen = Device::new("acme", "pen-1", 1);
    let key = telemetry::DeviceKey {
        tenant: pen.tenant_id(),
        device: "pen-1".parse().unwrap(),
    };
    for minute in 0..25_i64 {
        for _ in 0..2 {
            touched.point(&key, Subject::Strokes, minute * 60_000_000_000, 0);
        }
    }
    assert_eq!((touched.len(), touched.take_touches().excess), (10, 30));
    let fresh = touched.take_fresh();
    assert_eq!(fresh.len(), 10);
    // Not before the ledger has them, and not before they are quiet.
    let nobody = |_: &telemetry::TenantId| false;
    assert!(touched.due(i64::MAX, 100, true, &nobody).due.is_empty());
    touched.noted(&fresh);
    assert!(touched.due(14_999_999, 100, true, &nobody).due.is_empty());
    let due = touched.due(15_000_000, 3, true, &nobody).due;
    assert_eq!(due.iter().map(|group| group.start_s).collect::<Vec<_>>(), [0, 60, 120]);
    // Touched while under way: computed again. The hour waits for its minutes.
    touched.point(&key, Subject::Strokes, 0, 16_000_000);
    let periods: Vec<Period> = due.iter().flat_map(|group| group.periods()).collect();
    assert_eq!(
        periods.iter().map(|p| touched.leaves(p)).collect::<Vec<_>>(),
        [false, true, true]
    );
    periods.iter().for_each(|p| touched.finish(p));
    assert_eq!(touched.len(), 8);
    let hour = periods[0].above().unwrap();
    touched.kept(&hour, 16_000_000);
    let later = touched.due(i64::MAX, 100, true, &nobody).due;
    assert!(later.len() == 8 && later.iter().all(|group| group.span == Span::Minute));
    later.iter().flat_map(|g| g.periods()).for_each(|p| touched.finish(&p));
    let due = touched.due(16_000_000 + 300_000_000, 100, true, &nobody).due;
    assert!(due.len() == 1 && due[0].span == Span::Hour);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn any_order_duplication_split_and_kill_give_the_roll_ups_of_a_computation_from_scratch(
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
        split in 1usize..20,
        kills in prop::collection::vec(0usize..12, 0..4),
    ) {
        let rt = runtime();
        let mut site = site();
        let mut shuffled = frames();
        let doubled: Vec<_> = order.iter().take(8).map(|at| shuffled[at.index(shuffled.len())].clone()).collect();
        shuffled.extend(doubled);
        for (at, to) in order.iter().enumerate() {
            let (at, to) = (at % shuffled.len(), to.index(shuffled.len()));
            shuffled.swap(at, to);
        }
        site.config.flow.batch_points = 3;
        let mut left = shuffled.chunks(split);
        // A part comes, is rolled up or not, and the process is killed when so many minutes stand in the store.
        for minutes in kills {
            left.next().into_iter().for_each(|part| site.append(part));
            rt.block_on(site.run_and_kill(|| {
                let made = site.config.dir.join(ingestor::STORE_FILE).exists();
                made && (settled(&site) || rows(&site, "stroke_1m").len() >= minutes)
            }));
        }
        left.for_each(|part| site.append(part));
        rt.block_on(site.run_until(|| settled(&site)));
        for table in TABLES {
            prop_assert_eq!(rows(&site, table), from_scratch(&frames(), table), "{}", table);
        }
    }
}
