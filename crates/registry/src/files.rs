//! The folder: which files belong to a registry, and reading them.
//!
//! ```text
//! registry.toml                       version
//! models/<model>.toml                 one model each
//! tenants/<tenant>/tenant.toml        the tenant, its clinics, their overrides
//! tenants/<tenant>/devices.toml       its devices, and/or
//! tenants/<tenant>/devices/*.toml     the same, split as one likes
//! ```
use std::path::Path;

use crate::error::LoadReason;
use crate::source::{Problems, Source};

/// Largest file: a million devices are about 200 MB, and are better split.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Most files of a registry.
const MAX_FILES: usize = 20_000;

/// Deepest folder: `tenants/<tenant>/devices`.
const MAX_DEPTH: usize = 3;

/// What a file of the layout holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'n> {
    Root,
    Model(&'n str),
    Tenant(&'n str),
    Devices(&'n str),
}

/// Where a file belongs by its name (relative, with `/`).
pub(crate) fn place(name: &str) -> Option<Place<'_>> {
    let mut parts = name.strip_suffix(".toml")?.split('/');
    let place = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("registry", None, ..) => Place::Root,
        ("models", Some(model), None, _) => Place::Model(model),
        ("tenants", Some(tenant), Some("tenant"), None) => Place::Tenant(tenant),
        ("tenants", Some(tenant), Some("devices"), _) => Place::Devices(tenant),
        _ => return None,
    };
    parts.next().is_none().then_some(place)
}

/// Reads every `.toml` of a folder. Names that start with a dot and other kinds of file are left alone.
pub(crate) fn read_folder(root: &Path, problems: &mut Problems<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    read_below(root, "", 0, &mut sources, problems);
    sources
}

fn read_below(folder: &Path, name: &str, depth: usize, sources: &mut Vec<Source>, problems: &mut Problems<'_>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            let shown = if name.is_empty() {
                folder.display().to_string()
            } else {
                name.to_owned()
            };
            return problems.add_file(LoadReason::Io, &shown, format!("cannot be listed: {e}"), "");
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(e) => {
                problems.add_file(LoadReason::Io, name, format!("cannot be listed: {e}"), "");
                continue;
            }
        };
        let Some(file) = path
            .file_name()
            .and_then(|f| f.to_str())
            .filter(|f| !f.starts_with('.'))
        else {
            continue;
        };
        let below = if name.is_empty() {
            file.to_owned()
        } else {
            format!("{name}/{file}")
        };
        if path.is_dir() {
            if depth < MAX_DEPTH {
                read_below(&path, &below, depth + 1, sources, problems);
            }
        } else if below.ends_with(".toml") {
            if sources.len() >= MAX_FILES {
                return problems.add_file(LoadReason::OutOfRange, &below, "is one file too many", "merge files");
            }
            match read_file(&path) {
                Ok(text) => sources.push(Source {
                    name: below,
                    text: text.into(),
                }),
                Err(e) => problems.add_file(LoadReason::Io, &below, format!("cannot be read: {e}"), ""),
            }
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!(
            "{bytes} bytes, at most {MAX_FILE_BYTES} are allowed: split it below devices/"
        )));
    }
    std::fs::read_to_string(path)
}
