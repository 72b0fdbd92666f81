//! What is wrong with the registry's files: every problem at once, each with its place and what is allowed.
use std::fmt;

/// Most problems that one load reports; the rest are only counted.
pub const MAX_PROBLEMS: usize = 200;

/// Bounded kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LoadReason {
    /// A file or folder could not be read.
    Io,
    /// A file is no TOML.
    Syntax,
    /// A file that belongs nowhere in the layout.
    UnknownFile,
    /// A key that is not part of the format.
    UnknownKey,
    /// A key that is needed is missing.
    Missing,
    /// A value of the wrong type.
    Type,
    /// A number or text outside of what is possible.
    OutOfRange,
    /// A text is no id.
    BadId,
    /// The same id, number, serial or credential twice.
    Duplicate,
    /// A name of something that does not exist.
    Dangling,
    /// Two values that cannot both hold.
    Contradiction,
    /// An override that loosens beyond the model's safety bound.
    TooLoose,
}

impl LoadReason {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Syntax => "syntax",
            Self::UnknownFile => "unknown_file",
            Self::UnknownKey => "unknown_key",
            Self::Missing => "missing",
            Self::Type => "type",
            Self::OutOfRange => "out_of_range",
            Self::BadId => "bad_id",
            Self::Duplicate => "duplicate",
            Self::Dangling => "dangling",
            Self::Contradiction => "contradiction",
            Self::TooLoose => "too_loose",
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Kind.
    pub reason: LoadReason,
    /// File, relative to the registry's folder.
    pub file: String,
    /// Line, from 1; `None` if the problem is the file itself.
    pub line: Option<usize>,
    /// Key, with its section, such as `device.clinic`; empty if the problem is the file itself.
    pub key: String,
    /// What is wrong.
    pub wrong: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.wrong)?;
        if !self.allowed.is_empty() {
            write!(f, "; {}", self.allowed)?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct LoadErrors {
    /// At most [`MAX_PROBLEMS`].
    pub problems: Vec<LoadError>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len() + self.more;
        write!(f, "registry has {count} problem(s), nothing of it is used")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        if self.more > 0 {
            write!(f, "\n  and {} more", self.more)?;
        }
        Ok(())
    }
}
