//! How far senders' logs are held, kept beside the reader's log: on disk before it is said, because a sender forgets what is held.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::held::Held;
use crate::topic::Role;

/// The file, and what stands in it.
#[derive(Debug)]
pub(crate) struct Positions {
    path: PathBuf,
    stored: Vec<u8>,
}

impl Positions {
    /// Reads what was kept. What cannot be understood is not known: senders send again what they still have.
    pub(crate) fn open(dir: &Path, role: Role) -> io::Result<(Self, Held)> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{}-held", role.as_str()));
        let stored = durable::read(&path)?.unwrap_or_default();
        let held = Held::decode(&stored).unwrap_or_else(|| {
            tracing::warn!(
                file = %path.display(),
                "it cannot be understood how far senders' logs are held, they send again what they still have"
            );
            Held::default()
        });
        Ok((Self { path, stored }, held))
    }

    /// Keeps it durably, if it is news.
    pub(crate) fn store(&mut self, held: &Held) -> io::Result<()> {
        let bytes = held.encode();
        if bytes == self.stored {
            return Ok(());
        }
        durable::replace(&self.path, &bytes)?;
        self.stored = bytes;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::held::Verdict;
    use crate::stretch::Stretch;
    use crate::stretch::tests::stretch;
    use crate::topic::Way;

    #[test]
    fn what_was_said_to_be_held_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut positions, mut held) = Positions::open(dir.path(), Role::Ingestor).unwrap();
        let hello = Stretch {
            parts: 0,
            ..stretch(0, 0, 0)
        };
        assert_eq!(held.judge(Way::Uplink, 3, &hello, true), Verdict::Take);
        assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 0, 9), false), Verdict::Take);
        positions.store(&held).unwrap();
        let (_, mut again) = Positions::open(dir.path(), Role::Ingestor).unwrap();
        assert_eq!(again.judge(Way::Uplink, 3, &stretch(0, 0, 9), false), Verdict::Copy);
        assert_eq!(again.judge(Way::Uplink, 3, &stretch(0, 9, 12), false), Verdict::Take);
    }

    #[test]
    fn a_damaged_file_means_that_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("alerting-held"), b"\xff\xff").unwrap();
        let (_, mut held) = Positions::open(dir.path(), Role::Alerting).unwrap();
        assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 0, 9), false), Verdict::Stranger);
    }
}
