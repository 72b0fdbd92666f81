//! What a large fleet's state costs alerting: resident memory, and how long a restart takes until the first input can be
//! judged. The state is made here; what is measured is a process of its own that reads it.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use alerting::RegistryFleet;
use alerting::engine::state::{Device, Heard, MAX_BOOTS, MAX_OFFSETS, Visit};
use alerting::engine::{Changes, Engine};
use alerting::id::{AlertId, Opaque};
use alerting::intake;
use alerting::store::{Batch, Store};
use anyhow::{Context, Result, ensure};
use registry::Registry;
use serde::{Deserialize, Serialize};
use simulator::{Fleet, Who};
use telemetry::UnixMicros;

use super::table::Table;
use super::{Bench, micro, process, tell};
use crate::text::grouped;

/// Frames of each boot that every device has said.
const FRAMES: u64 = 1_000;
/// Devices in one transaction while the state is made.
const CHUNK: usize = 10_000;
/// One device in so many is in a session when the process starts again.
const IN_SESSION_EVERY: usize = 4;
/// One number in so many is missing, so that sequence numbers have holes.
const HOLE_EVERY: u64 = 400;
/// Alerts that ended, remembered per device.
const CLOSED: u8 = 8;

/// What the reading process tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// With rules and registry, before the state.
    before_mib: f64,
    /// With the state.
    after_mib: f64,
    /// After every device was heard once.
    heard_mib: f64,
    load_s: f64,
    engine_s: f64,
    /// CPU seconds of both.
    cpu_s: f64,
}

/// Measures.
pub(super) fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("alerting's state of a large fleet");
    let (dir, fleet) = bench.stage("state", bench.devices)?;
    let file = dir.join("alerting.sqlite");
    write(&fleet, &file)?;
    let bytes = std::fs::metadata(&file)?.len();
    let exe = std::env::current_exe().context("own program")?;
    // As the process keeps its memory that serves.
    let output = Command::new(exe)
        .envs(crate::process::MALLOC)
        .args(["bench", "--read-state"])
        .arg(&dir)
        .output()?;
    ensure!(
        output.status.success(),
        "the reading process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Told = serde_json::from_slice(&output.stdout).context("what the reading process tells")?;
    let devices = grouped(fleet.devices().len() as u64);
    let all = told.load_s + told.engine_s;
    table.row(
        format!("restart of alerting with the state of {devices} devices, until an input can be judged"),
        "≤ 2 s",
        format!(
            "{all:.2} s (file {:.2} s, engine {:.2} s; {:.2} s CPU; {} MiB of file)",
            told.load_s,
            told.engine_s,
            told.cpu_s,
            bytes >> 20
        ),
        all <= 2.0,
    );
    let state = told.after_mib - told.before_mib;
    let heard = told.heard_mib - told.before_mib;
    table.row(
        format!("resident memory of the state of {devices} devices, each with {MAX_BOOTS} boots behind it"),
        "≤ 256 MiB",
        format!(
            "{state:.0} MiB after the restart, {heard:.0} MiB once all were heard ({:.0} MiB with rules and registry)",
            told.heard_mib
        ),
        heard <= 256.0,
    );
    bench.clear(&dir);
    Ok(())
}

/// Makes the file as if every device had been in use for days.
fn write(fleet: &Fleet, file: &Path) -> Result<()> {
    let store = Store::open(file)?;
    let now = UnixMicros::from(std::time::SystemTime::now());
    for (chunk, devices) in fleet.devices().chunks(CHUNK).enumerate() {
        let rows = devices.iter().enumerate().map(|(at, device)| {
            let state = history(device, chunk * CHUNK + at, now);
            Ok((device.who.key(), state.to_row()?))
        });
        let changes = Changes {
            devices: rows.collect::<Result<BTreeMap<_, _>>>()?,
            clock: now,
            ..Changes::default()
        };
        store.commit(&Batch {
            changes,
            evidence_max: u64::MAX,
            next: 1,
            now,
            ..Batch::default()
        })?;
    }
    Ok(())
}

fn history(device: &simulator::Device, number: usize, now: UnixMicros) -> Device {
    let who = &device.who;
    let mut state = Device {
        clinic: who.clinic.as_str().into(),
        gateway: format!("gw-{}", who.clinic).into(),
        serial: Some(format!("SN-{}", who.id)),
        depth_offset_um: Some(20),
        received_at: now,
        in_session: number.is_multiple_of(IN_SESSION_EVERY),
        ..Device::default()
    };
    let number = number as u64;
    for boot in 0..MAX_BOOTS as u64 {
        for sequence in (0..FRAMES).filter(|n| n % HOLE_EVERY != HOLE_EVERY / 2) {
            let hash = (number << 20 | sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            state.take(boot << 32 | number, sequence, hash);
        }
    }
    state.heard = Some(Heard {
        boot: 3 << 32 | number,
        sequence: FRAMES - 1,
        event_time: now,
    });
    let id = |what: u8| {
        let mut id = [what; 16];
        id.iter_mut()
            .zip(number.to_be_bytes())
            .for_each(|(to, from)| *to = from);
        id
    };
    // As the frames say that the bench's device sends afterwards: the visit goes on.
    let key = Opaque([2; 16]);
    if state.in_session {
        state.session = Some(Opaque([1; 16]));
    }
    state.ended = Some(Opaque(id(3)));
    state.visit = Some(Visit {
        key,
        given: true,
        first: now,
        last: now,
    });
    state.cartridge = Some(format!("CT-{number}"));
    (0..CLOSED).for_each(|n| state.close(AlertId(id(10 + n))));
    (0..MAX_OFFSETS as u64).for_each(|n| state.remember(number * 64 + n));
    state
}

/// The process that reads: prints what it measured of itself.
pub(super) fn read(dir: &Path) -> Result<()> {
    let pid = std::process::id();
    let registry = Arc::new(Registry::load(&dir.join("registry"))?);
    let rules = Arc::new(alerting::rules::builtin()?);
    let (before_mib, _) = process::resident_mib(pid)?;
    let cpu = process::cpu_seconds(pid)?;
    let started = Instant::now();
    let store = Store::open(&dir.join("alerting.sqlite"))?;
    let (snapshot, _) = store.load()?;
    let load_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut engine = Engine::new(rules, Arc::new(RegistryFleet(Arc::clone(&registry))), snapshot);
    let engine_s = started.elapsed().as_secs_f64();
    let cpu_s = process::cpu_seconds(pid)? - cpu;
    let (after_mib, _) = process::resident_mib(pid)?;
    for (at, device) in registry.devices().enumerate() {
        let who = Who {
            tenant: device.key.tenant.clone(),
            clinic: device.clinic.clone(),
            id: device.key.device.clone(),
        };
        let record = micro::record(&who, &micro::payload(&who, FRAMES))?;
        engine.apply(at as u64, &intake::decode(&record)?, &store)?;
        // As a transaction would; what it holds is written and gone.
        if at.is_multiple_of(CHUNK) {
            drop(engine.take_changes());
        }
    }
    drop(engine.take_changes());
    let (heard_mib, _) = process::resident_mib(pid)?;
    let told = Told {
        before_mib,
        after_mib,
        heard_mib,
        load_s,
        engine_s,
        cpu_s,
    };
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}
