//! Asks InfluxDB as Grafana does, and finds out what a query names.
use std::collections::{BTreeMap, BTreeSet};

use ingestor::schema::{MEASUREMENTS, Measurement};
use serde_json::Value;

use super::day::{DATABASE, Day};

/// One series of an answer.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) tags: BTreeMap<String, String>,
    pub(super) columns: Vec<String>,
    /// Each row begins with the time in milliseconds.
    pub(super) rows: Vec<Vec<Value>>,
}

impl Series {
    /// Whether anything stands beside the time.
    pub(super) fn has_value(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.iter().skip(1).any(|value| !value.is_null()))
    }
}

/// The answer to one query.
pub(super) async fn ask(day: &Day, query: &str) -> Result<Vec<Series>, String> {
    let url = reqwest::Url::parse_with_params(
        &format!("{}/query", day.influx.url()),
        [("db", DATABASE), ("epoch", "ms"), ("q", query)],
    )
    .map_err(|e| e.to_string())?;
    let answer = reqwest::Client::new()
        .post(url)
        .send()
        .await
        .map_err(|e| e.to_string())?;
    let text = answer.text().await.map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    if let Some(error) = answer.pointer("/results/0/error").or_else(|| answer.get("error")) {
        return Err(error.to_string());
    }
    let series = answer.pointer("/results/0/series").and_then(Value::as_array);
    Ok(series.into_iter().flatten().map(series_of).collect())
}

fn series_of(value: &Value) -> Series {
    let texts = |key: &str| -> Vec<String> {
        let list = value[key].as_array();
        list.into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    };
    let tags = value["tags"].as_object();
    let rows = value["values"].as_array();
    Series {
        tags: tags
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        columns: texts("columns"),
        rows: rows
            .into_iter()
            .flatten()
            .filter_map(|row| row.as_array().cloned())
            .collect(),
    }
}

/// Measurements of the long-kept roll-ups.
const ROLLUP: &str = "\"rollup\".";

/// What the feature list of InfluxDB 3's InfluxQL leaves out, and what writes.
const NOT_EVERYWHERE: [&str; 6] = ["SLIMIT", "SOFFSET", " INTO ", "SHOW SERIES", "INTEGRAL(", "SAMPLE("];

/// What a query names that the schema does not have, or that not every InfluxDB understands.
pub(super) fn unknown_names(query: &str) -> BTreeSet<String> {
    let quoted: BTreeSet<&str> = query.split('"').skip(1).step_by(2).collect();
    // What a query itself names: `AS "x"`.
    let own: BTreeSet<&str> = query
        .split(" AS \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let measurements: Vec<&Measurement> = MEASUREMENTS
        .iter()
        .copied()
        .filter(|m| quoted.contains(m.name))
        .collect();
    let fields: BTreeSet<&str> = measurements
        .iter()
        .flat_map(|m| m.fields.iter().map(|f| f.name))
        .collect();
    let mut tags = BTreeSet::from(["tenant", "clinic", "device", "model", "kind"]);
    tags.extend(measurements.iter().any(|m| m.zone).then_some("zone"));
    tags.extend(measurements.iter().any(|m| m.rule).then_some("rule"));
    let rollup = query.contains(ROLLUP);
    let mut unknown: BTreeSet<String> = quoted
        .into_iter()
        .filter(|name| {
            !(fields.contains(name)
                || tags.contains(name)
                || own.contains(name)
                || (rollup && *name == "rollup")
                || measurements.iter().any(|m| m.name == *name))
        })
        .map(str::to_owned)
        .collect();
    // Roll-ups live in a retention policy of their own, and nothing else does.
    unknown.extend(
        measurements
            .iter()
            .filter(|m| m.rollup != rollup)
            .map(|m| m.name.to_owned()),
    );
    let upper = query.to_uppercase();
    let beyond = NOT_EVERYWHERE.iter().filter(|word| upper.contains(**word));
    unknown.extend(beyond.map(|word| (*word).to_owned()));
    if measurements.is_empty() {
        unknown.insert("(no measurement)".to_owned());
    }
    unknown
}
