//! What the pages show of a fleet beside its alerts, from what was committed, as computed by hand.
use std::time::{Duration, SystemTime};

use alerting::Config;
use alerting::board::{Board, Disinfection, ItemStanding, Place, Presence, Standing, presence};
use service::clock::Clock;
use telemetry::{DeviceKey, UnixMicros, proto};

use crate::desk::{Running, file};
use crate::support::{Said, T0, strokes};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

fn said(device: &str, at_s: i64, session: Option<u8>, body: proto::frame::Body) -> Vec<u8> {
    let mut said = Said::new(device, at_s as u64, at_s * SECOND, body);
    (said.session, said.visit) = (session, session);
    said.record()
}

fn cycle(at_s: i64, id: &str, items: &[&str], outcome: proto::Outcome) -> Vec<u8> {
    let cycle = proto::SterilizationCycle {
        cycle_id: Some(id.to_owned()),
        items: items.iter().map(ToString::to_string).collect(),
        outcome: Some(outcome as i32),
        ..Default::default()
    };
    said("autoclave-1", at_s, None, proto::frame::Body::SterilizationCycle(cycle))
}

/// A good cycle, a treatment, a wipe, a cycle that did not pass, and a treatment all the same.
fn log() -> Vec<Vec<u8>> {
    let spores = proto::IndicatorResult {
        kind: Some(proto::IndicatorKind::Biological as i32),
        outcome: Some(proto::Outcome::Pass as i32),
        ..Default::default()
    };
    let wipe = proto::Disinfection {
        items: vec!["pen-1".to_owned()],
        level: Some(proto::DisinfectionLevel::Intermediate as i32),
        contact_time_s: Some(60),
        performed_at_us: None,
    };
    let treat = |device, at_s: i64, session| {
        let strokes = strokes(Some(6), Some(800), 0, at_s * SECOND, vec![800; 10]);
        said(device, at_s, Some(session), strokes)
    };
    let end = proto::frame::Body::SessionEnd(proto::SessionEnd::default());
    vec![
        said("autoclave-1", 1, None, proto::frame::Body::IndicatorResult(spores)),
        cycle(2, "c1", &["pen-1", "tip-9"], proto::Outcome::Pass),
        treat("pen-1", 10, 1),
        said("pen-1", 20, Some(1), end),
        said("station-1", 100, None, proto::frame::Body::Disinfection(wipe)),
        cycle(200, "c2", &["tip-9", "tip-5", "pen-2"], proto::Outcome::Fail),
        treat("pen-2", 300, 2),
    ]
}

fn of<'b>(board: &'b Board, name: &str) -> &'b ItemStanding {
    board.items.iter().find(|item| item.name == name).unwrap()
}

fn place(clinic: Option<&str>) -> Place {
    Place {
        tenant: "acme".parse().unwrap(),
        clinic: clinic.map(|clinic| clinic.parse().unwrap()),
    }
}

