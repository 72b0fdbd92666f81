//! A receiver that needs nothing: a file of JSON lines, synced, and a line in the process's log.
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Message;
use super::failure::{FailReason, Failure};
use crate::config::LogFile;

pub(crate) struct LogReceiver {
    name: String,
    path: Option<PathBuf>,
}

impl LogReceiver {
    pub(super) fn new(name: &str, log: Option<&LogFile>) -> Self {
        Self {
            name: name.to_owned(),
            path: log.map(|log| log.path.clone()),
        }
    }

    pub(super) async fn send(self: &Arc<Self>, message: &Message) -> Result<String, Failure> {
        let own = Arc::clone(self);
        tracing::info!(
            receiver = self.name,
            alert = message.alert,
            transition = message.key,
            "page"
        );
        let line = message.json().to_string();
        tokio::task::spawn_blocking(move || own.append(&line))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .inspect_err(
                |error| tracing::warn!(receiver = self.name, error = %error, "cannot append a page to the file"),
            )
            .map_err(|error| Failure::of(FailReason::File, &error))?;
        Ok("appended".to_owned())
    }

    fn append(&self, line: &str) -> std::io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        // One write: a crash leaves a whole line or a torn last one, never a torn middle. After a torn one a new line begins.
        let torn = if is_torn(&mut file, length)? { "\n" } else { "" };
        file.write_all(format!("{torn}{line}\n").as_bytes())?;
        file.sync_data()?;
        if length == 0 {
            // A new name is durable with its directory only.
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

/// Whether the last line has no end.
fn is_torn(file: &mut File, length: u64) -> std::io::Result<bool> {
    if length == 0 {
        return Ok(false);
    }
    let mut last = [0u8; 1];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
