//! The commented default configuration that `config print` shows, from a table beside the structs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::load::{Sources, load};
use super::validate::Validate;

/// One row of the table: a key, its default and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Dotted path, for example `mqtt.keep_alive`.
    pub path: &'static str,
    /// The default as TOML, for example `"\"30s\""`; or an example that starts with `#` for a key without default.
    pub default: &'static str,
    /// What it is, its unit, range and why the default is what it is. May have several lines.
    pub doc: &'static str,
}

impl Setting {
    /// A row of a table.
    pub const fn new(path: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { path, default, doc }
    }
}

/// The table as a TOML file: keys of the root first, then a section per prefix in the order of the table. A key without
/// default is commented out.
pub fn render(settings: &[Setting]) -> String {
    render_parts(&[("", settings)])
}

/// Several tables as one TOML file, each below the section that it is given (`""`: the root).
pub fn render_parts(parts: &[(&str, &[Setting])]) -> String {
    let mut sections: Vec<(String, Vec<&Setting>)> = vec![(String::new(), Vec::new())];
    for (prefix, settings) in parts {
        for setting in *settings {
            let section = join(prefix, split(setting.path).0);
            match sections.iter_mut().find(|(name, _)| *name == section) {
                Some((_, rows)) => rows.push(setting),
                None => sections.push((section, vec![setting])),
            }
        }
    }
    let mut out = String::new();
    for (section, settings) in sections {
        if !section.is_empty() {
            let _ = writeln!(out, "[{section}]");
        }
        for setting in settings {
            for line in setting.doc.lines() {
                let _ = writeln!(out, "{}", format!("# {line}").trim_end());
            }
            let key = split(setting.path).1;
            let _ = match setting.default.strip_prefix('#') {
                Some(example) => writeln!(out, "# {key} = {}\n", example.trim_start()),
                None => writeln!(out, "{key} = {}\n", setting.default),
            };
        }
    }
    out
}

fn join(prefix: &str, section: &str) -> String {
    match (prefix, section) {
        ("", only) | (only, "") => only.to_owned(),
        (prefix, section) => format!("{prefix}.{section}"),
    }
}

/// Checks that the table is the truth: the rendered file loads, it loads to `T::default()`, and every key of the default is in
/// the table. For a test of the owner.
///
/// # Errors
/// What is not so, for a person to read.
pub fn check_settings<T>(settings: &[Setting]) -> Result<(), String>
where
    T: DeserializeOwned + Serialize + Validate + Default + PartialEq + std::fmt::Debug,
{
    let text = render(settings);
    let loaded: T =
        load(&Sources::new().file("default.toml", text.clone())).map_err(|errors| format!("{errors}\n{text}"))?;
    if loaded != T::default() {
        return Err(format!(
            "the table says\n{loaded:#?}\nthe code says\n{:#?}",
            T::default()
        ));
    }
    let tree = toml::Value::try_from(T::default()).map_err(|error| error.to_string())?;
    let known: BTreeSet<&str> = settings.iter().map(|setting| setting.path).collect();
    let mut missing = Vec::new();
    leaves("", &tree, &known, &mut missing);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("not in the table: {}", missing.join(", ")))
    }
}

fn leaves(path: &str, value: &toml::Value, known: &BTreeSet<&str>, missing: &mut Vec<String>) {
    if known.contains(path) {
        return;
    }
    match value.as_table() {
        Some(table) => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(&path, value, known, missing);
            }
        }
        None => missing.push(path.to_owned()),
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}
