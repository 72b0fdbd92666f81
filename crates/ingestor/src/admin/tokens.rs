//! Tokens with the least rights, and the files that hold them.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use service::config::Secret;
use telemetry::TenantId;

use super::Wanted;
use super::api::{HasBucket, Right};

/// Who gets a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// Writes, and reads what it rolls up.
    Ingestor,
    /// Shows a tenant its own.
    Grafana(TenantId),
}

impl Holder {
    pub(super) fn all(wanted: &Wanted) -> impl Iterator<Item = Self> + '_ {
        std::iter::once(Self::Ingestor).chain(wanted.tenants.iter().cloned().map(Self::Grafana))
    }

    /// The token's description at the server, by which it is found again.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Ingestor => "dermatel ingestor".to_owned(),
            Self::Grafana(tenant) => format!("dermatel grafana {tenant}"),
        }
    }

    pub(super) fn file(&self, dir: &Path) -> PathBuf {
        match self {
            Self::Ingestor => dir.join("ingestor.token"),
            Self::Grafana(tenant) => dir.join(format!("grafana-{tenant}.token")),
        }
    }

    /// Its rights, sorted; `None` while a bucket of it is not there.
    pub(super) fn rights(&self, wanted: &Wanted, buckets: &[HasBucket]) -> Option<Vec<Right>> {
        let mut rights = Vec::new();
        for bucket in &wanted.buckets {
            if matches!(self, Self::Grafana(tenant) if *tenant != bucket.tenant) {
                continue;
            }
            let id = &buckets.iter().find(|has| has.name == bucket.name)?.id;
            for write in [false, true] {
                if !write || *self == Self::Ingestor {
                    rights.push(Right {
                        write,
                        bucket_id: id.clone(),
                    });
                }
            }
        }
        rights.sort();
        rights.dedup();
        Some(rights)
    }
}

/// The token in a file; `None` if there is no such file or nothing in it.
pub(super) fn read(file: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

/// Writes a token for its owner's eyes only; a reader finds the old or the new one, whole.
pub(super) fn write(file: &Path, token: &Secret) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let new = file.with_extension("token.new");
    // One that was left behind may have other rights.
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut open = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    open.write_all(token.reveal().as_bytes())?;
    open.sync_all()?;
    std::fs::rename(&new, file)
}
