//! A receiver that needs nothing: a file of JSON lines, synced, and a line in the process's log.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::{FailReason, Failure, Message};
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

    pub(super) async fn send(self: &Arc<Self>, message: Message) -> Result<String, Failure> {
        let own = Arc::clone(self);
        let failure = |_| Failure {
            reason: FailReason::File,
            retry_after_s: None,
        };
        tracing::info!(
            receiver = self.name,
            alert = message.alert,
            transition = message.key,
            "page"
        );
        tokio::task::spawn_blocking(move || own.append(&message))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .inspect_err(
                |error| tracing::warn!(receiver = self.name, error = %error, "cannot append a page to the file"),
            )
            .map_err(failure)?;
        Ok("appended".to_owned())
    }

    fn append(&self, message: &Message) -> std::io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        // One write: a crash leaves a whole line or a torn last one, never a torn middle.
        file.write_all(format!("{}\n", message.body).as_bytes())?;
        file.sync_data()
    }
}
