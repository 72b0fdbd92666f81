//! InfluxDB 2's management API: through `influxdb2` where it can, by plain HTTP where it cannot.
//!
//! `influxdb2` 0.5 knows no DBRP mappings, changes no bucket, makes no organization, and fails at a list of tokens that
//! names a kind of resource it does not know, as every operator token does. Those four are asked by plain HTTP.

use influxdb2::api::authorizations::CreateAuthorizationRequest;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::models::{PostBucketRequest, RetentionRule};
use influxdb2::{Client, ClientBuilder, RequestError};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use service::config::Secret;

use crate::store::InfluxConfig;
use crate::store::influx::{InfluxConfigError, InfluxStore, clean, trouble_of};

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The client cannot be made.
    #[error("the configuration of InfluxDB is wrong")]
    Config(#[from] InfluxConfigError),
    /// No answer.
    #[error("no answer from InfluxDB ({reason}): {detail}")]
    NoAnswer {
        /// Bounded reason.
        reason: &'static str,
        /// What the system said.
        detail: String,
    },
    /// An answer that is not a yes.
    #[error("InfluxDB answered {status} to {what}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What was asked.
        what: &'static str,
        /// What it said.
        detail: String,
    },
    /// An answer that this version does not understand.
    #[error("InfluxDB answered something unexpected to {what}: {detail}")]
    Strange {
        /// What was asked.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl ApiError {
    /// The HTTP status, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A bucket that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HasBucket {
    pub(super) id: String,
    pub(super) name: String,
    /// 0: for ever.
    pub(super) keep_s: u64,
}

/// A mapping that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct HasMapping {
    pub(super) database: String,
    pub(super) retention_policy: String,
    #[serde(rename = "bucketID")]
    pub(super) bucket_id: String,
    #[serde(default)]
    pub(super) default: bool,
    /// Made by the server from a bucket's name; an own mapping takes its place.
    #[serde(default, rename = "virtual")]
    pub(super) is_virtual: bool,
}

/// A right: what may be done with which bucket; other kinds of resources have no bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) write: bool,
    pub(super) bucket_id: String,
}

/// A token that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HasToken {
    pub(super) id: String,
    pub(super) description: String,
    /// Sorted; `None` if it may do anything else than read and write named buckets.
    pub(super) rights: Option<Vec<Right>>,
    /// The token itself, from servers that still know it.
    pub(super) token: Option<String>,
}

/// A client with one token.
pub(super) struct Api {
    client: Client,
    http: reqwest::Client,
    url: String,
    token: Secret,
}

/// Buckets of one page; InfluxDB's own limit.
const PAGE: u8 = 100;

impl Api {
    pub(super) fn new(config: &InfluxConfig, token: &Secret) -> Result<Self, ApiError> {
        // It refuses what `influxdb2` would panic at.
        InfluxStore::new(config)?;
        let client = ClientBuilder::with_builder(config.http()?, &config.url, &config.org, token.reveal())
            .build()
            .map_err(InfluxConfigError::Client)?;
        Ok(Self {
            client,
            http: config.http()?.build().map_err(InfluxConfigError::Asker)?,
            url: config.url.trim_end_matches('/').to_owned(),
            token: token.clone(),
        })
    }

    /// Whether the server was never set up: it has no organization and no token.
    pub(super) async fn is_fresh(&self) -> Result<bool, ApiError> {
        let fresh = self.client.is_onboarding_allowed().await;
        fresh.map_err(|e| from_client("whether it is set up", e))
    }

    /// The id of an organization; `None` if there is none of that name that the token may see.
    pub(super) async fn organization(&self, name: &str) -> Result<Option<String>, ApiError> {
        let request = ListOrganizationRequest {
            org: Some(name.to_owned()),
            ..ListOrganizationRequest::new()
        };
        match self.client.list_organizations(request).await {
            Ok(list) => Ok(list
                .orgs
                .into_iter()
                .find(|org| org.name == name)
                .and_then(|org| org.id)),
            Err(RequestError::Http { status, .. }) if status.as_u16() == 404 => Ok(None),
            Err(e) => Err(from_client("the organizations", e)),
        }
    }

