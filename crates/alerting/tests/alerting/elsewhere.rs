//! What another instance says that people did there: taken by one that stands by for it, refused by one that is alone.
use alerting::intake::Action;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::desk::{Desk, Running, hazard, receiver};
use crate::proof_routes::Api;
use crate::support::command;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_or_comes_to_an_instance_that_is_alone_is_refused_for_good_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), vec![receiver(Desk::default().listen().await)]);
    let api = Api::serve(&running).await;
    let assign = Action::Assign {
        alert: "00112233445566778899aabbccddeeff".parse().unwrap(),
        assignee: "bo".into(),
    };
    let said = |instance: &str, command: String| json!({"instance": instance, "command": command});
    let record = STANDARD.encode(command(assign, 1, 0));
    let frame = STANDARD.encode(hazard("pen-1", 1).record());
    for (body, status, why) in [
        (
            said("north", record.clone()),
            StatusCode::UNPROCESSABLE_ENTITY,
            "uplink.group",
        ),
        (said("north", frame), StatusCode::UNPROCESSABLE_ENTITY, "uplink.group"),
        (said("north", "a record".into()), StatusCode::BAD_REQUEST, "base64"),
        (said("No Name", record), StatusCode::BAD_REQUEST, "a-z"),
    ] {
        let (answered, text) = api.ask(Method::POST, "/told", Some(body)).await;
        assert!(answered == status && text.contains(why), "{answered} {text}");
    }
}
