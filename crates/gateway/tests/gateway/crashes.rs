//! Whatever crashes: what was acknowledged is in every log, once, and every copy has the same anchor.
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use gateway::{Submission, Verdict};
use spool::testing::Op;

use super::kit::{Frame, Ground, Logs, World, frame, poison, topic};

fn kept(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Stored | Verdict::Duplicate)
}

#[tokio::test]
async fn a_batch_whose_fsync_fails_is_not_acknowledged_and_is_stored_when_it_comes_again() {
    let ground = Ground::new();
    let world = ground.up();
    assert_eq!(world.submit(&frame(0)).await, Verdict::Stored);
    // The sync, and that of the retry in a new segment.
    ground.disk.fail(Op::Sync, "store", 0, 3, io::ErrorKind::Other);
    let verdict = world.submit(&frame(1)).await;
    assert_eq!(verdict, Verdict::Busy);
    assert_eq!(world.stored().len(), 1);
    ground.disk.heal();
    let mut tries = 0;
    while world.submit(&frame(1)).await != Verdict::Stored {
        tries += 1;
        assert!(tries < 2_000, "it never went on");
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stored = world.stored();
    assert_eq!(stored.iter().filter(|admitted| admitted.payload == frame(1)).count(), 1);
    assert_eq!(stored[0].anchor, stored[1].anchor);
    world.down().await;
}

#[tokio::test]
async fn copies_in_a_batch_after_it_and_after_a_restart_are_stored_once() {
    let ground = Ground::new();
    let world = ground.up();
    let copies: Vec<Bytes> = (0..60).map(|n| frame(n % 20)).collect();
    let verdicts = world.submit_all("pen-1", copies.clone()).await;
    assert_eq!(
        verdicts.iter().filter(|verdict| **verdict == Verdict::Stored).count(),
        20
    );
    assert!(verdicts.iter().all(kept));
    world.down().await;
    let world = ground.up();
    let verdicts = world.submit_all("pen-1", copies).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Duplicate));
    assert_eq!((world.stored().len(), world.alarmed().len()), (20, 20));
    // Another payload with a known number is another frame.
    let reused = Frame {
        mark: 1,
        ..Frame::new("pen-1", 3)
    }
    .bytes();
    assert_eq!(world.submit(&reused).await, Verdict::Stored);
    assert!(world.stored()[20].sequence_reused && world.alarmed()[20].sequence_reused);
    world.down().await;
}

