//! Makes at InfluxDB what Dermatel needs: organization, buckets with retention, mappings for InfluxQL, tokens with the
//! least rights. Run twice, the second time changes nothing.

use std::path::{Path, PathBuf};

use service::config::Secret;

use super::api::{Api, ApiError, HasBucket, HasMapping, HasToken};
use super::probe::{Server, probe};
use super::tokens::{self, Holder};
use super::{Bucket, Wanted, kept};

/// One thing that was or would be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change(pub String);

/// Why setup stopped. What it had done before stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The server is no InfluxDB 2.
    #[error("{0}")]
    Server(String),
    /// The server was never set up.
    #[error(
        "this InfluxDB was never set up: make its first user, organization and operator token with `influx setup` (or the \
         DOCKER_INFLUXDB_INIT_* variables of its image), then give that token here"
    )]
    Fresh,
    /// A mapping points elsewhere.
    #[error(
        "database '{database}' with retention policy '{policy}' is mapped to another bucket ({bucket_id}); a person made \
         that mapping: remove it with `influx v1 dbrp delete`, or choose another bucket name"
    )]
    Mapped {
        /// Database.
        database: String,
        /// Retention policy.
        policy: String,
        /// Where it points.
        bucket_id: String,
    },
    /// The server said no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A token could not be written.
    #[error("the token file {0} cannot be written; the token is at the server, and the next run makes another")]
    File(PathBuf, #[source] std::io::Error),
}

/// What is made, and whether for real.
struct Setup<'a> {
    api: Api,
    wanted: &'a Wanted,
    dry_run: bool,
    changes: Vec<Change>,
}

/// Makes what is missing, or only says what that would be; `admin` is a token that may do so. Old tokens of ours, which
/// another took the place of, go if `prune`.
///
/// # Errors
/// [`SetupError`].
pub async fn setup(
    wanted: &Wanted,
    admin: &Secret,
    dir: &Path,
    dry_run: bool,
    prune: bool,
) -> Result<Vec<Change>, SetupError> {
    match probe(&wanted.influx).await?.server {
        Server::Two => {}
        other => return Err(SetupError::Server(other.advice())),
    }
    let api = Api::new(&wanted.influx, admin)?;
    if api.is_fresh().await? {
        return Err(SetupError::Fresh);
    }
    let mut setup = Setup {
        api,
        wanted,
        dry_run,
        changes: Vec::new(),
    };
    let Some(org_id) = setup.organization().await? else {
        // A dry run cannot ask for what hangs on an organization that is not there.
        setup.plan_from_nothing(dir);
        return Ok(setup.changes);
    };
    let buckets = setup.buckets(&org_id).await?;
    setup.mappings(&org_id, &buckets).await?;
    setup.tokens(&org_id, &buckets, dir, prune).await?;
    Ok(setup.changes)
}

