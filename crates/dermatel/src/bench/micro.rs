//! CPU per stroke of the parts that see every stroke, in this process, one thread, by its own CPU clock.
use std::hint::black_box;
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::engine::{Cold, ColdError, Engine, FactKey, Snapshot};
use alerting::intake::{self, Input};
use anyhow::{Context, Result};
use prost::Message as _;
use registry::Registry;
use simulator::{Fleet, Who};
use telemetry::{Admitted, Body, ClockQuality, Content, Origin, Topic, UnixMicros, Zone, proto};

use super::table::Table;
use super::{SEED, tell};

/// Strokes in a message: a second at 120 Hz.
const STROKES: u64 = 120;
/// Messages in a round.
const MESSAGES: u64 = 4_000;
/// Rounds; the median counts.
const ROUNDS: usize = 21;

/// Measures.
pub(super) fn run(table: &mut Table) -> Result<()> {
    tell("decoding, windows and rules per stroke");
    let fleet = simulator::load::fleet(SEED, 1)?;
    let who = &first(&fleet)?.who;
    let payloads: Vec<Vec<u8>> = (0..MESSAGES).map(|n| payload(who, n)).collect();
    decode_and_window(table, &fleet, &payloads)?;
    rules(table, &fleet, &payloads)
}

fn decode_and_window(table: &mut Table, fleet: &Fleet, payloads: &[Vec<u8>]) -> Result<()> {
    let topic: Topic = first(fleet)?
        .who
        .topic("telemetry")
        .parse()
        .context("a topic of ours")?;
    let round = || {
        let mut sum = 0;
        for payload in payloads {
            if let Ok(telemetry) = telemetry::decode(&topic, black_box(payload))
                && let Body::Strokes(batch) = &telemetry.body
            {
                sum += black_box(ingestor::window::depths(batch)).sum_um;
            }
        }
        sum
    };
    let nanos = per_stroke(|| {
        black_box(round());
        Ok(())
    })?;
    table.row(
        "decode, validate and window one stroke (120 in a message)",
        "≤ 10 ns",
        format!("{nanos:.1} ns CPU"),
        nanos <= 10.0,
    );
    Ok(())
}

fn rules(table: &mut Table, fleet: &Fleet, payloads: &[Vec<u8>]) -> Result<()> {
    let registry = Arc::new(Registry::from_sources(&fleet.registry_files())?);
    let rules = Arc::new(alerting::rules::builtin()?);
    let records: Vec<Vec<u8>> = payloads
        .iter()
        .map(|payload| record(&first(fleet)?.who, payload))
        .collect::<Result<_>>()?;
    let inputs: Vec<Input> = records
        .iter()
        .map(|bytes| intake::decode(bytes).context("an input of ours"))
        .collect::<Result<_>>()?;
    let mut fired = 0;
    let nanos = per_stroke(|| {
        let fleet = Arc::new(RegistryFleet(Arc::clone(&registry)));
        let mut engine = Engine::new(Arc::clone(&rules), fleet, Snapshot::default());
        fired = 0;
        for (at, input) in inputs.iter().enumerate() {
            fired += engine.apply(at as u64, black_box(input), &Nothing)?.transitions.len();
        }
        Ok(())
    })?;
    table.row(
        "evaluate all rules on one stroke (120 in a message)",
        "≤ 20 ns",
        format!("{nanos:.1} ns CPU"),
        nanos <= 20.0,
    );
    let decode = per_stroke(|| {
        for bytes in &records {
            black_box(intake::decode(black_box(bytes))).map(drop)?;
        }
        Ok(())
    })?;
    table.note(format!(
        "before its rules alerting decodes the record again: {decode:.1} ns CPU a stroke; {fired} transitions in {MESSAGES} healthy messages"
    ));
    Ok(())
}

/// Nothing is kept outside the engine.
struct Nothing;

impl Cold for Nothing {
    fn fact(&self, _: &FactKey) -> Result<Option<String>, ColdError> {
        Ok(None)
    }
}

/// Median CPU nanoseconds per stroke over [`ROUNDS`].
fn per_stroke(mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = thread_nanos();
        round()?;
        rounds.push((thread_nanos() - before) / (MESSAGES * STROKES) as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or(f64::NAN))
}

fn thread_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn first(fleet: &Fleet) -> Result<&simulator::Device> {
    fleet.devices().first().map(AsRef::as_ref).context("the fleet is empty")
}

/// A healthy second of strokes.
pub(super) fn payload(device: &Who, number: u64) -> Vec<u8> {
    let uptime_us = 10_000_000 + number * 1_000_000;
    let frame = proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some(device.id.to_string()),
            boot_id: Some(7),
            sequence: Some(number),
            uptime_us: Some(uptime_us),
            session_id: Some(vec![1; 16]),
            session_start_uptime_us: Some(9_000_000),
            visit_id: Some(vec![2; 16]),
            ..Default::default()
        }),
        body: Some(proto::frame::Body::StrokeBatch(proto::StrokeBatch {
            first_ordinal: Some(number * STROKES),
            first_uptime_us: Some(uptime_us - 1_000_000),
            duration_us: Some(1_000_000),
            zone: Some(Zone::Cheek.to_wire()),
            depth_setpoint_um: Some(700),
            depth_limit_um: Some(1_500),
            depth_um: (0..STROKES).map(|n| 670 + ((n + number) * 37 % 61) as u32).collect(),
            ..Default::default()
        })),
    };
    frame.encode_to_vec()
}

/// The same as it stands in alerting's log.
pub(super) fn record(device: &Who, payload: &[u8]) -> Result<Vec<u8>> {
    let now = UnixMicros::from(std::time::SystemTime::now());
    let admitted = Admitted {
        recorded_by: None,
        tenant: device.tenant.clone(),
        clinic: device.clinic.clone(),
        device: device.id.clone(),
        content: Content::Telemetry,
        payload: payload.to_vec().into(),
        received_at: now,
        anchor: Some(now),
        clock: ClockQuality::Device,
        origin: Origin::Endpoint,
        sequence_reused: false,
        maybe_seen_before: false,
        gateway: "bench".parse().context("an id of ours")?,
        retained: false,
    };
    let mut into = Vec::new();
    intake::encode_frame(&admitted, now, &mut into);
    Ok(into)
}
