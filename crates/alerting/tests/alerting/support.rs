//! A small registry, frames made as a device makes them, and an engine whose state goes through bytes and back.
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::engine::{Engine, Snapshot, Transition};
use alerting::id::AlertId;
use alerting::intake::{self, Action, Command, Input};
use alerting::rehearsal::Memory;
use alerting::rules::{Ruleset, builtin};
use registry::Registry;
use telemetry::{Admitted, ClockQuality, Content, Origin, UnixMicros, proto};

/// 2027-01-15T08:00:00Z.
pub(crate) const T0: i64 = 1_800_000_000_000_000;

const PEN: &str = include_str!("../../../../tests/fixtures/models/pen.toml");

const IPL: &str = r#"
kind = "ipl"
name = "Light"
maker = "Maker"
[limits]
fluence_max_mj_per_cm2 = 15000
fluence_tolerance_permille = 200
skin_fluence_max_mj_per_cm2 = { I = 15000, II = 15000, III = 8000, IV = 7000, V = 5000, VI = 0 }
pulse_interval_min_us = 800000
skin_temperature_max_mdegc = 44000
tip_temperature_max_mdegc = 20000
lamp_life_shots = 300000
skin_filter_cutoff_min_nm = { I = 515, II = 515, III = 530, IV = 560, V = 640, VI = 695 }
"#;

/// A light of which no wipe is asked for.
const UNWIPED: &str = "[policy]\ndisinfection_between_visits = false\ntreatment_interval_min_days = 14\n";

const PLAIN: &str = "name = \"Plain\"\nmaker = \"Maker\"\n[policy]\ndisinfection_between_visits = false\n";

