//! At the cap of the store: storage may stall, alarms may not.
use std::io;

use bytes::Bytes;
use gateway::Verdict;
use spool::AtCap;
use spool::testing::Op;

use super::kit::{Frame, Ground, Logs, SEGMENT, World, eventually};

/// A frame with enough in it to fill a log soon.
fn large(sequence: u64) -> Bytes {
    large_of(&Frame::new("pen-1", sequence))
}

fn large_of(frame: &Frame) -> Bytes {
    let sequence = frame.sequence;
    let items = (0..256)
        .map(|n| format!("SERIAL-{n:05}-{sequence:08}-AND-A-LONG-TAIL-OF-LETTERS"))
        .collect();
    let body = telemetry::proto::Disinfection {
        items,
        ..Default::default()
    };
    frame.with(telemetry::proto::frame::Body::Disinfection(body))
}

fn full(at_cap: AtCap) -> Ground {
    Ground::with(
        Logs {
            store_cap: 3 * SEGMENT,
            at_cap,
        },
        1,
    )
}

/// Submits until the store refuses; gives how many it took.
async fn fill(world: &World) -> u64 {
    for sequence in 0..1_000 {
        match world.submit(&large(sequence)).await {
            Verdict::Stored => {}
            Verdict::QuotaExceeded => return sequence,
            other => panic!("{other:?}"),
        }
    }
    panic!("the store never refused");
}

#[tokio::test]
async fn at_refuse_every_frame_still_goes_to_alerting_and_is_stored_when_it_comes_again() {
    let ground = full(AtCap::Refuse);
    let world = ground.up();
    let stored = fill(&world).await;
    for sequence in stored + 1..stored + 10 {
        assert_eq!(world.submit(&large(sequence)).await, Verdict::QuotaExceeded);
    }
    assert_eq!(world.stored().len() as u64, stored);
    let alarmed = world.alarmed();
    assert_eq!(alarmed.len() as u64, stored + 10);
    // The readers catch up: there is room, and the devices send again what they kept.
    let mut reader = world.store.reader("reader").unwrap();
    reader.commit(world.store.durable()).unwrap();
    drop(reader);
    let world = restart_in_order(&ground, world).await;
    world.store.maintain(world.clock.now());
    for sequence in stored..stored + 10 {
        assert_eq!(world.submit(&large(sequence)).await, Verdict::Stored, "{sequence}");
    }
    let anchor = alarmed[0].anchor;
    assert!(world.stored().iter().all(|admitted| admitted.anchor == anchor));
    world.down().await;
}

/// Stops and starts, so that the ledger's cursor has moved too.
async fn restart_in_order(ground: &Ground, world: World) -> World {
    world.down().await;
    ground.up()
}

#[tokio::test]
async fn a_boot_that_begins_at_the_cap_has_one_anchor_in_both_logs_also_across_a_kill() {
    let ground = full(AtCap::Refuse);
    let world = ground.up();
    fill(&world).await;
    let first = large_of(&Frame {
        boot: 2,
        ..Frame::new("pen-2", 0)
    });
    assert_eq!(world.submit_for("pen-2", &first).await, Verdict::QuotaExceeded);
    let in_alarm = world.alarmed().last().unwrap().clone();
    let mut reader = world.store.reader("reader").unwrap();
    reader.commit(world.store.durable()).unwrap();
    drop(reader);
    world.killed().await;
    ground.clock.advance(std::time::Duration::from_secs(3_600));
    let world = ground.up();
    let world = restart_in_order(&ground, world).await;
    world.store.maintain(world.clock.now());
    assert_eq!(world.submit_for("pen-2", &first).await, Verdict::Stored);
    let stored = world.stored().last().unwrap().clone();
    assert_eq!((stored.payload, stored.anchor), (in_alarm.payload, in_alarm.anchor));
    world.down().await;
}

#[tokio::test]
async fn at_shed_new_frames_are_always_stored() {
    let world = full(AtCap::Shed).up();
    for sequence in 0..200 {
        assert_eq!(world.submit(&large(sequence)).await, Verdict::Stored, "{sequence}");
    }
    assert!(world.store.state().counters.shed_records > 0);
    assert_eq!(world.alarmed().len(), 200);
    world.down().await;
}

#[tokio::test]
async fn a_full_disk_is_not_acknowledged_shows_in_readiness_and_goes_on_by_itself() {
    let ground = Ground::new();
    let world = ground.up();
    assert_eq!(world.submit(&large(0)).await, Verdict::Stored);
    ground
        .disk
        .fail(Op::Write, "store", 0, u32::MAX, io::ErrorKind::StorageFull);
    assert_eq!(world.submit(&large(1)).await, Verdict::Busy);
    assert!(!world.health.is_ready());
    // A copy and garbage are answered, and say nothing about the store.
    assert_eq!(world.submit(&large(0)).await, Verdict::Duplicate);
    let garbage = world.submit(&Bytes::from_static(b"\xff")).await;
    assert!(matches!(garbage, Verdict::Quarantined(_)));
    assert!(!world.health.is_ready());
    assert_eq!(world.stored().len(), 1);
    assert_eq!(world.alarmed().len(), 2);
    ground.disk.heal();
    let mut tries = 0;
    while world.submit(&large(1)).await != Verdict::Stored {
        tries += 1;
        assert!(tries < 2_000, "it never went on");
        // The spool waits before it tries again, by the clock that it is given.
        world.clock.advance(std::time::Duration::from_secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    eventually("ready", || world.health.is_ready()).await;
    assert_eq!(world.stored().len(), 2);
    world.down().await;
}

#[tokio::test]
async fn while_the_alarm_log_cannot_be_written_nothing_is_acknowledged_and_nothing_is_lost() {
    let ground = Ground::new();
    let world = ground.up();
    assert_eq!(world.submit(&large(0)).await, Verdict::Stored);
    ground.disk.fail(Op::Write, "alarm", 0, u32::MAX, io::ErrorKind::Other);
    let (handle, payload) = (world.handle.clone(), large(1));
    let waiting = tokio::spawn(async move {
        handle
            .submit(gateway::Submission {
                recorded_by: None,
                topic: super::kit::topic("pen-1"),
                payload,
            })
            .await
    });
    eventually("red", || !world.health.is_ready()).await;
    assert!(!waiting.is_finished());
    ground.disk.heal();
    let clock = world.clock.clone();
    eventually("answered", || {
        clock.advance(std::time::Duration::from_secs(1));
        waiting.is_finished()
    })
    .await;
    assert_eq!(waiting.await.unwrap(), Verdict::Stored);
    assert_eq!((world.stored().len(), world.alarmed().len()), (2, 2));
    assert!(world.health.is_ready());
    world.down().await;
}