    pub(super) async fn create_organization(&self, name: &str) -> Result<String, ApiError> {
        let what = "a new organization";
        let made = self
            .call(Method::POST, "/api/v2/orgs", &[], Some(json!({"name": name})), what)
            .await?;
        text(&made, "id", what)
    }

    /// Every bucket that the token may see.
    pub(super) async fn buckets(&self, org_id: Option<&str>) -> Result<Vec<HasBucket>, ApiError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let request = ListBucketsRequest {
                limit: Some(PAGE),
                org_id: org_id.map(str::to_owned),
                after: after.take(),
                ..ListBucketsRequest::default()
            };
            let page = self.client.list_buckets(Some(request)).await;
            let page = page.map_err(|e| from_client("the buckets", e))?.buckets;
            let full = page.len() == usize::from(PAGE);
            all.extend(page.into_iter().filter_map(|bucket| {
                Some(HasBucket {
                    id: bucket.id?,
                    name: bucket.name,
                    keep_s: bucket
                        .retention_rules
                        .first()
                        .map_or(0, |rule| rule.every_seconds.max(0) as u64),
                })
            }));
            after = all.last().map(|bucket| bucket.id.clone()).filter(|_| full);
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    pub(super) async fn create_bucket(&self, org_id: &str, name: &str, keep_s: u64) -> Result<(), ApiError> {
        let mut request = PostBucketRequest::new(org_id.to_owned(), name.to_owned());
        if keep_s > 0 {
            // More than 68 years do not fit and are as good as for ever.
            request.retention_rules.extend(i32::try_from(keep_s).ok().map(rule));
        }
        let made = self.client.create_bucket(Some(request)).await;
        made.map_err(|e| from_client("a new bucket", e))
    }

    pub(super) async fn keep(&self, bucket_id: &str, keep_s: u64) -> Result<(), ApiError> {
        let rules = json!({"retentionRules": [{"type": "expire", "everySeconds": keep_s}]});
        let path = format!("/api/v2/buckets/{bucket_id}");
        self.call(Method::PATCH, &path, &[], Some(rules), "a bucket's retention")
            .await
            .map(|_| ())
    }

    pub(super) async fn mappings(&self, org_id: &str) -> Result<Vec<HasMapping>, ApiError> {
        let what = "the DBRP mappings";
        let answer = self
            .call(Method::GET, "/api/v2/dbrps", &[("orgID", org_id)], None, what)
            .await?;
        let content = answer.get("content").cloned().unwrap_or_else(|| json!([]));
        serde_json::from_value(content).map_err(|e| strange(what, &e.to_string()))
    }

    pub(super) async fn map(&self, org_id: &str, mapping: &HasMapping) -> Result<(), ApiError> {
        let body = json!({
            "orgID": org_id, "bucketID": mapping.bucket_id, "database": mapping.database,
            "retention_policy": mapping.retention_policy, "default": mapping.default,
        });
        self.call(Method::POST, "/api/v2/dbrps", &[], Some(body), "a new DBRP mapping")
            .await
            .map(|_| ())
    }

    /// Every token that this one may see.
    pub(super) async fn tokens(&self, org_id: Option<&str>) -> Result<Vec<HasToken>, ApiError> {
        let query: Vec<(&str, &str)> = org_id.map(|id| ("orgID", id)).into_iter().collect();
        let answer = self
            .call(Method::GET, "/api/v2/authorizations", &query, None, "the tokens")
            .await?;
        let list = answer.get("authorizations").and_then(Value::as_array);
        Ok(list.into_iter().flatten().filter_map(has_token).collect())
    }