impl Setup<'_> {
    fn change(&mut self, text: String) {
        self.changes.push(Change(text));
    }

    async fn organization(&mut self) -> Result<Option<String>, SetupError> {
        let name = &self.wanted.influx.org;
        if let Some(id) = self.api.organization(name).await? {
            return Ok(Some(id));
        }
        self.change(format!("make organization {name}"));
        if self.dry_run {
            return Ok(None);
        }
        Ok(Some(self.api.create_organization(name).await?))
    }

    fn plan_from_nothing(&mut self, dir: &Path) {
        let wanted = self.wanted;
        for bucket in wanted.buckets.iter().filter(|bucket| !bucket.is_shared()) {
            self.change(bucket_text(bucket));
        }
        for bucket in &wanted.buckets {
            self.change(mapping_text(bucket));
        }
        for holder in Holder::all(wanted) {
            self.change(token_text(&holder, dir));
        }
    }

    async fn buckets(&mut self, org_id: &str) -> Result<Vec<HasBucket>, SetupError> {
        let mut has = self.api.buckets(Some(org_id)).await?;
        let wanted = self.wanted;
        let mut made = false;
        for bucket in wanted.buckets.iter().filter(|bucket| !bucket.is_shared()) {
            match has.iter().find(|has| has.name == bucket.name).cloned() {
                None => {
                    self.change(bucket_text(bucket));
                    if !self.dry_run {
                        self.api
                            .create_bucket(org_id, &bucket.name, bucket.keep_s.unwrap_or(0))
                            .await?;
                        made = true;
                    }
                }
                Some(found) => {
                    let Some(keep_s) = bucket.keep_s.filter(|keep_s| *keep_s != found.keep_s) else {
                        continue;
                    };
                    let (name, new, old) = (&bucket.name, kept(keep_s), kept(found.keep_s));
                    self.change(format!("keep bucket {name} {new} and not {old}"));
                    if !self.dry_run {
                        self.api.keep(&found.id, keep_s).await?;
                    }
                }
            }
        }
        if made {
            // `influxdb2` does not give the new ids.
            has = self.api.buckets(Some(org_id)).await?;
        }
        Ok(has)
    }

    async fn mappings(&mut self, org_id: &str, buckets: &[HasBucket]) -> Result<(), SetupError> {
        let has = self.api.mappings(org_id).await?;
        let wanted = self.wanted;
        for bucket in &wanted.buckets {
            let id = buckets
                .iter()
                .find(|has| has.name == bucket.name)
                .map(|has| has.id.as_str());
            match state_of(&has, bucket, id) {
                Mapping::Right => continue,
                Mapping::Elsewhere(bucket_id) => {
                    return Err(SetupError::Mapped {
                        database: bucket.database.clone(),
                        policy: bucket.policy.to_owned(),
                        bucket_id,
                    });
                }
                Mapping::Missing => self.change(mapping_text(bucket)),
            }
            if let Some(id) = id.filter(|_| !self.dry_run) {
                let mapping = HasMapping {
                    database: bucket.database.clone(),
                    retention_policy: bucket.policy.to_owned(),
                    bucket_id: id.to_owned(),
                    default: bucket.is_default(),
                    is_virtual: false,
                };
                self.api.map(org_id, &mapping).await?;
            }
        }
        Ok(())
    }

    async fn tokens(&mut self, org_id: &str, buckets: &[HasBucket], dir: &Path, prune: bool) -> Result<(), SetupError> {
        let has = self.api.tokens(Some(org_id)).await?;
        let wanted = self.wanted;
        for holder in Holder::all(wanted) {
            let (description, file) = (holder.description(), holder.file(dir));
            let ours: Vec<&HasToken> = has.iter().filter(|token| token.description == description).collect();
            let rights = holder.rights(wanted, buckets);
            let in_file = tokens::read(&file);
            let good = ours.iter().find(|token| {
                let fits = rights.is_some() && token.rights == rights;
                // A server that hashes its tokens cannot say which is in the file: then the file is believed.
                let known = token.token.is_none() || in_file.as_ref().map(Secret::reveal) == token.token.as_deref();
                fits && in_file.is_some() && known
            });
            if good.is_none() {
                self.change(token_text(&holder, dir));
                if let Some(rights) = rights.filter(|_| !self.dry_run) {
                    let token = self.api.create_token(org_id, &description, &rights).await?;
                    tokens::write(&file, &token).map_err(|e| SetupError::File(file.clone(), e))?;
                }
            }
            for old in ours.iter().filter(|old| good.is_none_or(|good| good.id != old.id)) {
                self.old(old, prune).await?;
            }
        }
        Ok(())
    }

    /// A token that another took the place of: whoever still holds it must not be cut off before it has the new one.
    async fn old(&mut self, old: &HasToken, prune: bool) -> Result<(), SetupError> {
        if !prune {
            // Nothing is changed, so nothing is told: `doctor` tells.
            return Ok(());
        }
        self.change(format!("remove the old token {} ({})", old.id, old.description));
        if !self.dry_run {
            self.api.delete_token(&old.id).await?;
        }
        Ok(())
    }
}

/// How a mapping stands.
pub(super) enum Mapping {
    Right,
    Missing,
    Elsewhere(String),
}

pub(super) fn state_of(has: &[HasMapping], bucket: &Bucket, id: Option<&str>) -> Mapping {
    let found = has.iter().find(|mapping| {
        !mapping.is_virtual && mapping.database == bucket.database && mapping.retention_policy == bucket.policy
    });
    match found {
        None => Mapping::Missing,
        Some(mapping) if Some(mapping.bucket_id.as_str()) == id => Mapping::Right,
        Some(mapping) => Mapping::Elsewhere(mapping.bucket_id.clone()),
    }
}

fn bucket_text(bucket: &Bucket) -> String {
    format!("make bucket {}, kept {}", bucket.name, kept(bucket.keep_s.unwrap_or(0)))
}

fn mapping_text(bucket: &Bucket) -> String {
    let default = if bucket.is_default() { " (default)" } else { "" };
    format!(
        "map database {} with retention policy {}{default} to bucket {}",
        bucket.database, bucket.policy, bucket.name
    )
}

fn token_text(holder: &Holder, dir: &Path) -> String {
    let rights = match holder {
        Holder::Ingestor => "reads and writes the buckets of every tenant".to_owned(),
        Holder::Grafana(tenant) => format!("reads the buckets of {tenant}"),
    };
    format!(
        "make token '{}', which {rights}, in {}",
        holder.description(),
        holder.file(dir).display()
    )
}
