//! What serde cannot see: relations between values, told by key path.

use std::fmt::Display;

/// A configuration that can say what is wrong with it although every value parsed.
pub trait Validate {
    /// Reports every problem; must not stop at the first. The default finds none.
    fn validate(&self, at: &mut Problems) {
        let _ = at;
    }
}

/// Collects problems by key path, relative to the section that is being looked at.
#[derive(Debug, Default)]
pub struct Problems {
    prefix: Vec<Step>,
    pub(super) found: Vec<(Vec<Step>, String)>,
}

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Problems {
    /// Something is wrong with the value at `path` (dotted, relative to the section; empty for the section itself). Say what
    /// it is and what is allowed.
    pub fn problem(&mut self, path: &str, what: impl Display) {
        let mut full = self.prefix.clone();
        full.extend(
            path.split('.')
                .filter(|key| !key.is_empty())
                .map(|key| Step::Key(key.to_owned())),
        );
        self.found.push((full, what.to_string()));
    }

    /// Reports `what` unless `fine`.
    pub fn check(&mut self, path: &str, fine: bool, what: impl Display) {
        if !fine {
            self.problem(path, what);
        }
    }

    /// Looks at a section: paths inside are relative to it.
    pub fn section(&mut self, key: &str, look: impl FnOnce(&mut Self)) {
        self.within(Step::Key(key.to_owned()), look);
    }

    /// Looks at the n-th entry (from 0) of an array.
    pub fn entry(&mut self, key: &str, n: usize, look: impl FnOnce(&mut Self)) {
        self.section(key, |at| at.within(Step::Index(n), look));
    }

    fn within(&mut self, step: Step, look: impl FnOnce(&mut Self)) {
        self.prefix.push(step);
        look(self);
        self.prefix.pop();
    }
}

/// The path as people write it: `receivers[1].url`.
pub(super) fn dotted(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Index(n) => out.push_str(&format!("[{n}]")),
        }
    }
    out
}
