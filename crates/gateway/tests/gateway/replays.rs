//! Quarantine is a way back, not a grave.
use gateway::quarantine::{Filter, REPLAY_MAX, Refused};
use gateway::{Replayed, Verdict};
use telemetry::{Origin, RejectReason, Rejected, UnixMicros};

use super::kit::{Frame, Ground, START, frame, registry, registry_with, topic};

#[tokio::test]
async fn a_device_that_was_not_registered_gets_its_messages_stored_after_it_is() {
    let world = Ground::new().up();
    for sequence in 0..5 {
        let verdict = world.submit_for("pen-7", &Frame::new("pen-7", sequence).bytes()).await;
        assert!(matches!(verdict, Verdict::Quarantined(_)));
    }
    assert!(matches!(
        world.submit(&bytes::Bytes::from_static(b"\xff")).await,
        Verdict::Quarantined(_)
    ));
    let report = world.handle.replay(Filter::default()).await.unwrap();
    assert_eq!((report.stored, report.refused.len()), (0, 6));
    world.registry.replace(registry_with(
        r#"{ id = "pen-7", clinic = "soho", model = "pen", serial = "P-7" },"#,
    ));
    world.clock.advance(std::time::Duration::from_secs(86_400));
    let unknown = Filter {
        reason: Some(RejectReason::UnknownDevice),
        ..Filter::default()
    };
    let report = world.handle.replay(unknown.clone()).await.unwrap();
    assert_eq!(
        report,
        Replayed {
            stored: 5,
            ..Replayed::default()
        }
    );
    let stored = world.stored();
    assert_eq!(stored.len(), 5);
    for admitted in &stored {
        // Dated as it came, and marked, so that it never pages.
        assert_eq!(
            (admitted.origin, admitted.received_at),
            (Origin::Replayed, UnixMicros(START.as_micros() as i64))
        );
    }
    assert_eq!(world.handle.replay(unknown).await.unwrap(), Replayed::default());
    world.down().await;
}

#[tokio::test]
async fn a_replay_of_what_is_stored_already_stores_nothing_twice() {
    let world = Ground::new().up_with(registry(), |_| {});
    let wrong: telemetry::Topic = "dermatel/v1/acme/north/pen-1/telemetry".parse().unwrap();
    let submission = gateway::Submission {
        recorded_by: None,
        topic: wrong,
        payload: frame(0),
    };
    assert!(matches!(world.handle.submit(submission).await, Verdict::Quarantined(_)));
    assert_eq!(world.submit(&frame(0)).await, Verdict::Stored);
    // The pen was at the other clinic all along.
    let moved = registry_with("").clone();
    world.registry.replace(moved);
    let report = world
        .handle
        .replay(Filter {
            device: Some(topic("pen-1").key()),
            ..Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        report.refused.first().map(|(_, rejected)| rejected.reason),
        Some(RejectReason::WrongClinic)
    );
    assert_eq!(world.stored().len(), 1);
    world.down().await;
}

#[tokio::test]
async fn what_is_refused_again_is_not_in_the_way_of_what_comes_behind_it() {
    let world = Ground::new().up();
    // More than one replay takes, of devices that nobody registers, and behind them those of one that is registered now.
    let devices = (0..REPLAY_MAX / 500).map(|n| (format!("pen-{}", 100 + n), 500));
    for (device, messages) in devices.chain([("pen-7".to_owned(), 20)]) {
        let kept: Vec<Refused> = (0..messages).map(|sequence| refused(&device, sequence)).collect();
        assert_eq!(world.handle.quarantine().keep(&kept).unwrap(), 0);
    }
    world.registry.replace(registry_with(
        r#"{ id = "pen-7", clinic = "soho", model = "pen", serial = "P-7" },"#,
    ));
    let unknown = Filter {
        reason: Some(RejectReason::UnknownDevice),
        ..Filter::default()
    };
    let first = world.handle.replay(unknown.clone()).await.unwrap();
    assert_eq!((first.stored, first.refused.len()), (0, REPLAY_MAX));
    let after = first.more_after;
    assert_eq!(after, first.refused.iter().map(|(id, _)| *id).max());
    let rest = world.handle.replay(Filter { after, ..unknown }).await.unwrap();
    assert_eq!((rest.stored, rest.refused.len(), rest.more_after), (20, 0, None));
    world.down().await;
}

fn refused(device: &str, sequence: u64) -> Refused {
    Refused {
        received_at: UnixMicros(START.as_micros() as i64),
        share: Some(topic(device).key()),
        peer: None,
        topic: topic(device).to_string(),
        rejected: Rejected::new(RejectReason::UnknownDevice, "device_id", "not registered"),
        payload: Frame::new(device.to_owned().leak(), sequence).bytes(),
        origin: Origin::Endpoint,
        retained: false,
    }
}
