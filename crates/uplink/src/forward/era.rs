//! Which era of the gateway's log this is: drawn at every start, with the one before and the offset up to which the log is that one's.
//!
//! A log that was put back from a copy has other records at offsets that a reader holds already. It goes on from the era in which the
//! copy was taken, at the copy's end, so that readers take what is new; a log whose era nobody knows is sent from its beginning.
use std::fs;
use std::io;
use std::path::Path;

use spool::Offset;

use crate::durable;

const FILE: &str = "forward-era";

/// An era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era {
    pub(super) number: u64,
    /// The one before, and where this one begins.
    pub(super) continues: Option<(u64, u64)>,
}

impl Era {
    /// Begins one, durably, at the log's `end`; before anything more is appended.
    pub(super) fn begin(dir: &Path, end: Offset) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(FILE);
        let before = durable::read(&path)?;
        let before = before.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
        let before = before.map(u64::from_le_bytes);
        let number = rand::random();
        durable::replace(&path, &u64::to_le_bytes(number))?;
        Ok(Self {
            number,
            continues: before.map(|before| (before, end.0)),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_era_goes_on_from_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let first = Era::begin(dir.path(), Offset(0)).unwrap();
        assert_eq!(first.continues, None);
        let second = Era::begin(dir.path(), Offset(70)).unwrap();
        assert_eq!(second.continues, Some((first.number, 70)));
        fs::write(dir.path().join(FILE), b"cut").unwrap();
        assert_eq!(Era::begin(dir.path(), Offset(80)).unwrap().continues, None);
    }
}
