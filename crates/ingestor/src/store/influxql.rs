//! Rolls periods up by asking InfluxDB in InfluxQL, which versions 1, 2 and 3 answer alike: the server adds up, and one row
//! per tag set comes back. Buckets are found as database and retention policy; `dermatel influx setup` makes that mapping.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use reqwest::StatusCode;
use serde_json::Value;
use telemetry::{ClinicId, DeviceId, DeviceKey, ModelId, TenantId};

use super::clock;
use super::influx::{InfluxStore, clean, trouble_of};
use super::{ReadError, Reason};
use crate::record::{Record, Rollup, Tags, UNKNOWN};
use crate::rollup::{Group, Span, Subject};
use crate::schema::rollup::Made;

/// Name of the retention policy of the roll-ups, in the database of a tenant.
pub const ROLLUP_POLICY: &str = "rollup";
/// Name of the default retention policy, in the database of a tenant.
pub const DETAIL_POLICY: &str = "detail";

/// Devices that one question names, so that it stays some kilobytes.
const DEVICES_PER_QUESTION: usize = 100;
/// Longest answer that is read: a hundred devices with a few zones each are some hundred kilobytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

const NO_INFLUXQL: &str = "it does not answer InfluxQL at /query; a store that takes points but cannot be asked needs ingestor.rollups = false";

const TAGS: &str = "\"clinic\", \"device\", \"kind\", \"model\", \"zone\"";

/// Of one tag set: its tags and its numbers.
struct Row {
    tags: serde_json::Map<String, Value>,
    numbers: Vec<Option<i64>>,
}

impl InfluxStore {
    /// Rolls the periods of a group up; they are of one tenant.
    ///
    /// # Errors
    /// [`ReadError`]: nothing was computed.
    pub async fn roll_up(&self, group: &Group) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        let Some(tenant) = group.devices.first().map(|device| &device.tenant) else {
            return Ok(records);
        };
        for devices in group.devices.chunks(DEVICES_PER_QUESTION) {
            let mut rows = self.ask(tenant, group, &question(group, devices)).await?;
            if let Some(fired) = question_fired(group, devices) {
                merge(&mut rows, self.ask(tenant, group, &fired).await?);
            }
            records.extend(rows.into_iter().filter_map(|row| record(tenant, group, row)));
        }
        Ok(records)
    }

    async fn ask(&self, tenant: &TenantId, group: &Group, question: &str) -> Result<Vec<Row>, ReadError> {
        let database = self.bucket(tenant);
        let mut place = vec![("db", database.as_str())];
        if group.span == Span::Hour {
            place.push(("rp", ROLLUP_POLICY));
        }
        let answer = self.query(&place, question).await?;
        let fields = group.subject.measurement(group.span).fields;
        let series = answer.pointer("/results/0/series").and_then(Value::as_array);
        Ok(series
            .into_iter()
            .flatten()
            .filter_map(|series| {
                let columns = series.get("columns")?.as_array()?;
                let values = series.pointer("/values/0")?.as_array()?;
                let number = |name: &str| {
                    let at = columns.iter().position(|column| column == name)?;
                    let value = values.get(at)?;
                    // A server may say a whole number as 3.0.
                    value.as_i64().or_else(|| value.as_f64().map(|value| value as i64))
                };
                Some(Row {
                    tags: series.get("tags")?.as_object()?.clone(),
                    numbers: fields.iter().map(|field| number(field.name)).collect(),
                })
            })
            .collect())
    }

    /// Whether a database and its retention policy (`None`: the default one) can be asked.
    pub(crate) async fn look(&self, database: &str, policy: Option<&str>) -> Result<(), ReadError> {
        let mut place = vec![("db", database)];
        place.extend(policy.map(|policy| ("rp", policy)));
        let question = "SELECT count(\"count\") FROM \"stroke_window\" WHERE time > now() - 1s";
        self.query(&place, question).await.map(|_| ())
    }

    /// One question to `/query`.
    pub(crate) async fn query(&self, place: &[(&str, &str)], question: &str) -> Result<Value, ReadError> {
        let url = format!("{}/query", self.url);
        let request = self.authorized(self.asker.post(url).query(place).form(&[("q", question)]));
        let no_answer = |e: reqwest::Error| {
            let (reason, detail) = trouble_of(&e);
            ReadError { reason, detail }
        };
        let asked = SystemTime::now();
        let answer = request.send().await.map_err(no_answer)?;
        self.clock
            .seen(clock::ahead(answer.headers(), asked, SystemTime::now()));
        let status = answer.status();
        let text = answer.text().await.map_err(no_answer)?;
        if text.len() > MAX_ANSWER_BYTES {
            return Err(refused(
                Reason::Protocol,
                "the answer is longer than any that was asked for",
            ));
        }
        understand(status, &text)
    }
}

fn refused(reason: Reason, said: &str) -> ReadError {
    ReadError {
        reason,
        detail: clean(said),
    }
}

