//! Says what is missing or wrong with InfluxDB, each with its fix. It asks with the ingestor's own token, as the ingestor
//! would; with an operator's token too, it looks at what only that one may see.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use service::config::Secret;

use super::api::{Api, ApiError, HasBucket, HasMapping, no_answer, said};
use super::probe::{Probed, Server, probe};
use super::setup::{Mapping, state_of};
use super::tokens::Holder;
use super::{Bucket, Wanted, kept};
use crate::store::influx::refusal_of;
use crate::store::{InfluxStore, Reason, clock};

/// Measurement of the one point a day by which is tried whether a bucket takes points.
const PROBE: &str = "dermatel_doctor";
/// What repairs most of it.
const SETUP: &str = "run `dermatel influx setup`";

/// Something that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A bounded name of it.
    pub kind: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What is in order, in words.
    pub fine: Vec<String>,
    /// What could not be looked at, and why; no fault.
    pub unseen: Vec<String>,
    /// What is wrong.
    pub wrong: Vec<Finding>,
}

impl Diagnosis {
    fn fine(&mut self, text: impl Into<String>) {
        self.fine.push(text.into());
    }

    fn wrong(&mut self, kind: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.wrong.push(Finding {
            kind,
            what: what.into(),
            fix: fix.into(),
        });
    }
}

/// Looks at everything; `write`: also tries a point in each bucket, the only way to find a full disk.
///
/// # Errors
/// [`ApiError`] for a configuration that no client can be made of; every other trouble is a finding.
pub async fn doctor(wanted: &Wanted, admin: Option<&Secret>, write: bool) -> Result<Diagnosis, ApiError> {
    let mut told = Diagnosis::default();
    let probed = match probe(&wanted.influx).await {
        Ok(probed) => probed,
        Err(e @ ApiError::NoAnswer { .. }) => {
            let url = &wanted.influx.url;
            told.wrong(
                "unreachable",
                format!("{url}: {e}"),
                "start InfluxDB, or put ingestor.influx.url (and ca, with TLS) right; firewalls count too",
            );
            return Ok(told);
        }
        Err(e) => return Err(e),
    };
    server(&mut told, &probed);
    let asked = Asked {
        wanted,
        store: InfluxStore::new(&wanted.influx)?,
        http: wanted
            .influx
            .http()?
            .build()
            .map_err(crate::store::influx::InfluxConfigError::Asker)?,
    };
    if matches!(
        probed.server,
        Server::One {
            takes_v2_writes: false,
            ..
        } | Server::Other { takes_v2_writes: false }
    ) {
        return Ok(told);
    }
    let mut usable = true;
    for bucket in &wanted.buckets {
        usable &= asked.bucket(&mut told, bucket, write).await;
        if told
            .wrong
            .iter()
            .any(|finding| matches!(finding.kind, "wrong_token" | "wrong_organization"))
        {
            // It is the same for all.
            return Ok(told);
        }
    }
    if probed.server != Server::Two {
        told.unseen
            .push("retention and rights: this server tells them in a way of its own".to_owned());
        return Ok(told);
    }
    let api = Api::new(&wanted.influx, &wanted.influx.token)?;
    retention(&mut told, wanted, &api).await;
    rights(&mut told, wanted, &api, usable).await;
    match admin {
        Some(admin) => as_operator(&mut told, wanted, &Api::new(&wanted.influx, admin)?).await,
        None => told
            .unseen
            .push("mappings and tokens as they stand at the server: give --admin-token to look at them".to_owned()),
    }
    Ok(told)
}

fn server(told: &mut Diagnosis, probed: &Probed) {
    match &probed.server {
        Server::Two => told.fine("the server is InfluxDB 2"),
        Server::One {
            takes_v2_writes: false, ..
        } => told.wrong(
            "no_v2_api",
            probed.server.advice(),
            "point ingestor.influx.url to an InfluxDB 2, or upgrade this one",
        ),
        Server::Other { takes_v2_writes: false } => told.wrong(
            "no_v2_api",
            probed.server.advice(),
            "point ingestor.influx.url to an InfluxDB 2",
        ),
        other => told.unseen.push(other.advice()),
    }
    match probed.ahead_s.map(clock::told) {
        Some(Some(what)) => told.wrong(
            "clock_skew",
            what,
            "run an NTP client (chrony, systemd-timesyncd) on both machines",
        ),
        Some(None) => told.fine(format!(
            "its clock and this machine's agree within {} s",
            clock::MAX_SKEW_S
        )),
        None => told.unseen.push("its clock: answers have no Date".to_owned()),
    }
}

struct Asked<'a> {
    wanted: &'a Wanted,
    store: InfluxStore,
    http: reqwest::Client,
}

