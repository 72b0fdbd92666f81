//! Changes of the registry while the process runs: on disk first, then in force for every part, then in alerting's journal.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use registry::{Book, ChangeError, Digest, Done, Folded, FollowError, Followed, LoadErrors, Order, RegistryVersion};
use service::clock::Clock;
use service::reload::Reload;
use telemetry::UnixMicros;

use crate::config::Config;

/// The journal of changes within the data folder.
const JOURNAL: &str = "registry.journal";

/// Where the journal of changes is.
pub(crate) fn journal(config: &Config) -> PathBuf {
    config.node.data_dir.join(JOURNAL)
}

/// Reads the registry with what was changed by command. Only whoever holds the data folder may.
pub(crate) fn open(config: &Config) -> Result<Arc<Book>> {
    let folder: &Path = &config.node.registry_dir;
    let opened = Book::open(folder, &journal(config)).with_context(|| {
        let folder = folder.display();
        format!("the registry in {folder} (node.registry_dir) is not used")
    })?;
    if let Some(torn) = &opened.torn {
        tracing::warn!(
            line = torn.line,
            bytes = torn.bytes,
            kept = %torn.kept.display(),
            "cut a change of the registry that was being written when the process died: nobody was told that it holds"
        );
    }
    Ok(Arc::new(opened.book))
}

/// Puts into alerting's journal what it does not have yet, because the process died in between.
pub(crate) async fn catch_up(book: &Book, alerts: &alerting::Handle) {
    match alerts.journal_registry(book.changes(), true).await {
        Ok(followed) if followed.broken => tracing::error!(
            "the registry's journal lacks changes that alerting's journal knows: it was cut or replaced, compare the fleet"
        ),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "alerting's journal does not take the registry's changes"),
    }
}

/// What the routes ask for.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) book: Arc<Book>,
    /// `None` where it is another process.
    pub(crate) gateway: Option<gateway::Handle>,
    /// Likewise.
    pub(crate) alerts: Option<alerting::Handle>,
    pub(crate) clock: Clock,
}

/// A change that holds.
pub(crate) struct Changed {
    pub(crate) done: Done,
    /// Connections that were ended by it.
    pub(crate) ended: usize,
}

impl Fleet {
    /// Makes a change. Whoever asked may go away meanwhile: it is then made all the same, whole.
    pub(crate) async fn change(&self, by: String, why: String, order: Order) -> Result<Changed, ChangeError> {
        let own = self.clone();
        to_the_end(async move {
            let (here, now) = (own.clone(), own.now());
            let changed = blocking(move || {
                let done = here
                    .book
                    .change(now, (&by, &why), &order, |version| here.known(version))?;
                let ended = here.end_connections();
                Ok::<_, ChangeError>(Changed { done, ended })
            })
            .await?;
            own.tell_alerting(vec![(changed.done.change.clone(), changed.done.hash)])
                .await;
            tracing::info!(
                change = changed.done.change.n,
                devices = changed.done.devices.len(),
                version = %changed.done.version,
                ended = changed.ended,
                "registry changed by command"
            );
            Ok(changed)
        })
        .await
    }

    /// Takes the journal of the process that leads. Whoever asked may go away meanwhile.
    pub(crate) async fn follow(
        &self,
        lines: Vec<registry::Change>,
        head: Digest,
        version: String,
    ) -> Result<Followed, FollowError> {
        let own = self.clone();
        to_the_end(async move {
            let here = own.clone();
            let (followed, ended) = blocking(move || {
                let followed = here
                    .book
                    .follow(&lines, head, &version, |version| here.known(version))?;
                let ended = if followed.lines.is_empty() {
                    0
                } else {
                    here.end_connections()
                };
                Ok::<_, FollowError>((followed, ended))
            })
            .await?;
            if !followed.lines.is_empty() {
                own.tell_alerting(followed.lines.clone()).await;
                tracing::info!(
                    lines = followed.lines.len(),
                    version = %followed.version,
                    ended,
                    "registry changed by command elsewhere"
                );
            }
            Ok(followed)
        })
        .await
    }

    /// Reads the files again.
    pub(crate) async fn reload(&self) -> Result<(RegistryVersion, usize), LoadErrors> {
        let own = self.clone();
        let reloaded = blocking(move || {
            let version = own.book.reload(|version| own.known(version))?;
            Ok::<_, LoadErrors>((version, own.end_connections()))
        })
        .await;
        match &reloaded {
            Ok((version, ended)) => tracing::info!(%version, ended, "registry's files read again"),
            Err(errors) => {
                Reload::Registry.refused();
                tracing::warn!(
                    problems = errors.problems.len(),
                    "registry's files are refused, the old ones stay"
                );
            }
        }
        reloaded
    }

    /// Empties the journal of what the files say too.
    pub(crate) async fn fold(&self, by: String, why: String) -> Result<Folded, ChangeError> {
        let own = self.clone();
        to_the_end(async move {
            let (book, now) = (Arc::clone(&own.book), own.now());
            let folded = blocking(move || book.fold(now, &by, &why)).await?;
            own.tell_alerting(folded.lines.clone()).await;
            Ok(folded)
        })
        .await
    }

    /// Waits until alerting judges by this registry: what a new device says must not be judged by one that does not know it. On
    /// a thread that may wait.
    fn known(&self, version: &RegistryVersion) {
        let Some(alerts) = &self.alerts else { return };
        let waiting = alerts.registry_announced(version.to_string());
        if !tokio::runtime::Handle::current().block_on(waiting) {
            tracing::error!(%version, "alerting has not taken the registry in time, it is put in force all the same");
        }
    }

    fn end_connections(&self) -> usize {
        self.gateway.as_ref().map_or(0, gateway::Handle::registry_changed)
    }

    fn now(&self) -> UnixMicros {
        UnixMicros::from(self.clock.now())
    }

    /// The change holds already; what alerting's journal does not take now it is told at the next start.
    async fn tell_alerting(&self, lines: Vec<(registry::Change, registry::Digest)>) {
        let Some(alerts) = &self.alerts else { return };
        if let Err(error) = alerts.journal_registry(lines, false).await {
            tracing::error!(%error, "alerting's journal did not take a change of the registry, the next start tells it again");
        }
    }
}

/// Runs on, also when whoever waits for it goes away.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    joined(tokio::spawn(work)).await
}

/// Runs what blocks on the disk where it may.
pub(crate) async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(run)).await
}

async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and this with it.
        Err(Err(_)) => std::future::pending().await,
    }
}
