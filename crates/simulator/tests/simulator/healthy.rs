//! A healthy fleet: repeatable, complete, plausible, and without anything that a rule could take for a hazard.
use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use simulator::treatment::zone_depth;
use simulator::{Fleet, FleetSpec, LAG_1_AUTOCORRELATION, SCALE_TOLERANCE_UM, TimedFrame};
use telemetry::{Body, BootId, DeviceKind, SessionId, VisitId};

use crate::read::{Read, read, seconds, small};

fn frames(seed: u64, spec: &FleetSpec, seconds: u64) -> Vec<TimedFrame> {
    Fleet::generate(seed, spec)
        .unwrap()
        .frames(Duration::from_secs(seconds))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() {
    let spec = small();
    let first = frames(7, &spec, 40);
    assert!(first.len() > 100, "{}", first.len());
    assert_eq!(first, frames(7, &spec, 40));
    let other = frames(8, &spec, 40);
    assert_ne!(
        first.iter().map(|f| &f.payload).collect::<Vec<_>>(),
        other.iter().map(|f| &f.payload).collect::<Vec<_>>()
    );
}

#[test]
fn a_device_does_the_same_whatever_other_devices_there_are() {
    let few = small();
    let many = FleetSpec {
        clinics: vec![1, 1],
        ..small()
    };
    let of_first_clinic = |spec: &FleetSpec| -> Vec<_> {
        frames(3, spec, 30)
            .into_iter()
            .filter(|f| f.topic.starts_with("dermatel/v1/aurora/"))
            .map(|f| (f.at_us, f.topic, f.payload))
            .collect()
    };
    assert_eq!(of_first_clinic(&few), of_first_clinic(&many));
}

/// What must hold for each boot and session of what was read.
fn check_counts(reads: &[Read]) -> usize {
    let mut sequences: HashMap<(usize, BootId), u64> = HashMap::new();
    let mut ordinals: HashMap<SessionId, u64> = HashMap::new();
    let mut ends = 0;
    for read in reads {
        let header = read.header();
        let next = sequences.entry((read.device, header.boot)).or_default();
        assert_eq!(header.sequence, *next, "a hole in the sequence numbers");
        *next += 1;
        let Some(session) = header.session else { continue };
        let next = ordinals.entry(session.id).or_default();
        match read.body() {
            Body::Strokes(batch) => {
                assert_eq!(batch.first_ordinal, *next, "a hole in the ordinals");
                *next = batch.next_ordinal();
            }
            Body::Pulses(batch) => {
                for pulse in &batch.pulses {
                    assert_eq!(pulse.ordinal, *next, "a hole in the ordinals");
                    *next += 1;
                }
            }
            Body::SessionEnd(end) => {
                assert_eq!(
                    end.strokes_total.or(end.pulses_total),
                    Some(*next),
                    "the total is wrong"
                );
                ends += 1;
            }
            _ => {}
        }
    }
    ends
}

#[test]
fn times_never_go_backwards_and_uptimes_follow_them() {
    let (reads, _) = read(&Fleet::generate(5, &small()).unwrap(), 90);
    let mut last: HashMap<(usize, BootId), (u64, u64)> = HashMap::new();
    assert!(reads.is_sorted_by_key(|r| r.at_us));
    for read in &reads {
        let uptime = read.header().uptime.micros();
        let entry = last
            .entry((read.device, read.header().boot))
            .or_insert((read.at_us, uptime));
        assert_eq!(read.at_us - entry.0, uptime - entry.1, "uptime runs as time does");
    }
}

#[test]
fn no_healthy_reading_is_beyond_any_limit() {
    let fleet = Fleet::generate(
        11,
        &FleetSpec {
            clinics: vec![1],
            pens_per_clinic: 8,
            ..small()
        },
    )
    .unwrap();
    let (reads, truths) = read(&fleet, 120);
    assert!(truths.is_empty());
    let (mut strokes, mut pulses) = (0, 0);
    for read in &reads {
        match read.body() {
            Body::Strokes(batch) => {
                let limit = zone_depth(batch.zone.unwrap()).limit_um;
                let setpoint = batch.setpoint.unwrap().get();
                let offset = fleet.devices()[read.device].offset_um;
                assert_eq!(batch.device_limit.unwrap().get(), limit);
                assert!(setpoint <= limit);
                for (_, depth) in batch.depths() {
                    assert!(depth <= limit, "{depth} µm in {:?}, limit {limit}", batch.zone);
                    let residual = (i64::from(depth) - i64::from(setpoint) - i64::from(offset)).unsigned_abs();
                    assert!(residual < u64::from(SCALE_TOLERANCE_UM) * 2, "residual {residual} µm");
                    strokes += 1;
                }
            }
            Body::Pulses(batch) => {
                for pulse in &batch.pulses {
                    let set = f64::from(pulse.energy_set.unwrap().get());
                    let measured = f64::from(pulse.energy_measured.unwrap().get());
                    assert!((measured / set - 1.0).abs() <= 0.0501, "{measured} mJ, set {set} mJ");
                    let fluence = f64::from(pulse.fluence_measured.unwrap().get());
                    assert!((measured * 100.0 / f64::from(pulse.spot.unwrap().get()) - fluence).abs() <= 1.0);
                    assert!(pulse.skin_temperature.unwrap().get() < 40_000);
                    pulses += 1;
                }
            }
            _ => {}
        }
    }
    assert!(strokes > 20_000 && pulses > 50, "{strokes} strokes, {pulses} pulses");
}

#[test]
fn a_battery_swap_is_a_new_boot_and_session_of_the_same_visit() {
    let spec = FleetSpec {
        battery_swaps: 1.0,
        session: seconds(30, 40),
        ipl_per_clinic: 0,
        ..small()
    };
    let (reads, _) = read(&Fleet::generate(13, &spec).unwrap(), 120);
    let mut of_visit: HashMap<VisitId, Vec<(BootId, SessionId)>> = HashMap::new();
    for read in reads.iter().filter(|r| matches!(r.body(), Body::SessionStart(_))) {
        let header = read.header();
        of_visit
            .entry(header.visit.unwrap())
            .or_default()
            .push((header.boot, header.session.unwrap().id));
    }
    let swapped: Vec<_> = of_visit.values().filter(|sessions| sessions.len() == 2).collect();
    assert!(swapped.len() >= 4 && of_visit.values().all(|sessions| sessions.len() <= 2));
    assert!(swapped.iter().all(|s| s[0].0 != s[1].0 && s[0].1 != s[1].1));
}

#[test]
fn a_device_without_a_clock_tells_no_wall_time_and_the_others_tell_it_nearly_right() {
    let spec = FleetSpec {
        pens_per_clinic: 20,
        without_clock: 0.5,
        ..small()
    };
    let fleet = Fleet::generate(17, &spec).unwrap();
    let (reads, _) = read(&fleet, 10);
    let without = fleet.devices().iter().filter(|d| d.clock.is_none()).count();
    assert!((4..=16).contains(&without), "{without}");
    for read in &reads {
        let wall = read.header().wall;
        assert_eq!(wall.and_then(|w| w.source), fleet.devices()[read.device].clock);
        let error = wall.map_or(0, |w| w.at.0 - fleet.start.0 - read.at_us as i64);
        assert!(error.abs() <= 2_000_000, "{error} µs");
    }
}

/// Residuals of neighbouring strokes of one pen under one setpoint.
fn residuals(fleet: &Fleet, reads: &[Read], device: usize) -> Vec<(f64, f64)> {
    let offset = f64::from(fleet.devices()[device].offset_um);
    let mut pairs = Vec::new();
    for batch in reads.iter().filter(|r| r.device == device).filter_map(Read::strokes) {
        let Some(depths) = batch.depths_if_all_read() else {
            continue;
        };
        let setpoint = f64::from(batch.setpoint.unwrap().get());
        // A depth of nothing is where the sensor's scale ends: it would bend the statistics.
        if setpoint + offset < 200.0 {
            continue;
        }
        let residual = |depth: u32| f64::from(depth) - setpoint - offset;
        pairs.extend(depths.windows(2).map(|pair| (residual(pair[0]), residual(pair[1]))));
    }
    pairs
}

#[test]
fn the_noise_has_the_declared_mean_sigma_and_autocorrelation() {
    let spec = FleetSpec {
        pens_per_clinic: 2,
        ipl_per_clinic: 0,
        ..small()
    };
    let fleet = Fleet::generate(19, &spec).unwrap();
    let (reads, _) = read(&fleet, 300);
    for device in 0..2 {
        let pairs = residuals(&fleet, &reads, device);
        let n = pairs.len() as f64;
        assert!(n > 5_000.0, "{n}");
        let mean = pairs.iter().map(|p| p.0).sum::<f64>() / n;
        let variance = pairs.iter().map(|p| (p.0 - mean).powi(2)).sum::<f64>() / n;
        let lag_1 = pairs.iter().map(|p| (p.0 - mean) * (p.1 - mean)).sum::<f64>() / n / variance;
        let sigma = f64::from(fleet.devices()[device].sigma_um);
        // Standard errors: of the mean sigma * sqrt((1 + r) / (1 - r) / n), of the others about 1 / sqrt(n); six of each.
        let n = n.sqrt();
        assert!(mean.abs() < 6.0 * sigma * 2.0 / n, "mean {mean} µm");
        assert!(
            (variance.sqrt() / sigma - 1.0).abs() < 6.0 * 1.5 / n,
            "sigma {} µm",
            variance.sqrt()
        );
        assert!((lag_1 - LAG_1_AUTOCORRELATION).abs() < 6.0 / n, "lag-1 {lag_1}");
    }
}

#[test]
fn rates_and_needle_contact_are_those_of_pens() {
    let spec = FleetSpec {
        pens_per_clinic: 6,
        ipl_per_clinic: 0,
        battery_swaps: 0.0,
        ..small()
    };
    let fleet = Fleet::generate(23, &spec).unwrap();
    let (reads, _) = read(&fleet, 200);
    let (mut stroking_us, mut session_us) = (0u64, 0u64);
    let mut started: HashMap<usize, u64> = HashMap::new();
    for read in &reads {
        match read.body() {
            Body::Strokes(batch) => {
                stroking_us += u64::from(batch.duration_us);
                assert!(batch.duration_us <= 1_000_000);
                // A handful of strokes says little about their rate.
                if batch.len() > 50 {
                    let hz = batch.rate_mhz().unwrap() as f64 / 1_000.0;
                    assert!((95.0..=155.0).contains(&hz), "{hz} Hz");
                }
            }
            Body::SessionStart(_) => {
                started.insert(read.device, read.at_us);
            }
            Body::SessionEnd(_) => session_us += read.at_us - started[&read.device],
            _ => {}
        }
    }
    let contact = stroking_us as f64 / session_us as f64;
    assert!(
        (0.35..0.65).contains(&contact),
        "needles on the skin for {contact} of the time"
    );
}

#[test]
fn between_any_two_visits_the_device_is_wiped_and_its_cartridge_is_new() {
    let fleet = Fleet::generate(29, &small()).unwrap();
    let (reads, _) = read(&fleet, 200);
    let mut wiped: HashMap<String, bool> = HashMap::new();
    let mut sterile: HashMap<String, bool> = HashMap::new();
    let mut visit_of: HashMap<usize, VisitId> = HashMap::new();
    let mut cartridges: HashMap<String, VisitId> = HashMap::new();
    let mut visits = 0;
    for read in &reads {
        let device = &fleet.devices()[read.device];
        match read.body() {
            Body::Disinfection(wipe) => {
                wiped.extend(wipe.items.iter().map(|item| (item.to_string(), true)));
            }
            Body::SterilizationCycle(cycle) => {
                assert_eq!(cycle.outcome, Some(telemetry::Outcome::Pass));
                sterile.extend(cycle.items.iter().map(|item| (item.to_string(), true)));
            }
            Body::SessionStart(start) => {
                let visit = read.header().visit.unwrap();
                if visit_of.insert(read.device, visit) != Some(visit) {
                    visits += 1;
                    assert_eq!(
                        wiped.insert(device.who.id.to_string(), false),
                        Some(true),
                        "{}",
                        device.who.id
                    );
                }
                if device.kind == DeviceKind::Pen {
                    assert!(sterile.contains_key(device.who.id.as_str()));
                    let first = *cartridges
                        .entry(start.cartridge.clone().unwrap().to_string())
                        .or_insert(visit);
                    assert_eq!(first, visit, "a cartridge in two visits");
                }
            }
            _ => {}
        }
    }
    assert!(visits > 15, "{visits}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_frame_decodes_and_counts_have_no_hole(
        seed: u64,
        pens in 1u32..4,
        ipl in 0u32..3,
        batch_ms in 100u64..=1000,
        swaps in 0.0f64..=1.0,
        gap_s in 4u64..20,
    ) {
        let spec = FleetSpec {
            pens_per_clinic: pens,
            ipl_per_clinic: ipl,
            battery_swaps: swaps,
            batch: Duration::from_millis(batch_ms),
            gap: simulator::Span { min: Duration::from_secs(gap_s), max: Duration::from_secs(gap_s + 3) },
            ..small()
        };
        let (reads, truths) = read(&Fleet::generate(seed, &spec).unwrap(), 60);
        prop_assert!(truths.is_empty());
        prop_assert!(reads.iter().all(|r| r.decoded.is_ok()));
        prop_assert!(check_counts(&reads) > 0, "no session ended");
    }
}