impl Asked<'_> {
    /// Looks at one bucket as the ingestor uses it: whether it can be written to and read.
    async fn bucket(&self, told: &mut Diagnosis, bucket: &Bucket, write: bool) -> bool {
        let before = told.wrong.len();
        match self.write(bucket, write).await {
            Ok(()) => told.fine(format!("bucket {} takes points", bucket.name)),
            Err((reason, said)) => self.cannot_write(told, bucket, reason, &said),
        }
        if told.wrong.len() == before {
            match self
                .store
                .look(&bucket.database, (!bucket.is_default()).then_some(bucket.policy))
                .await
            {
                Ok(()) => told.fine(format!("bucket {} answers InfluxQL", bucket.name)),
                Err(e) => self.cannot_read(told, bucket, &e),
            }
        }
        told.wrong.len() == before
    }

    /// Nothing, or one point a day: InfluxDB looks at token, organization, bucket and right before it looks at the points.
    async fn write(&self, bucket: &Bucket, point: bool) -> Result<(), (Reason, String)> {
        let influx = &self.wanted.influx;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let day_ns = now - now % 86_400;
        let body = if point {
            format!("{PROBE} ok=true {day_ns}000000000\n")
        } else {
            String::new()
        };
        let request = self
            .http
            .post(format!("{}/api/v2/write", influx.url.trim_end_matches('/')))
            .query(&[
                ("org", influx.org.as_str()),
                ("bucket", &bucket.name),
                ("precision", "ns"),
            ])
            .header("authorization", format!("Token {}", influx.token.reveal()))
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => return Err((Reason::Connect, no_answer(&e).to_string())),
        };
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        match status {
            204 => Ok(()),
            // It found everything but a point.
            400 if !point && !text.contains("not found") => Ok(()),
            _ => Err((refusal_of(status, &text), format!("{status}: {}", said(&text)))),
        }
    }

    fn cannot_write(&self, told: &mut Diagnosis, bucket: &Bucket, reason: Reason, said: &str) {
        let (name, org) = (&bucket.name, &self.wanted.influx.org);
        match reason {
            Reason::Unauthorized => told.wrong(
                "wrong_token",
                format!("the server does not know the token ({said})"),
                format!("put ingestor.influx.token right: its file is ingestor.token where `dermatel influx setup` wrote it, or {SETUP}"),
            ),
            Reason::WrongOrganization => told.wrong(
                "wrong_organization",
                format!("there is no organization '{org}', or the token is not of it ({said})"),
                format!("put ingestor.influx.org right, or {SETUP}"),
            ),
            Reason::NotFound => told.wrong(
                "missing_bucket",
                format!("bucket {name} is missing, or the token may not see it ({said})"),
                SETUP,
            ),
            Reason::Forbidden => told.wrong(
                "missing_permission",
                format!("the token may not write to bucket {name} ({said})"),
                format!("{SETUP}: it makes a token for the buckets of all tenants"),
            ),
            Reason::DiskFull => told.wrong(
                "disk_full",
                format!("the disk of InfluxDB is full ({said})"),
                "make room there, or shorten retention; points wait in the spool meanwhile",
            ),
            other => told.wrong(
                other.as_str(),
                format!("bucket {name} takes no points ({said})"),
                "look at the log of InfluxDB",
            ),
        }
    }

    fn cannot_read(&self, told: &mut Diagnosis, bucket: &Bucket, error: &crate::store::ReadError) {
        let (database, policy) = (&bucket.database, bucket.policy);
        match error.reason {
            Reason::NotFound => told.wrong(
                "missing_mapping",
                format!("InfluxQL finds no database {database} with retention policy {policy}: {error}"),
                format!("{SETUP}; without it dashboards are empty and nothing is rolled up"),
            ),
            Reason::Unsupported => told.wrong(
                "no_influxql",
                format!("bucket {} takes points and cannot be asked: {error}", bucket.name),
                "set ingestor.rollups = false: the process leaves roll-ups out by itself, and says so at each start",
            ),
            Reason::Unauthorized | Reason::Forbidden => told.wrong(
                "missing_permission",
                format!("the token may not read bucket {}: {error}", bucket.name),
                format!("{SETUP}: the ingestor reads back what it rolls up"),
            ),
            other => told.wrong(
                other.as_str(),
                format!("bucket {} cannot be read: {error}", bucket.name),
                "look at the log of InfluxDB",
            ),
        }
    }
}

