//! Rule files: TOML, validated as a whole; every fault is named with its file and line, and one fault refuses them all.
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use telemetry::{ClinicId, DeviceId, ModelId, Priority, SkinType, TenantId, Zone};
use toml::{Spanned, Table, Value};

use super::book::Matcher;
use super::budget::RawBudget;
use super::{Head, Kind, Override, Parameters, Rule, Ruleset};

/// Longest on-delay in seconds: practice is 0 to 10, at most 60 (one project's alarm philosophy, domain knowledge of low sureness).
const MAX_ON_DELAY_S: u32 = 60;
/// Longest off-delay in seconds (our choice: what is over must be seen as over within minutes).
const MAX_OFF_DELAY_S: u32 = 300;
/// Most overrides of one rule: each is looked at when a device's parameters are resolved.
const MAX_OVERRIDES: usize = 4_096;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Why rules were not taken: all faults at once.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// They contradict the schema or themselves.
    #[error("rules are refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faults(Vec<RuleFault>),
    /// A file could not be read.
    #[error("cannot read rules at {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    budget: Option<Spanned<RawBudget>>,
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    id: Spanned<String>,
    kind: Spanned<String>,
    priority: Priority,
    #[serde(default = "yes")]
    enabled: bool,
    what_to_do: Spanned<String>,
    on_delay_s: Option<Spanned<u32>>,
    off_delay_s: Option<Spanned<u32>>,
    parameters: Option<Spanned<Table>>,
    #[serde(default, rename = "override")]
    overrides: Vec<Spanned<RawOverride>>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOverride {
    model: Option<ModelId>,
    zone: Option<Zone>,
    skin_type: Option<SkinType>,
    tenant: Option<TenantId>,
    clinic: Option<ClinicId>,
    device: Option<DeviceId>,
    parameters: Spanned<Table>,
}

/// Reads every `*.toml` of a directory, in the order of names, as one set.
///
/// # Errors
/// [`RulesError`]: nothing was taken.
pub fn load_dir(dir: &Path) -> Result<Ruleset, RulesError> {
    parse(&files_of(dir)?)
}

/// The `*.toml` of a directory with their texts, in the order of names.
///
/// # Errors
/// [`RulesError::Io`].
pub fn files_of(dir: &Path) -> Result<Vec<(String, String)>, RulesError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RulesError::Io { path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(io(&path))?;
        files.push((path.display().to_string(), text));
    }
    Ok(files)
}

/// Where each rule stands: id, file, line. Files that cannot be read have none: [`parse`] says why.
pub fn places(files: &[(String, String)]) -> Vec<(String, String, usize)> {
    let mut found = Vec::new();
    for (file, text) in files {
        let Ok(raw) = toml::from_str::<RawFile>(text) else {
            continue;
        };
        for rule in raw.rule {
            let at = rule.span().start;
            let line = Place { file, text, at }.fault("").line;
            found.push((rule.into_inner().id.into_inner(), file.clone(), line));
        }
    }
    found
}

/// Validates files, given as (name, text), as one set.
///
/// # Errors
/// [`RulesError::Faults`] with every fault that was found.
pub fn parse(files: &[(String, String)]) -> Result<Ruleset, RulesError> {
    let mut reader = Reader::default();
    for (file, text) in files {
        reader.file(file, text);
    }
    if !reader.faults.is_empty() {
        return Err(RulesError::Faults(reader.faults));
    }
    let mut hash = Sha256::new();
    for (_, text) in files {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let version: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    Ok(Ruleset {
        version,
        ..reader.rules
    })
}

#[derive(Default)]
struct Reader {
    rules: Ruleset,
    budget: bool,
    ids: Vec<String>,
    kinds: Vec<Kind>,
    faults: Vec<RuleFault>,
}

/// Where in which file, for faults.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    file: &'a str,
    text: &'a str,
    at: usize,
}

impl Place<'_> {
    fn fault(self, what: impl Into<String>) -> RuleFault {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        RuleFault {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            what: what.into(),
        }
    }
}

impl Reader {
    fn file(&mut self, file: &str, text: &str) {
        let raw: RawFile = match toml::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                self.faults.push(Place { file, text, at }.fault(error.message()));
                return;
            }
        };
        if let Some(budget) = raw.budget {
            let at = budget.span().start;
            match (budget.into_inner().check(), self.budget) {
                (Err(what), _) => self.faults.push(Place { file, text, at }.fault(what)),
                (Ok(_), true) => self
                    .faults
                    .push(Place { file, text, at }.fault("budget is there twice")),
                (Ok(budget), false) => (self.rules.budget, self.budget) = (budget, true),
            }
        }
        for rule in raw.rule {
            let place = Place {
                file,
                text,
                at: rule.span().start,
            };
            if let Err(fault) = self.rule(place, rule.into_inner()) {
                self.faults.push(fault);
            }
        }
    }

    fn rule(&mut self, place: Place<'_>, raw: RawRule) -> Result<(), RuleFault> {
        let at = |at| Place { at, ..place };
        let id = at(raw.id.span().start);
        if ModelId::new(raw.id.as_ref()).is_err() {
            return Err(id.fault("id must be a-z, 0-9 and, after the first character, -; at most 63"));
        }
        if self.ids.contains(raw.id.as_ref()) {
            return Err(id.fault(format!("id {:?} is there twice", raw.id.as_ref())));
        }
        let kind = Kind::from_name(raw.kind.as_ref()).ok_or_else(|| {
            let names: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
            at(raw.kind.span().start).fault(format!("kind is none of {}", names.join(", ")))
        })?;
        if self.kinds.contains(&kind) {
            return Err(at(raw.kind.span().start).fault(format!("kind {kind} is there twice: use an override")));
        }
        if raw.what_to_do.as_ref().trim().is_empty() {
            return Err(at(raw.what_to_do.span().start).fault("what_to_do is empty: a page must say what to do"));
        }
        self.ids.push(raw.id.as_ref().clone());
        self.kinds.push(kind);
        self.rules.take(kind, place, raw)
    }
}

