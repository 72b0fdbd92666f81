//! What is wrong with a configuration: all of it, each mistake with its place.

use std::fmt;

/// One mistake. Displays as `file:line:column: key.path: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or `environment NAME`; empty when the mistake is an absence in all sources.
    pub source: String,
    /// Line, from 1; 0 when there is none.
    pub line: usize,
    /// Column in characters, from 1; 0 when there is none.
    pub column: usize,
    /// Path of the key, for example `mqtt.keep_alive` or `receivers[1].url`; empty for the whole file.
    pub path: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

/// All mistakes of a configuration; never empty when it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConfigErrors {
    /// The mistakes, in the order of the sources and lines.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_empty() {
            write!(f, "{}:", self.source)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.errors.len();
        write!(f, "the configuration has {n} mistake{}", if n == 1 { "" } else { "s" })?;
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
impl std::error::Error for ConfigErrors {}
