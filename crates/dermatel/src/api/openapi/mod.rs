//! The API as an OpenAPI 3.1 document, at `/v1/openapi.json`: made of the table of routes and the schemas beside this file. A
//! test holds that every served route is in it, that every one in it is served, and that real answers fit their schemas.
mod routes;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use routes::{Answer, ROUTES, Route};

/// What bodies and answers look like, by name.
const SCHEMAS: &str = include_str!("schemas.json");

/// Serves the document.
pub(crate) async fn serve() -> Response {
    match document() {
        Ok(document) => Json(document).into_response(),
        // A test reads it: this is for the compiler.
        Err(error) => super::refuse(axum::http::StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The document.
fn document() -> Result<Value, serde_json::Error> {
    let schemas: Value = serde_json::from_str(SCHEMAS)?;
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dermatel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are microseconds since 1970-01-01 UTC where a name ends in `_us`. A refusal is `{\"error\": \"what and what to do\"}`. \
                Fields and routes are added within version 1, none changes or goes. The same routes are on the Unix socket in the data folder, without a token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "http.token of the configuration"}},
            "schemas": schemas,
        },
    }))
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route.path)],
        "responses": responses(route),
    });
    let parameters: Vec<Value> = names(route.path)
        .map(in_path)
        .chain(route.query.iter().map(in_query))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(schema) = route.body {
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": of(schema)}}});
    }
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}

fn responses(route: &Route) -> Value {
    let refusal = |what: &str| json!({"description": what, "content": {"application/json": {"schema": of("Error")}}});
    let mut responses = json!({});
    let (status, answer) = match route.answer {
        Answer::Json(schema) => (
            "200",
            json!({"description": "done", "content": {"application/json": {"schema": of(schema)}}}),
        ),
        Answer::Text(kind) => (
            "200",
            json!({"description": "text", "content": {kind: {"schema": {"type": "string"}}}}),
        ),
        Answer::Nothing => ("204", json!({"description": "done"})),
    };
    responses[status] = answer;
    if route.path == "/readyz" {
        responses["503"] =
            json!({"description": "something is red", "content": {"application/json": {"schema": of("Readiness")}}});
    }
    if route.open {
        return responses;
    }
    responses["401"] = refusal("the token is missing or wrong");
    if !route.query.is_empty() || route.body.is_some() || route.path.contains('{') {
        responses["400"] = refusal("something in it cannot be read: which, and how it is written");
    }
    if route.path.contains('{') {
        responses["404"] = refusal("there is no such thing");
    }
    if route.body.is_some() {
        responses["422"] = refusal("it can be read and is refused: why");
    }
    responses["503"] = refusal("what stands behind it does not answer, or takes nothing now: the same again later");
    responses
}

/// `getV1AlertsId`: unique, because method and path are.
fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.fold(route.method.to_owned(), |mut id, word| {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
        id
    })
}

fn tag(path: &str) -> &str {
    let below = path.strip_prefix("/v1/").unwrap_or("process");
    below.split('/').next().unwrap_or(below)
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn in_query((name, what): &(&str, &str)) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": what, "schema": {"type": "string"}})
}

fn of(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn references(value: &Value, found: &mut HashSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let ("$ref", Some(target)) = (name.as_str(), value.as_str()) {
                        found.insert(target.to_owned());
                    }
                    references(value, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there_and_every_one_that_is_there_is_named() {
        let document = document().unwrap();
        let mut named = HashSet::new();
        references(&document, &mut named);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: HashSet<String> = schemas
            .keys()
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(named, known);
    }

    #[test]
    fn an_operation_has_a_name_of_its_own() {
        let ids: HashSet<String> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
        assert!(ids.contains("postV1AlertsIdAcknowledge"), "{ids:?}");
    }
}
