//! Cases of a rule's author: what devices, gateways and people do goes in, the transitions that follow come out and are
//! compared with those that were computed by hand. The project's own vectors and `dermatel rules test` read one format.
//!
//! ```toml
//! what = "one stroke beyond limit and guard band pages at once"
//!
//! [[input]]
//! at_s = 1
//! session = 1
//! visit = 1
//! strokes = { first_ordinal = 0, zone = "cheek", set_um = 700, depth_um = [[10, 700], [1, 1900]] }
//!
//! [[expect]]
//! input = 0
//! rule = "depth-above-limit"
//! to = "firing"
//! why = "raised"
//! page = true
//! ```
mod diff;
mod step;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use telemetry::{Admitted, ClinicId, ClockQuality, Content, DeviceId, DeviceKey, Origin, TenantId, UnixMicros, proto};

pub use self::diff::diff;
pub use self::step::Expect;
use self::step::In;
use crate::engine::ColdError;
use crate::fleet::Fleet;
use crate::id::AlertId;
use crate::intake::{self, Action, Command, InputError};
use crate::rehearsal::Rehearsal;
use crate::rules::{RulesError, Ruleset, parse};

/// When second 0 of a case is: 2027-01-15T08:00:00Z.
pub const T0_US: i64 = 1_800_000_000_000_000;

/// A case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in a sentence.
    pub what: String,
    /// The kind of rule that it is about.
    pub kind: Option<String>,
    /// Whose devices; the one that the caller says where it is not given.
    pub tenant: Option<String>,
    /// Other rules than the caller's, as a rule file.
    rules: Option<String>,
    input: Vec<In>,
    /// What must follow, in order.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

/// What a case is judged by.
#[derive(Clone)]
pub struct Setting {
    /// The rules.
    pub rules: Arc<Ruleset>,
    /// Limits and policies.
    pub fleet: Arc<dyn Fleet>,
    /// Tenant of cases that name none.
    pub tenant: TenantId,
}

/// One transition as a case compares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Index of the input that caused it.
    pub input: usize,
    /// Id of the rule.
    pub rule: String,
    /// State after it.
    pub to: &'static str,
    /// Why.
    pub why: &'static str,
    /// Whether a person is told.
    pub page: bool,
    /// Worst value.
    pub value: f64,
    /// The limit.
    pub limit: f64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = if self.page { " page" } else { "" };
        let (input, rule, to, why) = (self.input, &self.rule, self.to, self.why);
        write!(
            f,
            "{input}: {rule} -> {to} ({why}){page} {:.2} of {:.2}",
            self.value, self.limit
        )
    }
}

impl Line {
    /// Whether this is what was expected.
    pub fn is(&self, e: &Expect) -> bool {
        let same = |want: Option<f64>, have: f64| want.is_none_or(|want| format!("{want:.2}") == format!("{have:.2}"));
        self.input == e.input
            && self.rule == e.rule
            && self.to == e.to
            && self.why == e.why
            && self.page == e.page
            && same(e.value, self.value)
            && same(e.limit, self.limit)
    }
}

/// Why a case says nothing.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file is wrong.
    #[error("line {line}: {what}")]
    File {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// An input cannot be made.
    #[error("input {input}: {what}")]
    Step {
        /// Index of the input.
        input: usize,
        /// What is wrong.
        what: String,
    },
    /// An input is refused as the log would refuse it.
    #[error("input {input} is refused")]
    Refused {
        /// Index of the input.
        input: usize,
        /// Why.
        #[source]
        source: InputError,
    },
    /// The rules of the case are refused.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Memory was not readable.
    #[error("what was put away cannot be read")]
    Cold(#[from] ColdError),
}

/// Reads a case.
///
/// # Errors
/// [`CaseError::File`] with the line.
pub fn read(text: &str) -> Result<Case, CaseError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        CaseError::File {
            line: before.matches('\n').count() + 1,
            what: error.message().to_owned(),
        }
    })
}

/// Plays a case. `restart`: after every input the state goes through its bytes and back, as a process that is started again.
///
/// # Errors
/// [`CaseError`]: the case cannot be played.
pub fn run(case: &Case, setting: &Setting, restart: bool) -> Result<Vec<Line>, CaseError> {
    let rules = match &case.rules {
        Some(text) => Arc::new(parse(&[("rules".to_owned(), text.clone())])?),
        None => Arc::clone(&setting.rules),
    };
    let mut stage = Stage {
        case,
        setting,
        rehearsal: Rehearsal::new(rules, Arc::clone(&setting.fleet)),
        sequences: BTreeMap::new(),
    };
    let mut lines = Vec::new();
    for (n, step) in case.input.iter().enumerate() {
        let bytes = stage.record(n, step)?;
        let input = intake::decode(&bytes).map_err(|source| CaseError::Refused { input: n, source })?;
        for t in stage.rehearsal.apply(&input)?.transitions {
            lines.push(Line {
                input: n,
                rule: t.alert.rule.clone(),
                to: t.to.as_str(),
                why: t.why.as_str(),
                page: t.page && t.alert.class.pages(),
                value: t.alert.value,
                limit: t.alert.limit,
            });
        }
        if restart {
            stage.rehearsal.restart()?;
        }
    }
    Ok(lines)
}

struct Stage<'a> {
    case: &'a Case,
    setting: &'a Setting,
    rehearsal: Rehearsal,
    /// The next sequence number of each device and boot.
    sequences: BTreeMap<(DeviceKey, u64), u64>,
}

