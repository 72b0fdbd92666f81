//! Questions to InfluxDB, in InfluxQL, which versions 1, 2 and 3 answer alike.

use std::fmt::Write as _;

use serde_json::Value;

use super::ask::{Only, Question, Row, Take, columns};
use crate::store::{InfluxStore, ReadError};

/// Asks one question of one tenant's database.
pub(super) async fn ask(store: &InfluxStore, question: &Question) -> Result<Vec<Row>, ReadError> {
    let database = store.bucket(&question.tenant);
    // Times as numbers: the text form has no fixed number of digits.
    let place = [("db", database.as_str()), ("epoch", "ns")];
    let answer = store.query(&place, &text(question)).await?;
    let names = columns(question);
    let series = answer.pointer("/results/0/series").and_then(Value::as_array);
    let mut rows: Vec<Row> = series.into_iter().flatten().flat_map(|one| read(one, &names)).collect();
    if let Take::Steps { limit, .. } = question.take {
        // The server gives zone by zone.
        rows.sort_by(|a, b| {
            a.time_ns
                .cmp(&b.time_ns)
                .then_with(|| a.text("zone").cmp(&b.text("zone")))
        });
        rows.truncate(limit);
    }
    Ok(rows)
}

fn read(series: &Value, names: &[&'static str]) -> Vec<Row> {
    let columns = series.get("columns").and_then(Value::as_array);
    let columns: Vec<Option<&'static str>> = columns
        .into_iter()
        .flatten()
        .map(|column| names.iter().find(|name| column == **name).copied())
        .collect();
    let tags = series.get("tags").and_then(Value::as_object);
    let values = series.get("values").and_then(Value::as_array);
    let rows = values.into_iter().flatten().filter_map(|row| {
        let row = row.as_array()?;
        let time_ns = row.first()?.as_i64()?;
        let tagged = names.iter().filter_map(|name| Some((*name, tags?.get(*name)?.clone())));
        let columns = columns
            .iter()
            .zip(row)
            .filter_map(|(name, value)| Some(((*name)?, value.clone())))
            .chain(tagged)
            .filter(|(_, value)| !value.is_null())
            .collect();
        Some(Row { time_ns, columns })
    });
    rows.collect()
}

fn text(question: &Question) -> String {
    let mut filter = format!("time >= {} AND time < {}", question.from_ns, question.to_ns);
    for only in &question.only {
        let _ = match only {
            Only::Is(column, text) => write!(filter, " AND \"{column}\" = '{text}'"),
            Only::Rare => write!(filter, " AND \"what\" != 'heartbeat' AND \"what\" != 'status'"),
            Only::About { device, names } => {
                let mut any = format!("\"device\" = '{device}'");
                for name in names {
                    // A dot is the only character of a serial that means something there.
                    let _ = write!(any, " OR \"items\" =~ /(^|,){}(,|$)/", name.replace('.', "\\."));
                }
                write!(filter, " AND ({any})")
            }
        };
    }
    let from = question.measurement.name;
    match &question.take {
        Take::Rows {
            newest_first, limit, ..
        } => {
            let names: Vec<String> = columns(question).iter().map(|name| format!("\"{name}\"")).collect();
            let order = if *newest_first { "DESC" } else { "ASC" };
            format!(
                "SELECT {} FROM \"{from}\" WHERE {filter} ORDER BY time {order} LIMIT {limit}",
                names.join(", ")
            )
        }
        Take::Steps { width_ns, folds, .. } => {
            let folds: Vec<String> = folds
                .iter()
                .map(|(fold, field, name)| format!("{}(\"{field}\") AS \"{name}\"", fold.function()))
                .collect();
            let by = if question.measurement.zone { ", \"zone\"" } else { "" };
            // Steps are whole milliseconds: see `step_ns`.
            format!(
                "SELECT {} FROM \"{from}\" WHERE {filter} GROUP BY time({}ms){by} fill(none)",
                folds.join(", "),
                width_ns / 1_000_000
            )
        }
    }
}
