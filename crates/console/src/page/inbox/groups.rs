//! What stands for all alerts of a device: the most urgent of them, and how many more there are.
use alerting::engine::Alert;
use alerting::store;
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::Priority;

use super::asked::Asked;
use crate::page::row::Row;

/// The alerts of one device, or one alert that is about no device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InboxGroup")]
pub(crate) struct Group {
    /// The most urgent of them.
    first: Row,
    /// The next ones in order, at most nine.
    others: Vec<Row>,
    /// How many there are beside the first.
    more: u64,
    /// These by priority, the most urgent first.
    more_by_priority: Vec<OfPriority>,
    /// Where all of them are listed, if it is about a device.
    link: Option<String>,
}

/// How many alerts have a priority.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "InboxOfPriority")]
pub(crate) struct OfPriority {
    /// Which.
    priority: Priority,
    /// How many.
    alerts: u64,
}

impl Group {
    /// Of what alerting found; nothing of nothing.
    pub(super) fn new(group: store::Group, asked: &Asked, row: impl Fn(Alert) -> Row) -> Option<Self> {
        let total = group.total();
        let mut alerts = group.alerts.into_iter();
        let first = alerts.next()?;
        let beside = |(priority, alerts): (Priority, u64)| OfPriority {
            priority,
            alerts: alerts - u64::from(priority == first.priority),
        };
        let more_by_priority = group.counts.into_iter().map(beside);
        Some(Self {
            more: total - 1,
            more_by_priority: more_by_priority.filter(|of| of.alerts > 0).collect(),
            link: (!first.device.is_empty()).then(|| asked.link_of_device(&first.tenant, &first.device)),
            first: row(first),
            others: alerts.map(row).collect(),
        })
    }
}
