//! The ground truth of firmware, clock and network is really in the frames, and every fault stays with its device.
use std::collections::{HashMap, HashSet};

use simulator::{FaultKind, FaultSpec, Fleet};
use telemetry::{Body, BootId, DeviceKind, RejectReason};

use crate::faults::{SECONDS, SEED, case, twin};
use crate::read::{Read, faulty, one, small};

#[test]
fn missing_context_starts_with_the_reading_that_the_truth_names() {
    for on in [DeviceKind::Pen, DeviceKind::Ipl] {
        let case = case(FaultSpec {
            on: Some(on),
            ..one(FaultKind::ContextMissing, 8)
        });
        let mut bare = Vec::new();
        for read in case.reads.iter() {
            let (context, first) = match read.body() {
                Body::Strokes(b) => (b.zone.is_some() && b.setpoint.is_some(), b.first_ordinal),
                Body::Pulses(b) => (
                    b.pulses[0].zone.is_some() && b.pulses[0].skin_type.is_some(),
                    b.pulses[0].ordinal,
                ),
                _ => continue,
            };
            assert_eq!(context, read.device != case.device || read.at_us < 8_000_000);
            if !context {
                bare.push((Some(read.header().sequence), Some(first)));
            }
        }
        assert_eq!(
            bare.first(),
            Some(&(case.truths[0].sequence, case.truths[0].ordinal)),
            "{on}"
        );
        assert!(bare.len() > 3 && case.truths.len() == 1);
    }
}

fn payloads(fleet: &Fleet) -> HashSet<(String, Vec<u8>)> {
    fleet
        .frames(std::time::Duration::from_secs(SECONDS))
        .map(|f| (f.topic, f.payload.to_vec()))
        .collect()
}

#[test]
fn a_dropped_network_delays_frames_and_loses_none() {
    let cut = FaultSpec {
        lasting: Some(std::time::Duration::from_secs(20)),
        ..one(FaultKind::DroppedNetwork, 10)
    };
    let case = case(cut);
    let during = |r: &&Read| r.device == case.device && (10_000_000..30_000_000).contains(&r.at_us);
    assert_eq!(case.reads.iter().filter(during).count(), 0, "something came through");
    let count = |reads: &[Read]| reads.iter().filter(|r| r.device == case.device).count();
    // What was made before the end has arrived: the network is up again by then.
    assert_eq!(count(&case.reads), count(&twin()));
    let mut last: HashMap<BootId, u64> = HashMap::new();
    for read in case.reads.iter().filter(|r| r.device == case.device) {
        let header = read.header();
        assert!(
            last.insert(header.boot, header.sequence)
                .is_none_or(|before| before + 1 == header.sequence)
        );
        let oldest = header.oldest_unacknowledged.unwrap();
        assert!(oldest <= header.sequence);
        if Some(header.sequence) == case.truths[0].sequence {
            assert_eq!(oldest, header.sequence);
        }
    }
    let held = case.reads.iter().filter(|r| r.device == case.device);
    assert!(
        held.filter(|r| r.header().oldest_unacknowledged < Some(r.header().sequence))
            .count()
            > 3
    );
}

#[test]
fn a_skewed_clock_is_two_hours_ahead_from_the_frame_that_the_truth_names() {
    let case = case(one(FaultKind::ClockSkew, 10));
    let mut first = None;
    for read in case.reads.iter().filter(|r| r.device == case.device) {
        let Some(wall) = read.header().wall else { continue };
        let ahead = wall.at.0 - case.fleet.start.0 - read.at_us as i64;
        let skewed = ahead.abs() > 10_000_000;
        assert_eq!(skewed, read.at_us >= 10_000_000);
        if skewed {
            assert!((ahead - 7_200_000_000).abs() < 3_000_000, "{ahead}");
            first.get_or_insert((read.header().boot.0, Some(read.header().sequence)));
        }
    }
    assert_eq!(first, Some((case.truths[0].boot, case.truths[0].sequence)));
}

#[test]
fn garbage_is_refused_for_four_reasons_and_good_frames_are_untouched() {
    let case = case(one(FaultKind::GarbageFirmware, 4));
    let reasons: HashMap<RejectReason, usize> = case.reads.iter().fold(HashMap::new(), |mut counts, read| {
        if let Err(rejected) = &read.decoded {
            assert_eq!(read.device, case.device);
            *counts.entry(rejected.reason).or_default() += 1;
        }
        counts
    });
    for reason in [
        RejectReason::Malformed,
        RejectReason::Columns,
        RejectReason::IdentityMismatch,
    ] {
        assert!(reasons.contains_key(&reason), "{reason:?} is not in {reasons:?}");
    }
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!(case.truths.len(), 4);
    let faulty = payloads(&case.fleet);
    assert!(payloads(&Fleet::generate(SEED, &small()).unwrap()).is_subset(&faulty));
}

#[test]
fn a_duplicate_sequence_names_two_frames_and_leaves_no_hole() {
    let case = case(one(FaultKind::DuplicateSequence, 6));
    let mut last: HashMap<BootId, u64> = HashMap::new();
    let mut repeated = Vec::new();
    for read in case.reads.iter().filter(|r| r.device == case.device) {
        let header = read.header();
        match last.insert(header.boot, header.sequence) {
            Some(before) if before == header.sequence => repeated.push((header.boot.0, Some(header.sequence))),
            Some(before) => assert_eq!(before + 1, header.sequence),
            None => assert_eq!(header.sequence, 0),
        }
    }
    assert_eq!(repeated, vec![(case.truths[0].boot, case.truths[0].sequence)]);
}

#[test]
fn silence_starts_after_the_frame_that_the_truth_names_and_loses_frames() {
    let case = case(one(FaultKind::SilentInSession, 8));
    let truth = &case.truths[0];
    let all: Vec<&Read> = case.reads.iter().filter(|r| r.device == case.device).collect();
    let heard = all
        .iter()
        .position(|r| (r.header().boot.0, Some(r.header().sequence)) == (truth.boot, truth.sequence))
        .expect("the last frame heard");
    let (before, after) = (all[heard], all[heard + 1]);
    assert!(before.header().session.is_some(), "not in a session");
    assert!(
        after.at_us - before.at_us >= 29_000_000,
        "{} µs",
        after.at_us - before.at_us
    );
    let same_boot = after.header().boot == before.header().boot;
    assert!(
        !same_boot || after.header().sequence > before.header().sequence + 1,
        "nothing was lost"
    );
}

#[test]
fn a_fault_leaves_every_other_device_as_it_was() {
    let healthy = payloads(&Fleet::generate(SEED, &small()).unwrap());
    for &kind in FaultKind::ALL {
        // These are about what another device does: a wipe, a load.
        if matches!(
            kind,
            FaultKind::MissedDisinfection
                | FaultKind::FailedCycle
                | FaultKind::OverdueSterilization
                | FaultKind::MissingIndicator
        ) {
            continue;
        }
        let fleet = faulty(SEED, &small(), &[one(kind, 5)]);
        let befallen = fleet.devices().iter().find(|d| !d.is_healthy()).unwrap().who.topic("");
        let others: HashSet<_> = payloads(&fleet)
            .into_iter()
            .filter(|(topic, _)| !topic.starts_with(&befallen))
            .collect();
        let expected: HashSet<_> = healthy
            .iter()
            .filter(|(topic, _)| !topic.starts_with(&befallen))
            .cloned()
            .collect();
        assert_eq!(others, expected, "{kind}");
    }
}
