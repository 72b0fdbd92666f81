//! Whether Dermatel itself is well, from its own metrics: intake, log, store, alerting, pages.

use super::model::{Dashboard, Look, Panel, Store};
use super::panels::{BLUE, GREEN, ORANGE, RED};
use super::parts;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "dermatel-pipeline",
        folder: parts::OPERATIONS,
        title: "Pipeline health",
        what: "Whether messages flow from device to store and pages to people; for whoever keeps it running.",
        store: Store::Prometheus,
        from: "now-6h",
        variables: Vec::new(),
        annotations: Vec::new(),
        panels: vec![
            connections(),
            backlog(),
            stuck(),
            lag(),
            outbox(),
            flow(),
            refused(),
            durations(),
            waiting(),
            store_trouble(),
            alerts(),
            pages(),
            delay(),
            memory(),
            cpu(),
        ],
    }
}

fn connections() -> Panel {
    Panel::stat("Devices connected", "Connections past their CONNACK, of all gateways.")
        .size(5, 5)
        .ask("connected", "sum(gateway_connections)")
}

fn backlog() -> Panel {
    Panel::stat(
        "Records not stored yet",
        "Durable records that the store has not confirmed. Grows while the store is down; nothing is lost.",
    )
    .size(5, 5)
    .steps(GREEN, &[(100_000.0, ORANGE), (1_000_000.0, RED)])
    .ask("backlog", "sum(ingestor_backlog_records)")
}

fn stuck() -> Panel {
    Panel::stat(
        "Tenants stuck or parked",
        "Tenants whose writes do not go through: token, bucket or organization; /readyz says which. Parked: they wait in logs of their own.",
    )
    .size(5, 5)
    .steps(GREEN, &[(1.0, RED)])
    .ask("stuck", "sum(ingestor_tenants_stuck)")
    .ask("parked", "sum(ingestor_lanes_parked)")
}

fn lag() -> Panel {
    Panel::stat(
        "Alerting lags by",
        "Age of the newest record that was judged. Above 5 s pages come late.",
    )
    .size(5, 5)
    .unit("s")
    .decimals(2)
    .steps(GREEN, &[(2.0, ORANGE), (5.0, RED)])
    .ask("lag", "max(alerting_input_lag_seconds)")
}

fn outbox() -> Panel {
    Panel::stat("Pages that wait", "Pages that no receiver has taken yet.")
        .size(4, 5)
        .steps(GREEN, &[(1.0, ORANGE), (10.0, RED)])
        .ask("waiting", "sum(alerting_outbox_pages)")
}

fn flow() -> Panel {
    Panel::lines(
        "Messages and points",
        "What comes in and what is stored. The lines run together unless the store is down.",
    )
    .unit("ops")
    .ask(
        "admitted",
        "sum(rate(gateway_deliveries_admitted_total[$__rate_interval]))",
    )
    .ask("points", "sum(rate(ingestor_points_written_total[$__rate_interval]))")
    .column("admitted", vec![Look::Colour(GREEN)])
    .column("points", vec![Look::Colour(BLUE)])
}

fn refused() -> Panel {
    Panel::bars(
        "Messages put aside, by reason",
        "What could not be read or is from nobody we know. It is in quarantine, and can be replayed after a fix.",
    )
    .unit("ops")
    .ask(
        "{{reason}}",
        "sum by (reason) (rate(gateway_deliveries_rejected_total[$__rate_interval]))",
    )
    .ask(
        "copies",
        "sum(rate(gateway_deliveries_duplicate_total[$__rate_interval]))",
    )
}

fn durations() -> Panel {
    let p99 = |metric: &str| format!("histogram_quantile(0.99, sum by (le) (rate({metric}_bucket[$__rate_interval])))");
    Panel::lines(
        "How long a hundredth takes at least",
        "99th percentile of the steps between a device's message and its receipt, its point, its alert.",
    )
    .unit("s")
    .ask("on disk", p99("gateway_commit_duration_seconds"))
    .ask("in the store", p99("ingestor_write_duration_seconds"))
    .ask("judged", p99("alerting_evaluate_duration_seconds"))
    .ask("alert on disk", p99("alerting_commit_duration_seconds"))
}

fn waiting() -> Panel {
    Panel::lines(
        "What waits where",
        "Messages taken and not on disk, records in memory and not confirmed, quarantine, minutes and hours to be rolled up.",
    )
    .ask("intake", "sum(gateway_intake_waiting_messages)")
    .ask("held", "sum(ingestor_records_held)")
    .ask("quarantine", "sum(gateway_quarantine_messages)")
    .ask("roll-ups", "sum(ingestor_rollups_waiting)")
    .ask("open sessions", "sum(ingestor_sessions_open)")
}

fn store_trouble() -> Panel {
    Panel::bars(
        "Writes that failed, by reason",
        "Each is tried again. A reason that stays needs a hand: token, bucket, disk.",
    )
    .unit("ops")
    .ask(
        "{{reason}}",
        "sum by (reason) (rate(ingestor_writes_failed_total[$__rate_interval]))",
    )
}

fn alerts() -> Panel {
    Panel::lines("Open alerts by state", "How many alerts are open and where they stand.")
        .size(8, 9)
        .ask("{{state}}", "sum by (state) (alerting_alerts)")
}

fn pages() -> Panel {
    Panel::bars(
        "Pages",
        "Pages that receivers took, and attempts that failed, by receiver.",
    )
    .size(8, 9)
    .unit("ops")
    .ask(
        "{{receiver}} took",
        "sum by (receiver) (rate(alerting_notifications_sent_total[$__rate_interval]))",
    )
    .ask(
        "{{receiver}} failed",
        "sum by (receiver) (rate(alerting_notifications_failed_total[$__rate_interval]))",
    )
}

fn delay() -> Panel {
    let took = |share: f64| {
        format!("histogram_quantile({share}, sum by (le) (rate(alerting_notification_delay_seconds_bucket[1h])))")
    };
    Panel::lines(
        "How long pages take",
        "From when a page is decided until the first receiver has taken it, over an hour; digests and test pages apart.",
    )
    .size(8, 9)
    .unit("s")
    .decimals(1)
    .from(0.0)
    .ask("half of them at most", took(0.5))
    .ask("19 of 20 at most", took(0.95))
}

fn memory() -> Panel {
    Panel::lines(
        "Memory",
        "Resident memory of each process. It is bounded: a line that climbs for days is a fault of ours.",
    )
    .size(12, 8)
    .unit("bytes")
    .from(0.0)
    .ask("{{instance}}", "process_resident_memory_bytes")
}

fn cpu() -> Panel {
    Panel::lines("CPU", "Cores that each process uses.")
        .size(12, 8)
        .unit("short")
        .decimals(2)
        .from(0.0)
        .ask("{{instance}}", "rate(process_cpu_seconds_total[$__rate_interval])")
}