/// One rule with its overrides, each of which is the rule's own parameters with some of them changed.
pub(super) fn rule<P: Parameters>(place: Place<'_>, kind: Kind, raw: RawRule) -> Result<Option<Rule<P>>, RuleFault> {
    let at = |at| Place { at, ..place };
    let delays = delays(place, kind, &raw)?;
    let base_place = raw.parameters.as_ref().map_or(place, |p| at(p.span().start));
    let base_table = raw.parameters.map(Spanned::into_inner).unwrap_or_default();
    let base: P = params(base_place, base_table.clone())?;
    let said = for_people(&base_table);
    if raw.overrides.len() > MAX_OVERRIDES {
        return Err(place.fault(format!("more than {MAX_OVERRIDES} overrides")));
    }
    let mut overrides: Vec<Override<P>> = Vec::new();
    for spanned in raw.overrides {
        let here = at(spanned.span().start);
        let o = spanned.into_inner();
        let matcher = Matcher {
            model: o.model,
            zone: o.zone,
            skin_type: o.skin_type,
            tenant: o.tenant,
            clinic: o.clinic,
            device: o.device,
        };
        if matcher == Matcher::default() {
            return Err(here.fault("override names nothing that it is for: write the parameters of the rule itself"));
        }
        if overrides.iter().any(|other| other.matcher == matcher) {
            return Err(here.fault("two overrides are for the same: only one can hold"));
        }
        let mut table = base_table.clone();
        let inner = at(o.parameters.span().start);
        table.extend(o.parameters.into_inner());
        overrides.push(Override {
            matcher,
            said: for_people(&table),
            params: params(inner, table)?,
        });
    }
    overrides.sort_by_key(|o| std::cmp::Reverse(o.matcher.rank()));
    let head = Arc::new(Head {
        on_delay: delays.0,
        off_delay: delays.1,
        id: raw.id.into_inner().into(),
        kind,
        priority: raw.priority,
        what_to_do: raw.what_to_do.into_inner().into(),
    });
    Ok(raw.enabled.then_some(Rule {
        head,
        base,
        said,
        overrides,
    }))
}

/// Parameters as JSON.
fn for_people(table: &Table) -> serde_json::Value {
    serde_json::to_value(table).unwrap_or_default()
}

/// On-delay and off-delay of a rule.
fn delays(place: Place<'_>, kind: Kind, raw: &RawRule) -> Result<(Duration, Duration), RuleFault> {
    let delay = |given: &Option<Spanned<u32>>, name: &str, may: bool, most: u32| {
        let Some(given) = given else {
            return Ok(Duration::ZERO);
        };
        let fault = |what: String| {
            Place {
                at: given.span().start,
                ..place
            }
            .fault(what)
        };
        let seconds = *given.as_ref();
        match seconds {
            0 => Ok(Duration::ZERO),
            _ if !may => Err(fault(format!("{name}: a rule of kind {kind} must not wait"))),
            _ if seconds > most => Err(fault(format!("{name} must be at most {most}"))),
            _ => Ok(Duration::from_secs(u64::from(seconds))),
        }
    };
    let on = delay(&raw.on_delay_s, "on_delay_s", kind.may_wait(), MAX_ON_DELAY_S)?;
    if let Some(given) = raw
        .on_delay_s
        .as_ref()
        .filter(|_| raw.priority == Priority::High && !on.is_zero())
    {
        let at = Place {
            at: given.span().start,
            ..place
        };
        return Err(at.fault("on_delay_s: what is of high priority must be told at once"));
    }
    let off = delay(&raw.off_delay_s, "off_delay_s", kind.may_end_late(), MAX_OFF_DELAY_S)?;
    Ok((on, off))
}

fn params<P: Parameters>(place: Place<'_>, table: Table) -> Result<P, RuleFault> {
    let params: P = Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| place.fault(format!("parameters: {}", e.message())))?;
    params.check().map_err(|what| place.fault(what))?;
    Ok(params)
}

/// The rules that come with the program (`deploy/rules/default.toml`).
///
/// # Errors
/// As [`parse`]; a test makes sure that it does not happen.
pub fn builtin() -> Result<Ruleset, RulesError> {
    let text = include_str!("../../../../deploy/rules/default.toml");
    parse(&[("deploy/rules/default.toml".to_owned(), text.to_owned())])
}
