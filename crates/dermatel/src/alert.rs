//! `dermatel alert`: look at alerts and act on them, through the running process.
use std::path::Path;

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli;
use crate::local_client::ask;
use crate::text::{self, field};

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: cli::Alert) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        cli::Alert::Ls { inbox, json } => crate::show::alerts(api, &inbox, json).await?,
        cli::Alert::Show { id } => {
            let one = ask(&socket, Method::GET, &format!("/v1/alerts/{id}"), None).await?;
            println!("{}", text::json(&one)?);
        }
        cli::Alert::Ack { said } => act(&socket, "acknowledge", said, None).await?,
        cli::Alert::Unack { said } => act(&socket, "unacknowledge", said, None).await?,
        cli::Alert::Assign { said, to } => act(&socket, "assign", said, Some(to)).await?,
        cli::Alert::Annotate { said } => act(&socket, "annotate", said, None).await?,
    }
    Ok(())
}

async fn act(socket: &Path, what: &str, said: cli::Said, assignee: Option<String>) -> Result<()> {
    let mut body = json!({ "actor": said.actor, "comment": said.comment });
    if let Some(assignee) = &assignee {
        body["assignee"] = json!(assignee);
    }
    let path = format!("/v1/alerts/{}/{what}", said.id);
    let done = ask(socket, Method::POST, &path, Some(&body)).await?;
    println!("{}", outcome(&done, what, &said.actor, assignee.as_deref()));
    Ok(())
}

/// What came of it, in words: whoever comes second is told who was first.
fn outcome(done: &Value, what: &str, actor: &str, assignee: Option<&str>) -> String {
    let (id, state) = (field(done, "id"), field(done, "state"));
    let is = |name: &str, value: &str| done[name].as_str().unwrap_or_default() == value;
    let by = field(done, "acknowledged_by");
    let over = state == "resolved";
    match what {
        "acknowledge" if by != "-" && !is("acknowledged_by", actor) => {
            format!("{by} acknowledged {id} before: nothing changed, it is {state}")
        }
        "acknowledge" if over && by == "-" => format!("{id} is over: nothing changed"),
        "unacknowledge" if over => format!("{id} is over: nothing changed"),
        "assign" if over && !assignee.is_some_and(|assignee| is("assigned_to", assignee)) => {
            format!("{id} is over: nothing changed")
        }
        _ => format!("{id} is {state} now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_or_too_late_is_told_that_nothing_changed() {
        let alert = |state: &str, by: Option<&str>| json!({"id": "07", "state": state, "acknowledged_by": by, "assigned_to": null});
        for (done, what, says) in [
            (
                alert("acknowledged", Some("bob")),
                "acknowledge",
                "07 is acknowledged now",
            ),
            // What had ended is over with it.
            (alert("resolved", Some("bob")), "acknowledge", "07 is resolved now"),
            (
                alert("acknowledged", Some("anna")),
                "acknowledge",
                "anna acknowledged 07 before: nothing changed, it is acknowledged",
            ),
            (
                alert("resolved", Some("anna")),
                "acknowledge",
                "anna acknowledged 07 before: nothing changed, it is resolved",
            ),
            (alert("resolved", None), "acknowledge", "07 is over: nothing changed"),
            (
                alert("resolved", Some("bob")),
                "unacknowledge",
                "07 is over: nothing changed",
            ),
            (alert("firing", None), "unacknowledge", "07 is firing now"),
            (alert("resolved", None), "assign", "07 is over: nothing changed"),
            (alert("firing", None), "assign", "07 is firing now"),
            (alert("resolved", None), "annotate", "07 is resolved now"),
        ] {
            assert_eq!(outcome(&done, what, "bob", Some("lea")), says);
        }
    }
}
