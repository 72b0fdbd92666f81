//! `/v1/openapi.json` describes the API: it is a valid document, names every route that the code serves and no other, and what is
//! answered fits its schemas.
mod day;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::{CLINIC, SOON, Stack, StackSpec, TENANT, TOKEN, Webhook, python, wait_for, workspace_root};

use crate::end_to_end::treatment::spec;
use day::Asked;

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
/// Folders and files whose routes are pages for people, between processes apart, or servers of tests and benches.
const OTHERS: &[&str] = &[
    "console/src/",
    "dermatel/src/follow.rs",
    "dermatel/src/api/refused.rs",
    "dermatel/src/bench/",
    "/testing/",
    "/tests/",
];

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
    // The console's: one table of who answers where.
    let table = code
        .split("json::<")
        .skip(1)
        .filter_map(|call| call.split("(\"").nth(1)?.split('"').next());
    let table = table.filter(|path| path.starts_with("/v1/"));
    let mut found: Vec<_> = table.map(|path| (path.to_owned(), BTreeSet::from(["get"]))).collect();
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
        methods.extend((makes("get(") || makes("html::<")).then_some("get"));
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

/// What no answer of the day shows, and why.
const NEVER: &[&str] = &[
    // What needs hundreds of alerts: other tests have those.
    "InboxView.after",
    // Of processes apart.
    "PipelineView.elsewhere",
    // What stands above a page after a form.
    "AlertView.done",
    "InboxView.done",
    "PipelineView.done",
    // More than 10,000 refused messages.
    "Replayed.after",
    "SilencesView.done",
    "SterilizationView.done",
    "SterilizationView.recorded",
    // What is raised by other rules than those of this day.
    "Bound.off_set",
    "Cause.boot",
    "Cause.boot.boot",
    "Cause.frame",
    "Cause.frame.boot",
    "Cause.frame.sequence",
    "Cause.since",
    "Cause.since.at",
    "Cause.watermark",
    "Cause.watermark.at",
    // Receivers that fail, plans, other instances, a journal that was touched, evidence that was forgotten.
    "AlertStep.told_by",
    "PageNext.chain",
    "PageNext.step",
    "Whom.because",
    "Whom.receiver",
    "EvidenceFrame.missing",
    "JournalVerified.broken_at",
    "PageTold.in_digest",
    "PageTold.instead_of",
    "PageTold.not_before",
    // The registry of the tests has one clinic, no interval, no contact time and no certificates; its files have no faults.
    "BoardItem.contact_time_min_s",
    "BoardItem.sterilization_due_us",
    "BoardItem.uses_allowed",
    "ItemStanding.sterilization_due_us",
    "ItemStanding.uses_allowed",
    "ChangeStep.certificate_by_name",
    "ChangeStep.certificate_sha256",
    "ChangeStep.from",
    "ChangeStep.to",
    "Error.faults",
];

#[test]
fn every_described_route_is_there_and_what_is_answered_is_as_described_and_every_field_is_answered() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..spec(&webhook)
    });
    let document = stack.json("/v1/openapi.json");
    let mut asked = Asked::new(&stack, &document);
    day::live(&stack, &mut asked);
    let filled = |path: &str| {
        let path = if path.starts_with("/v1/quarantine") {
            path.replace("{id}", "999999")
        } else {
            path.replace("{id}", &"0".repeat(32))
        };
        let path = path
            .replace("{tenant}", TENANT)
            .replace("{clinic}", CLINIC)
            .replace("{device}", "pen-1");
        path.replace("{session}", &"0".repeat(32))
            .replace("{sender}", "nobody")
            .replace("{token}", "none")
    };
    for operation in documented(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        // Something that is not there, and nothing in the body: done if nothing is needed, and else refused with a reason.
        let (status, body) = match method {
            "get" => asked.get(&filled(path)),
            _ => asked.post(&filled(path), &json!({})),
        };
        let refused = path.starts_with("/v1/") && status >= 400;
        assert!(
            status != 405 && status < 500,
            "{operation} is not served: {status} {body}"
        );
        assert!(
            !refused || body["error"].is_string(),
            "{operation} does not say why: {status} {body}"
        );
    }
    let mut check = Command::new(python())
        .arg(workspace_root().join("tests/device/check_openapi.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = json!({"document": document, "answers": asked.answers, "never": NEVER, "chance": CHANCE}).to_string();
    check.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.starts_with("valid"), "{text}");
}

/// What an answer shows or not, as the moment is, and as slow as the machine is.
const CHANCE: &[&str] = &[
    // A reader has something before it; a log grew between two looks.
    "LogReader.oldest_us",
    "Room.hours",
    // The store did not answer in time.
    "AroundAlert.trouble",
    "ClinicView.sessions.trouble",
    "DeviceView.facts.trouble",
    "DeviceView.sessions.trouble",
    "DeviceView.trace.trouble",
    "SessionView.session.trouble",
    "SterilizationView.told.trouble",
    // A day so long that a device in session is silent; a receiver that answers late.
    "Cause.silence",
    "Cause.silence.boot",
    "Cause.silence.sequence",
    "PageTold.possible_repeat",
];

/// Requests to each operation, beside those that its description itself suggests.
const REQUESTS: &str = "6";

#[test]
fn whatever_is_asked_nothing_breaks_and_the_answer_is_as_described() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec {
        // People sign in, so that without that or the token nothing is answered.
        more: crate::the_console::staffed(&webhook).more,
        ..spec(&webhook)
    });
    let file = stack.folder().join("openapi.json");
    std::fs::write(&file, stack.json("/v1/openapi.json").to_string()).unwrap();
    let url = format!("http://{}", stack.http);
    let token = format!("Authorization: Bearer {TOKEN}");
    let mut asks = Command::new(python().with_file_name("schemathesis"));
    asks.current_dir(stack.folder()).arg("run").arg(&file);
    asks.args([
        "--url",
        &url,
        "--header",
        &token,
        "--max-examples",
        REQUESTS,
        "--seed",
        "1",
    ]);
    asks.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "60",
        "--continue-on-failure",
    ]);
    asks.args([
        "--suppress-health-check",
        "all",
        "--generation-database",
        "none",
        "--warnings",
        "off",
    ]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method,ignored_auth";
    asks.args(["--checks", checks]);
    let said = asks.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    // Nothing panicked, and whoever asks for what is there is answered as before.
    assert!(!stack.log().contains("panicked"), "{}", stack.log());
    wait_for("readiness", SOON, || match stack.get("/readyz") {
        Ok((200, _)) => Ok(()),
        other => Err(other),
    });
}
