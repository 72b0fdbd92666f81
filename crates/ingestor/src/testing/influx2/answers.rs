//! What the double answers, route by route.

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, patch, post};
use serde_json::{Value, json};

use super::{Influx2Bucket, Influx2State, OPERATOR, Shared, lock};

type Params = Query<std::collections::HashMap<String, String>>;

/// What only version 2 has.
const MANAGEMENT: [&str; 5] = ["setup", "orgs", "buckets", "dbrps", "authorizations"];

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/health", get(ping))
        .route("/api/v2/setup", get(setup))
        .route("/api/v2/orgs", get(orgs).post(make_org))
        .route("/api/v2/buckets", get(buckets).post(make_bucket))
        .route("/api/v2/buckets/{id}", patch(change_bucket))
        .route("/api/v2/dbrps", get(mappings).post(make_mapping))
        .route("/api/v2/authorizations", get(tokens).post(make_token))
        .route("/api/v2/authorizations/{id}", delete(delete_token))
        .route("/api/v2/write", post(write))
        .route("/query", post(query))
        .route("/api/v3/{path}", any(|| async { StatusCode::METHOD_NOT_ALLOWED }))
        .layer(from_fn_with_state(Arc::clone(&state), of_this_version))
        .layer(map_response_with_state(Arc::clone(&state), dated))
        .with_state(state)
}

/// Nothing is at the paths of the other version.
async fn of_this_version(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let three = lock(&state).three.is_some();
    let path = request.uri().path();
    let managed = path
        .strip_prefix("/api/v2/")
        .is_some_and(|rest| MANAGEMENT.iter().any(|name| rest.split('/').next() == Some(name)));
    if three && managed || !three && path.starts_with("/api/v3/") {
        return (StatusCode::NOT_FOUND, "404 page not found").into_response();
    }
    next.run(request).await
}

enum Who {
    Operator,
    Token(Value),
}

impl Influx2State {
    fn may(&self, who: &Who, write: bool, bucket_id: &str) -> bool {
        let action = if write { "write" } else { "read" };
        match who {
            Who::Operator => true,
            Who::Token(permissions) => permissions.as_array().is_some_and(|all| {
                all.iter().any(|p| {
                    let id = p.pointer("/resource/id").and_then(Value::as_str);
                    p["action"] == action && p["resource"]["type"] == "buckets" && id.is_none_or(|id| id == bucket_id)
                })
            }),
        }
    }
}

async fn dated(State(state): State<Shared>, mut answer: Response) -> Response {
    let date = lock(&state)
        .date
        .as_deref()
        .and_then(|date| HeaderValue::from_str(date).ok());
    if let Some(date) = date {
        answer.headers_mut().insert("date", date);
    }
    answer
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, json!({"code": code, "message": message}).to_string()).into_response()
}

fn ok(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn made(value: &Value) -> Response {
    (
        StatusCode::CREATED,
        [("content-type", "application/json")],
        value.to_string(),
    )
        .into_response()
}

fn not_found(message: &str) -> Response {
    error(StatusCode::NOT_FOUND, "not found", message)
}

/// Who asks.
#[allow(clippy::result_large_err)]
fn who(state: &Influx2State, headers: &HeaderMap) -> Result<Who, Response> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let token = given.strip_prefix("Token ").unwrap_or("");
    if token == OPERATOR {
        return Ok(Who::Operator);
    }
    let known = state.tokens.iter().find(|(_, _, _, known)| known == token);
    known
        .map(|(_, _, permissions, _)| Who::Token(permissions.clone()))
        .ok_or_else(|| error(StatusCode::UNAUTHORIZED, "unauthorized", "unauthorized access"))
}

/// Only an operator may; the answer says so to others.
#[allow(clippy::result_large_err)]
fn operator(state: &Influx2State, headers: &HeaderMap) -> Result<(), Response> {
    match who(state, headers)? {
        Who::Operator => Ok(()),
        Who::Token(_) => Err(error(StatusCode::FORBIDDEN, "forbidden", "insufficient permissions")),
    }
}

