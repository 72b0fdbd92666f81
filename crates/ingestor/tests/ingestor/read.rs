//! What pages ask: the same hand-computed answers from the embedded store and from a real InfluxDB, each of one tenant, each in a
//! bounded time.

use std::time::Duration;

use ingestor::read::{HygieneAsk, MAX_SESSIONS, Reader, Scope, Session, Span};
use ingestor::store::{InfluxStore, Reason, Store};
use ingestor::testing::Influx1;
use telemetry::{Admitted, DeviceKey, Origin, proto};

use crate::influx::config;
use crate::support::{ANCHOR_US, Device, Site};

const MINUTE_US: i64 = 60_000_000;
const START_US: i64 = ANCHOR_US + MINUTE_US;
const PATIENCE: Duration = Duration::from_secs(20);

fn birth(cartridge: &str) -> proto::frame::Body {
    proto::frame::Body::Birth(proto::Birth {
        firmware: Some("2.1.0".to_owned()),
        serial: Some("SN.1".to_owned()),
        depth_offset_um: Some(-12),
        depth_sigma_um: Some(8),
        calibrated_day: Some(20_000),
        cartridge_serial: Some(cartridge.to_owned()),
        ..Default::default()
    })
}

fn wipe(items: &[&str], at_us: i64) -> proto::frame::Body {
    proto::frame::Body::Disinfection(proto::Disinfection {
        items: items.iter().map(ToString::to_string).collect(),
        level: Some(2),
        contact_time_s: Some(60),
        performed_at_us: Some(at_us),
    })
}

/// A treatment of seven strokes out of 401, one of three pulses, and the hygiene around them.
fn frames() -> Vec<Admitted> {
    let mut pen = Device::new("acme", "pen-1", 1);
    let mut frames = vec![pen.frame(59_000_000, birth("C-0"))];
    frames.push(pen.frame(
        60_000_000,
        proto::frame::Body::SessionStart(proto::SessionStart {
            cartridge_serial: Some("C-1".to_owned()),
            cartridge_lot: Some("L-77".to_owned()),
            pack_expiry_day: Some(20_800),
            ..Default::default()
        }),
    ));
    frames.push(pen.strokes(0, &[480, 520, 610, 0], &[3]));
    frames.push(pen.strokes(100, &[700, 100], &[]));
    frames.push(pen.strokes(400, &[1_300], &[]));
    frames.push(pen.frame(
        70_000_000,
        proto::frame::Body::Heartbeat(proto::Heartbeat {
            in_session: Some(true),
            battery_percent: Some(81),
            ..Default::default()
        }),
    ));
    frames.push(pen.end(Some(401), None));
    let mut by_hand = pen.frame(10_000_000, wipe(&[], ANCHOR_US + 9_000_000));
    by_hand.origin = Origin::Recorded;
    by_hand.recorded_by = "Zoë \"Z\" O'Brien, 2".parse().ok();
    frames.push(by_hand);
    let mut unit = Device::new("acme", "ipl-1", 2);
    frames.push(unit.pulses(0, 3));
    frames.push(unit.end(None, Some(3)));
    let mut station = Device::new("acme", "station-1", 3);
    frames.push(station.frame(200_000_000, wipe(&["SN.1", "SNX1"], ANCHOR_US + 199_000_000)));
    frames.push(station.frame(201_000_000, wipe(&["xpen-1", "SNX1"], ANCHOR_US + 200_000_000)));
    let mut autoclave = Device::new("acme", "autoclave-1", 4);
    frames.push(autoclave.frame(
        210_000_000,
        proto::frame::Body::SterilizationCycle(proto::SterilizationCycle {
            cycle_id: Some("c-9".to_owned()),
            items: vec!["ipl-1".to_owned(), "tip-3".to_owned()],
            outcome: Some(2),
            hold_temperature_mdegc: Some(134_000),
            hold_time_s: Some(180),
            ..Default::default()
        }),
    ));
    // Another tenant's, with the same names and the same session.
    let mut theirs = Device::new("other", "pen-1", 1);
    frames.push(theirs.frame(59_000_000, birth("T-0")));
    frames.push(theirs.range(0, 50));
    frames.push(theirs.end(Some(50), None));
    frames
}

fn key(device: &str) -> DeviceKey {
    DeviceKey {
        tenant: "acme".parse().unwrap(),
        device: device.parse().unwrap(),
    }
}

fn scope(device: Option<&str>) -> Scope {
    Scope {
        tenant: "acme".parse().unwrap(),
        clinic: None,
        device: device.map(|device| device.parse().unwrap()),
    }
}

fn now_us() -> i64 {
    ANCHOR_US + 60 * MINUTE_US
}

async fn is_as_computed_by_hand(reader: &Reader) {
    sessions(reader).await;
    traces(reader).await;
    states(reader).await;
    hygiene(reader).await;
}

