//! Every form of the console: taken from our own pages and from nowhere else. A route that is new has to stand here.
use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use crate::support::{PASSWORD, World, staffed};

/// Where people send something, with what each takes beside the token; `{id}` is an alert, or a silence.
const FORMS: &[(&str, &str)] = &[
    ("/alerts/{id}/acknowledge", ""),
    ("/alerts/{id}/unacknowledge", ""),
    ("/alerts/{id}/assign", "assignee=rob"),
    ("/alerts/{id}/comment", "comment=seen"),
    ("/alerts/{id}/silence", "scope=device&span=1h&reason=repair"),
    ("/silences/{id}/end", ""),
    (
        "/sterilization/record",
        "request=7&tenant=acme&what=wipe&device=pen-1&level=high",
    ),
    ("/pipeline/replay", "id=1"),
    ("/sign-out", ""),
];
/// It is sent before there is a token; where it comes from is all there is to look at.
const SIGN_IN: &str = "/sign-in";

/// What the code takes by POST.
fn posts(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            posts(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split(".route(\"").skip(1) {
                let line = call.lines().next().unwrap();
                if line.contains("post(") {
                    found.insert(line.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
}

fn form(path: &str, body: String, from: Option<&str>) -> Request<Body> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(from) = from {
        request = request.header("sec-fetch-site", from);
    }
    request.body(Body::from(body)).unwrap()
}

#[test]
fn every_form_of_the_code_stands_here() {
    let mut found = BTreeSet::new();
    posts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let known: BTreeSet<String> = FORMS
        .iter()
        .map(|(path, _)| *path)
        .chain([SIGN_IN])
        .map(str::to_owned)
        .collect();
    assert_eq!(found, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_is_taken_without_the_token_of_who_sends_it_or_from_another_site() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut lea = world.signed_in("lea").await;
    let of_lea = lea.get("/").await.csrf();
    let of_rob = world.signed_in("rob").await.get("/").await.csrf();
    let before = world.handle.alert(alert.id).await.unwrap();
    for (path, said) in FORMS {
        let path = path.replace("{id}", &alert.id.to_string());
        for (token, from) in [
            ("", None),
            ("0123", None),
            // A token of somebody else's session.
            (of_rob.as_str(), None),
            (of_lea.as_str(), Some("cross-site")),
            (of_lea.as_str(), Some("same-site")),
        ] {
            let refused = lea.ask(form(&path, format!("csrf={token}&{said}"), from)).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {token:?} {from:?}");
            assert!(
                refused.body.contains("<h1>Nothing was done</h1>"),
                "{path}: {}",
                refused.body
            );
        }
        // Nobody who is not signed in sends one either.
        let stranger = world
            .browser()
            .ask(form(&path, format!("csrf={of_lea}&{said}"), None))
            .await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{path}: {}", stranger.body);
        assert!(stranger.body.contains("<h1>"), "{path}: {}", stranger.body);
    }
    assert_eq!(world.handle.alert(alert.id).await.unwrap(), before);
    assert!(world.handle.silences().await.unwrap().is_empty());
    assert_eq!(lea.get("/").await.status, StatusCode::OK, "still signed in");
    // Whoever makes a browser sign in elsewhere under a name of theirs would read what is typed there.
    let body = format!("name=lea&password={}", PASSWORD.replace(' ', "+"));
    for (from, status) in [
        (Some("cross-site"), StatusCode::FORBIDDEN),
        (Some("same-origin"), StatusCode::SEE_OTHER),
    ] {
        let answer = world.browser().ask(form(SIGN_IN, body.clone(), from)).await;
        assert_eq!(answer.status, status, "{from:?}: {}", answer.body);
    }
}
