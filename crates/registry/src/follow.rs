//! Following the registry of another process: the lines of its journal over the files that stand here too.
use crate::book::Book;
use crate::change::{Change, Digest};
use crate::error::LoadErrors;
use crate::journal::{JournalError, follows, hashed};
use crate::version::RegistryVersion;

/// Why lines of another process were not taken: nothing changed here.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// With the files that stand here they give no whole fleet.
    #[error("the lines of the leading process do not fit the files here: {0}")]
    Files(LoadErrors),
    /// They are no chain, or not the one that was announced.
    #[error("the lines of the leading process are damaged, or of another version of the program")]
    Damaged,
    /// Lines that are known here are missing there.
    #[error(
        "the leading process lacks changes that are known here, from line {line} of {journal}: it lost its journal or was put back \
         from an old copy; stop it, and give it a copy of this file"
    )]
    Lacks {
        /// The first that is missing or another one.
        line: usize,
        /// The journal here.
        journal: String,
    },
    /// It emptied its journal into files that are not here yet.
    #[error(
        "the leading process has emptied its journal into its files, and those here say another fleet: roll them out"
    )]
    NotFolded,
    /// The journal here.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What following came to.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The registry that is in force.
    pub version: RegistryVersion,
    /// Lines that were new here, with their hashes.
    pub lines: Vec<(Change, Digest)>,
}

impl Book {
    /// The version in force, and the hash of the journal's last line; zeros: it is empty.
    pub fn head(&self) -> (RegistryVersion, Digest) {
        let inner = self.inner();
        (self.shared().current().version().clone(), inner.journal.head())
    }

    /// Takes the whole journal of the process that leads, whose last line has the hash `head`, and which has the registry `version`.
    /// What is new is on disk and then in force; what is known is passed over. `known` as for [`Self::change`]. Blocks on the disk.
    ///
    /// # Errors
    /// [`FollowError`]: nothing changed.
    pub fn follow(
        &self,
        theirs: &[Change],
        head: Digest,
        version: &str,
        known: impl FnOnce(&RegistryVersion),
    ) -> Result<Followed, FollowError> {
        let lines = hashed(theirs);
        let whole = theirs
            .iter()
            .enumerate()
            .all(|(at, line)| follows(line, at.checked_sub(1).and_then(|before| theirs.get(before))));
        if !whole || lines.last().map_or(Digest([0; 32]), |(_, hash)| *hash) != head {
            return Err(FollowError::Damaged);
        }
        let mut inner = self.inner();
        let same = inner
            .changes
            .iter()
            .zip(theirs)
            .take_while(|(ours, theirs)| ours == theirs);
        let (same, ours) = (same.count(), inner.changes.len());
        if same == theirs.len() && same == ours {
            return Ok(Followed {
                version: self.shared().current().version().clone(),
                lines: Vec::new(),
            });
        }
        let registry = inner.files.load(theirs).map_err(FollowError::Files)?.registry;
        let new = if same == ours {
            for change in theirs.iter().skip(ours) {
                inner.journal.append(change)?;
                inner.changes.push(change.clone());
            }
            lines.into_iter().skip(ours).collect()
        } else {
            let last = inner.changes.last().map_or(0, |last| last.n);
            if !theirs
                .first()
                .is_some_and(|first| first.folded.is_some() && first.n > last)
            {
                return Err(FollowError::Lacks {
                    line: same + 1,
                    journal: inner.journal.path().display().to_string(),
                });
            }
            if registry.version().to_string() != version {
                return Err(FollowError::NotFolded);
            }
            inner.journal.replace(theirs)?;
            inner.changes = theirs.to_vec();
            lines
        };
        let version = registry.version().clone();
        self.put_in_force(registry, known);
        Ok(Followed { version, lines: new })
    }
}
