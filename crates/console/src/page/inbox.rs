//! The inbox: the alerts that need somebody, the most urgent first.
use alerting::api::Shown;
use serde::{Deserialize, Serialize};

use super::Page;
use crate::access::Person;
use crate::answer::Refusal;
use crate::console::Console;

pub(crate) struct Inbox;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {}

/// What it shows.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    alerts: Vec<Shown>,
}

impl Page for Inbox {
    const TEMPLATE: &'static str = "inbox.html";
    type Path = ();
    type Query = Wanted;
    type View = View;

    async fn view(console: &Console, who: &Person, _path: (), _wanted: Wanted) -> Result<View, Refusal> {
        let alerts = console.alerts.alerts(None).await;
        let alerts = alerts.map_err(|error| Refusal::failed("the list of alerts", error))?;
        let seen = alerts.into_iter().filter(|alert| who.sees(&alert.tenant));
        Ok(View {
            alerts: seen.map(Shown::from).collect(),
        })
    }
}
