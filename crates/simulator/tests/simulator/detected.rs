//! What goes wrong is found by the rule that it names, and nothing is found where nothing goes wrong.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use alerting::RegistryFleet;
use alerting::intake::{Frame, Input, Said, classify};
use alerting::lifecycle::State;
use alerting::rehearsal::Rehearsal;
use alerting::rules::builtin;
use registry::Registry;
use simulator::{FaultKind, FaultSpec, Fleet, FleetSpec, Truth};
use telemetry::{Admitted, Body, Channel, ClockQuality, Content, GatewayId, Origin, Topic, UnixMicros, decode};

use crate::read::{faulty, one, seconds, small};

/// An alert that fired: when, of which rule, at which device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fired {
    at_us: u64,
    rule: String,
    device: String,
}

/// Plays a fleet through the rules that come with the program. Statuses, watermarks and deadlines are left out: readings and
/// events need none.
fn play(fleet: &Fleet, seconds: u64) -> (Vec<Fired>, Vec<Truth>) {
    let registry = Registry::from_sources(&fleet.registry_files()).unwrap();
    let rules = Arc::new(builtin().unwrap());
    let mut rehearsal = Rehearsal::new(rules, Arc::new(RegistryFleet(Arc::new(registry))));
    let (mut fired, mut truths) = (Vec::new(), Vec::new());
    let mut anchors: HashMap<u64, UnixMicros> = HashMap::new();
    for timed in fleet.frames(Duration::from_secs(seconds)) {
        truths.extend(timed.truths.iter().cloned());
        let topic: Topic = timed.topic.parse().unwrap();
        if topic.channel == Channel::Status || !timed.is_published() {
            continue;
        }
        let Ok(telemetry) = decode(&topic, &timed.payload) else {
            continue;
        };
        let received_at = fleet.start.plus(Duration::from_micros(timed.at_us));
        let uptime = Duration::from_micros(telemetry.header.uptime.micros());
        let anchor = *anchors
            .entry(telemetry.header.boot.0)
            .or_insert_with(|| received_at.minus(uptime));
        let admitted = Admitted {
            recorded_by: None,
            gateway: GatewayId::new(topic.clinic.as_str()).unwrap(),
            tenant: topic.tenant,
            clinic: topic.clinic,
            device: topic.device,
            content: Content::Telemetry,
            payload: timed.payload,
            received_at,
            anchor: Some(anchor),
            clock: ClockQuality::Device,
            origin: Origin::Endpoint,
            sequence_reused: false,
            maybe_seen_before: false,
            retained: false,
        };
        let class = classify(&admitted, received_at);
        let said = Said::Telemetry(Box::new(telemetry));
        let frame = Frame {
            admitted,
            said,
            class,
            logged_at: received_at,
        };
        for step in rehearsal.apply(&Input::Frame(Box::new(frame))).unwrap().transitions {
            if step.to == State::Firing && step.from != State::Acknowledged {
                fired.push(Fired {
                    at_us: timed.at_us,
                    rule: step.alert.rule,
                    device: format!("{}/{}", step.alert.tenant, step.alert.device),
                });
            }
        }
    }
    (fired, truths)
}

/// Strokes of a device that were made in an interval, in seconds of motor running.
fn motor_seconds(fleet: &Fleet, device: &str, from_us: u64, to_us: u64) -> f64 {
    let (reads, _) = crate::read::read(fleet, to_us / 1_000_000 + 1);
    let index = fleet.devices().iter().position(|d| d.who.key().to_string() == device);
    let made = reads
        .iter()
        .filter(|r| Some(r.device) == index && r.at_us > from_us && r.at_us <= to_us);
    made.filter_map(|r| match r.body() {
        Body::Strokes(batch) => Some(f64::from(batch.duration_us) / 1e6),
        _ => None,
    })
    .sum()
}

struct Case {
    fault: FaultKind,
    after_s: u64,
    seconds: u64,
    /// Rules that may fire beside its own, because the same thing is wrong in their way too.
    beside: &'static [&'static str],
}

const fn case(fault: FaultKind, beside: &'static [&'static str]) -> Case {
    Case {
        fault,
        after_s: 6,
        seconds: 100,
        beside,
    }
}

