//! From files to a registry: read everything, check everything, report everything, or give a whole registry.
use std::path::Path;

use sha2::{Digest, Sha256};
use telemetry::{ModelId, TenantId};
use toml::de::DeTable;

use crate::build::{Raw, build};
use crate::change::Change;
use crate::error::{LoadErrors, LoadReason};
use crate::files::{self, read_folder};
use crate::overlay::{Layer, Pending, apply, lines};
use crate::raw::{DEVICE_KEYS, read_device, read_model, read_tenant, read_version};
use crate::registry::Registry;
use crate::section::Section;
use crate::source::{Place, Problems, Source};
use crate::version::{RegistryVersion, feed, feed_change};

/// The texts of a registry, read once: what changes by command are laid over.
pub struct Files {
    sources: Vec<Source>,
}

/// What files and changes give.
pub struct Loaded {
    /// The whole fleet.
    pub registry: Registry,
    /// Devices that changes are about.
    pub pending: Vec<Pending>,
}

impl Files {
    /// Reads a folder of TOML files (layout: see the crate's documentation).
    ///
    /// # Errors
    /// What cannot be read.
    pub fn read(folder: &Path) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new(&[]);
        let sources = read_folder(folder, &mut problems);
        if problems.is_empty() {
            Ok(Self::new(sources))
        } else {
            Err(problems.into_errors())
        }
    }

    /// The same from texts: `(name, text)`, with names as in a folder, such as `models/np-25.toml`.
    pub fn from_texts<N: AsRef<str>, T: AsRef<str>>(texts: &[(N, T)]) -> Self {
        let source = |(name, text): &(N, T)| Source {
            name: name.as_ref().to_owned(),
            text: text.as_ref().into(),
        };
        Self::new(texts.iter().map(source).collect())
    }

    fn new(mut sources: Vec<Source>) -> Self {
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        Self { sources }
    }

    /// The fleet: the files with `changes` laid over them.
    ///
    /// # Errors
    /// Every problem at once, each with file, line, key, what is wrong and what is allowed. Nothing is loaded in part.
    pub fn load(&self, changes: &[Change]) -> Result<Loaded, LoadErrors> {
        self.load_with(changes, None)
    }

    /// The same with what is asked for, whose steps stand in lines of a list of that name.
    pub(crate) fn load_with(&self, changes: &[Change], asked: Option<&Asked<'_>>) -> Result<Loaded, LoadErrors> {
        let mut shown: Vec<Source> = self.sources.clone();
        let pseudo = |name: &str, count| Source {
            name: name.to_owned(),
            text: lines(count).into(),
        };
        let mut layers = vec![Layer::journal(shown.len() as u32, changes)];
        shown.push(pseudo(JOURNAL, changes.len()));
        if let Some(asked) = asked {
            let count = asked.lines.iter().max().map_or(0, |&line| line as usize);
            let steps = asked.lines.iter().copied().zip(&asked.change.steps).collect();
            let file = shown.len() as u32;
            layers.push(Layer { file, steps });
            shown.push(pseudo(asked.list, count));
        }
        let over = changes.iter().chain(asked.map(|asked| asked.change));
        load(&shown, self.sources.len(), &layers, over)
    }
}

/// What the journal is called in messages.
const JOURNAL: &str = "registry.journal";

/// A change that is asked for, and where its steps stand.
pub(crate) struct Asked<'a> {
    pub(crate) list: &'a str,
    pub(crate) lines: Vec<u32>,
    pub(crate) change: &'a Change,
}

impl Registry {
    /// Loads a folder of TOML files, without changes by command.
    ///
    /// # Errors
    /// As [`Files::load`].
    pub fn load(folder: &Path) -> Result<Self, LoadErrors> {
        Ok(Files::read(folder)?.load(&[])?.registry)
    }

    /// The same from texts, as [`Files::from_texts`] takes them.
    ///
    /// # Errors
    /// As [`Files::load`].
    pub fn from_sources<N: AsRef<str>, T: AsRef<str>>(sources: &[(N, T)]) -> Result<Self, LoadErrors> {
        Ok(Files::from_texts(sources).load(&[])?.registry)
    }
}

