//! Every row of the catalogue has a vector that was computed by hand: inputs in, transitions out.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alerting::id::AlertId;
use alerting::rules::{Kind, builtin};
use serde::Deserialize;
use telemetry::{IndicatorKind, Origin, Outcome, SkinType, Zone, proto};

use crate::support::{Said, T0, World, acknowledge, strokes, tick, watermark};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[allow(dead_code)]
    what: String,
    kind: String,
    input: Vec<In>,
    #[serde(default)]
    expect: Vec<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct In {
    /// Seconds after the start at which it happened.
    at_s: f64,
    /// When it was received, if later.
    received_s: Option<f64>,
    #[serde(default = "pen")]
    device: String,
    sequence: Option<u64>,
    session: Option<u8>,
    visit: Option<u8>,
    #[serde(default)]
    replayed: bool,
    strokes: Option<Strokes>,
    pulse: Option<Pulse>,
    start: Option<Start>,
    birth: Option<Birth>,
    /// The gateway remembered the number and not the payload.
    #[serde(default)]
    maybe_seen_before: bool,
    #[serde(default)]
    end: bool,
    heartbeat: Option<bool>,
    disinfection: Option<Disinfection>,
    cycle: Option<Cycle>,
    indicator: Option<Indicator>,
    /// Of gateway gw-1.
    #[serde(default)]
    watermark: bool,
    #[serde(default)]
    tick: bool,
    /// Acknowledges the open alert of this rule.
    acknowledge: Option<String>,
}

