//! The journal of changes: one line each, hash-chained, on disk before a change holds.
//!
//! A line is `<SHA-256> <JSON>`; the hash is over the hash of the line before (zeros for the first) and the JSON. What was being
//! written when the process died has no end of line: it was not answered, is cut, and kept beside. Any other line that does not
//! follow from the one before was damaged or edited, and nothing is read past it.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::change::{Change, Digest};
use crate::version::{from_hex, hex};

/// Most bytes of the file: at the bound a change is refused, and the journal has to be emptied into the files.
pub(crate) const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("the journal {path} cannot be {what}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line does not follow from the one before.
    #[error(
        "{path}:{line}: is not as it was written (damaged or edited): put the file back from a copy, or cut it before this line \
         and enter again what stands there and behind"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It is as large as it may be.
    #[error("the journal has no room ({MAX_BYTES} bytes): empty it into the files, see `dermatel device fold`")]
    Full,
    /// A write failed before.
    #[error("the journal could not be written before, so nothing is changed until the process is started again")]
    Sealed,
}

/// The tail that was being written when the process died. Nobody was told that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The line that it would have been, from 1.
    pub line: usize,
    /// How many bytes of it there were.
    pub bytes: usize,
    /// Where they are kept.
    pub kept: PathBuf,
}

/// The file, open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    head: [u8; 32],
    sealed: bool,
}

/// What the bytes of a journal say.
struct Parsed {
    changes: Vec<Change>,
    head: [u8; 32],
    /// Bytes of whole lines.
    whole: usize,
}

impl Journal {
    /// Opens or makes the file; cuts and keeps what was being written when the process died. Only one process may: whoever holds
    /// the data folder.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Change>, Option<Torn>), JournalError> {
        let io = |what| io_error(path, what);
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("opened"))?;
        if is_new {
            sync_folder(path).map_err(io("made"))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let parsed = parse(path, &bytes)?;
        let mut torn = None;
        if let Some(tail) = bytes.get(parsed.whole..).filter(|tail| !tail.is_empty()) {
            let kept = beside(path, "torn");
            std::fs::write(&kept, tail).map_err(io("cut"))?;
            file.set_len(parsed.whole as u64).map_err(io("cut"))?;
            file.sync_all().map_err(io("cut"))?;
            torn = Some(Torn {
                line: parsed.changes.len() + 1,
                bytes: tail.len(),
                kept,
            });
        }
        file.seek(SeekFrom::End(0)).map_err(io("read"))?;
        let journal = Self {
            path: path.to_owned(),
            file,
            bytes: parsed.whole as u64,
            head: parsed.head,
            sealed: false,
        };
        Ok((journal, parsed.changes, torn))
    }

    /// The changes of a file that another process may hold; none where there is no file.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(path: &Path) -> Result<Vec<Change>, JournalError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(parse(path, &bytes)?.changes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(io_error(path, "read")(source)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The hash of the last line; zeros if there is none.
    pub fn head(&self) -> Digest {
        Digest(self.head)
    }

    /// Appends one change. `Ok`: it is on disk.
    ///
    /// # Errors
    /// [`JournalError`]: it does not hold, and after a failed write nothing else is taken.
    pub fn append(&mut self, change: &Change) -> Result<Digest, JournalError> {
        if self.sealed {
            return Err(JournalError::Sealed);
        }
        let (line, head) = line(self.head, change);
        if self.bytes + line.len() as u64 > MAX_BYTES {
            return Err(JournalError::Full);
        }
        // Never synced again after a failure: Linux forgets the dirty pages.
        self.sealed = true;
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(io_error(&self.path, "written"))?;
        self.sealed = false;
        self.bytes += line.len() as u64;
        self.head = head;
        Ok(Digest(head))
    }

    /// Writes the file anew with other changes; the one before is kept beside until the next time.
    ///
    /// # Errors
    /// [`JournalError`]: the old one stands.
    pub fn replace(&mut self, changes: &[Change]) -> Result<Digest, JournalError> {
        if self.sealed {
            return Err(JournalError::Sealed);
        }
        let io = |what| io_error(&self.path, what);
        let mut head = [0; 32];
        let mut text = String::new();
        for change in changes {
            let (one, next) = line(head, change);
            text.push_str(&one);
            head = next;
        }
        let new = beside(&self.path, "new");
        let mut file = File::create(&new).map_err(io("written anew"))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io("written anew"))?;
        let old = beside(&self.path, "old");
        // A copy by another name, so that the journal's own name always stands for a whole one.
        let _ = std::fs::remove_file(&old);
        std::fs::hard_link(&self.path, &old).map_err(io("kept"))?;
        std::fs::rename(&new, &self.path).map_err(io("replaced"))?;
        self.sealed = true;
        sync_folder(&self.path).map_err(io("replaced"))?;
        self.sealed = false;
        (self.file, self.head, self.bytes) = (file, head, text.len() as u64);
        Ok(Digest(head))
    }
}

fn io_error(path: &Path, what: &'static str) -> impl Fn(std::io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io {
        path: path.clone(),
        what,
        source,
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn link(previous: [u8; 32], json: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(json.as_bytes());
    hash.finalize().into()
}

/// Changes with the hashes of the lines that they are.
pub(crate) fn hashed(changes: &[Change]) -> Vec<(Change, Digest)> {
    let mut head = [0; 32];
    let mut lines = Vec::with_capacity(changes.len());
    for change in changes {
        head = line(head, change).1;
        lines.push((change.clone(), Digest(head)));
    }
    lines
}

fn line(previous: [u8; 32], change: &Change) -> (String, [u8; 32]) {
    // Ids, numbers and texts: nothing of it can fail to be JSON.
    let json = serde_json::to_string(change).unwrap_or_default();
    let head = link(previous, &json);
    (format!("{} {json}\n", hex(&head)), head)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, JournalError> {
    let mut parsed = Parsed {
        changes: Vec::new(),
        head: [0; 32],
        whole: 0,
    };
    for one in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(text) = one.strip_suffix(b"\n") else {
            break;
        };
        let number = parsed.changes.len() as u64 + 1;
        let (change, head) = read_line(parsed.head, text)
            .filter(|(change, _)| follows(change, parsed.changes.last()))
            .ok_or_else(|| JournalError::Damaged {
                path: path.to_owned(),
                line: usize::try_from(number).unwrap_or(usize::MAX),
            })?;
        parsed.changes.push(change);
        parsed.head = head;
        parsed.whole += one.len();
    }
    Ok(parsed)
}

fn read_line(previous: [u8; 32], text: &[u8]) -> Option<(Change, [u8; 32])> {
    let (hash, json) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let head = from_hex(hash).ok()?;
    let change = serde_json::from_str(json).ok()?;
    (link(previous, json) == head).then_some((change, head))
}

/// Numbers have no holes; the first line of a journal that was emptied says so.
pub(crate) fn follows(change: &Change, last: Option<&Change>) -> bool {
    match last {
        Some(last) => change.n == last.n + 1 && change.folded.is_none(),
        None => change.n == 1 || change.folded.is_some(),
    }
}