    /// Makes a token; this is the only time that some servers tell it.
    pub(super) async fn create_token(
        &self,
        org_id: &str,
        description: &str,
        rights: &[Right],
    ) -> Result<Secret, ApiError> {
        let what = "a new token";
        let permissions = rights.iter().map(|right| permission(org_id, right)).collect::<Vec<_>>();
        let request = CreateAuthorizationRequest {
            description: Some(description.to_owned()),
            org_id: org_id.to_owned(),
            permissions,
            ..CreateAuthorizationRequest::default()
        };
        let made = self.client.create_authorization(request).await;
        let made = made.map_err(|e| from_client(what, e))?;
        let token = made.token.filter(|token| !token.is_empty());
        token
            .map(Secret::new)
            .ok_or_else(|| strange(what, "it has no token in it"))
    }

    pub(super) async fn delete_token(&self, id: &str) -> Result<(), ApiError> {
        let path = format!("/api/v2/authorizations/{id}");
        self.call(Method::DELETE, &path, &[], None, "an old token to go")
            .await
            .map(|_| ())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
        what: &'static str,
    ) -> Result<Value, ApiError> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .query(query)
            .header("authorization", format!("Token {}", self.token.reveal()));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.map_err(|e| no_answer(&e))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| no_answer(&e))?;
        if !status.is_success() {
            return Err(ApiError::Refused {
                status: status.as_u16(),
                what,
                detail: said(&text),
            });
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|e| strange(what, &e.to_string()))
    }
}

fn rule(seconds: i32) -> RetentionRule {
    RetentionRule::new(influxdb2::models::retention_rule::Type::Expire, seconds)
}

fn permission(org_id: &str, right: &Right) -> influxdb2::models::Permission {
    use influxdb2::models::permission::Action;
    let mut resource = influxdb2::models::Resource::new(influxdb2::models::resource::Type::Buckets);
    resource.id = Some(right.bucket_id.clone());
    resource.org_id = Some(org_id.to_owned());
    let action = if right.write { Action::Write } else { Action::Read };
    influxdb2::models::Permission::new(action, resource)
}

fn has_token(value: &Value) -> Option<HasToken> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let right = |permission: &Value| {
        let resource = permission.get("resource")?;
        let of_bucket = resource.get("type")? == "buckets";
        let id = resource.get("id").and_then(Value::as_str).filter(|_| of_bucket)?;
        Some(Right {
            write: permission.get("action")? == "write",
            bucket_id: id.to_owned(),
        })
    };
    let rights: Option<Vec<Right>> = value.get("permissions")?.as_array()?.iter().map(right).collect();
    Some(HasToken {
        id: text("id"),
        description: text("description"),
        rights: rights.map(|mut rights| {
            rights.sort();
            rights
        }),
        token: Some(text("token")).filter(|token| !token.is_empty()),
    })
}

fn text(value: &Value, name: &str, what: &'static str) -> Result<String, ApiError> {
    let found = value.get(name).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| strange(what, &format!("it has no {name} in it")))
}

fn strange(what: &'static str, detail: &str) -> ApiError {
    ApiError::Strange {
        what,
        detail: clean(detail),
    }
}

pub(super) fn no_answer(error: &reqwest::Error) -> ApiError {
    let (reason, detail) = trouble_of(error);
    ApiError::NoAnswer {
        reason: reason.as_str(),
        detail,
    }
}

fn from_client(what: &'static str, error: RequestError) -> ApiError {
    match error {
        RequestError::Http { status, text } => ApiError::Refused {
            status: status.as_u16(),
            what,
            detail: said(&text),
        },
        RequestError::ReqwestProcessing { source } if source.is_decode() => strange(what, &source.to_string()),
        RequestError::ReqwestProcessing { source } => no_answer(&source),
        other => strange(what, &other.to_string()),
    }
}

/// The message of InfluxDB's error, or the text itself.
pub(super) fn said(text: &str) -> String {
    let message = serde_json::from_str::<Value>(text).ok().and_then(|value| {
        let message = value.get("message").or_else(|| value.get("error"))?;
        message.as_str().map(str::to_owned)
    });
    clean(&message.unwrap_or_else(|| text.to_owned()))
}
