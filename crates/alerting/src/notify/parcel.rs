//! From rows of the outbox to messages: one page is one message, a digest gathers what belongs together.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::page;
use crate::id::hash16;
use crate::store::Page;

/// From the least urgent on.
const PRIORITIES: [&str; 4] = ["info", "low", "medium", "high"];

/// Pages that go out as one message, which has no words yet.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) pages: Vec<Page>,
    pub(super) key: String,
    pub(super) alert: String,
    pub(super) body: Value,
}

/// Messages for these pages; `gathers`: the receiver takes several in one.
pub(super) fn parcels(receiver: &str, pages: Vec<Page>, gathers: bool) -> Vec<Parcel> {
    let mut digests: BTreeMap<String, Vec<Page>> = BTreeMap::new();
    let mut parcels = Vec::new();
    for page in pages {
        match &page.digest {
            Some(group) if gathers => digests.entry(group.clone()).or_default().push(page),
            _ => parcels.push(single(receiver, page)),
        }
    }
    let digests = digests.into_iter();
    parcels.extend(digests.map(|(group, pages)| digest(receiver, &group, pages)));
    parcels
}

/// The body of a row with what this attempt adds.
pub(super) fn completed(receiver: &str, body: &str, possible_repeat: bool) -> Value {
    // What stands in the outbox was written as an object by us.
    let parsed = serde_json::from_str(body).ok().filter(Value::is_object);
    let mut body = parsed.unwrap_or_else(|| json!({}));
    page::complete(&mut body, receiver, possible_repeat);
    body
}

fn single(receiver: &str, page: Page) -> Parcel {
    Parcel {
        key: page.transition.clone(),
        alert: page.alert.clone(),
        body: completed(receiver, &page.body, page.possible_repeat),
        pages: vec![page],
    }
}

fn digest(receiver: &str, group: &str, pages: Vec<Page>) -> Parcel {
    let ids: Vec<&[u8]> = pages.iter().map(|page| page.transition.as_bytes()).collect();
    let key = crate::id::TransitionId(hash16("dermatel digest 1", &ids)).to_hex();
    let repeat = pages.iter().any(|page| page.possible_repeat);
    let alerts: Vec<Value> = pages
        .iter()
        .map(|page| completed(receiver, &page.body, page.possible_repeat))
        .collect();
    // What leaves together is of one tenant.
    let tenant = alerts.first().map(|alert| alert["tenant"].clone()).unwrap_or_default();
    let priority = PRIORITIES
        .iter()
        .rev()
        .find(|name| alerts.iter().any(|alert| alert["priority"] == **name));
    let body = json!({"digest": true, "group": group, "tenant": tenant, "count": alerts.len(), "priority": priority,
        "possible_repeat": repeat, "alerts": alerts});
    Parcel {
        key,
        alert: "digest".to_owned(),
        body,
        pages,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn page(n: i64, digest: Option<&str>, priority: &str) -> Page {
        Page {
            n,
            digest: digest.map(str::to_owned),
            transition: format!("t{n}"),
            alert: format!("a{n}"),
            body: json!({"tenant": "acme", "priority": priority}).to_string(),
            attempts: 0,
            possible_repeat: n == 2,
            urgency: 0,
            made: telemetry::UnixMicros(0),
        }
    }

    fn pages() -> Vec<Page> {
        vec![
            page(1, Some("g"), "low"),
            page(2, Some("g"), "medium"),
            page(3, None, "high"),
        ]
    }

    #[test]
    fn what_belongs_together_leaves_as_one_message_as_urgent_as_the_most_urgent_of_it() {
        let parcels = parcels("desk", pages(), true);
        assert_eq!(parcels.len(), 2);
        let digest = &parcels[1].body;
        assert_eq!(
            (&digest["count"], &digest["priority"], &digest["tenant"]),
            (&2.into(), &"medium".into(), &"acme".into())
        );
        assert_eq!(digest["possible_repeat"], true);
    }

    #[test]
    fn a_receiver_with_an_incident_per_alert_gets_each_of_them_alone() {
        let parcels = parcels("desk", pages(), false);
        assert_eq!(
            parcels.iter().map(|p| p.alert.as_str()).collect::<Vec<_>>(),
            ["a1", "a2", "a3"]
        );
    }
}