fn body(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

async fn ping(State(state): State<Shared>) -> Response {
    if let Some(version) = &lock(&state).three {
        return ok(&json!({"version": version, "revision": "0", "product_name": "InfluxDB 3 Core"}));
    }
    (
        StatusCode::NO_CONTENT,
        [("x-influxdb-version", "v2.7.12"), ("x-influxdb-build", "OSS")],
    )
        .into_response()
}

async fn setup(State(state): State<Shared>) -> Response {
    ok(&json!({"allowed": lock(&state).fresh}))
}

async fn orgs(State(state): State<Shared>, Query(params): Params, headers: HeaderMap) -> Response {
    let state = lock(&state);
    let who = match who(&state, &headers) {
        Ok(who) => who,
        Err(answer) => return answer,
    };
    let name = params.get("org");
    let seen: Vec<Value> = state
        .orgs
        .iter()
        .filter(|(_, own)| matches!(who, Who::Operator) && name.is_none_or(|name| name == own))
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect();
    match name {
        Some(name) if seen.is_empty() => not_found(&format!("organization name \"{name}\" not found")),
        _ => ok(&json!({"orgs": seen})),
    }
}

async fn make_org(State(state): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    let name = body(&bytes)["name"].as_str().unwrap_or("").to_owned();
    let id = state.add_org(&name);
    state.changes += 1;
    made(&json!({"id": id, "name": name}))
}

fn shown(bucket: &Influx2Bucket) -> Value {
    let rules = json!([{"type": "expire", "everySeconds": bucket.keep_s, "shardGroupDurationSeconds": 604_800}]);
    json!({"id": bucket.id, "name": bucket.name, "type": "user", "retentionRules": rules})
}

async fn buckets(State(state): State<Shared>, Query(params): Params, headers: HeaderMap) -> Response {
    let state = lock(&state);
    let who = match who(&state, &headers) {
        Ok(who) => who,
        Err(answer) => return answer,
    };
    let limit = params.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
    let seen: Vec<Value> = state
        .buckets
        .iter()
        .filter(|bucket| state.may(&who, false, &bucket.id))
        .filter(|bucket| params.get("name").is_none_or(|name| *name == bucket.name))
        .filter(|bucket| params.get("after").is_none_or(|after| bucket.id > *after))
        .take(limit)
        .map(shown)
        .collect();
    ok(&json!({"buckets": seen}))
}

fn keep_of(value: &Value) -> u64 {
    value
        .pointer("/retentionRules/0/everySeconds")
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

async fn make_bucket(State(state): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    let body = body(&bytes);
    let name = body["name"].as_str().unwrap_or("");
    if !state.orgs.iter().any(|(id, _)| body["orgID"] == id.as_str()) {
        return not_found("organization not found");
    }
    if state.bucket(name).is_some() {
        let message = format!("bucket with name {name} already exists");
        return error(StatusCode::UNPROCESSABLE_ENTITY, "conflict", &message);
    }
    state.changes += 1;
    state.add_bucket(name, keep_of(&body));
    made(&state.buckets.last().map(shown).unwrap_or_default())
}

async fn change_bucket(
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    state.changes += 1;
    match state.buckets.iter_mut().find(|bucket| bucket.id == id) {
        Some(bucket) => {
            bucket.keep_s = keep_of(&body(&bytes));
            ok(&shown(bucket))
        }
        None => not_found("bucket not found"),
    }
}

/// As the server makes them by itself for buckets without a mapping of their own.
fn virtual_mappings(state: &Influx2State) -> Vec<Value> {
    let unmapped = |bucket: &&Influx2Bucket| !state.mappings.iter().any(|m| m["bucketID"] == bucket.id.as_str());
    state
        .buckets
        .iter()
        .filter(unmapped)
        .map(|bucket| {
            json!({"id": bucket.id, "bucketID": bucket.id, "database": bucket.name, "retention_policy": "autogen",
                   "default": true, "virtual": true})
        })
        .collect()
}

async fn mappings(State(state): State<Shared>, headers: HeaderMap) -> Response {
    let state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    let mut all = state.mappings.clone();
    all.extend(virtual_mappings(&state));
    ok(&json!({"content": all}))
}

async fn make_mapping(State(state): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    let mut mapping = body(&bytes);
    mapping["id"] = json!(state.id());
    state.changes += 1;
    state.mappings.push(mapping.clone());
    made(&mapping)
}

async fn tokens(State(state): State<Shared>, headers: HeaderMap) -> Response {
    let state = lock(&state);
    let seen: Vec<Value> = match who(&state, &headers) {
        Err(answer) => return answer,
        Ok(Who::Token(_)) => Vec::new(),
        Ok(Who::Operator) => {
            // An operator token has rights of kinds that clients do not know.
            let own = json!([{"action": "read", "resource": {"type": "instance"}}]);
            std::iter::once(
                json!({"id": "00000000000000ff", "description": "operator", "permissions": own, "orgID": ""}),
            )
            .chain(state.tokens.iter().map(|(id, description, permissions, token)| {
                let token = if state.hashes_tokens { "" } else { token };
                json!({"id": id, "description": description, "permissions": permissions, "token": token, "orgID": ""})
            }))
            .collect()
        }
    };
    ok(&json!({"authorizations": seen}))
}

async fn make_token(State(state): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    let body = body(&bytes);
    let id = state.id();
    let token = format!("secret-{id}");
    let description = body["description"].as_str().unwrap_or("").to_owned();
    state.changes += 1;
    state.tokens.push((
        id.clone(),
        description.clone(),
        body["permissions"].clone(),
        token.clone(),
    ));
    made(
        &json!({"id": id, "description": description, "orgID": body["orgID"], "permissions": body["permissions"], "token": token}),
    )
}

async fn delete_token(State(state): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let mut state = lock(&state);
    if let Err(answer) = operator(&state, &headers) {
        return answer;
    }
    state.changes += 1;
    state.tokens.retain(|(known, ..)| *known != id);
    StatusCode::NO_CONTENT.into_response()
}

async fn write(State(state): State<Shared>, Query(params): Params, headers: HeaderMap, bytes: Bytes) -> Response {
    let mut state = lock(&state);
    let who = match who(&state, &headers) {
        Ok(who) => who,
        Err(answer) => return answer,
    };
    let param = |name: &str| params.get(name).map_or("", String::as_str);
    if !state.orgs.iter().any(|(_, name)| name == param("org")) {
        return not_found(&format!("organization name \"{}\" not found", param("org")));
    }
    let Some(id) = state.bucket(param("bucket")).map(|bucket| bucket.id.clone()) else {
        return not_found(&format!("bucket \"{}\" not found", param("bucket")));
    };
    if !state.may(&who, true, &id) {
        return error(StatusCode::FORBIDDEN, "forbidden", "insufficient permissions for write");
    }
    let mut text = String::new();
    let read = match headers.get("content-encoding") {
        Some(_) => flate2::read::GzDecoder::new(bytes.as_ref()).read_to_string(&mut text),
        None => bytes.as_ref().read_to_string(&mut text),
    };
    if read.is_err() || text.trim().is_empty() {
        return error(StatusCode::BAD_REQUEST, "invalid", "writing requires points");
    }
    if state.disk_full {
        let said = "unexpected error writing points to database: [shard 1] write /var/lib/influxdb2/engine/wal/1/_00001.wal: \
                    no space left on device";
        return error(StatusCode::INTERNAL_SERVER_ERROR, "internal error", said);
    }
    if let Some(bucket) = state.bucket(param("bucket")) {
        bucket.lines.extend(text.lines().map(str::to_owned));
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn query(State(state): State<Shared>, Query(params): Params, headers: HeaderMap) -> Response {
    let mut state = lock(&state);
    state.questions += 1;
    if state.no_influxql {
        return (StatusCode::NOT_FOUND, "404 page not found").into_response();
    }
    let who = match who(&state, &headers) {
        Ok(who) => who,
        Err(answer) => return answer,
    };
    let database = params.get("db").map_or("", String::as_str);
    let fits = |mapping: &Value| {
        mapping["database"] == database
            && match params.get("rp") {
                Some(policy) => mapping["retention_policy"] == policy.as_str(),
                None => mapping["default"] == true,
            }
    };
    let mut all = state.mappings.clone();
    all.extend(virtual_mappings(&state));
    match all.iter().find(|mapping| fits(mapping)) {
        None => not_found("no dbrp mapping found"),
        Some(mapping) if !state.may(&who, false, mapping["bucketID"].as_str().unwrap_or("")) => {
            error(StatusCode::FORBIDDEN, "forbidden", "insufficient permissions")
        }
        Some(_) => ok(&json!({"results": [{"statement_id": 0}]})),
    }
}
