//! `dermatel show`: what the console shows, on a terminal: for people at 80 columns, or whole as JSON. It is asked of the running
//! process; nothing is decided here.
mod alerts;
mod hygiene;
mod line;
mod pipeline;
mod places;
mod treatment;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use crate::cli::Api;
use crate::local_client::{ask, is_not_found};

#[derive(Debug, Subcommand)]
pub(crate) enum Page {
    /// The alerts that need somebody, the most urgent first
    Inbox(Inbox),
    /// One alert: what, where, why, what to do, who was told
    Alert {
        /// Its id
        id: String,
    },
    /// The silences that hold
    Silences,
    /// Each clinic: who is there, what is open, what is owed
    Fleet {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// A clinic: its devices, and the treatments of the last 24 hours
    Clinic {
        /// tenant/clinic
        clinic: String,
    },
    /// A device: what it says of itself, its hygiene, alerts and last treatments
    Device {
        /// tenant/device
        device: String,
    },
    /// One treatment: completeness, zones, cartridge, alerts, disinfection before and after
    Session {
        /// tenant/device
        device: String,
        /// 32 hexadecimal digits
        session: String,
    },
    /// What is overdue, due and done; failed cycles; indicator tests
    Sterilization {
        /// The tenant; the first if not given
        #[arg(long)]
        tenant: Option<String>,
        /// Only at this clinic
        #[arg(long)]
        clinic: Option<String>,
    },
    /// Messages a second, backlogs, what is red, refused messages
    Pipeline {
        /// Only what was refused for this reason
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Which alerts; what is not given matches everything.
#[derive(Debug, Args)]
pub(crate) struct Inbox {
    /// pending, firing, acknowledged, latched, unknown or resolved; what is open if not given
    #[arg(long)]
    state: Option<String>,
    /// high, medium, low or info
    #[arg(long)]
    priority: Option<String>,
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long)]
    clinic: Option<String>,
    #[arg(long)]
    device: Option<String>,
    /// A rule's id
    #[arg(long)]
    rule: Option<String>,
    /// Which page of 50, from 1
    #[arg(long)]
    page: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    api: Api,
    /// Everything that is known of it, for programs: the fields are those of docs/api.md
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    page: Page,
}

/// A path of the API, with what is asked for behind the question mark.
fn with(path: &str, asked: &[(&str, Option<&str>)]) -> String {
    let asked = asked.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let asked: Vec<String> = asked
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    match asked.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", asked.join("&")),
    }
}

/// As a part of an address: whatever is no letter, digit or mark that is safe is written as its bytes.
fn escaped(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match safe(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `tenant/name` as a part of a path.
fn place(name: &str) -> Result<String> {
    let (tenant, id) = name
        .split_once('/')
        .with_context(|| format!("{name:?} has no tenant: write tenant/name"))?;
    Ok(format!("{}/{}", escaped(tenant), escaped(id)))
}

impl Inbox {
    fn path(&self) -> String {
        let page = self.page.map(|page| page.to_string());
        let asked = [
            ("state", &self.state),
            ("priority", &self.priority),
            ("tenant", &self.tenant),
            ("clinic", &self.clinic),
            ("device", &self.device),
            ("rule", &self.rule),
            ("page", &page),
        ];
        with(
            "/v1/console/inbox",
            &asked.map(|(name, value)| (name, value.as_deref())),
        )
    }

    /// The same from a process without console, which can be asked for a state only.
    fn without_console(&self) -> Option<String> {
        let more = [&self.priority, &self.tenant, &self.clinic, &self.device, &self.rule];
        let plain = more.iter().all(|filter| filter.is_none()) && self.page.is_none();
        plain.then(|| with("/v1/alerts", &[("state", self.state.as_deref())]))
    }
}

impl Page {
    fn path(&self) -> Result<String> {
        Ok(match self {
            Self::Inbox(inbox) => inbox.path(),
            Self::Alert { id } => format!("/v1/console/alerts/{}", escaped(id)),
            Self::Silences => "/v1/console/silences".to_owned(),
            Self::Fleet { tenant } => with("/v1/console/fleet", &[("tenant", tenant.as_deref())]),
            Self::Clinic { clinic } => format!("/v1/console/clinics/{}", place(clinic)?),
            Self::Device { device } => format!("/v1/console/devices/{}", place(device)?),
            Self::Session { device, session } => {
                format!("/v1/console/sessions/{}/{}", place(device)?, escaped(session))
            }
            Self::Sterilization { tenant, clinic } => with(
                "/v1/console/sterilization",
                &[("tenant", tenant.as_deref()), ("clinic", clinic.as_deref())],
            ),
            Self::Pipeline { reason } => with("/v1/console/pipeline", &[("reason", reason.as_deref())]),
        })
    }

    fn text(&self, view: &Value) -> String {
        match self {
            Self::Inbox(_) => alerts::inbox(view),
            Self::Alert { .. } => alerts::one(view),
            Self::Silences => alerts::silences(view),
            Self::Fleet { .. } => places::fleet(view),
            Self::Clinic { .. } => places::clinic(view),
            Self::Device { .. } => places::device(view),
            Self::Session { .. } => treatment::session(view),
            Self::Sterilization { .. } => hygiene::board(view),
            Self::Pipeline { .. } => pipeline::pipeline(view),
        }
    }
}

fn print(view: &Value, json: bool, text: impl Fn(&Value) -> String) -> Result<()> {
    match json {
        true => println!("{}", crate::text::json(view)?),
        false => print!("{}", text(view)),
    }
    Ok(())
}

/// Shows a page.
pub(crate) async fn run(show: Show) -> Result<()> {
    let view = ask(&crate::socket(&show.api), Method::GET, &show.page.path()?, None).await?;
    print(&view, show.json, |view| show.page.text(view))
}

/// `dermatel alert ls`: the inbox; of a process without console its list of alerts.
pub(crate) async fn alerts(api: &Api, inbox: &Inbox, json: bool) -> Result<()> {
    let socket = crate::socket(api);
    match ask(&socket, Method::GET, &inbox.path(), None).await {
        Err(refused) if is_not_found(&refused) => {
            let path = inbox.without_console().context(
                "this process has no console, and without one alerts are asked for by --state only; or ask the process that has one",
            )?;
            let list = ask(&socket, Method::GET, &path, None).await?;
            print(&list, json, alerts::list)
        }
        answer => print(&answer?, json, alerts::inbox),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_one_word_of_the_address() {
        let asked = [("tenant", Some("a&b=c d")), ("clinic", None), ("rule", Some("tiefe-ü"))];
        assert_eq!(with("/v1/x", &asked), "/v1/x?tenant=a%26b%3Dc%20d&rule=tiefe-%C3%BC");
        assert_eq!(place("a/../b").ok().as_deref(), Some("a/..%2Fb"));
        assert!(place("pen-1").is_err());
    }
}
