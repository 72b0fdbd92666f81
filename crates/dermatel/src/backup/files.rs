//! Copies of single files, whole and on disk.
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

/// How long the copy waits for a writer that has the whole file to itself.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies a database as it is at one moment, beside whoever writes it: one file without a write-ahead log. Nothing happens
/// if there is none.
pub(super) fn copy_database(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    make_folder_of(to)?;
    let copy = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(from, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        // In one read transaction; keeps the version of the tables.
        db.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        Ok(())
    };
    copy().with_context(|| format!("cannot copy the database {}", from.display()))?;
    sync(to)
}

/// Copies a file. Nothing happens if there is none.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    make_folder_of(to)?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    sync(to)
}

/// Copies a folder with all that is in it.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("cannot copy the folder {}", from.display());
    std::fs::create_dir_all(to).with_context(cannot)?;
    for entry in std::fs::read_dir(from).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy)?;
        } else {
            copy_file(&path, &copy)?;
        }
    }
    sync_folder(to)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    sync(folder)
}

fn make_folder_of(file: &Path) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot sync {}", path.display()))
}
