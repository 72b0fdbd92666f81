//! `dermatel silence`: hold first pages back for a while, through the running process.
use anyhow::Result;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::cli;
use crate::local_client::ask;
use crate::text::field;

#[derive(Debug, Subcommand)]
pub(crate) enum SilenceAction {
    /// The silences that hold or will
    Ls,
    /// What a silence would hide, without making it
    Preview(Silenced),
    /// Make one; it says what it hides
    Make {
        #[command(flatten)]
        what: Silenced,
        /// Whose it is: who is reminded of it
        #[arg(long)]
        owner: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// End one before its time
    End {
        /// Its id
        id: String,
        /// Who ends it
        #[arg(long)]
        actor: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// What is silenced; what is not given matches everything.
#[derive(Debug, Args)]
pub(crate) struct Silenced {
    #[arg(long, default_value = "")]
    tenant: String,
    #[arg(long, default_value = "")]
    clinic: String,
    #[arg(long, default_value = "")]
    device: String,
    /// A rule's id
    #[arg(long, default_value = "")]
    rule: String,
    /// The most urgent priority that it hides: info, low, medium, or high where the plan allows that
    #[arg(long, default_value = "medium")]
    max_priority: String,
    /// Until when, RFC 3339
    #[arg(long)]
    until: String,
}

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: SilenceAction) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        SilenceAction::Ls => {
            let list = ask(&socket, Method::GET, "/v1/silences", None).await?;
            for one in list.as_array().into_iter().flatten() {
                println!("{}  {}", field(one, "id"), field(one, "silence"));
            }
        }
        SilenceAction::Preview(what) => {
            let body = body(&what);
            let preview = ask(&socket, Method::POST, "/v1/silences/preview", Some(&body)).await?;
            println!("{}", field(&preview, "says"));
        }
        SilenceAction::Make { what, owner, reason } => {
            let mut body = body(&what);
            let preview = ask(&socket, Method::POST, "/v1/silences/preview", Some(&body)).await?;
            body["owner"] = json!(owner);
            body["reason"] = json!(reason);
            let made = ask(&socket, Method::POST, "/v1/silences", Some(&body)).await?;
            println!("{}: {}", field(&made, "id"), field(&preview, "says"));
        }
        SilenceAction::End { id, actor, reason } => {
            let body = json!({ "actor": actor, "reason": reason });
            ask(&socket, Method::POST, &format!("/v1/silences/{id}/end"), Some(&body)).await?;
            println!("{id} has ended");
        }
    }
    Ok(())
}

fn body(what: &Silenced) -> Value {
    json!({ "tenant": what.tenant, "clinic": what.clinic, "device": what.device, "rule": what.rule,
        "max_priority": what.max_priority, "until": what.until })
}
