//! Looks after a spool once a second: retires what every reader is past, and tells its state as metrics and readiness.
use std::time::{Duration, SystemTime};

use alerting::intake::Backlog;
use metrics::{counter, gauge};
use service::health::Condition;
use spool::{Health, NewRecord, Spool, State};
use telemetry::{DeviceId, GatewayId, UnixMicros, proto};
use uplink::report::Report;

/// How often a spool is looked after.
const EVERY: Duration = Duration::from_secs(1);

/// Shares of the cap at which it is told loudly: 50 % and 80 %.
const LOUD_AT_PERCENT: [u64; 2] = [50, 80];
/// Below this share of the cap alerting is not told: readers are always a little behind.
const TOLD_FROM_PERCENT: u64 = 10;

/// name, kind, what.
pub(crate) const METRICS: &[(&str, &str, &str)] = &[
    ("spool_bytes", "gauge", "bytes of all segment files of a log"),
    ("spool_cap_bytes", "gauge", "bytes that the log may take"),
    ("spool_backlog_records", "gauge", "records that a reader is behind"),
    ("spool_backlog_bytes", "gauge", "bytes that a reader is behind"),
    (
        "spool_backlog_seconds",
        "gauge",
        "age in seconds of the oldest record that a reader has not consumed",
    ),
    (
        "spool_shed_records_total",
        "counter",
        "records dropped unread at the cap, each in a named gap",
    ),
    (
        "spool_corrupt_records_total",
        "counter",
        "records that could not be read back",
    ),
    (
        "spool_refused_total",
        "counter",
        "append calls refused at the cap or because nothing can be written",
    ),
    ("spool_write_failures_total", "counter", "writes and fsyncs that failed"),
    ("spool_syncs_total", "counter", "group commits"),
];

/// Runs until `stop` resolves; `name` is the label of the log.
///
/// The gateway looks after the telemetry log too, because it must get along where nobody else does: the spool lets them take
/// turns, and whoever comes second finds nothing to do.
pub(crate) async fn watch(
    name: &'static str,
    spool: Spool,
    writable: Condition,
    teller: Teller,
    stop: impl Future<Output = ()>,
) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut loud_at, mut told) = (None, None);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = every.tick() => {}
        }
        let at_work = spool.clone();
        let looked = tokio::task::spawn_blocking(move || (at_work.maintain(SystemTime::now()), at_work.state())).await;
        let Ok((maintained, state)) = looked else { continue };
        for gap in &maintained.shed {
            tracing::error!(log = name, gap = ?gap, "the log is full: the oldest records that were not read were shed");
        }
        if let Some(failed) = maintained.failed {
            tracing::warn!(
                log = name,
                error = failed,
                "looking after the log failed; tried again in a second"
            );
        }
        tell(name, &state, &writable);
        let percent = percent_full(&state);
        loud_at = say_how_full(name, &state, percent, loud_at);
        if let Some(new) = news(percent, told)
            && teller.tell(name, new).await
        {
            told = Some(new);
        }
    }
}

fn tell(name: &'static str, state: &State, writable: &Condition) {
    match &state.health {
        Health::Healthy => writable.green(),
        Health::DiskFull { what, .. } => writable.red(&format!("disk full: {what}")),
        Health::Suspect { what, .. } => writable.red(&format!("a write failed: {what}")),
    }
    gauge!("spool_bytes", "log" => name).set(state.bytes as f64);
    gauge!("spool_cap_bytes", "log" => name).set(state.cap_bytes as f64);
    let now = SystemTime::now();
    for cursor in &state.cursors {
        let age = cursor
            .oldest_unread_at
            .and_then(|at| now.duration_since(at).ok())
            .unwrap_or_default();
        let reader = cursor.name.clone();
        gauge!("spool_backlog_records", "log" => name, "reader" => reader.clone()).set(cursor.backlog_records as f64);
        gauge!("spool_backlog_bytes", "log" => name, "reader" => reader.clone()).set(cursor.backlog_bytes as f64);
        gauge!("spool_backlog_seconds", "log" => name, "reader" => reader).set(age.as_secs_f64());
    }
    let counters = state.counters;
    counter!("spool_shed_records_total", "log" => name).absolute(counters.shed_records);
    counter!("spool_corrupt_records_total", "log" => name).absolute(counters.corrupt_records);
    counter!("spool_refused_total", "log" => name).absolute(counters.refused_at_cap + counters.refused_unwritable);
    counter!("spool_write_failures_total", "log" => name).absolute(counters.write_failures);
    counter!("spool_syncs_total", "log" => name).absolute(counters.syncs);
}