/// What an answer to a question means.
fn understand(status: StatusCode, text: &str) -> Result<Value, ReadError> {
    let answer: Option<Value> = serde_json::from_str(text).ok();
    let said = answer.as_ref().and_then(|answer| {
        let error = answer.pointer("/results/0/error").or_else(|| answer.get("error"));
        error.or_else(|| answer.get("message")).and_then(Value::as_str)
    });
    match (status.as_u16(), said, answer.as_ref()) {
        (200, None, Some(answer)) if answer.get("results").is_some() => {
            if answer.pointer("/results/0/partial").is_some() {
                return Err(refused(
                    Reason::Unexpected,
                    "the server cut its answer short: raise its max-row-limit",
                ));
            }
            let series = answer.pointer("/results/0/series").and_then(Value::as_array);
            let timeless = |one: &Value| one.pointer("/columns/0").is_none_or(|first| first != "time");
            if series.is_some_and(|series| series.iter().any(timeless)) {
                // VictoriaMetrics answers every question with a list of databases.
                return Err(refused(Reason::Unsupported, NO_INFLUXQL));
            }
            Ok(answer.clone())
        }
        (401, ..) => Err(refused(Reason::Unauthorized, said.unwrap_or(text))),
        (403, ..) => Err(refused(Reason::Forbidden, said.unwrap_or(text))),
        (429, ..) => Err(refused(Reason::RateLimited, said.unwrap_or(text))),
        (500..=599, ..) => Err(refused(Reason::Server, said.unwrap_or(text))),
        (404, None, _) => Err(refused(Reason::Unsupported, NO_INFLUXQL)),
        (404, Some(said), _) => Err(no_mapping(said)),
        // Version 1 says such things with 200, version 2 some with 400.
        (_, Some(said), _) if said.contains("not found") => Err(no_mapping(said)),
        (_, said, _) => Err(refused(
            Reason::Unexpected,
            &format!("{status}: {}", said.unwrap_or(text)),
        )),
    }
}

fn no_mapping(said: &str) -> ReadError {
    refused(
        Reason::NotFound,
        &format!("{said}; the bucket or its mapping to a database is missing, run `dermatel influx setup`"),
    )
}

/// The tags, range and devices of a question.
fn scope(group: &Group, devices: &[DeviceKey]) -> String {
    let (from, to) = group.range_ns();
    let mut text = format!(
        " FROM \"{}\" WHERE time >= {from} AND time < {to} AND (",
        group.subject.source(group.span).name
    );
    for (at, device) in devices.iter().enumerate() {
        // Ids are slugs: nothing in them needs escaping.
        let _ = write!(
            text,
            "{}\"device\" = '{}'",
            if at == 0 { "" } else { " OR " },
            device.device
        );
    }
    text.push(')');
    text
}

fn question(group: &Group, devices: &[DeviceKey]) -> String {
    let mut text = String::from("SELECT ");
    let fields = group.subject.measurement(group.span).fields;
    let mut comma = "";
    for (made, field) in group.subject.made_of_source(group.span).zip(fields) {
        let (function, of) = match made {
            Made::Points => ("count", group.subject.always()),
            Made::Count(of) => ("count", of),
            Made::Sum(of) => ("sum", of),
            Made::Least(of) => ("min", of),
            Made::Greatest(of) => ("max", of),
            Made::True(_) | Made::Mean { .. } => continue,
        };
        let _ = write!(text, "{comma}{function}(\"{of}\") AS \"{}\"", field.name);
        comma = ", ";
    }
    format!("{text}{} GROUP BY {TAGS}", scope(group, devices))
}

/// InfluxQL cannot add up booleans: those that are true are counted apart.
fn question_fired(group: &Group, devices: &[DeviceKey]) -> Option<String> {
    let fields = group.subject.measurement(group.span).fields;
    let (of, name) = group
        .subject
        .made_of_source(group.span)
        .zip(fields)
        .find_map(|(made, field)| match made {
            Made::True(of) => Some((of, field.name)),
            _ => None,
        })?;
    let scope = scope(group, devices);
    Some(format!(
        "SELECT count(\"{of}\") AS \"{name}\"{scope} AND \"{of}\" = true GROUP BY {TAGS}"
    ))
}

fn merge(rows: &mut [Row], more: Vec<Row>) {
    for from in more {
        if let Some(row) = rows.iter_mut().find(|row| row.tags == from.tags) {
            for (number, more) in row.numbers.iter_mut().zip(from.numbers) {
                *number = more.or(*number);
            }
        }
    }
}

/// A row as a record; `None` if its tags are not what this program writes.
fn record(tenant: &TenantId, group: &Group, row: Row) -> Option<Record> {
    let tag = |name: &str| row.tags.get(name).and_then(Value::as_str).unwrap_or("");
    let tags = Tags::new(
        tenant.clone(),
        ClinicId::new(tag("clinic")).ok()?,
        DeviceId::new(tag("device")).ok()?,
        ModelId::new(tag("model")).ok().filter(|_| tag("model") != UNKNOWN),
        tag("kind").parse().ok(),
    );
    let zone = tag("zone").parse().ok();
    let made = Subject::made(group.subject);
    let numbers = made
        .iter()
        .zip(row.numbers)
        .map(|(made, number)| number.or(made.counts().then_some(0)))
        .collect();
    Some(Record::Rollup(Box::new(Rollup {
        tags: Arc::new(tags),
        time_ns: group.range_ns().0,
        zone,
        subject: group.subject,
        span: group.span,
        numbers,
    })))
}