async fn sessions(reader: &Reader) {
    let day = (ANCHOR_US, now_us());
    let all = reader.sessions(&scope(None), day, MAX_SESSIONS).await.unwrap();
    // Newest first; the test's station and sterilizer name a session too.
    let names: Vec<&str> = all.iter().map(|session| session.device.as_str()).collect();
    assert_eq!(names, ["autoclave-1", "station-1", "ipl-1", "pen-1"]);
    let all = &all[2..];
    let of_pen = reader.sessions(&scope(Some("pen-1")), day, 1).await.unwrap();
    assert_eq!(of_pen, all[1..]);
    let before = reader
        .sessions(&scope(None), (0, START_US), MAX_SESSIONS)
        .await
        .unwrap();
    assert_eq!(before, []);
    let mut elsewhere = scope(None);
    elsewhere.clinic = Some("south".parse().unwrap());
    assert_eq!(reader.sessions(&elsewhere, day, MAX_SESSIONS).await.unwrap(), []);

    let id = Device::new("acme", "pen-1", 1).session_id();
    let one = reader.session(&key("pen-1"), id, now_us()).await.unwrap().unwrap();
    assert_eq!(one, of_pen[0]);
    let Session { strokes, text, .. } = &one;
    assert_eq!((one.start_us, one.start_known, one.closed), (START_US, true, true));
    // The last stroke, at 4 s, lasts 2 ms.
    assert_eq!(one.until_us, Some(START_US + 4_002_000));
    assert_eq!((strokes.stored, strokes.total, strokes.missing), (7, Some(401), 394));
    assert_eq!(
        (one.complete, one.strokes_unread, strokes.last_ordinal),
        (Some(false), 1, Some(400))
    );
    assert_eq!(
        (one.zones.join("+"), one.model.as_str()),
        ("cheek".to_owned(), "model-1")
    );
    assert!(text.contains("7 of 401 strokes"), "{text}");
    assert_eq!(all[0].complete, Some(true));
    assert_eq!((all[0].pulses.stored, all[0].pulses.total), (3, Some(3)));
    let unknown = reader.session(&key("pen-2"), id, now_us()).await.unwrap();
    assert_eq!(unknown, None, "a session of another device");
}

async fn traces(reader: &Reader) {
    let span = Span {
        from_us: START_US,
        to_us: START_US + 5_000_000,
    };
    let id = Device::new("acme", "pen-1", 1).session_id();
    let trace = reader.trace(&key("pen-1"), Some(id), span).await.unwrap();
    assert_eq!((trace.step_us, trace.cut, trace.pulses.len()), (1_000_000, false, 0));
    let rows: Vec<_> = trace
        .strokes
        .iter()
        .map(|p| {
            let depth = [p.least_um, p.mean_um, p.greatest_um].map(Option::unwrap);
            (p.at_us - START_US, p.strokes, p.unread, depth, p.over_limit)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (0, 4, 1, [480, 537, 610], 1),
            (1_000_000, 2, 0, [100, 400, 700], 1),
            (4_000_000, 1, 0, [1_300, 1_300, 1_300], 1),
        ]
    );
    let first = &trace.strokes[0];
    assert_eq!((first.set_least_um, first.set_greatest_um), (Some(500), Some(500)));
    assert_eq!((first.limit_um, first.zone.as_deref()), (Some(600), Some("cheek")));
    let other = Device::new("acme", "pen-1", 9).session_id();
    let empty = reader.trace(&key("pen-1"), Some(other), span).await.unwrap();
    assert!(empty.strokes.is_empty());

    let span = Span {
        from_us: ANCHOR_US,
        to_us: now_us(),
    };
    let trace = reader.trace(&key("ipl-1"), None, span).await.unwrap();
    // An hour in at most 600 steps: 3,600,000 ms / 599, rounded up.
    assert_eq!((trace.step_us, trace.strokes.len()), (6_011_000, 0));
    let at: Vec<i64> = trace.pulses.iter().map(|p| p.at_us - ANCHOR_US).collect();
    assert_eq!(at, [120_000_000, 121_000_000, 122_000_000]);
    let pulse = &trace.pulses[2];
    assert_eq!((pulse.energy_set_mj, pulse.energy_measured_mj), (Some(10_000), Some(0)));
    assert_eq!(
        (pulse.fluence_set, pulse.fluence_measured, pulse.fired),
        (Some(12_000), None, Some(true))
    );
    assert_eq!(
        (pulse.skin_type.as_deref(), pulse.zone.as_deref()),
        (Some("III"), Some("thigh"))
    );
}