/// Reads the first `files` of `sources`; those behind are lists that `layers` stand in.
fn load<'c>(
    sources: &[Source],
    files: usize,
    layers: &[Layer<'_>],
    changes: impl Iterator<Item = &'c Change>,
) -> Result<Loaded, LoadErrors> {
    let mut problems = Problems::new(sources);
    let mut reader = Reader::default();
    for (file, source) in sources.iter().enumerate().take(files) {
        if sources.get(file + 1).is_some_and(|next| next.name == source.name) {
            problems.add_file(LoadReason::Duplicate, &source.name, "is there twice", "");
        }
        reader.file(file, source, &mut problems);
    }
    if reader.broken {
        return Err(problems.into_errors());
    }
    if reader.version.is_none() {
        let advice = "write it with one line: version = 1";
        problems.add_file(LoadReason::Missing, "registry.toml", "is missing", advice);
    }
    let mut count = 0;
    for change in changes.filter(|change| !change.steps.is_empty()) {
        feed_change(&mut reader.hash, change);
        count += 1;
    }
    let version = RegistryVersion {
        number: reader.version.unwrap_or(0),
        changes: count,
        digest: reader.hash.finalize().into(),
    };
    let pending = apply(&mut reader.raw, layers, &mut problems);
    let registry = build(reader.raw, version, &mut problems);
    if problems.is_empty() {
        Ok(Loaded { registry, pending })
    } else {
        Err(problems.into_errors())
    }
}

/// What was read so far. A file's syntax tree is many times its text, so there is one at a time.
#[derive(Default)]
struct Reader {
    raw: Raw,
    version: Option<u64>,
    hash: Sha256,
    /// A file could not be read whole: what it does not say would only be reported as missing elsewhere.
    broken: bool,
}

impl Reader {
    fn file(&mut self, file: usize, source: &Source, problems: &mut Problems<'_>) {
        let Some(role) = files::place(&source.name) else {
            return problems.add_file(
                LoadReason::UnknownFile,
                &source.name,
                "belongs nowhere in a registry",
                "files are registry.toml, models/<model>.toml, tenants/<tenant>/tenant.toml, \
                 tenants/<tenant>/devices.toml and tenants/<tenant>/devices/<any>.toml",
            );
        };
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let place = at(file, error.span().map_or(0, |span| span.start));
            problems.add(LoadReason::Syntax, place, "", error.message(), "write TOML");
        }
        if errors.is_empty() {
            feed(&mut self.hash, &source.name, table.get_ref());
            self.table(role, table.get_ref(), at(file, 0), source, problems);
        } else {
            self.broken = true;
        }
    }

    fn table(
        &mut self,
        role: files::Place<'_>,
        table: &DeTable<'_>,
        place: Place,
        source: &Source,
        problems: &mut Problems<'_>,
    ) {
        match role {
            files::Place::Root => {
                let root = Section::new(table, "", place, &["version"], problems);
                self.version = Some(read_version(&root, problems));
            }
            files::Place::Model(name) => {
                if let Some(id) = file_id(ModelId::new(name), source, problems) {
                    let model = read_model(table, place, problems);
                    self.raw.models.insert(id, model);
                }
            }
            files::Place::Tenant(name) => {
                if let Some(id) = file_id(TenantId::new(name), source, problems) {
                    self.raw.tenants.insert(id, read_tenant(table, place, problems));
                }
            }
            files::Place::Devices(name) => {
                if let Some(id) = file_id(TenantId::new(name), source, problems) {
                    let root = Section::new(table, "", place, &["device"], problems);
                    for row in root.tables("device", "device", DEVICE_KEYS, problems) {
                        self.raw.devices.extend(read_device(&row, &id, problems));
                    }
                    self.raw.device_files.entry(id).or_insert_with(|| source.name.clone());
                }
            }
        }
    }
}

fn at(file: usize, byte: usize) -> Place {
    Place {
        file: file as u32,
        byte: byte as u32,
    }
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