impl Stage<'_> {
    /// The step as it would stand in the log.
    fn record(&mut self, n: usize, step: &In) -> Result<Vec<u8>, CaseError> {
        let wrong = |what: String| CaseError::Step { input: n, what };
        let at = UnixMicros(T0_US + step.us());
        if step.watermark {
            let gateway = step.gateway.parse().map_err(|e| wrong(format!("gateway: {e}")))?;
            return Ok(intake::encode_watermark(&gateway, at));
        }
        if step.tick {
            return Ok(intake::encode_tick(at));
        }
        if step.configured {
            return Ok(intake::encode_configured(at, "", ""));
        }
        if let Some(refused) = &step.refused {
            let refused = intake::Refused {
                gateway: step.gateway.parse().map_err(|e| wrong(format!("gateway: {e}")))?,
                device: self.key(step).map_err(wrong)?,
                count: refused.count,
                reason: "malformed".to_owned(),
                received_at: at,
            };
            return Ok(refused.encode());
        }
        if let Some(percent) = step.telemetry_log_percent {
            let backlog = intake::Backlog {
                gateway: step.gateway.parse().map_err(|e| wrong(format!("gateway: {e}")))?,
                log: DeviceId::new("telemetry").map_err(|e| wrong(e.to_string()))?,
                percent,
                at,
            };
            return Ok(backlog.encode());
        }
        if let Some(report) = step.report(at) {
            return Ok(report);
        }
        let said = match (&step.acknowledge, &step.unacknowledge) {
            (Some(rule), _) => Some(Action::Acknowledge(self.only_alert(rule).map_err(wrong)?)),
            (None, Some(rule)) => Some(Action::Unacknowledge(self.only_alert(rule).map_err(wrong)?)),
            (None, None) => None,
        };
        if let Some(action) = said {
            let command = Command {
                id: [n as u8; 16],
                at,
                actor: "ann".to_owned(),
                comment: String::new(),
                action,
                instance: None,
            };
            return Ok(command.encode());
        }
        let admitted = self.admitted(step).map_err(wrong)?;
        let mut into = Vec::new();
        intake::encode_frame(&admitted, admitted.received_at, &mut into);
        Ok(into)
    }

    fn only_alert(&self, rule: &str) -> Result<AlertId, String> {
        let open = self.rehearsal.engine().alerts().filter(|a| a.rule == rule);
        match open.map(|a| a.id).collect::<Vec<_>>().as_slice() {
            [one] => Ok(*one),
            open => Err(format!(
                "{} alerts of {rule} are open, exactly one can be acknowledged",
                open.len()
            )),
        }
    }

    fn key(&self, step: &In) -> Result<DeviceKey, String> {
        let tenant = match step.tenant.as_ref().or(self.case.tenant.as_ref()) {
            Some(tenant) => TenantId::new(tenant).map_err(|e| format!("tenant: {e}"))?,
            None => self.setting.tenant.clone(),
        };
        let device = DeviceId::new(&step.device).map_err(|e| format!("device: {e}"))?;
        Ok(DeviceKey { tenant, device })
    }

    fn admitted(&mut self, step: &In) -> Result<Admitted, String> {
        let key = self.key(step)?;
        let clinic = match (&step.clinic, self.setting.fleet.facts(&key)) {
            (Some(clinic), _) => ClinicId::new(clinic).map_err(|e| format!("clinic: {e}"))?,
            (None, Some(facts)) => facts.clinic.clone(),
            (None, None) => return Err(format!("{key} is not in the registry: say its clinic")),
        };
        let next = self.sequences.entry((key.clone(), step.boot)).or_default();
        let sequence = step.sequence.unwrap_or(*next);
        *next = sequence + 1;
        let received_us = step.received_s.map_or(step.us(), |s| (s * 1e6).round() as i64);
        Ok(Admitted {
            recorded_by: None,
            tenant: key.tenant,
            clinic,
            device: key.device,
            content: Content::Telemetry,
            payload: prost::Message::encode_to_vec(&frame(step, sequence)).into(),
            received_at: UnixMicros(T0_US + received_us),
            anchor: Some(UnixMicros(T0_US)),
            clock: if step.skewed_s.is_some() {
                ClockQuality::Skewed
            } else {
                ClockQuality::Device
            },
            origin: if step.replayed {
                Origin::Replayed
            } else {
                Origin::Endpoint
            },
            sequence_reused: false,
            maybe_seen_before: step.maybe_seen_before,
            gateway: step.gateway.parse().map_err(|e| format!("gateway: {e}"))?,
            retained: false,
        })
    }
}

fn frame(step: &In, sequence: u64) -> proto::Frame {
    proto::Frame {
        header: Some(proto::Header {
            schema_version: Some(1),
            device_id: Some(step.device.clone()),
            boot_id: Some(step.boot),
            sequence: Some(sequence),
            uptime_us: Some(step.us() as u64),
            session_id: step.session.map(|s| vec![s; 16]),
            visit_id: step.visit.map(|v| vec![v; 16]),
            oldest_unacknowledged_sequence: step.oldest,
            wants_ack_up_to: None,
            wall_time_us: step.skewed_s.map(|s| T0_US + step.us() + (s * 1e6).round() as i64),
            ..Default::default()
        }),
        body: Some(step.body()),
    }
}
