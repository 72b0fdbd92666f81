//! The texts of a registry and the places in them: a value remembers where it stands, a line is worked out only for an error.
use crate::error::{LoadError, LoadErrors, LoadReason, MAX_PROBLEMS};

/// One file's text.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: std::sync::Arc<str>,
}

/// A place: file (index into the sources) and byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) byte: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// Collects problems, at most [`MAX_PROBLEMS`].
pub(crate) struct Problems<'s> {
    sources: &'s [Source],
    found: LoadErrors,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(sources: &'s [Source]) -> Self {
        Self {
            sources,
            found: LoadErrors::default(),
        }
    }

    pub(crate) fn name(&self, file: u32) -> &'s str {
        self.sources.get(file as usize).map_or("", |s| &s.name)
    }

    /// `file:line` of a place, for a text that points to another one.
    pub(crate) fn show(&self, place: Place) -> String {
        format!("{}:{}", self.name(place.file), self.line(place))
    }

    fn line(&self, place: Place) -> usize {
        let text = self.sources.get(place.file as usize).map_or("", |s| &s.text);
        let before = text.as_bytes().get(..place.byte as usize).unwrap_or(text.as_bytes());
        1 + before.iter().filter(|&&b| b == b'\n').count()
    }

    pub(crate) fn add(
        &mut self,
        reason: LoadReason,
        place: Place,
        key: impl Into<String>,
        wrong: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        if self.found.problems.len() >= MAX_PROBLEMS {
            self.found.more += 1;
            return;
        }
        let line = self.line(place);
        self.found.problems.push(LoadError {
            reason,
            file: self.name(place.file).to_owned(),
            line: Some(line),
            key: key.into(),
            wrong: wrong.into(),
            allowed: allowed.into(),
        });
    }

    /// A problem of a whole file.
    pub(crate) fn add_file(&mut self, reason: LoadReason, file: &str, wrong: impl Into<String>, allowed: &str) {
        if self.found.problems.len() >= MAX_PROBLEMS {
            self.found.more += 1;
            return;
        }
        self.found.problems.push(LoadError {
            reason,
            file: file.to_owned(),
            line: None,
            key: String::new(),
            wrong: wrong.into(),
            allowed: allowed.to_owned(),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.problems.is_empty()
    }

    pub(crate) fn into_errors(mut self) -> LoadErrors {
        self.found
            .problems
            .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        self.found
    }
}
