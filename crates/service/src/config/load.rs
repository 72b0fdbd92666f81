//! From sources to a typed configuration, collecting every mistake on the way.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::{ConfigError, ConfigErrors};
use super::secret::ELSEWHERE;
use super::tree::{Node, Origin, Place, Value, entries};
use super::validate::{Problems, Step, Validate, dotted};

/// Environment variables with this prefix overlay the files: `DERMATEL__MQTT__KEEP_ALIVE=30s` is `mqtt.keep_alive`.
pub const ENV_PREFIX: &str = "DERMATEL__";
/// Most mistakes that are told at once; the rest show when these are corrected.
pub const ERRORS_MAX: usize = 100;
/// Most secrets that stand in files or variables; bounds the loop over a configuration that is too strange.
const FETCHES_MAX: usize = 1000;
/// Largest file that is read as a secret, in bytes.
const SECRET_FILE_MAX: u64 = 64 * 1024;

/// Where a configuration comes from: files in order, later ones on top, and the environment above all.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<(String, String)>,
    env: BTreeMap<String, String>,
}

impl Sources {
    /// No source: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of a file; its name is shown in errors, and relative secret files are looked for beside it.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// The environment: variables with [`ENV_PREFIX`] are an overlay, all others can be named by secrets. Pass
    /// `std::env::vars()` in a process and a literal in a test.
    #[must_use]
    pub fn env(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(vars);
        self
    }
}

/// Loads a configuration: parse, overlay, deserialise, fetch secrets, validate.
///
/// An environment value is read as TOML if it is some (`8080`, `true`, `["a", "b"]`), and as a string if not, or if the key
/// wants a string.
///
/// # Errors
/// Every mistake in every source (up to [`ERRORS_MAX`]), each with its place. Values of secrets are never shown.
pub fn load<T: DeserializeOwned + Validate>(sources: &Sources) -> Result<T, ConfigErrors> {
    let overlay = overlay_variables(&sources.env);
    let mut loader = Loader::new(sources, &overlay);
    loader.merge();
    let loaded = loader.deserialise::<T>();
    if let Some(config) = &loaded {
        loader.validate(config);
    }
    match loaded {
        Some(config) if loader.errors.is_empty() => Ok(config),
        _ => Err(ConfigErrors {
            errors: loader.sorted(),
        }),
    }
}

/// (variable, key path, value).
type Overlay<'a> = Vec<(&'a str, Vec<String>, &'a str)>;

fn overlay_variables(env: &BTreeMap<String, String>) -> Overlay<'_> {
    env.iter()
        .filter_map(|(name, value)| {
            let path = name.strip_prefix(ENV_PREFIX)?;
            Some((
                name.as_str(),
                path.split("__").map(str::to_lowercase).collect(),
                value.as_str(),
            ))
        })
        .collect()
}

struct Loader<'a> {
    sources: &'a Sources,
    overlay: &'a Overlay<'a>,
    root: Node<'a>,
    errors: Vec<(usize, usize, ConfigError)>,
    /// Paths that were taken out because of a mistake: what a validation says about them would be noise.
    removed: Vec<Vec<Step>>,
}