/// The registry of the tests: tenant acme with pens, a light, a sterilizer and a station; tenant other with a pen.
pub(crate) fn registry() -> Registry {
    Registry::from_sources(&registry_files()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Its files: name and text.
pub(crate) fn registry_files() -> Vec<(&'static str, String)> {
    let devices = |prefix: &str| {
        let secret = |n: u32| format!("{n:064x}");
        let row = |id: &str, clinic: &str, model: &str, n: u32| {
            let serial = format!("S-{prefix}-{id}");
            format!(
                "  {{ id = \"{id}\", clinic = \"{clinic}\", model = \"{model}\", serial = \"{serial}\", secret_sha256 = \"{}\" }},\n",
                secret(n)
            )
        };
        let mut text = "device = [\n".to_owned();
        if prefix == "acme" {
            for n in 1..=6 {
                text += &row(&format!("pen-{n}"), if n < 4 { "north" } else { "south" }, "pen", n);
            }
            // From midnight before the tests' first second on.
            let expected = row("pen-7", "south", "pen", 7).replace(" },\n", ", expected_since = 2027-01-15 },\n");
            text += &expected;
            text += &row("ipl-1", "north", "light", 20);
            text += &row("ipl-2", "north", "unwiped", 23);
            text += &row("pen-8", "south", "travelling", 8);
            text += &row("autoclave-1", "north", "steam", 21);
            text += &row("autoclave-2", "north", "steam-strict", 24);
            text += &row("station-1", "north", "wipe", 22);
        } else {
            text += &row("pen-1", "north", "pen", 40);
        }
        text + "]\n"
    };
    let tenant = |number: u32| {
        format!(
            "number = {number}\nname = \"T\"\n[[clinic]]\nid = \"north\"\nname = \"North\"\ntime_zone = \"Europe/Berlin\"\n\
             [[clinic]]\nid = \"south\"\nname = \"South\"\ntime_zone = \"Europe/Berlin\"\n"
        )
    };
    vec![
        ("registry.toml", "version = 1\n".to_owned()),
        ("models/pen.toml", PEN.to_owned()),
        // Its clinics clean for one another.
        (
            "models/travelling.toml",
            format!("{PEN}evidence_from_other_clinics = true\n"),
        ),
        ("models/light.toml", IPL.to_owned()),
        ("models/unwiped.toml", format!("{IPL}{UNWIPED}")),
        ("models/steam.toml", format!("kind = \"autoclave\"\n{PLAIN}")),
        (
            "models/steam-strict.toml",
            format!("kind = \"autoclave\"\n{PLAIN}indicator_each_load = true\n"),
        ),
        ("models/wipe.toml", format!("kind = \"disinfection-station\"\n{PLAIN}")),
        ("tenants/acme/tenant.toml", tenant(1)),
        ("tenants/acme/devices.toml", devices("acme")),
        ("tenants/other/tenant.toml", tenant(2)),
        ("tenants/other/devices.toml", devices("other")),
    ]
}

/// One message of a device.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) tenant: String,
    pub(crate) device: String,
    pub(crate) gateway: String,
    pub(crate) boot: u64,
    pub(crate) sequence: u64,
    /// Microseconds after [`T0`] at which it happened.
    pub(crate) at_us: i64,
    /// The same for when the gateway received it and it entered the log.
    pub(crate) received_us: i64,
    pub(crate) session: Option<u8>,
    pub(crate) visit: Option<u8>,
    pub(crate) origin: Origin,
    pub(crate) maybe_seen_before: bool,
    pub(crate) body: proto::frame::Body,
}

impl Said {
    pub(crate) fn new(device: &str, sequence: u64, at_us: i64, body: proto::frame::Body) -> Self {
        Self {
            tenant: "acme".into(),
            device: device.into(),
            gateway: "gw-1".into(),
            boot: 1,
            sequence,
            at_us,
            received_us: at_us,
            session: Some(1),
            visit: Some(1),
            origin: Origin::Endpoint,
            maybe_seen_before: false,
            body,
        }
    }

    pub(crate) fn admitted(&self) -> Admitted {
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(self.device.clone()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(self.at_us as u64),
            session_id: self.session.map(|s| vec![s; 16]),
            visit_id: self.visit.map(|v| vec![v; 16]),
            ..Default::default()
        };
        let frame = proto::Frame {
            header: Some(header),
            body: Some(self.body.clone()),
        };
        let south = ["pen-4", "pen-5", "pen-6"].contains(&self.device.as_str());
        Admitted {
            recorded_by: None,
            tenant: self.tenant.parse().unwrap(),
            clinic: if south { "south" } else { "north" }.parse().unwrap(),
            device: self.device.parse().unwrap(),
            content: Content::Telemetry,
            payload: prost::Message::encode_to_vec(&frame).into(),
            received_at: UnixMicros(T0 + self.received_us),
            anchor: Some(UnixMicros(T0)),
            clock: ClockQuality::Device,
            origin: self.origin,
            sequence_reused: false,
            maybe_seen_before: self.maybe_seen_before,
            gateway: self.gateway.parse().unwrap(),
            retained: false,
        }
    }

    /// As it stands in the log.
    pub(crate) fn record(&self) -> Vec<u8> {
        let mut into = Vec::new();
        intake::encode_frame(&self.admitted(), UnixMicros(T0 + self.received_us), &mut into);
        into
    }
}

pub(crate) fn watermark(gateway: &str, at_us: i64) -> Vec<u8> {
    intake::encode_watermark(&gateway.parse().unwrap(), UnixMicros(T0 + at_us))
}

pub(crate) fn tick(at_us: i64) -> Vec<u8> {
    encode(proto::input::Input::Tick(proto::Tick { now_us: T0 + at_us }))
}

pub(crate) fn acknowledge(alert: [u8; 16], id: u8, at_us: i64) -> Vec<u8> {
    command(Action::Acknowledge(AlertId(alert)), id, at_us)
}

/// What ann does.
pub(crate) fn command(action: Action, id: u8, at_us: i64) -> Vec<u8> {
    let command = Command {
        id: [id; 16],
        at: UnixMicros(T0 + at_us),
        actor: "ann".into(),
        comment: String::new(),
        action,
        instance: None,
    };
    command.encode()
}

fn encode(input: proto::input::Input) -> Vec<u8> {
    prost::Message::encode_to_vec(&proto::Input { input: Some(input) })
}

pub(crate) fn strokes(
    zone: Option<i32>,
    setpoint_um: Option<u32>,
    first_ordinal: u64,
    first_us: i64,
    depth_um: Vec<u32>,
) -> proto::frame::Body {
    proto::frame::Body::StrokeBatch(proto::StrokeBatch {
        first_ordinal: Some(first_ordinal),
        first_uptime_us: Some(first_us as u64),
        duration_us: Some(100_000),
        zone,
        depth_setpoint_um: setpoint_um,
        depth_um,
        ..Default::default()
    })
}

/// The engine, with what it would have on disk held as the bytes that would be there.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) offset: u64,
    disk: Memory,
    rules: Arc<Ruleset>,
    fleet: Arc<Registry>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_rules(builtin().unwrap())
    }

    pub(crate) fn with_rules(rules: Ruleset) -> Self {
        let (rules, fleet) = (Arc::new(rules), Arc::new(registry()));
        let engine = Engine::new(
            Arc::clone(&rules),
            Arc::new(RegistryFleet(Arc::clone(&fleet))),
            Snapshot::default(),
        );
        Self {
            engine,
            offset: 0,
            disk: Memory::default(),
            rules,
            fleet,
        }
    }

    /// Applies a record of the log.
    pub(crate) fn apply(&mut self, record: &[u8]) -> Vec<Transition> {
        let input: Input = intake::decode(record).unwrap_or_else(|e| panic!("{e:?}"));
        self.apply_input(&input)
    }

    pub(crate) fn apply_input(&mut self, input: &Input) -> Vec<Transition> {
        let outcome = self.engine.apply(self.offset, input, &self.disk).unwrap();
        self.offset += 1;
        outcome.transitions
    }

    pub(crate) fn say(&mut self, said: &Said) -> Vec<Transition> {
        self.apply(&said.record())
    }

    /// A transaction.
    pub(crate) fn commit(&mut self) {
        let changes = self.engine.take_changes();
        self.disk.commit(changes).unwrap();
    }

    /// A transaction, and the process starts again from it.
    pub(crate) fn restart(&mut self) {
        self.commit();
        let fleet = Arc::new(RegistryFleet(Arc::clone(&self.fleet)));
        self.engine = Engine::new(Arc::clone(&self.rules), fleet, self.disk.snapshot().unwrap());
    }
}