async fn settled(running: &Running) -> Board {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let board = running.handle.hygiene(place(None)).await.unwrap();
        if of(&board, "pen-2")
            .failed
            .as_ref()
            .is_some_and(|failed| failed.used_since == 1)
        {
            return board;
        }
        assert!(std::time::Instant::now() < end, "{board:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_says_what_is_done_due_and_overdue_and_what_a_failed_cycle_affects() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(SystemTime::from(UnixMicros(T0 + 400 * SECOND)));
    let running = Running::start_at(dir.path(), Config::new(file(dir.path())), clock.clone());
    running.append(&log());
    let board = settled(&running).await;

    let pen = of(&board, "pen-1");
    assert_eq!(
        (pen.sterilization, pen.sterilized_at_us),
        (Standing::Done, Some(T0 + 2 * SECOND))
    );
    assert_eq!(pen.sterilization_due_us, Some(T0 + 2 * SECOND + 168 * HOUR));
    assert_eq!(
        (pen.uses, pen.uses_allowed, pen.disinfection),
        (1, Some(3), Disinfection::Done)
    );
    assert_eq!(pen.wiped.as_ref().unwrap().at_us, T0 + 100 * SECOND);
    assert_eq!((pen.clinic.as_deref(), &pen.failed), (Some("north"), &None));

    let used = of(&board, "pen-2");
    assert_eq!(
        (used.sterilization, used.disinfection),
        (Standing::Overdue, Disinfection::InUse)
    );
    let failed = used.failed.as_ref().unwrap();
    assert_eq!(
        (failed.sterilizer.as_str(), failed.cycle.as_str()),
        ("autoclave-1", "c2")
    );
    assert_eq!(
        (failed.ended_at_us, failed.used_by.as_deref()),
        (T0 + 200 * SECOND, Some("pen-2"))
    );

    // An item that is no device: of its standing nothing is known but what happened to it.
    let tip = of(&board, "tip-9");
    assert_eq!((tip.sterilization, tip.clinic.as_deref()), (Standing::NotAsked, None));
    assert_eq!(tip.failed.as_ref().unwrap().used_since, 0);

    let standing = |board: &Board| {
        board
            .sterilizers
            .iter()
            .map(|s| (s.name.clone(), s.indicator))
            .collect::<Vec<_>>()
    };
    let expected = |first| {
        [
            ("autoclave-1".to_owned(), first),
            ("autoclave-2".to_owned(), Standing::Due),
        ]
    };
    assert_eq!(standing(&board), expected(Standing::Done));
    assert_eq!(board.sterilizers[0].indicator_due_us, Some(T0 + SECOND + 7 * 24 * HOUR));

    for (hours, then) in [(143, Standing::Done), (145, Standing::Due), (169, Standing::Overdue)] {
        let at = SystemTime::from(UnixMicros(T0 + hours * HOUR));
        clock.advance(at.duration_since(clock.now()).unwrap());
        let board = running.handle.hygiene(place(Some("north"))).await.unwrap();
        // A tip of which nothing but the failed cycle is known is on the board of the clinic where its sterilizer stands.
        assert!(of(&board, "tip-5").failed.is_some(), "after {hours} h");
        assert_eq!(of(&board, "pen-1").sterilization, then, "after {hours} h");
        assert_eq!(standing(&board), expected(then), "after {hours} h");
    }
    let south = running.handle.hygiene(place(Some("south"))).await.unwrap();
    let names: Vec<&str> = south.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["pen-4", "pen-5", "pen-6", "pen-7", "pen-8"]);
    // By the failed cycle on pen-2: opened by its use, and read back by device and time.
    let counted = running.handle.open_alerts(Some("acme".parse().unwrap())).await.unwrap();
    let of_pen_2: Vec<_> = counted.iter().filter(|open| open.device == "pen-2").collect();
    let key = DeviceKey {
        tenant: "acme".parse().unwrap(),
        device: "pen-2".parse().unwrap(),
    };
    let raised = running.handle.alerts_of(key.clone(), (T0, T0 + HOUR)).await.unwrap();
    assert!(
        raised.iter().any(|alert| alert.rule == "failed-cycle-used"),
        "{raised:?}"
    );
    assert_eq!(
        of_pen_2.iter().map(|open| open.alerts as usize).sum::<usize>(),
        raised.len()
    );
    assert_eq!(
        running.handle.alerts_of(key, (T0 + HOUR, T0 + 2 * HOUR)).await.unwrap(),
        []
    );
    assert_eq!(
        running
            .handle
            .open_alerts(Some("other".parse().unwrap()))
            .await
            .unwrap(),
        []
    );
    let alone = DeviceKey {
        tenant: "acme".parse().unwrap(),
        device: "pen-1".parse().unwrap(),
    };
    let board = running.handle.hygiene(place(None)).await.unwrap();
    assert_eq!(
        running.handle.hygiene_of(alone).await.unwrap().as_ref(),
        Some(of(&board, "pen-1"))
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_heard_is_told_by_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(SystemTime::from(UnixMicros(T0 + 400 * SECOND)));
    let running = Running::start_at(dir.path(), Config::new(file(dir.path())), clock);
    let mut theirs = Said::new(
        "pen-1",
        1,
        SECOND,
        strokes(Some(6), Some(800), 0, SECOND, vec![800; 10]),
    );
    theirs.tenant = "other".into();
    running.append(&[theirs.record()]);
    running.append(&log());
    settled(&running).await;
    let now = UnixMicros(T0 + 400 * SECOND);
    let tell = |seen: Vec<(DeviceKey, alerting::board::Seen)>| -> Vec<String> {
        let one = |(key, seen): &(DeviceKey, _)| format!("{key} {}", presence(Some(seen), false, now).as_str());
        seen.iter().map(one).collect()
    };
    let ours = tell(running.handle.seen(Some("acme".parse().unwrap())).await.unwrap());
    assert!(ours.contains(&"acme/pen-1 off_line".to_owned()), "{ours:?}");
    assert!(ours.contains(&"acme/pen-2 in_session".to_owned()), "{ours:?}");
    assert!(!ours.iter().any(|line| line.starts_with("other/")), "{ours:?}");
    assert_eq!(presence(None, false, now), Presence::NeverSeen);
    let all = tell(running.handle.seen(None).await.unwrap());
    assert_eq!(all.len(), ours.len() + 1);
    running.stop().await;
}