impl<'a> Loader<'a> {
    fn new(sources: &'a Sources, overlay: &'a Overlay<'a>) -> Self {
        let nowhere = Origin {
            source: usize::MAX,
            at: 0..0,
        };
        let root = Node {
            key_at: nowhere.clone(),
            value_at: nowhere,
            value: Value::Table(BTreeMap::new()),
        };
        Self {
            sources,
            overlay,
            root,
            errors: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn merge(&mut self) {
        for (n, (_, text)) in self.sources.files.iter().enumerate() {
            let (table, errors) = DeTable::parse_recoverable(text);
            let at = Origin {
                source: n,
                at: table.span(),
            };
            let value = Value::Table(entries(table.into_inner(), n));
            self.root.overlay(Node {
                key_at: at.clone(),
                value_at: at,
                value,
            });
            for error in errors {
                let at = error.span().unwrap_or(0..0);
                self.report(&Origin { source: n, at }, &[], error.message().to_owned());
            }
        }
        for (n, (_, path, text)) in self.overlay.iter().enumerate() {
            let source = self.sources.files.len() + n;
            let value = DeValue::parse(text).map_or_else(
                |_| Node::text((*text).to_owned(), &whole(source, text)),
                |value| Node::new(0..0, value, source),
            );
            self.root.overlay(nested(path, value));
        }
    }

    /// Deserialises; on an error with a place takes that key out and tries again, so that the next one shows too.
    fn deserialise<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut fetches = 0;
        while self.errors.len() < ERRORS_MAX && fetches < FETCHES_MAX {
            let mut places = Vec::new();
            let tree = self.root.to_toml(&mut Vec::new(), &mut places);
            let span = tree.span();
            let DeValue::Table(table) = tree.into_inner() else {
                return None;
            };
            let error = match T::deserialize(Deserializer::from(Spanned::new(span, table))) {
                Ok(config) => return Some(config),
                Err(error) => error,
            };
            let Some(place) = error.span().and_then(|span| places.get(span.start)).cloned() else {
                self.report(
                    &Origin {
                        source: usize::MAX,
                        at: 0..0,
                    },
                    &[],
                    error.message().to_owned(),
                );
                return None;
            };
            if let Some(elsewhere) = error.message().strip_prefix(ELSEWHERE) {
                fetches += 1;
                self.fetch(place, elsewhere);
            } else if !self.retry_as_text(&place) {
                self.report(&place.at, &place.path, error.message().to_owned());
                if !self.root.remove(&place.path) {
                    return None;
                }
                self.removed.push(place.path);
            }
        }
        None
    }

    /// A variable's value that read as TOML but was wanted as a string: `PASSWORD=12345`.
    fn retry_as_text(&mut self, place: &Place) -> bool {
        let Some(source) = place.at.source.checked_sub(self.sources.files.len()) else {
            return false;
        };
        let Some((_, path, text)) = self.overlay.get(source) else {
            return false;
        };
        let path: Vec<Step> = path.iter().cloned().map(Step::Key).collect();
        let Some(node) = self.root.get_mut(&path) else {
            return false;
        };
        if matches!(&node.value, Value::Leaf(DeValue::String(_))) || place.path != path {
            return false;
        }
        *node = Node::text((*text).to_owned(), &whole(place.at.source, text));
        true
    }

    /// Replaces `{ file = … }` or `{ env = … }` with what stands there.
    fn fetch(&mut self, place: Place, elsewhere: &str) {
        let mut path = place.path;
        // The error may stand at the inner key; the secret is the table around it.
        while self
            .root
            .get(&path)
            .is_some_and(|node| !matches!(node.value, Value::Table(_)))
            && path.pop().is_some()
        {}
        let (kind, name) = elsewhere.split_once(':').unwrap_or((elsewhere, ""));
        let fetched = if kind == "env" {
            self.sources
                .env
                .get(name)
                .cloned()
                .ok_or_else(|| format!("environment variable {name} is not set"))
        } else {
            self.read_secret(&place.at, name)
        };
        match fetched {
            Ok(value) => {
                if let Some(node) = self.root.get_mut(&path) {
                    *node = Node::text(value, &place.at);
                }
            }
            Err(what) => {
                self.report(&place.at, &path, what);
                self.root.remove(&path);
                self.removed.push(path);
            }
        }
    }

    fn read_secret(&self, at: &Origin, name: &str) -> Result<String, String> {
        let beside = self
            .sources
            .files
            .get(at.source)
            .and_then(|(file, _)| Path::new(file).parent());
        let path = beside.unwrap_or(Path::new("")).join(name);
        let cannot = |error: std::io::Error| format!("cannot read secret file {}: {error}", path.display());
        if std::fs::metadata(&path).map_err(cannot)?.len() > SECRET_FILE_MAX {
            return Err(format!(
                "secret file {} is larger than {SECRET_FILE_MAX} bytes",
                path.display()
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(cannot)?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn validate(&mut self, config: &impl Validate) {
        let mut problems = Problems::default();
        config.validate(&mut problems);
        for (path, what) in problems.found {
            if self
                .removed
                .iter()
                .any(|removed| path.starts_with(removed) || removed.starts_with(&path))
            {
                continue;
            }
            // A default has no place: the nearest section that was written has.
            let written = (0..=path.len()).rev().find_map(|n| self.root.get(path.get(..n)?));
            let at = written.map_or(
                Origin {
                    source: usize::MAX,
                    at: 0..0,
                },
                |node| node.value_at.clone(),
            );
            self.report(&at, &path, what);
        }
    }

    fn report(&mut self, at: &Origin, path: &[Step], what: String) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let mut error = ConfigError {
            source: String::new(),
            line: 0,
            column: 0,
            path: dotted(path),
            what,
        };
        if let Some((name, text)) = self.sources.files.get(at.source) {
            error.source.clone_from(name);
            (error.line, error.column) = position(text, at.at.start);
        } else if let Some((name, _, _)) = at
            .source
            .checked_sub(self.sources.files.len())
            .and_then(|n| self.overlay.get(n))
        {
            error.source = format!("environment {name}");
        }
        self.errors.push((at.source, at.at.start, error));
    }

    fn sorted(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|(source, at, _)| (*source, *at));
        self.errors.into_iter().map(|(_, _, error)| error).collect()
    }
}

fn whole(source: usize, text: &str) -> Origin {
    Origin {
        source,
        at: 0..text.len(),
    }
}

/// The value under its path of tables.
fn nested<'a>(path: &[String], value: Node<'a>) -> Node<'a> {
    path.iter().rev().fold(value, |inner, key| {
        let at = inner.value_at.clone();
        Node {
            key_at: at.clone(),
            value_at: at,
            value: Value::Table(BTreeMap::from([(key.clone(), inner)])),
        }
    })
}

/// Line and column (in characters) of a byte, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
