//! The API as an OpenAPI 3.1 document, at `/v1/openapi.json`: made of the table of routes beside this file, and of the very types
//! that are read and answered, whose comments are its descriptions. A test holds that every served route is in it, that every
//! one in it is served, and that real answers are as described.
mod routes;

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use console::Shape;
use schemars::generate::{Contract, SchemaSettings};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use routes::{Answer, Asked, ROUTES, Route, part};

use super::answer::Refusal;

/// Where the shapes stand in the document.
const SHAPES: &str = "/components/schemas";

/// Serves the document.
pub(crate) async fn serve() -> Response {
    Json(document()).into_response()
}

/// Makes shapes, of what is read and of what is answered: what may be left out differs.
struct Shapes {
    read: SchemaGenerator,
    answered: SchemaGenerator,
    /// What the console shows, by path.
    pages: BTreeMap<&'static str, Shape>,
}

impl Shapes {
    fn new() -> Self {
        let generator = |contract: Contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = SHAPES.into();
                settings.contract = contract;
            });
            settings.into_generator()
        };
        Self {
            read: generator(Contract::Deserialize),
            answered: generator(Contract::Serialize),
            pages: console::api_shapes().collect(),
        }
    }

    /// All that were named, by name.
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.append(&mut self.answered.take_definitions(true));
        all.values_mut().for_each(in_words_of_json);
        all
    }
}

/// The document.
fn document() -> Value {
    let mut shapes = Shapes::new();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route, &mut shapes);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dermatel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are microseconds since 1970-01-01 UTC. A refusal is `{\"error\": \"what and what to do\"}`. \
                Fields and routes are added within version 1, none changes or goes. The same routes are on the Unix socket in the data folder, without a token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "http.token of the configuration"},
                "session": {"type": "apiKey", "in": "cookie", "name": console::SESSION_COOKIE,
                    "description": "the console's sign-in: what that person may see"}},
            "schemas": shapes.all(),
        },
    })
}

/// Comments of the code speak of `None`, and refer to other parts of it; lines end where a screen does.
fn in_words_of_json(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("`None`", "`null`").replace("[`", "`").replace("`]", "`");
                        *text = text.split('\n').collect::<Vec<_>>().join(" ");
                    }
                    other => in_words_of_json(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(in_words_of_json),
        _ => {}
    }
}

fn operation(route: &Route, shapes: &mut Shapes) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route.path)],
        "responses": responses(route, shapes),
    });
    let parts = names(route.path).map(|name| in_path(name, part(route.path, name)(&mut shapes.read)));
    let mut parameters: Vec<Value> = parts.collect();
    parameters.extend(
        route
            .query
            .iter()
            .map(|asked| in_query(asked, (asked.shape)(&mut shapes.read))),
    );
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(shape) = route.body {
        operation["requestBody"] = json!({"required": true, "content": json_of(shape(&mut shapes.read))});
    }
    if route.open {
        operation["security"] = json!([]);
    } else if route.path.starts_with("/v1/console/") {
        operation["security"] = json!([{"token": []}, {"session": []}]);
    }
    operation
}

fn json_of(schema: Schema) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn responses(route: &Route, shapes: &mut Shapes) -> Value {
    let error = shapes.answered.subschema_for::<Refusal>();
    let refusal = |what: &str| json!({"description": what, "content": json_of(error.clone())});
    let mut responses = json!({});
    let mut done = |shape: Shape| json!({"description": "done", "content": json_of(shape(&mut shapes.answered))});
    let (status, answer) = match route.answer {
        Answer::Json(shape) => ("200", done(shape)),
        Answer::Page => match shapes.pages.get(route.path).copied() {
            Some(shape) => ("200", done(shape)),
            // A test reads it: this is for the compiler.
            None => ("404", json!({"description": "the console has no such page"})),
        },
        Answer::Text(kind) => (
            "200",
            json!({"description": "text", "content": {kind: {"schema": {"type": "string"}}}}),
        ),
        Answer::Nothing => ("204", json!({"description": "done"})),
    };
    responses[status] = answer;
    if route.path == "/readyz" {
        responses["503"] = done(SchemaGenerator::subschema_for::<service::http::Readiness>);
        responses["503"]["description"] = json!("something is red");
    }
    if route.open {
        if route.path.contains('{') {
            responses["4XX"] = json!({"description": "a page that says why not"});
            responses["503"] = json!({"description": "a page that says to try again"});
        }
        return responses;
    }
    responses["401"] = refusal("the token, or the sign-in where there is none, is missing or wrong");
    if !route.query.is_empty() || route.body.is_some() || route.path.contains('{') {
        responses["400"] = refusal("something in it cannot be read: which, and how it is written");
    }
    if matches!(route.answer, Answer::Page) {
        responses["403"] =
            refusal("nobody signs in here, and it was not asked under an address of this machine itself");
    }
    if route.path.contains('{') || matches!(route.answer, Answer::Page) {
        responses["404"] = refusal("there is no such thing");
    }
    if route.body.is_some() {
        responses["413"] = refusal("it is too long");
        responses["415"] = refusal("it is not `application/json`");
    }
    if route.method == "post" {
        responses["202"] = refusal("it is on disk and will be done, which takes longer than usual");
        responses["409"] = refusal("it is so already, or not now; or another instance does this");
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

fn in_path(name: &str, schema: Schema) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn in_query(asked: &Asked, schema: Schema) -> Value {
    json!({"name": asked.name, "in": "query", "required": false, "description": asked.what, "schema": schema})
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
        let document = document();
        let mut named = HashSet::new();
        references(&document, &mut named);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: HashSet<String> = schemas
            .keys()
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(named, known);
    }

    /// Fields without a description, and what is nothing but anything.
    fn bare(name: &str, schema: &Value, found: &mut Vec<String>) {
        let said = |value: &Value| !value["description"].is_null();
        for (field, value) in schema["properties"].as_object().into_iter().flatten() {
            // What tells one of several from the others is described with it.
            if !said(value) && value["const"].is_null() && !said(schema) || value.as_object().is_none_or(Map::is_empty)
            {
                found.push(format!("{name}.{field}"));
            }
        }
        for one in schema["oneOf"].as_array().into_iter().flatten() {
            bare(name, one, found);
        }
    }

    #[test]
    fn every_field_says_what_it_is_in_words_of_json() {
        let document = document();
        let mut found = Vec::new();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let of_fields = Value::Object(
                schema
                    .as_object()
                    .unwrap()
                    .clone()
                    .into_iter()
                    .filter(|(key, _)| key != "description")
                    .collect(),
            );
            bare(name, &of_fields, &mut found);
            // A name of its own, not one of several of one name.
            assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}");
        }
        assert!(found.is_empty(), "{found:#?}");
        let text = document.to_string();
        assert!(!text.contains("`None`") && !text.contains("[`"));
    }

    #[test]
    fn an_operation_has_a_name_of_its_own() {
        let ids: HashSet<String> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
        assert!(ids.contains("postV1AlertsIdAcknowledge"), "{ids:?}");
    }
}
