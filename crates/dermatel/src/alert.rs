//! `dermatel alert`: look at alerts and acknowledge them, through the running process.
use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli;
use crate::local_client::ask;
use crate::text::{field, time};

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: cli::Alert) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        cli::Alert::Ls { state } => {
            let state = state.map(|state| format!("?state={state}")).unwrap_or_default();
            print_list(&ask(&socket, Method::GET, &format!("/v1/alerts{state}"), None).await?);
        }
        cli::Alert::Show { id } => {
            let one = ask(&socket, Method::GET, &format!("/v1/alerts/{id}"), None).await?;
            println!("{}", serde_json::to_string_pretty(&one)?);
        }
        cli::Alert::Ack { id, actor, comment } => {
            let body = json!({ "actor": actor, "comment": comment });
            let done = ask(
                &socket,
                Method::POST,
                &format!("/v1/alerts/{id}/acknowledge"),
                Some(&body),
            )
            .await?;
            println!("{} is {} now", field(&done, "id"), field(&done, "state"));
        }
    }
    Ok(())
}

fn print_list(list: &Value) {
    println!(
        "{:<32}  {:<8}  {:<12}  {:<20}  {:<26}  {:<28}  what happened",
        "id", "priority", "state", "when", "rule", "device"
    );
    for alert in list.as_array().into_iter().flatten() {
        println!(
            "{:<32}  {:<8}  {:<12}  {:<20}  {:<26}  {:<28}  {}",
            field(alert, "id"),
            field(alert, "priority"),
            field(alert, "state"),
            time(alert.get("event_time").and_then(Value::as_i64)),
            field(alert, "rule"),
            format!("{}/{}", field(alert, "tenant"), field(alert, "device")),
            field(alert, "what_happened"),
        );
    }
}
