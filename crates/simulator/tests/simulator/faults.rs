//! The ground truth of depth, light and hygiene is really in the frames, recomputed from what a receiver decodes.
use std::collections::{HashMap, HashSet};

use simulator::{FaultKind, FaultSpec, Fleet, FleetSpec, Truth};
use telemetry::{Body, BootId, DeviceKind, IndicatorKind, Outcome, SessionId, Zone};

use crate::read::{Read, faulty, one, read, small};

pub(crate) const SEED: u64 = 31;
pub(crate) const SECONDS: u64 = 150;

/// The second pen: its strokes are evenly spaced, so a twin without the fault makes the very same strokes.
fn second(kind: FaultKind, after_s: u64) -> FaultSpec {
    FaultSpec {
        nth: Some(vec![1]),
        ..one(kind, after_s)
    }
}

pub(crate) struct Case {
    pub(crate) fleet: Fleet,
    pub(crate) reads: Vec<Read>,
    pub(crate) truths: Vec<Truth>,
    pub(crate) device: usize,
}

pub(crate) fn case(fault: FaultSpec) -> Case {
    let fleet = faulty(SEED, &small(), &[fault]);
    let (reads, truths) = read(&fleet, SECONDS);
    assert!(!truths.is_empty(), "the fault never told");
    let truth = &truths[0];
    let is_it = |id: &telemetry::DeviceId| id.as_str() == truth.device;
    let device = fleet.devices().iter().position(|d| is_it(&d.who.id)).unwrap();
    assert_eq!(truth.tenant, "aurora");
    Case {
        fleet,
        reads,
        truths,
        device,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Made {
    session: SessionId,
    ordinal: u64,
    boot: BootId,
    sequence: u64,
    depth: Option<u32>,
    setpoint: u32,
    limit: u32,
    zone: Zone,
}

fn strokes(reads: &[Read], device: usize) -> Vec<Made> {
    let mut made = Vec::new();
    for read in reads.iter().filter(|r| r.device == device) {
        let Some(batch) = read.strokes() else { continue };
        let header = read.header();
        made.extend(batch.strokes().map(|stroke| Made {
            session: header.session.unwrap().id,
            ordinal: stroke.ordinal,
            boot: header.boot,
            sequence: header.sequence,
            depth: stroke.depth_um,
            setpoint: batch.setpoint.unwrap().get(),
            limit: batch.device_limit.unwrap().get(),
            zone: batch.zone.unwrap(),
        }));
    }
    made
}

fn is_at(made: &Made, truth: &Truth) -> bool {
    Some(*made.session.bytes()) == truth.session
        && Some(made.ordinal) == truth.ordinal
        && made.boot.0 == truth.boot
        && Some(made.sequence) == truth.sequence
}

pub(crate) fn twin() -> Vec<Read> {
    read(&Fleet::generate(SEED, &small()).unwrap(), SECONDS).0
}

#[test]
fn depth_creep_offends_from_the_stroke_that_leaves_the_tolerance() {
    let case = case(second(FaultKind::DepthCreep, 6));
    let healthy: HashMap<_, _> = strokes(&twin(), case.device)
        .into_iter()
        .map(|m| ((m.session, m.ordinal), m))
        .collect();
    let made = strokes(&case.reads, case.device);
    let deviation = |m: &Made| {
        let twin = healthy[&(m.session, m.ordinal)];
        Some(i64::from(m.depth?) - i64::from(twin.depth?))
    };
    let first = made.iter().find(|m| deviation(m).is_some_and(|d| d >= 150)).unwrap();
    assert!(is_at(first, &case.truths[0]), "{first:?} is not {:?}", case.truths[0]);
    assert!(made.iter().filter_map(deviation).all(|d| (0..=400).contains(&d)));
    assert_eq!(case.truths.len(), 1);
}

#[test]
fn overshoot_is_far_beyond_the_limit_around_the_eyes_only() {
    let case = case(second(FaultKind::DepthOvershootEye, 10));
    let made = strokes(&case.reads, case.device);
    let beyond = |m: &&Made| m.depth.is_some_and(|depth| depth > m.limit);
    let first = made.iter().find(beyond).unwrap();
    assert!(is_at(first, &case.truths[0]), "{first:?} is not {:?}", case.truths[0]);
    // More than the tolerance and six sigma of the noisiest pen: no guard band hides it.
    assert!(first.depth.unwrap() > first.limit + 150 + 6 * 40 - 100);
    assert!(
        made.iter()
            .filter(beyond)
            .all(|m| m.zone == Zone::Periorbital && m.limit == 500)
    );
}

#[test]
fn a_limit_crossing_is_sent_at_once_and_then_every_100_ms() {
    let case = case(second(FaultKind::DepthOvershootEye, 10));
    let mut last: Option<(SessionId, u64, u64)> = None;
    let mut limits = 0;
    for read in case.reads.iter().filter(|r| r.device == case.device) {
        let Some(batch) = read.strokes() else { continue };
        if batch.flush_reason != Some(telemetry::FlushReason::Limit) {
            continue;
        }
        limits += 1;
        let session = read.header().session.unwrap().id;
        let crossing = batch.strokes().find(|s| s.depth_um.is_some_and(|d| d > 500)).unwrap();
        let sent = read.header().uptime.micros();
        match last {
            Some((of, at, _)) if of == session => {
                assert!(sent - at >= 100_000, "more often than every 100 ms");
                assert!(sent - crossing.uptime.micros() <= 120_000, "a crossing waited");
            }
            _ => assert!(sent - crossing.uptime.micros() <= 10_000, "the first crossing waited"),
        }
        last = Some((session, sent, crossing.ordinal));
    }
    assert!(limits > 10, "{limits}");
}

#[test]
fn a_stuck_sensor_repeats_its_last_reading() {
    let case = case(second(FaultKind::StuckSensor, 8));
    let made: Vec<Made> = strokes(&case.reads, case.device)
        .into_iter()
        .filter(|m| m.depth.is_some())
        .collect();
    let at = made
        .iter()
        .position(|m| is_at(m, &case.truths[0]))
        .expect("the truth's stroke");
    assert_eq!(made[at].depth, made[at - 1].depth);
    assert!(made[at..].iter().all(|m| m.depth == made[at].depth));
    let run_before = made[..at].windows(20).any(|w| w.iter().all(|m| m.depth == w[0].depth));
    assert!(!run_before, "stuck before");
}

#[test]
fn a_setpoint_above_the_limit_shows_with_its_first_stroke() {
    let case = case(second(FaultKind::SetpointAboveLimit, 10));
    let made = strokes(&case.reads, case.device);
    let first = made.iter().find(|m| m.setpoint > m.limit).unwrap();
    assert!(is_at(first, &case.truths[0]), "{first:?} is not {:?}", case.truths[0]);
    assert_eq!(first.setpoint - first.limit, 300);
}

#[test]
fn a_fluence_above_the_skin_types_limit_shows_with_its_first_pulse() {
    let case = case(one(FaultKind::FluenceAboveLimit, 8));
    let beyond = case.reads.iter().filter(|r| r.device == case.device).find_map(|read| {
        let Body::Pulses(batch) = read.body() else { return None };
        let beyond = |p: &&telemetry::Pulse| {
            p.fluence_set.unwrap().get() > simulator::treatment::fluence(p.skin_type.unwrap()).2
        };
        Some((read.header().sequence, batch.pulses.iter().find(beyond)?.ordinal))
    });
    let (sequence, ordinal) = beyond.unwrap();
    assert_eq!(
        (Some(sequence), Some(ordinal)),
        (case.truths[0].sequence, case.truths[0].ordinal)
    );
    assert_eq!(case.truths.len(), 1);
}

fn deviations(case: &Case) -> Vec<(SessionId, u64, f64)> {
    let mut found = Vec::new();
    for read in case.reads.iter().filter(|r| r.device == case.device) {
        let Body::Pulses(batch) = read.body() else { continue };
        found.extend(batch.pulses.iter().map(|pulse| {
            let set = f64::from(pulse.energy_set.unwrap().get());
            let deviation = f64::from(pulse.energy_measured.unwrap().get()) / set - 1.0;
            (read.header().session.unwrap().id, pulse.ordinal, deviation)
        }));
    }
    found
}

#[test]
fn over_energy_starts_with_the_pulse_that_the_truth_names() {
    let case = case(one(FaultKind::LampOverEnergy, 8));
    let first = deviations(&case).into_iter().find(|d| d.2 > 0.2).unwrap();
    assert_eq!(
        (Some(*first.0.bytes()), Some(first.1)),
        (case.truths[0].session, case.truths[0].ordinal)
    );
    assert!((0.25..0.45).contains(&first.2), "{first:?}");
}

#[test]
fn a_worn_lamp_falls_to_20_percent_less_at_the_pulse_that_the_truth_names() {
    let case = case(one(FaultKind::LampAgeing, 0));
    let pulses = deviations(&case);
    let at = pulses
        .iter()
        .position(|d| (Some(*d.0.bytes()), Some(d.1)) == (case.truths[0].session, case.truths[0].ordinal))
        .expect("the truth's pulse");
    assert!((pulses[at].2 + 0.20).abs() < 0.06, "{:?}", pulses[at]);
    assert!(pulses[0].2 > -0.16);
    let mean = |part: &[(SessionId, u64, f64)]| part.iter().map(|p| p.2).sum::<f64>() / part.len() as f64;
    assert!(mean(&pulses[..at]) > -0.2 && mean(&pulses[at..]) < -0.2);
}

/// Session starts of a device, one per visit, as (arrival, boot, sequence, cartridge).
fn visits(reads: &[Read], device: usize) -> Vec<(u64, u64, u64, Option<String>)> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for read in reads.iter().filter(|r| r.device == device) {
        let Body::SessionStart(start) = read.body() else {
            continue;
        };
        let header = read.header();
        if seen.insert(header.visit.unwrap()) {
            let cartridge = start.cartridge.as_ref().map(ToString::to_string);
            found.push((read.at_us, header.boot.0, header.sequence, cartridge));
        }
    }
    found
}

#[test]
fn a_missed_disinfection_shows_at_the_next_visit_and_only_there() {
    for on in [DeviceKind::Pen, DeviceKind::Ipl] {
        let case = case(FaultSpec {
            on: Some(on),
            ..one(FaultKind::MissedDisinfection, 5)
        });
        let id = case.fleet.devices()[case.device].who.id.as_str();
        let wipes: Vec<u64> = case
            .reads
            .iter()
            .filter(|r| matches!(r.body(), Body::Disinfection(d) if d.items.iter().any(|i| i.as_str() == id)))
            .map(|r| r.at_us)
            .collect();
        let visits = visits(&case.reads, case.device);
        let unclean: Vec<_> = visits
            .windows(2)
            .filter(|pair| !wipes.iter().any(|at| (pair[0].0..pair[1].0).contains(at)))
            .map(|pair| (pair[1].1, Some(pair[1].2)))
            .collect();
        assert_eq!(unclean, vec![(case.truths[0].boot, case.truths[0].sequence)], "{on}");
        assert_eq!(case.truths.len(), 1);
    }
}

#[test]
fn a_reused_cartridge_is_the_previous_clients() {
    let case = case(one(FaultKind::ReusedCartridge, 5));
    let visits = visits(&case.reads, case.device);
    let reused: Vec<_> = visits
        .windows(2)
        .filter(|pair| pair[0].3 == pair[1].3)
        .map(|pair| (pair[1].1, Some(pair[1].2)))
        .collect();
    assert_eq!(reused, vec![(case.truths[0].boot, case.truths[0].sequence)]);
}

#[test]
fn a_cartridge_that_travels_was_used_at_another_clinic_of_the_chain_and_for_another_visit_unless_the_visit_goes_on() {
    for strength in [1.0, -1.0] {
        let spec = FleetSpec {
            clinics: vec![2],
            ..small()
        };
        let fault = FaultSpec {
            nth: Some(vec![0]),
            strength,
            ..one(FaultKind::TravelledCartridge, 1)
        };
        let fleet = faulty(5, &spec, &[fault]);
        let (reads, truths) = crate::read::read(&fleet, 300);
        // Who used each cartridge, for which visit, at which clinic, in order.
        let mut uses: std::collections::BTreeMap<String, Vec<(usize, [u8; 16])>> = Default::default();
        for read in &reads {
            if let Body::SessionStart(start) = read.body()
                && let Some(cartridge) = &start.cartridge
            {
                let visit = *read.header().visit.unwrap().bytes();
                let of = uses.entry(cartridge.to_string()).or_default();
                if !of.contains(&(read.device, visit)) {
                    of.push((read.device, visit));
                }
            }
        }
        let shared: Vec<_> = uses.values().filter(|of| of.len() > 1).collect();
        let [of] = &shared[..] else { panic!("{shared:?}") };
        let [(first, first_visit), (second, second_visit)] = of[..] else {
            panic!("{of:?}")
        };
        let clinic = |at: usize| fleet.devices()[at].who.clinic.clone();
        assert_eq!(second, fleet.devices().iter().position(|d| !d.is_healthy()).unwrap());
        assert_ne!(clinic(first), clinic(second));
        assert_eq!(first_visit == second_visit, strength < 0.0);
        let told = truths.iter().filter(|t| t.fault == FaultKind::TravelledCartridge);
        assert_eq!(told.count(), usize::from(strength > 0.0));
    }
}

#[test]
fn a_failed_cycle_is_followed_by_use_of_what_was_in_it() {
    let case = case(one(FaultKind::FailedCycle, 5));
    let [failed, used] = &case.truths[..] else {
        panic!("{:?}", case.truths)
    };
    let (at_us, item) = case
        .reads
        .iter()
        .find_map(|r| match r.body() {
            Body::SterilizationCycle(c) if c.outcome == Some(Outcome::Fail) => {
                assert_eq!(Some(r.header().sequence), failed.sequence);
                Some((r.at_us, c.items[0].to_string()))
            }
            _ => None,
        })
        .expect("a failed cycle");
    assert_eq!(item, used.device);
    assert_eq!((failed.rule, used.rule), ("indicator-failed", "failed-cycle-used"));
    let pen = case
        .fleet
        .devices()
        .iter()
        .position(|d| d.who.id.as_str() == item)
        .unwrap();
    let next = visits(&case.reads, pen).into_iter().find(|v| v.0 > at_us).unwrap();
    assert_eq!((next.1, Some(next.2)), (used.boot, used.sequence));
}

#[test]
fn overdue_items_were_last_good_nine_days_before_their_use() {
    let nine_days = 9 * 86_400 * 1_000_000;
    let pen = case(one(FaultKind::OverdueSterilization, 0));
    let id = pen.truths[0].device.clone();
    let cycles: Vec<i64> = pen
        .reads
        .iter()
        .filter_map(|r| match r.body() {
            Body::SterilizationCycle(c) if c.items.iter().any(|i| i.as_str() == id) => Some(c.ended_at.unwrap().0),
            _ => None,
        })
        .collect();
    assert_eq!(cycles, vec![pen.fleet.start.0 + pen.truths[0].at_us as i64 - nine_days]);
    assert_eq!(pen.truths[0].sequence, Some(visits(&pen.reads, pen.device)[0].2));

    let autoclave = case(one(FaultKind::OverdueIndicator, 0));
    let ran = autoclave.reads.iter().find_map(|r| match r.body() {
        Body::IndicatorResult(i) if i.kind == Some(IndicatorKind::Biological) => i.cycle_ended_at,
        _ => None,
    });
    assert_eq!(ran.unwrap().0, autoclave.fleet.start.0 - nine_days);
}