/// Frames of two pens in many boots, submitted from two tasks until the lights go out.
async fn rounds(seed: u64, power: bool) {
    let ground = Ground::with(Logs::default(), seed);
    let mut sent: Vec<(&'static str, Bytes)> = Vec::new();
    let mut acknowledged: HashSet<Bytes> = HashSet::new();
    let mut anchors: HashMap<Bytes, i64> = HashMap::new();
    for round in 0..4_u64 {
        let world = ground.up();
        // What was sent and not acknowledged comes again, as a device's outbox does it.
        for (device, payload) in &sent {
            if !acknowledged.contains(payload) {
                assert!(kept(&world.submit_for(device, payload).await));
                acknowledged.insert(payload.clone());
            }
        }
        check(&world, &acknowledged, &mut anchors);
        let fresh: Vec<(&'static str, Bytes)> = (0..40_u64)
            .map(|n| {
                let device = if n % 2 == 0 { "pen-1" } else { "pen-2" };
                let frame = Frame {
                    boot: round / 2 + n % 3,
                    ..Frame::new(device, seed * 1_000 + round * 100 + n)
                };
                (device, frame.bytes())
            })
            .collect();
        sent.extend(fresh.iter().cloned());
        let lights_out = (seed * 7 + round * 13) % 40;
        let mut asked = Vec::new();
        for (n, (device, payload)) in fresh.iter().enumerate() {
            let (handle, payload) = (world.handle.clone(), payload.clone());
            let submission = Submission {
                recorded_by: None,
                topic: topic(device),
                payload: payload.clone(),
            };
            asked.push(tokio::spawn(async move { (handle.submit(submission).await, payload) }));
            if n % 5 == 4 {
                tokio::task::yield_now().await;
            }
            if n as u64 == lights_out {
                // Let the committer be somewhere in the middle of it.
                std::thread::sleep(Duration::from_micros(seed * 37 % 500));
                break;
            }
        }
        match power {
            true => world.power_cut().await,
            false => world.killed().await,
        }
        for task in asked {
            let (verdict, payload) = task.await.unwrap();
            if kept(&verdict) {
                acknowledged.insert(payload);
            }
        }
        ground.clock.advance(Duration::from_secs(600));
    }
    let world = ground.up();
    check(&world, &acknowledged, &mut anchors);
    for (device, payload) in &sent {
        assert!(kept(&world.submit_for(device, payload).await));
    }
    let all: HashSet<Bytes> = sent.into_iter().map(|(_, payload)| payload).collect();
    check(&world, &all, &mut anchors);
    world.down().await;
}

/// Everything acknowledged is in both logs, in the store once, with the anchor that it had whenever it was seen.
fn check(world: &World, acknowledged: &HashSet<Bytes>, anchors: &mut HashMap<Bytes, i64>) {
    let (stored, alarmed) = (world.stored(), world.alarmed());
    let in_store: Vec<&Bytes> = stored.iter().map(|admitted| &admitted.payload).collect();
    let distinct: HashSet<&Bytes> = in_store.iter().copied().collect();
    assert_eq!(in_store.len(), distinct.len(), "stored twice");
    let in_alarm: HashSet<&Bytes> = alarmed.iter().map(|admitted| &admitted.payload).collect();
    for payload in acknowledged {
        assert!(distinct.contains(payload), "acknowledged and not in the store");
        assert!(in_alarm.contains(payload), "acknowledged and not in alerting's log");
    }
    for admitted in stored.iter().chain(&alarmed) {
        let anchor = admitted.anchor.unwrap().0;
        assert_eq!(
            *anchors.entry(admitted.payload.clone()).or_insert(anchor),
            anchor,
            "another anchor"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_power_cuts_nothing_acknowledged_is_missing_in_any_log() {
    for seed in 0..12 {
        rounds(seed, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kills_nothing_acknowledged_is_missing_in_any_log() {
    for seed in 0..12 {
        rounds(seed, false).await;
    }
}

#[tokio::test]
async fn a_frame_that_only_the_store_got_before_a_kill_is_handed_to_alerting_at_the_next_start() {
    let ground = Ground::new();
    let world = ground.up();
    assert_eq!(world.submit(&frame(0)).await, Verdict::Stored);
    ground.disk.fail(Op::Write, "alarm", 0, u32::MAX, io::ErrorKind::Other);
    let (handle, payload) = (world.handle.clone(), frame(1));
    let waiting = tokio::spawn(async move {
        handle
            .submit(Submission {
                recorded_by: None,
                topic: topic("pen-1"),
                payload,
            })
            .await
    });
    super::kit::eventually("red", || !world.health.is_ready()).await;
    world.killed().await;
    ground.disk.heal();
    // Never acknowledged, although the store has it.
    assert_eq!(waiting.await.unwrap(), Verdict::Busy);
    let world = ground.up();
    // The ledger knows it from the store, so its copy is a duplicate: alerting must have it by then.
    assert!(kept(&world.submit(&frame(1)).await));
    let alarmed: HashSet<Bytes> = world.alarmed().into_iter().map(|admitted| admitted.payload).collect();
    assert!(alarmed.contains(&frame(1)));
    world.down().await;
}

#[tokio::test]
async fn without_its_snapshot_and_mark_the_gateway_starts_from_the_logs_tail() {
    let ground = Ground::new();
    let world = ground.up();
    for sequence in 0..20 {
        assert_eq!(world.submit(&frame(sequence)).await, Verdict::Stored);
    }
    let dir = world.dir.clone();
    world.killed().await;
    for file in ["ledger.snapshot", "handed-on"] {
        ground.disk.truncate(&dir.join(file), 5);
    }
    let world = ground.up();
    for sequence in 0..20 {
        assert_eq!(world.submit(&frame(sequence)).await, Verdict::Duplicate);
    }
    assert_eq!(world.stored().len(), 20);
    world.down().await;
}

#[tokio::test]
async fn a_committer_that_dies_is_told_acknowledges_nothing_and_ends_the_gateway() {
    let ground = Ground::new();
    let mut world = ground.up();
    assert_eq!(world.submit(&frame(1)).await, Verdict::Stored);
    assert_eq!(world.submit(&poison()).await, Verdict::Busy);
    assert_eq!(world.ended().await, Err(gateway::CommitterEnded));
    assert!(!world.health.is_ready());
}
