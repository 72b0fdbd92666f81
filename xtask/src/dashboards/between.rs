//! Whether what gateways take reaches ingestors and alerting, where they are processes apart: from the metrics of all of them.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, ORANGE, RED};
use super::parts;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-between",
        folder: parts::OPERATIONS,
        title: "Between processes",
        what: "Whether gateways, ingestors and alerting as processes apart get on with one another; empty where all is one process.",
        store: Store::Prometheus,
        from: "now-6h",
        variables: Vec::new(),
        annotations: Vec::new(),
        panels: vec![
            held_back(),
            backlog(),
            batch(),
            packed(),
            batches(),
            messages(),
            again(),
            refused(),
            down(),
        ],
    }
}

fn held_back() -> Panel {
    Panel::stat(
        "Gateways held back",
        "They forward nothing, because a shard has no ingestor or no alerting at the broker. Their logs keep everything.",
    )
    .size(6, 5)
    .steps(GREEN, &[(1.0, RED)])
    .ask("held back", "sum(uplink_held_back)")
}

fn backlog() -> Panel {
    Panel::stat(
        "Oldest message not forwarded",
        "Of the gateway that is furthest behind. Beyond the time of a resend the broker is slow or away.",
    )
    .size(6, 5)
    .unit("s")
    .decimals(1)
    .steps(GREEN, &[(10.0, ORANGE), (60.0, RED)])
    .ask("age", "max(spool_backlog_seconds{reader=\"forward\"})")
}

fn batch() -> Panel {
    Panel::stat(
        "Messages in a batch",
        "Brokers count publishes and not bytes. One: a longer linger would spare the broker.",
    )
    .size(6, 5)
    .decimals(1)
    .ask(
        "messages",
        "sum(rate(uplink_messages_forwarded_total[$__rate_interval])) / sum(rate(uplink_batches_forwarded_total[$__rate_interval]))",
    )
}

fn packed() -> Panel {
    Panel::stat("Packed to", "Bytes that go to the broker, as a part of those that were taken.")
        .size(6, 5)
        .unit("percentunit")
        .decimals(0)
        .ask(
            "packed",
            "sum(rate(uplink_forwarded_packed_bytes_total[$__rate_interval])) / sum(rate(uplink_forwarded_bytes_total[$__rate_interval]))",
        )
}

fn batches() -> Panel {
    Panel::lines(
        "Batches",
        "What the broker took from gateways, and what each reader has on disk. A line that ends is a reader that is away.",
    )
    .unit("ops")
    .ask("forwarded", "sum(rate(uplink_batches_forwarded_total[$__rate_interval]))")
    .ask(
        "{{instance}}",
        "sum by (instance) (rate(uplink_batches_received_total[$__rate_interval]))",
    )
    .column("forwarded", vec![Look::Colour(BLUE)])
}

fn messages() -> Panel {
    Panel::lines(
        "Messages",
        "The same in messages: each goes to the ingestor and to the alerting of its shard.",
    )
    .unit("ops")
    .ask(
        "forwarded",
        "sum(rate(uplink_messages_forwarded_total[$__rate_interval]))",
    )
    .ask(
        "{{instance}}",
        "sum by (instance) (rate(uplink_messages_received_total[$__rate_interval]))",
    )
    .column("forwarded", vec![Look::Colour(BLUE)])
}

fn again() -> Panel {
    Panel::bars(
        "Sent again",
        "Connections that broke, times that a gateway went back because a reader lacked something, and batches that a reader had already. \
         It costs time, nothing else.",
    )
    .size(8, 9)
    .unit("ops")
    .ask(
        "{{instance}} broke",
        "sum by (instance) (rate(uplink_forwarder_restarts_total[$__rate_interval]))",
    )
    .ask(
        "{{instance}} went back: {{why}}",
        "sum by (instance, why) (rate(uplink_went_back_total[$__rate_interval]))",
    )
    .ask(
        "{{instance}} had it",
        "sum by (instance) (rate(uplink_batches_repeated_total[$__rate_interval]))",
    )
}

fn refused() -> Panel {
    Panel::bars(
        "Batches refused, by reason",
        "Kept aside and not read: somebody else writes on these topics, or versions differ.",
    )
    .size(8, 9)
    .unit("ops")
    .ask(
        "{{reason}}",
        "sum by (reason) (rate(uplink_batches_refused_total[$__rate_interval]))",
    )
}

fn down() -> Panel {
    Panel::bars(
        "Warnings to devices, by outcome",
        "What alerting sent down to the device whose reading it was about.",
    )
    .size(8, 9)
    .unit("ops")
    .ask(
        "{{outcome}}",
        "sum by (outcome) (rate(uplink_downlink_commands_total[$__rate_interval]))",
    )
}