/// Tells alerting how full a log is.
pub(crate) enum Teller {
    /// Alerting runs in this process.
    Here {
        alerts: alerting::Handle,
        gateway: GatewayId,
    },
    /// It runs elsewhere: told by way of the log that is forwarded.
    Forwarded { log: Spool, gateway: GatewayId },
    /// Nobody asks about this log.
    Nobody,
}

impl Teller {
    async fn tell(&self, log: &str, percent: u32) -> bool {
        let now = SystemTime::now();
        let told = match self {
            Self::Here { alerts, gateway } => {
                let Ok(log) = DeviceId::new(log) else { return false };
                let backlog = Backlog {
                    gateway: gateway.clone(),
                    log,
                    percent,
                    at: UnixMicros::from(now),
                };
                alerts.backlog(backlog).await.map_err(|error| error.to_string())
            }
            Self::Forwarded { log: into, gateway } => {
                let backlog = proto::Backlog {
                    gateway: gateway.to_string(),
                    log: log.to_owned(),
                    percent,
                    at_us: UnixMicros::from(now).0,
                };
                let mut bytes = Vec::new();
                Report::Backlog(backlog).encode(gateway, &mut bytes);
                let records = [NewRecord { lane: 0, bytes: &bytes }];
                // Durable with the next message, and if it is lost with the machine it is told after the start.
                into.append(&records, now).map(drop).map_err(|error| error.to_string())
            }
            Self::Nobody => Ok(()),
        };
        if let Err(error) = &told {
            tracing::warn!(error = %error, "alerting is not told how full a log is; tried again in a second");
        }
        told.is_ok()
    }
}

/// What alerting is to hear, if it is another thing than it heard last: whole per cent, and nothing of a log that is read.
fn news(percent: u64, told: Option<u32>) -> Option<u32> {
    let percent = if percent < TOLD_FROM_PERCENT { 0 } else { percent };
    let percent = u32::try_from(percent).unwrap_or(u32::MAX);
    (told != Some(percent)).then_some(percent)
}

/// How full a log is of what its slowest reader has not consumed, in whole per cent of its cap.
fn percent_full(state: &State) -> u64 {
    let backlog = state.cursors.iter().map(|cursor| cursor.backlog_bytes).max();
    backlog.unwrap_or(0).saturating_mul(100) / state.cap_bytes.max(1)
}

/// Tells once per mark, and again after the log was below it.
fn say_how_full(name: &'static str, state: &State, percent: u64, before: Option<u64>) -> Option<u64> {
    let mark = LOUD_AT_PERCENT.into_iter().rev().find(|mark| percent >= *mark);
    if mark > before {
        tracing::warn!(
            log = name,
            percent,
            hours_left = hours_left(state),
            "the log fills: a reader is behind"
        );
    }
    mark
}

/// Hours until the cap at the rate of the last backlog; `None` if it cannot be told.
fn hours_left(state: &State) -> Option<u64> {
    let now = SystemTime::now();
    let slowest = state.cursors.iter().max_by_key(|cursor| cursor.backlog_bytes)?;
    let age = now.duration_since(slowest.oldest_unread_at?).ok()?.as_secs().max(1);
    let rate = (slowest.backlog_bytes / age).max(1);
    Some(state.cap_bytes.saturating_sub(slowest.backlog_bytes) / rate / 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_read_is_told_once_and_one_that_fills_with_every_per_cent() {
        assert_eq!(news(0, None), Some(0), "after a start, because an alert may be open");
        assert_eq!([news(3, Some(0)), news(9, Some(0))], [None, None]);
        assert_eq!([news(10, Some(0)), news(10, Some(10))], [Some(10), None]);
        assert_eq!([news(51, Some(50)), news(4, Some(50))], [Some(51), Some(0)]);
    }
}
