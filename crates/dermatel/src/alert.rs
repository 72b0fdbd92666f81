//! `dermatel alert`: look at alerts and act on them, through the running process.
use std::path::Path;

use anyhow::Result;
use hyper::Method;
use serde_json::json;

use crate::cli;
use crate::local_client::ask;
use crate::text::field;

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: cli::Alert) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        cli::Alert::Ls { inbox, json } => crate::show::alerts(api, &inbox, json).await?,
        cli::Alert::Show { id } => {
            let one = ask(&socket, Method::GET, &format!("/v1/alerts/{id}"), None).await?;
            println!("{}", serde_json::to_string_pretty(&one)?);
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
    if let Some(assignee) = assignee {
        body["assignee"] = json!(assignee);
    }
    let path = format!("/v1/alerts/{}/{what}", said.id);
    let done = ask(socket, Method::POST, &path, Some(&body)).await?;
    println!("{} is {} now", field(&done, "id"), field(&done, "state"));
    Ok(())
}
