//! From files to a registry: read everything, check everything, report everything, or give a whole registry.
use std::path::Path;

use sha2::{Digest, Sha256};
use telemetry::{ModelId, TenantId};
use toml::Spanned;
use toml::de::DeTable;

use crate::build::{Raw, build};
use crate::error::{LoadErrors, LoadReason};
use crate::files::{self, read_folder};
use crate::raw::{DEVICE_KEYS, read_device, read_model, read_tenant, read_version};
use crate::registry::Registry;
use crate::section::Section;
use crate::source::{Place, Problems, Source};
use crate::version::{RegistryVersion, feed};

impl Registry {
    /// Loads a folder of TOML files (layout: see the crate's documentation).
    ///
    /// # Errors
    /// Every problem at once, each with file, line, key, what is wrong and what is allowed. Nothing is loaded in part.
    pub fn load(folder: &Path) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new(&[]);
        let sources = read_folder(folder, &mut problems);
        if !problems.is_empty() {
            return Err(problems.into_errors());
        }
        load(sources)
    }

    /// The same from texts: `(name, text)`, with names as in a folder, such as `models/np-25.toml`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_sources<N: AsRef<str>, T: AsRef<str>>(sources: &[(N, T)]) -> Result<Self, LoadErrors> {
        load(
            sources
                .iter()
                .map(|(name, text)| Source {
                    name: name.as_ref().to_owned(),
                    text: text.as_ref().to_owned(),
                })
                .collect(),
        )
    }
}

fn load(mut sources: Vec<Source>) -> Result<Registry, LoadErrors> {
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let mut problems = Problems::new(&sources);
    let tables = parse(&sources, &mut problems);
    // What a broken file does not say would only be reported as missing elsewhere.
    if !problems.is_empty() {
        return Err(problems.into_errors());
    }
    let (raw, number) = read(&sources, &tables, &mut problems);
    let mut hash = Sha256::new();
    for (source, table) in sources.iter().zip(&tables) {
        feed(&mut hash, &source.name, table.get_ref());
    }
    let version = RegistryVersion {
        number,
        digest: hash.finalize().into(),
    };
    let registry = build(raw, version, &mut problems);
    if problems.is_empty() {
        Ok(registry)
    } else {
        Err(problems.into_errors())
    }
}

fn parse<'s>(sources: &'s [Source], problems: &mut Problems<'_>) -> Vec<Spanned<DeTable<'s>>> {
    let mut tables = Vec::with_capacity(sources.len());
    for (file, source) in sources.iter().enumerate() {
        if sources.get(file + 1).is_some_and(|next| next.name == source.name) {
            problems.add_file(LoadReason::Duplicate, &source.name, "is there twice", "");
        }
        if files::place(&source.name).is_none() {
            problems.add_file(
                LoadReason::UnknownFile,
                &source.name,
                "belongs nowhere in a registry",
                "files are registry.toml, models/<model>.toml, tenants/<tenant>/tenant.toml, tenants/<tenant>/devices.toml and \
                 tenants/<tenant>/devices/<any>.toml",
            );
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors {
            let byte = error.span().map_or(0, |span| span.start);
            let place = at(file, byte);
            problems.add(LoadReason::Syntax, place, "", error.message(), "write TOML");
        }
        tables.push(table);
    }
    tables
}

fn at(file: usize, byte: usize) -> Place {
    Place {
        file: file as u32,
        byte: byte as u32,
    }
}

fn read(sources: &[Source], tables: &[Spanned<DeTable<'_>>], problems: &mut Problems<'_>) -> (Raw, u64) {
    let mut raw = Raw::default();
    let mut version = None;
    for (file, (source, table)) in sources.iter().zip(tables).enumerate() {
        let (table, place) = (table.get_ref(), at(file, 0));
        match files::place(&source.name) {
            Some(files::Place::Root) => {
                let root = Section::new(table, "", place, &["version"], problems);
                version = Some(read_version(&root, problems));
            }
            Some(files::Place::Model(name)) => {
                if let Some(id) = file_id(ModelId::new(name), source, problems) {
                    let model = read_model(table, place, problems);
                    raw.models.insert(id, model);
                }
            }
            Some(files::Place::Tenant(name)) => {
                if let Some(id) = file_id(TenantId::new(name), source, problems) {
                    raw.tenants.insert(id, read_tenant(table, place, problems));
                }
            }
            Some(files::Place::Devices(name)) => {
                if let Some(id) = file_id(TenantId::new(name), source, problems) {
                    let root = Section::new(table, "", place, &["device"], problems);
                    for row in root.tables("device", "device", DEVICE_KEYS, problems) {
                        raw.devices.extend(read_device(&row, &id, problems));
                    }
                    raw.device_files.entry(id).or_insert_with(|| source.name.clone());
                }
            }
            None => {}
        }
    }
    if version.is_none() {
        problems.add_file(
            LoadReason::Missing,
            "registry.toml",
            "is missing",
            "write it with one line: version = 1",
        );
    }
    (raw, version.unwrap_or(0))
}

fn file_id<T>(id: Result<T, telemetry::IdError>, source: &Source, problems: &mut Problems<'_>) -> Option<T> {
    id.map_err(|e| {
        problems.add_file(
            LoadReason::BadId,
            &source.name,
            format!("is named after no id: {e}"),
            "",
        )
    })
    .ok()
}
