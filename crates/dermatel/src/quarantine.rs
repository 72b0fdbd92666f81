//! `dermatel quarantine`: refused messages, through the running process.
use anyhow::{Result, bail};
use hyper::Method;
use serde_json::Value;

use crate::api::quarantine::Replay;
use crate::cli;
use crate::local_client::ask;
use crate::text::{field, json, time};

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: cli::Quarantine) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        cli::Quarantine::Ls { reason, limit } => {
            let reason = reason.map(|reason| format!("&reason={reason}")).unwrap_or_default();
            let list = ask(
                &socket,
                Method::GET,
                &format!("/v1/quarantine?limit={limit}{reason}"),
                None,
            )
            .await?;
            print_list(&list);
        }
        cli::Quarantine::Show { id } => {
            let one = ask(&socket, Method::GET, &format!("/v1/quarantine/{id}"), None).await?;
            println!("{}", json(&one)?);
        }
        cli::Quarantine::Replay { ids, reason } => {
            if ids.is_empty() && reason.is_none() {
                bail!("say which: numbers, or --reason");
            }
            let mut body = Replay {
                ids: (!ids.is_empty()).then_some(ids),
                reason,
                after: None,
            };
            // One answer is bounded; what there is in quarantine is too, so this ends.
            loop {
                let asked = serde_json::to_value(&body)?;
                let done = ask(&socket, Method::POST, "/v1/quarantine/replay", Some(&asked)).await?;
                println!("{}", json(&done)?);
                body.after = done.get("after").and_then(Value::as_i64);
                if body.after.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn print_list(list: &Value) {
    println!(
        "{:>8}  {:<20}  {:<18}  {:<28}  {:>7}  what",
        "number", "received", "reason", "device", "bytes"
    );
    for kept in list.as_array().into_iter().flatten() {
        println!(
            "{:>8}  {:<20}  {:<18}  {:<28}  {:>7}  {}: {}{}",
            field(kept, "id"),
            time(kept.get("received_at_us").and_then(Value::as_i64)),
            field(kept, "reason"),
            field(kept, "device"),
            field(kept, "payload_bytes"),
            field(kept, "field"),
            field(kept, "detail"),
            if kept.get("replayed").and_then(Value::as_bool) == Some(true) {
                " (replayed)"
            } else {
                ""
            },
        );
    }
}