const CASES: &[Case] = &[
    case(FaultKind::DepthShift, &["depth-baseline-shift"]),
    Case {
        after_s: 0,
        seconds: 420,
        ..case(FaultKind::CalibrationOff, &[])
    },
    case(
        FaultKind::StuckSensor,
        &[
            "depth-off-setpoint",
            "depth-above-limit",
            "depth-drift",
            "depth-baseline-shift",
        ],
    ),
    case(FaultKind::SensorJitter, &["depth-above-limit", "depth-off-setpoint"]),
    case(FaultKind::SlowMotor, &[]),
    Case {
        seconds: 200,
        ..case(
            FaultKind::NeedleNotSeated,
            &["depth-off-setpoint", "depth-drift", "depth-baseline-shift"],
        )
    },
    case(FaultKind::WrongTip, &["pulse-above-set"]),
    case(FaultKind::EnergySensorDead, &[]),
    case(FaultKind::Misfiring, &[]),
    case(FaultKind::HastyPulses, &[]),
    case(FaultKind::HotSkin, &[]),
    case(FaultKind::CoolingFailure, &[]),
    case(FaultKind::WrongFilter, &[]),
    Case {
        after_s: 0,
        ..case(FaultKind::LampPastLife, &[])
    },
    Case {
        after_s: 0,
        ..case(FaultKind::LampAgeing, &["lamp-worn"])
    },
    case(FaultKind::TreatedTooSoon, &[]),
    Case {
        seconds: 900,
        ..case(FaultKind::IntervalUntold, &[])
    },
    case(FaultKind::SensorFault, &[]),
    case(FaultKind::MotorFault, &[]),
];

/// Other devices page nobody, and the one that is faulty pages for what is wrong with it.
fn check(case: &Case) {
    let fault = FaultSpec {
        nth: Some(vec![1]),
        ..one(case.fault, case.after_s)
    };
    let fleet = faulty(31, &small(), &[fault]);
    let (fired, truths) = play(&fleet, case.seconds);
    let truth = truths.first().unwrap_or_else(|| panic!("{}: never told", case.fault));
    let device = format!("{}/{}", truth.tenant, truth.device);
    let found = fired.iter().find(|f| f.device == device && f.rule == truth.rule);
    let found = found.unwrap_or_else(|| panic!("{}: not found in {fired:?}", case.fault));
    assert!(found.at_us >= truth.at_us, "{}: found before it was there", case.fault);
    for other in &fired {
        let known = other.device == device && (other.rule == truth.rule || case.beside.contains(&other.rule.as_str()));
        assert!(known, "{}: {other:?}", case.fault);
    }
}

#[test]
fn each_fault_is_found_by_its_rule_and_by_no_other_that_it_does_not_concern() {
    CASES.iter().for_each(check);
}

#[test]
fn a_shift_of_150_um_from_the_factory_calibration_is_found_within_10_s_of_strokes() {
    // 1.25 times 120 µm. Ten fleets of four pens with their own noise, offsets, zones and passes. Each zone takes half a minute
    // or more: where settings change faster than that the chart starts anew each time.
    let mut slowest: f64 = 0.0;
    for seed in 0..10 {
        let shift = FaultSpec {
            strength: 1.25,
            ..FaultSpec::new(FaultKind::DepthShift, Duration::from_secs(8))
        };
        let spec = FleetSpec {
            session: seconds(150, 170),
            ipl_per_clinic: 0,
            battery_swaps: 0.0,
            ..small()
        };
        let fleet = faulty(seed, &spec, &[shift]);
        let (fired, truths) = play(&fleet, 60);
        assert_eq!(truths.len(), 4);
        for truth in truths {
            let device = format!("{}/{}", truth.tenant, truth.device);
            let found = fired
                .iter()
                .find(|f| f.device == device && f.rule == "depth-drift" && f.at_us >= truth.at_us);
            let found = found.unwrap_or_else(|| panic!("seed {seed}: {device} was not found"));
            slowest = slowest.max(motor_seconds(&fleet, &device, truth.at_us, found.at_us));
        }
    }
    assert!(slowest <= 10.0, "the slowest took {slowest} s of strokes");
}

#[test]
fn a_healthy_fleet_violates_no_rule() {
    let spec = FleetSpec {
        clinics: vec![2],
        pens_per_clinic: 10,
        ipl_per_clinic: 3,
        ..small()
    };
    for seed in [1, 2] {
        let fleet = Fleet::generate(seed, &spec).unwrap();
        let (fired, _) = play(&fleet, 240);
        let rules: BTreeSet<&str> = fired.iter().map(|f| f.rule.as_str()).collect();
        assert!(fired.is_empty(), "seed {seed}: {rules:?}: {:?}", fired.first());
    }
}
