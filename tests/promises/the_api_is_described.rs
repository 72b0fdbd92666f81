//! `/v1/openapi.json` describes the API: it is a valid document, names every route that the code serves and no other, and what is
//! answered fits its schemas.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::{CLINIC, Stack, StackSpec, TENANT, Webhook, python, workspace_root};

use crate::end_to_end::treatment::{device, spec, wait_until_complete};

/// (file below crates/ that makes routes of the API, what stands before them).
const FILES: &[(&str, &str)] = &[
    ("service/src/http.rs", ""),
    ("alerting/src/api/mod.rs", "/v1"),
    ("alerting/src/proof/routes.rs", "/v1"),
    ("alerting/src/links/routes.rs", ""),
    ("dermatel/src/api/mod.rs", ""),
    ("dermatel/src/api/devices.rs", "/v1"),
    ("console/src/page/mod.rs", ""),
];
/// Folders and files whose routes are pages for people, or servers of tests and benches.
const OTHERS: &[&str] = &["console/src/", "dermatel/src/bench/", "/testing/", "/tests/"];

fn documented(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        .collect()
}

/// What a call of `.route(` makes: the text from its path to the parenthesis that ends it.
fn routes(text: &str) -> Vec<(String, BTreeSet<&'static str>)> {
    let code = text.split("\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    for call in code.split(".route(").skip(1) {
        let Some(path) = call
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next())
        else {
            continue;
        };
        let mut depth = 1;
        let end = call.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let call = &call[..end.unwrap_or(call.len())];
        let makes = |word: &str| {
            call.match_indices(word)
                .any(|(at, _)| !call[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let mut methods = BTreeSet::new();
        methods.extend((makes("get(") || makes("json::<") || makes("html::<")).then_some("get"));
        methods.extend(makes("post(").then_some("post"));
        assert!(!methods.is_empty(), "what does {path} do? {call}");
        found.push((path.to_owned(), methods));
    }
    found
}

fn served() -> BTreeSet<String> {
    let crates = workspace_root().join("crates");
    let mut served = BTreeSet::new();
    for (file, before) in FILES {
        let found = routes(&std::fs::read_to_string(crates.join(file)).unwrap());
        assert!(!found.is_empty(), "{file} makes no route any more");
        for (path, methods) in found {
            // The pages for people stand beside their JSON.
            if file.starts_with("console/") && !path.starts_with("/v1/") {
                continue;
            }
            served.extend(methods.iter().map(|method| format!("{method} {before}{path}")));
        }
    }
    served
}

#[test]
fn every_route_of_the_code_is_in_the_document_and_the_other_way_round() {
    let webhook = Webhook::start();
    let stack = Stack::start(&spec(&webhook));
    let document = stack.json("/v1/openapi.json");
    assert_eq!(documented(&document), served());
    // A file that begins to make routes has to say what it is.
    let mut folders = vec![workspace_root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path.display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && std::fs::read_to_string(&path).unwrap().contains(".route(\"") {
                let known =
                    FILES.iter().any(|(file, _)| name.ends_with(file)) || OTHERS.iter().any(|o| name.contains(o));
                assert!(known, "{name} makes routes that nobody describes");
            }
        }
    }
}

#[test]
fn every_described_route_is_there_and_what_is_answered_is_as_described() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..spec(&webhook)
    });
    let report = device(stack.folder(), stack.mqtt.port(), &[]).report();
    wait_until_complete(&stack, &report);
    let document = stack.json("/v1/openapi.json");
    let alert = stack.json("/v1/alerts")[0]["id"].as_str().unwrap().to_owned();
    let session = report["pen"]["session"].as_str().unwrap();
    let filled = |path: &str| {
        let path = if path.starts_with("/v1/quarantine") {
            path.replace("{id}", "1")
        } else {
            path.replace("{id}", &alert)
        };
        let path = path
            .replace("{tenant}", TENANT)
            .replace("{clinic}", CLINIC)
            .replace("{device}", "pen-1");
        path.replace("{session}", session)
            .replace("{sender}", "nobody")
            .replace("{token}", "none")
    };
    let mut answers = Vec::new();
    for operation in documented(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let (status, body) = match method {
            "get" => stack.get(&filled(path)).unwrap(),
            // Nothing in it: refused, or done if nothing is needed. Either way there is somebody.
            _ => stack.post(&filled(path), &json!({})).unwrap(),
        };
        assert!(
            status != 405 && !(status == 404 && body.is_empty()),
            "{operation} is not served: {status} {body}"
        );
        if let (Ok(json), "get") = (serde_json::from_str::<Value>(&body), method) {
            answers.push(json!({"path": path, "status": status.to_string(), "body": json}));
        }
    }
    let console: Vec<_> = answers
        .iter()
        .filter(|a| a["path"].as_str().unwrap().contains("/console/"))
        .collect();
    assert!(console.iter().all(|answer| answer["status"] == "200"), "{console:#?}");
    let mut check = Command::new(python())
        .arg(workspace_root().join("tests/device/check_openapi.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({"document": document, "answers": answers}).to_string();
    check.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}");
    assert!(text.contains("valid") && !text.contains(" 0 answers"), "{text}");
}
