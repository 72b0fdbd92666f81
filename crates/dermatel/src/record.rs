//! `dermatel record`: what people did, through the running process.
use anyhow::{Context, Result};
use chrono::DateTime;
use gateway::{Event, Record};
use hyper::Method;
use telemetry::{Actor, ClinicId, DeviceId, DisinfectionLevel, IndicatorKind, Outcome, TenantId};

use crate::cli;
use crate::local_client::ask;

/// Sends one record and says what became of it.
pub(crate) async fn run(api: &cli::Api, what: cli::Record) -> Result<()> {
    let record = to_record(what)?;
    let answer = ask(
        &crate::socket(api),
        Method::POST,
        "/v1/record",
        Some(&serde_json::to_value(&record)?),
    )
    .await?;
    println!(
        "recorded: {}",
        answer
            .get("verdict")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("stored")
    );
    Ok(())
}

fn to_record(what: cli::Record) -> Result<Record> {
    let (at, event) = match what {
        cli::Record::Cycle {
            at,
            sterilizer,
            cycle,
            items,
            outcome,
            ended_at,
        } => (
            at,
            Event::Cycle {
                sterilizer: DeviceId::new(&sterilizer)?,
                cycle,
                items,
                outcome: outcome.into(),
                ended_at_us: micros(ended_at.as_deref())?,
            },
        ),
        cli::Record::Wipe {
            at,
            device,
            level,
            contact_time_s,
            performed_at,
        } => (
            at,
            Event::Wipe {
                device: DeviceId::new(&device)?,
                level: level.into(),
                contact_time_s,
                performed_at_us: micros(performed_at.as_deref())?,
            },
        ),
        cli::Record::Indicator {
            at,
            sterilizer,
            kind,
            outcome,
            cycle,
            cycle_ended_at,
        } => (
            at,
            Event::Indicator {
                sterilizer: DeviceId::new(&sterilizer)?,
                kind: kind.into(),
                outcome: outcome.into(),
                cycle,
                cycle_ended_at_us: micros(cycle_ended_at.as_deref())?,
            },
        ),
    };
    Ok(Record {
        request: rand::random(),
        tenant: TenantId::new(&at.tenant)?,
        clinic: ClinicId::new(&at.clinic)?,
        actor: Some(Actor::new(&at.actor)?),
        event,
    })
}

fn micros(text: Option<&str>) -> Result<Option<i64>> {
    text.map(|text| {
        DateTime::parse_from_rfc3339(text)
            .map(|time| time.timestamp_micros())
            .with_context(|| format!("{text:?} is no time: write it like 2026-11-22T09:30:00Z"))
    })
    .transpose()
}

impl From<cli::Outcome> for Outcome {
    fn from(outcome: cli::Outcome) -> Self {
        match outcome {
            cli::Outcome::Pass => Self::Pass,
            cli::Outcome::Fail => Self::Fail,
            cli::Outcome::Aborted => Self::Aborted,
        }
    }
}

impl From<cli::Level> for DisinfectionLevel {
    fn from(level: cli::Level) -> Self {
        match level {
            cli::Level::Low => Self::Low,
            cli::Level::Intermediate => Self::Intermediate,
            cli::Level::High => Self::High,
        }
    }
}

impl From<cli::Indicator> for IndicatorKind {
    fn from(kind: cli::Indicator) -> Self {
        match kind {
            cli::Indicator::Biological => Self::Biological,
            cli::Indicator::Chemical => Self::Chemical,
            cli::Indicator::Mechanical => Self::Mechanical,
        }
    }
}