async fn states(reader: &Reader) {
    let facts = reader.device(&key("pen-1"), now_us()).await.unwrap();
    let birth = facts.birth.unwrap();
    assert_eq!(
        (birth.firmware.as_deref(), birth.cartridge.as_deref()),
        (Some("2.1.0"), Some("C-0"))
    );
    assert_eq!(
        (birth.calibration_offset_um, birth.calibration_sigma_um),
        (Some(-12), Some(8))
    );
    let beat = facts.heartbeat.unwrap();
    assert_eq!(
        (beat.at_us, beat.battery_percent, beat.in_session),
        (ANCHOR_US + 70_000_000, Some(81), Some(true))
    );
    let id = Device::new("acme", "pen-1", 1).session_id();
    let began = reader.cartridge(&key("pen-1"), id, now_us()).await.unwrap();
    assert_eq!(began, facts.cartridge);
    let began = began.unwrap();
    assert_eq!(
        (began.cartridge.as_deref(), began.lot.as_deref()),
        (Some("C-1"), Some("L-77"))
    );
    assert_eq!((began.pack_expiry_day, facts.lamp_shots), (Some(20_800), None));
    let silent = reader.device(&key("pen-2"), now_us()).await.unwrap();
    assert_eq!(silent, ingestor::read::DeviceFacts::default());
}

async fn hygiene(reader: &Reader) {
    let mut ask = HygieneAsk {
        scope: scope(None),
        span: Span {
            from_us: ANCHOR_US,
            to_us: now_us(),
        },
        about: Some(("pen-1".parse().unwrap(), vec!["SN.1".parse().unwrap()])),
        what: Some("disinfection"),
        newest_first: true,
        limit: 10,
    };
    // By its serial and by itself; neither a name that only ends alike nor a dot that is any character.
    let about: Vec<_> = reader.hygiene(&ask).await.unwrap();
    let told: Vec<_> = about
        .iter()
        .map(|e| (e.at_us - ANCHOR_US, e.device.as_str(), e.recorded))
        .collect();
    assert_eq!(told, [(199_000_000, "station-1", false), (9_000_000, "pen-1", true)]);
    // As it was said, but for what a line of the store cannot hold.
    let who: Vec<_> = about.iter().map(|e| e.recorded_by.as_deref()).collect();
    assert_eq!(who, [None, Some("Zoë ?Z? O'Brien, 2")]);
    assert_eq!(
        (about[1].level.as_deref(), about[1].contact_time_s),
        (Some("intermediate"), Some(60))
    );
    (ask.about, ask.what, ask.newest_first) = (None, Some("cycle"), false);
    let cycles = reader.hygiene(&ask).await.unwrap();
    assert_eq!(cycles.len(), 1);
    assert_eq!(
        (cycles[0].outcome.as_deref(), cycles[0].cycle.as_deref()),
        (Some("fail"), Some("c-9"))
    );
    assert_eq!(cycles[0].sterilizer.as_deref(), Some("autoclave-1"));
    assert_eq!(cycles[0].items, ["ipl-1", "tip-3"]);
    (ask.what, ask.limit) = (None, 2);
    assert_eq!(reader.hygiene(&ask).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_answers_pages_as_computed_by_hand() {
    let site = Site::new();
    site.append(&frames());
    site.run().await;
    let reader = Reader::new(&Store::Sqlite(site.store()), PATIENCE);
    is_as_computed_by_hand(&reader).await;
    // Who gives up at once neither keeps a turn nor leaves a query behind.
    let hasty = reader.clone().waiting(Duration::ZERO);
    for _ in 0..20 {
        let answer = hasty.sessions(&scope(None), (0, now_us()), 10).await;
        // Now and then the answer is quicker.
        assert!(answer.is_ok() || answer.unwrap_err().reason == Reason::Timeout);
    }
    is_as_computed_by_hand(&reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_influxdb_answers_pages_as_computed_by_hand() {
    let influx = Influx1::start().await.unwrap();
    let mut site = Site::new();
    site.config.rollups.on = false;
    site.config.influx = Some(config(influx.url(), "clinics", "secret"));
    for tenant in ["acme", "other"] {
        influx.create_bucket(&format!("dermatel-{tenant}")).await.unwrap();
    }
    site.append(&frames());
    site.run().await;
    let store = InfluxStore::new(&config(influx.url(), "clinics", "secret")).unwrap();
    let reader = Reader::new(&Store::Influx(Box::new(store)), PATIENCE);
    is_as_computed_by_hand(&reader).await;
}

#[tokio::test]
async fn a_store_that_says_nothing_costs_a_page_its_patience_and_no_more() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let store = InfluxStore::new(&config(&url, "clinics", "secret")).unwrap();
    let reader = Reader::new(&Store::Influx(Box::new(store)), Duration::from_millis(100));
    let refused = reader.device(&key("pen-1"), now_us()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Timeout, "{refused}");
    drop(mute);
    let gone = reader.sessions(&scope(None), (0, now_us()), 10).await.unwrap_err();
    assert_eq!(gone.reason, Reason::Connect, "{gone}");
}
