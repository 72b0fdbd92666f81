//! A device can publish as itself only, and what is refused is kept with its reason.
use bytes::Bytes;
use gateway::{Submission, Verdict};
use telemetry::RejectReason;

use super::kit::{Frame, Ground, Logs, frame, registry_with, topic};

fn reason(verdict: &Verdict) -> RejectReason {
    match verdict {
        Verdict::Quarantined(rejected) => rejected.reason,
        other => panic!("not quarantined but {other:?}"),
    }
}

#[tokio::test]
async fn what_is_wrong_is_kept_with_its_reason_and_stored_nowhere_else() {
    let world = Ground::new().up();
    let other = Frame::new("pen-2", 0).bytes();
    let at = |text: &str, payload: &Bytes| Submission {
        recorded_by: None,
        topic: text.parse().unwrap(),
        payload: payload.clone(),
    };
    let cases = [
        (
            at("dermatel/v1/acme/soho/pen-1/telemetry", &other),
            RejectReason::IdentityMismatch,
        ),
        (
            at("dermatel/v1/acme/soho/pen-7/telemetry", &Frame::new("pen-7", 0).bytes()),
            RejectReason::UnknownDevice,
        ),
        (
            at("dermatel/v1/other/soho/pen-1/telemetry", &frame(0)),
            RejectReason::UnknownDevice,
        ),
        (
            at("dermatel/v1/acme/north/pen-1/telemetry", &frame(0)),
            RejectReason::WrongClinic,
        ),
        (
            at("dermatel/v1/acme/soho/pen-9/telemetry", &Frame::new("pen-9", 0).bytes()),
            RejectReason::Retired,
        ),
        (
            at("dermatel/v1/acme/soho/pen-1/command", &frame(0)),
            RejectReason::Topic,
        ),
        (
            at(
                "dermatel/v1/acme/soho/pen-1/telemetry",
                &Bytes::from_static(b"\xff\xff"),
            ),
            RejectReason::Malformed,
        ),
    ];
    for (submission, expected) in &cases {
        let verdict = world.handle.submit(submission.clone()).await;
        assert_eq!(reason(&verdict), *expected, "{:?}", submission.topic);
    }
    let kept = world.handle.quarantine().ls(&Default::default(), 100).unwrap();
    let reasons: Vec<&str> = kept.iter().map(|kept| kept.reason.as_str()).collect();
    assert_eq!(
        reasons,
        cases.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>()
    );
    assert_eq!((world.stored().len(), world.alarmed().len()), (0, 0));
    world.down().await;
}

#[tokio::test]
async fn one_devices_garbage_evicts_nobody_elses_messages_and_stops_no_good_frame() {
    const GARBAGE: usize = 100_000;
    let ground = Ground::with(Logs::default(), 1);
    let world = ground.up_with(registry_with(""), |config| config.quarantine.share_entries = 50);
    assert!(matches!(
        world.submit_for("pen-2", &Bytes::from_static(b"\xff")).await,
        Verdict::Quarantined(_)
    ));
    let flood = async {
        let payload = Bytes::from_static(b"\xff\xff\xff");
        for _ in 0..GARBAGE / 500 {
            for verdict in world.submit_all("pen-1", vec![payload.clone(); 500]).await {
                assert!(matches!(verdict, Verdict::Quarantined(_)));
            }
        }
    };
    let good = async {
        for sequence in 0..200 {
            let payload = Frame::new("pen-2", sequence).bytes();
            assert_eq!(world.submit_for("pen-2", &payload).await, Verdict::Stored);
        }
    };
    tokio::join!(flood, good);
    let count = |device: &str| {
        let filter = gateway::quarantine::Filter {
            device: Some(topic(device).key()),
            ..Default::default()
        };
        world.handle.quarantine().ls(&filter, 1_000).unwrap().len()
    };
    assert_eq!((count("pen-1"), count("pen-2")), (50, 1));
    assert_eq!(world.stored().len(), 200);
    world.down().await;
}
