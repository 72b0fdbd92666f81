//! Plan files: a folder of TOML and calendars, validated as a whole; every fault is named with its file and line.
use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use telemetry::UnixMicros;

use super::check::check;
use super::inhibit::built_in;
use super::raw::RawFile;
use super::read::{About, Reader};
use super::{Plan, known};
use crate::config::Receiver;
use crate::rules::{Kind, RuleFault, RulesError, Ruleset};

/// What a plan is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The receivers that are configured.
    pub receivers: &'a [Receiver],
    /// The rules that hold.
    pub rules: &'a Ruleset,
    /// The tenants that there are.
    pub tenants: &'a [String],
    /// From when on rotas are looked at.
    pub now: UnixMicros,
}

/// A plan that was read, and what is worth a look although it holds.
#[derive(Debug)]
pub struct Read {
    /// The plan.
    pub plan: Plan,
    /// What does not refuse it: rotas with gaps.
    pub warnings: Vec<RuleFault>,
    /// What refuses it when somebody asks, but not when a process starts: rotas that have expired. Whoever is named
    /// `otherwise` is told then.
    pub stale: Vec<RuleFault>,
}

/// Reads every `*.toml` of a folder, in the order of names, as one plan, with the calendars that it names.
///
/// # Errors
/// [`RulesError`]: every fault that was found; nothing was taken.
pub fn load_dir(dir: &Path, against: Against<'_>) -> Result<Read, RulesError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RulesError::Io { path, source }
    };
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        if path.extension().is_some_and(|e| e == "toml" || e == "ics") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let bytes = std::fs::read(&path).map_err(io(&path))?;
            texts.insert(name.unwrap_or_default(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    parse(&dir.display().to_string(), &texts, against)
}

/// Validates files, given as text by name, as one plan. `dir` is only for the names in faults.
///
/// # Errors
/// [`RulesError::Faults`] with every fault that was found.
pub fn parse(dir: &str, texts: &BTreeMap<String, String>, against: Against<'_>) -> Result<Read, RulesError> {
    let mut reader = Reader {
        dir,
        texts,
        faults: Vec::new(),
        warnings: Vec::new(),
        stale: Vec::new(),
        lines: BTreeMap::new(),
        now: against.now,
        plan: Plan {
            version: version(texts),
            receivers: known(against.receivers),
            inhibits: built_in(),
            ..Plan::default()
        },
    };
    let tomls = || texts.iter().filter(|(name, _)| name.ends_with(".toml"));
    let mut raws = Vec::new();
    for (name, text) in tomls() {
        match toml::from_str::<RawFile>(text) {
            Ok(raw) => raws.push((name.as_str(), text.as_str(), raw)),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                reader.fault(name, line(text, at), error.message());
            }
        }
    }
    if tomls().next().is_none() {
        reader.fault("", 0, "no plan: the folder has no .toml file");
    }
    for (name, text, raw) in raws {
        reader.file(name, text, raw);
    }
    if reader.faults.is_empty() {
        let faults = check(&reader.plan, &against);
        for (place, what) in faults {
            let (file, line) = reader.lines.get(&place).cloned().unwrap_or_default();
            reader.fault(&file, line, what);
        }
    }
    if !reader.faults.is_empty() {
        return Err(RulesError::Faults(reader.faults));
    }
    unwatched_rotas(&mut reader, &against);
    Ok(Read {
        plan: reader.plan,
        warnings: reader.warnings,
        stale: reader.stale,
    })
}

/// That a rota runs out is told by a rule; whoever has rules of their own may not have it.
fn unwatched_rotas(reader: &mut Reader<'_>, against: &Against<'_>) {
    let first = reader.plan.rotas.keys().next().cloned();
    let Some(rota) = first.filter(|_| against.rules.head(Kind::RotaEnds).is_none()) else {
        return;
    };
    let (file, line) = reader
        .lines
        .get(&About::Rota(rota.clone()))
        .cloned()
        .unwrap_or_default();
    let what = format!("rota {rota}: there is no rule of kind rota_ends, so nobody is told when it runs out");
    let warning = reader.place(&file, line, what);
    reader.warnings.push(warning);
}

fn version(texts: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, text) in texts {
        for part in [name, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    crate::id::hex(&hash.finalize()[..8])
}

pub(super) fn line(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}
