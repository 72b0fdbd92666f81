//! The registry changes while devices are connected: each is let in, or sent away, as the new one says, and nobody else is.
use registry::{Change, Digest, Files, NewDevice, Registry, Step};
use service::mqtt::Publisher;
use telemetry::{DeviceKey, UnixMicros};

use super::devices::{acked, options, world};
use super::kit::{Frame, Ground, eventually, registry_files, secret};

fn key(device: &str) -> DeviceKey {
    registry::parse_name(&format!("acme/{device}")).unwrap()
}

fn topic(clinic: &str, device: &str) -> String {
    format!("dermatel/v1/acme/{clinic}/{device}/telemetry")
}

/// The fleet of the kit with these changes.
fn changed(steps: Vec<Step>) -> Registry {
    let change = Change {
        n: 1,
        at: UnixMicros(1),
        by: "ana".into(),
        why: "test".into(),
        steps,
        folded: None,
    };
    Files::from_texts(&registry_files("")).load(&[change]).unwrap().registry
}

#[tokio::test]
async fn a_moved_device_connects_anew_and_counts_under_its_new_clinic_only_and_its_neighbour_notices_nothing() {
    let world = world(&Ground::new());
    let (mover, mut mover_acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    let (stayer, mut stayer_acks, _) = Publisher::start(options(&world, "pen-2")).unwrap();
    for (device, publisher, acks) in [("pen-1", &mover, &mut mover_acks), ("pen-2", &stayer, &mut stayer_acks)] {
        let frame = Frame::new(device, 0).bytes();
        publisher
            .publish(&topic("soho", device), frame, 0, false)
            .await
            .unwrap();
        assert!(acked(acks).await.is_accepted());
    }
    world.registry.replace(changed(vec![Step::Move {
        device: key("pen-1"),
        from: "soho".parse().unwrap(),
        to: "north".parse().unwrap(),
    }]));
    assert_eq!(world.handle.registry_changed(), 1);
    let old = topic("soho", "pen-1");
    mover
        .publish(&old, Frame::new("pen-1", 1).bytes(), 1, false)
        .await
        .unwrap();
    let answer = acked(&mut mover_acks).await;
    assert_eq!((answer.token, answer.reason), (1, Some(0x87)));
    let kept = world.handle.quarantine().ls(&Default::default(), 10).unwrap();
    assert_eq!(
        kept.iter().map(|kept| kept.reason.as_str()).collect::<Vec<_>>(),
        ["wrong_clinic"]
    );
    let new = topic("north", "pen-1");
    mover
        .publish(&new, Frame::new("pen-1", 1).bytes(), 2, false)
        .await
        .unwrap();
    assert!(acked(&mut mover_acks).await.is_accepted());
    let clinics: Vec<String> = world.stored().iter().map(|one| one.clinic.to_string()).collect();
    assert_eq!(clinics, ["soho", "soho", "north"]);
    assert!(world.handle.is_connected(&key("pen-2")));
    // Nothing changed since: nobody is sent away.
    assert_eq!(world.handle.registry_changed(), 0);
    world.down().await;
}

#[tokio::test]
async fn a_retired_device_is_sent_away_and_refused_and_a_new_one_is_let_in() {
    let world = world(&Ground::new());
    let (retired, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    let frame = Frame::new("pen-1", 0).bytes();
    retired.publish(&topic("soho", "pen-1"), frame, 0, false).await.unwrap();
    assert!(acked(&mut acks).await.is_accepted());
    let new = NewDevice {
        tenant: "acme".parse().unwrap(),
        id: "pen-3".parse().unwrap(),
        clinic: "north".parse().unwrap(),
        model: "pen".parse().unwrap(),
        serial: "P-3".parse().unwrap(),
        expected_since: None,
        secret_sha256: Some(Digest(registry::sha256(secret("pen-3").as_bytes()))),
        certificate_sha256: None,
        certificate_by_name: false,
    };
    let gone = Step::Retire { device: key("pen-1") };
    world.registry.replace(changed(vec![gone, Step::Add(new)]));
    assert_eq!(world.handle.registry_changed(), 1);
    eventually("the retired one is gone", || !world.handle.is_connected(&key("pen-1"))).await;
    let (added, mut added_acks, _) = Publisher::start(options(&world, "pen-3")).unwrap();
    let frame = Frame::new("pen-3", 0).bytes();
    added.publish(&topic("north", "pen-3"), frame, 0, false).await.unwrap();
    assert!(acked(&mut added_acks).await.is_accepted());
    assert!(!world.handle.is_connected(&key("pen-1")), "it tries all the time");
    world.down().await;
}

#[tokio::test]
async fn whoever_came_in_with_a_secret_that_is_taken_away_is_sent_away() {
    let world = world(&Ground::new());
    let (publisher, mut acks, _) = Publisher::start(options(&world, "pen-1")).unwrap();
    let frame = Frame::new("pen-1", 0).bytes();
    publisher
        .publish(&topic("soho", "pen-1"), frame, 0, false)
        .await
        .unwrap();
    assert!(acked(&mut acks).await.is_accepted());
    let mut files = registry_files("");
    let digest = Digest(registry::sha256(secret("pen-1").as_bytes())).to_string();
    files[3].1 = files[3].1.replace(&digest, &"ab".repeat(32));
    world.registry.replace(Registry::from_sources(&files).unwrap());
    assert_eq!(world.handle.registry_changed(), 1);
    eventually("it is gone", || !world.handle.is_connected(&key("pen-1"))).await;
    world.down().await;
}