/// Whether buckets keep as long as the configuration says, and roll-ups no shorter than points.
async fn retention(told: &mut Diagnosis, wanted: &Wanted, api: &Api) {
    let has = match api.buckets(None).await {
        Ok(has) => has,
        Err(e) => return told.unseen.push(format!("retention: {e}")),
    };
    for bucket in &wanted.buckets {
        let Some(found) = has.iter().find(|has| has.name == bucket.name) else {
            continue;
        };
        match bucket.keep_s {
            Some(keep_s) if is_shorter(found.keep_s, keep_s) => told.wrong(
                "short_retention",
                format!(
                    "bucket {} keeps points {}, the configuration says {}",
                    bucket.name,
                    kept(found.keep_s),
                    kept(keep_s)
                ),
                format!("{SETUP}, or say in ingestor.retention and rollup_retention what is meant"),
            ),
            None if found.keep_s > 0 && bucket.is_default() => told.wrong(
                "short_retention",
                format!(
                    "bucket {} keeps points {}, and the configuration does not say so: a minute that has expired in part would \
                     be rolled up again by what is left of it",
                    bucket.name,
                    kept(found.keep_s)
                ),
                format!("set ingestor.retention = \"{}\"", kept(found.keep_s).replace(' ', "")),
            ),
            _ => {}
        }
        let detail = has.iter().find(|has| has.name == bucket.database);
        if let Some(detail) = detail.filter(|detail| !bucket.is_default() && is_shorter(found.keep_s, detail.keep_s)) {
            told.wrong(
                "rollup_shorter_than_detail",
                format!(
                    "bucket {} keeps roll-ups {}, and the points that they are made of stay {}",
                    bucket.name,
                    kept(found.keep_s),
                    kept(detail.keep_s)
                ),
                format!("keep it at least as long, and {SETUP}"),
            );
        }
    }
}

const fn is_shorter(has: u64, wanted: u64) -> bool {
    has != 0 && (wanted == 0 || has < wanted)
}

/// Whether the ingestor's token may do more than it should.
async fn rights(told: &mut Diagnosis, wanted: &Wanted, api: &Api, usable: bool) {
    let fix = format!("{SETUP} and give the ingestor the token in ingestor.token");
    let ours = |bucket: &HasBucket| wanted.buckets.iter().any(|own| own.name == bucket.name);
    let others: Vec<HasBucket> = match api.buckets(None).await {
        Ok(has) => has
            .into_iter()
            .filter(|has| !ours(has) && !has.name.starts_with('_'))
            .collect(),
        Err(_) => Vec::new(),
    };
    let sees_tokens = api.tokens(None).await.is_ok_and(|tokens| !tokens.is_empty());
    if sees_tokens {
        told.wrong(
            "too_many_rights",
            "the ingestor's token may look at tokens: it is an operator's or an all-access one",
            fix,
        );
    } else if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|bucket| bucket.name.as_str()).take(5).collect();
        told.wrong(
            "too_many_rights",
            format!(
                "the ingestor's token may use buckets that are not ours: {}",
                names.join(", ")
            ),
            fix,
        );
    } else if usable {
        told.fine("the token may do what is needed and no more");
    }
}

/// What only an operator's token sees.
async fn as_operator(told: &mut Diagnosis, wanted: &Wanted, api: &Api) {
    let seen = async {
        let Some(org_id) = api.organization(&wanted.influx.org).await? else {
            return Ok(None);
        };
        let buckets = api.buckets(Some(&org_id)).await?;
        Ok::<_, ApiError>(Some((
            buckets,
            api.mappings(&org_id).await?,
            api.tokens(Some(&org_id)).await?,
        )))
    };
    let (buckets, has, tokens) = match seen.await {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            let what = format!("there is no organization '{}'", wanted.influx.org);
            return told.wrong(
                "wrong_organization",
                what,
                format!("put ingestor.influx.org right, or {SETUP}"),
            );
        }
        Err(e) => return told.unseen.push(format!("mappings and tokens: {e}")),
    };
    for bucket in &wanted.buckets {
        mapping(told, bucket, &has, &buckets);
    }
    for holder in Holder::all(wanted) {
        let description = holder.description();
        let ours: Vec<_> = tokens.iter().filter(|token| token.description == description).collect();
        let rights = holder.rights(wanted, &buckets);
        if ours.is_empty() || (rights.is_some() && !ours.iter().any(|token| token.rights == rights)) {
            told.wrong(
                "missing_token",
                format!("there is no token '{description}' with its rights"),
                SETUP,
            );
        }
        if ours.len() > 1 {
            told.wrong(
                "old_token",
                format!("{} tokens '{description}' are valid", ours.len()),
                "give everybody the newest, then run `dermatel influx setup --prune`",
            );
        }
    }
}

fn mapping(told: &mut Diagnosis, bucket: &Bucket, has: &[HasMapping], buckets: &[HasBucket]) {
    let id = buckets
        .iter()
        .find(|has| has.name == bucket.name)
        .map(|has| has.id.as_str());
    let (database, policy) = (&bucket.database, bucket.policy);
    match state_of(has, bucket, id) {
        Mapping::Right => told.fine(format!(
            "database {database}, retention policy {policy}: mapped to bucket {}",
            bucket.name
        )),
        Mapping::Missing => told.wrong(
            "missing_mapping",
            format!("database {database} has no retention policy {policy}: its panels stay empty"),
            SETUP,
        ),
        Mapping::Elsewhere(other) => told.wrong(
            "missing_mapping",
            format!("database {database}, retention policy {policy}: mapped to another bucket ({other})"),
            "remove that mapping with `influx v1 dbrp delete`, then run `dermatel influx setup`",
        ),
    }
}