fn pen() -> String {
    "pen-1".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strokes {
    first_ordinal: u64,
    zone: Option<Zone>,
    set_um: Option<u32>,
    /// Pairs of (how many, depth in micrometres).
    depth_um: Vec<(usize, u32)>,
    cartridge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pulse {
    ordinal: u64,
    skin: Option<SkinType>,
    zone: Option<Zone>,
    set_mj_per_cm2: Option<u32>,
    measured_mj_per_cm2: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    cartridge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Birth {
    depth_offset_um: Option<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disinfection {
    items: Vec<String>,
    /// When it was done, if told, in seconds after the start.
    performed_s: Option<f64>,
    #[serde(default = "intermediate")]
    level: i32,
}

fn intermediate() -> i32 {
    2
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cycle {
    id: String,
    items: Vec<String>,
    outcome: Outcome,
    /// When it ended, if told, in seconds after the start.
    ended_s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Indicator {
    kind: IndicatorKind,
    outcome: Outcome,
    /// When its cycle ended, if told, in seconds after the start.
    ended_s: Option<f64>,
    cycle: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Index of the input that causes it.
    input: usize,
    rule: String,
    to: String,
    why: String,
    #[serde(default)]
    page: bool,
    value: Option<f64>,
    limit: Option<f64>,
}

/// Seconds after the start as a time that a device tells.
fn wall(s: f64) -> i64 {
    T0 + (s * 1e6).round() as i64
}

impl In {
    fn us(&self) -> i64 {
        (self.at_s * 1e6).round() as i64
    }

    fn body(&self) -> proto::frame::Body {
        use proto::frame::Body;
        if let Some(s) = &self.strokes {
            let depths = s
                .depth_um
                .iter()
                .flat_map(|&(n, depth)| std::iter::repeat_n(depth, n))
                .collect();
            let body = strokes(s.zone.map(Zone::to_wire), s.set_um, s.first_ordinal, self.us(), depths);
            let Body::StrokeBatch(mut batch) = body else {
                unreachable!()
            };
            batch.cartridge_serial = s.cartridge.clone();
            return Body::StrokeBatch(batch);
        }
        if let Some(p) = &self.pulse {
            let pulse = proto::Pulse {
                ordinal: Some(p.ordinal),
                uptime_us: Some(self.us() as u64),
                fluence_set_mj_per_cm2: p.set_mj_per_cm2,
                fluence_measured_mj_per_cm2: p.measured_mj_per_cm2,
                zone: p.zone.map(Zone::to_wire),
                skin_type: p.skin.map(SkinType::to_wire),
                fired: Some(true),
                ..Default::default()
            };
            return Body::PulseBatch(proto::PulseBatch {
                pulses: vec![pulse],
                flush_reason: None,
            });
        }
        if let Some(d) = &self.disinfection {
            return Body::Disinfection(proto::Disinfection {
                items: d.items.clone(),
                level: Some(d.level),
                performed_at_us: d.performed_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(c) = &self.cycle {
            return Body::SterilizationCycle(proto::SterilizationCycle {
                cycle_id: Some(c.id.clone()),
                items: c.items.clone(),
                outcome: Some(c.outcome.to_wire()),
                ended_at_us: c.ended_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(i) = &self.indicator {
            return Body::IndicatorResult(proto::IndicatorResult {
                kind: Some(i.kind.to_wire()),
                outcome: Some(i.outcome.to_wire()),
                cycle_id: i.cycle.clone(),
                cycle_ended_at_us: i.ended_s.map(wall),
                ..Default::default()
            });
        }
        if let Some(b) = &self.birth {
            return Body::Birth(proto::Birth {
                depth_offset_um: b.depth_offset_um,
                ..Default::default()
            });
        }
        if let Some(s) = &self.start {
            return Body::SessionStart(proto::SessionStart {
                cartridge_serial: s.cartridge.clone(),
                ..Default::default()
            });
        }
        if self.end {
            return Body::SessionEnd(proto::SessionEnd::default());
        }
        Body::Heartbeat(proto::Heartbeat {
            in_session: self.heartbeat,
            ..Default::default()
        })
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn vectors() -> Vec<(String, Vector)> {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let vector = toml::from_str(&std::fs::read_to_string(&path).unwrap());
            (name.clone(), vector.unwrap_or_else(|e| panic!("{name}: {e}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// One line per transition, which is what is compared.
fn run(vector: &Vector, restart: bool) -> Vec<String> {
    let mut world = World::new();
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    let mut out = Vec::new();
    for (n, input) in vector.input.iter().enumerate() {
        let received = input.received_s.map_or(input.us(), |s| (s * 1e6).round() as i64);
        let record = if input.watermark {
            watermark("gw-1", input.us())
        } else if input.tick {
            tick(input.us())
        } else if let Some(rule) = &input.acknowledge {
            let open: Vec<AlertId> = world
                .engine
                .alerts()
                .filter(|a| a.rule == *rule)
                .map(|a| a.id)
                .collect();
            assert_eq!(
                open.len(),
                1,
                "input {n}: exactly one open alert of {rule} can be acknowledged"
            );
            acknowledge(open[0].0, n as u8, input.us())
        } else {
            let next = sequences.entry(input.device.clone()).or_default();
            let mut said = Said::new(&input.device, input.sequence.unwrap_or(*next), input.us(), input.body());
            *next = said.sequence + 1;
            said.received_us = received;
            said.session = input.session;
            said.visit = input.visit;
            said.maybe_seen_before = input.maybe_seen_before;
            if input.replayed {
                said.origin = Origin::Replayed;
            }
            said.record()
        };
        for t in world.apply(&record) {
            let page = if t.page && t.alert.class.pages() { " page" } else { "" };
            out.push(format!(
                "{n}: {} -> {} ({}){page} {:.2} of {:.2}",
                t.alert.rule,
                t.to.as_str(),
                t.why.as_str(),
                t.alert.value,
                t.alert.limit
            ));
        }
        if restart {
            world.restart();
        }
    }
    out
}

/// The value and limit are only compared where the vector gives them.
fn matches(line: &str, e: &Expect) -> bool {
    let page = if e.page { " page" } else { "" };
    let head = format!("{}: {} -> {} ({}){page} ", e.input, e.rule, e.to, e.why);
    let tail = |v: Option<f64>| v.map(|v| format!("{v:.2}"));
    line.strip_prefix(&head).is_some_and(|rest| {
        let (value, limit) = rest.split_once(" of ").unwrap();
        tail(e.value).is_none_or(|v| v == value) && tail(e.limit).is_none_or(|l| l == limit)
    })
}

#[test]
fn every_vector_gives_the_transitions_that_were_computed_by_hand() {
    let mut failures = Vec::new();
    for (name, vector) in vectors() {
        for restart in [false, true] {
            let got = run(&vector, restart);
            let same = got.len() == vector.expect.len() && got.iter().zip(&vector.expect).all(|(g, e)| matches(g, e));
            if !same {
                failures.push(format!("{name} (restart {restart}):\n  {}", got.join("\n  ")));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_row_of_the_catalogue_is_whole_and_every_rule_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rules/catalogue.md");
    let text = std::fs::read_to_string(root).unwrap();
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    let vectors: BTreeMap<String, Vector> = vectors().into_iter().collect();
    let rules = builtin().unwrap();
    for kind in Kind::ALL {
        let head = rules
            .head(*kind)
            .unwrap_or_else(|| panic!("{kind} has no default rule"));
        let row = rows.iter().find(|row| row[0] == format!("`{}`", head.id));
        let row = row.unwrap_or_else(|| panic!("{} has no row in the catalogue", head.id));
        assert_eq!(
            row.len(),
            8,
            "{}: a row has id, hazard, fields, formula, default, priority, fault, vectors",
            head.id
        );
        assert!(row.iter().all(|cell| !cell.is_empty()), "{}: an empty cell", head.id);
        assert_eq!(
            row[5],
            head.priority.as_str(),
            "{}: priority of the row is not that of the rule",
            head.id
        );
        for name in row[7].split(", ") {
            let name = name.trim_matches('`');
            let vector = vectors
                .get(name)
                .unwrap_or_else(|| panic!("{}: there is no vector {name}", head.id));
            assert_eq!(vector.kind, kind.as_str(), "{name} is of another kind");
            let fires = vector.expect.iter().any(|e| e.rule == *head.id && e.to == "firing");
            assert!(
                fires || row[7].contains(", "),
                "{name}: a hazard's only vector must fire"
            );
        }
    }
    assert_eq!(rows.len(), Kind::ALL.len(), "a row without a rule");
}
