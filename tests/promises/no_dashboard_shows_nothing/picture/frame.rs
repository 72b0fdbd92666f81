//! Answers as fields with a name: what Grafana's data source makes of them.
use serde_json::Value;

use super::super::grafana::text;
use super::super::influxql::Series;

/// A named run of values over time.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) points: Vec<(i64, Value)>,
}

impl Field {
    /// Numbers only.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.points
            .iter()
            .filter_map(|(at, value)| Some((*at, value.as_f64()?)))
    }

    /// The last that is one.
    pub(super) fn last(&self) -> Option<f64> {
        self.numbers().last().map(|(_, value)| value)
    }
}

/// Every column of every series of every query; a query without an answer is a field without points.
pub(super) fn fields(targets: &[Value], answers: &[Vec<Series>]) -> Vec<Field> {
    let mut out = Vec::new();
    for (target, series) in targets.iter().zip(answers) {
        let alias = text(target, "alias");
        if series.is_empty() && !alias.contains('$') {
            out.push(Field {
                name: alias.to_owned(),
                points: Vec::new(),
            });
        }
        for one in series {
            for (n, column) in one.columns.iter().enumerate().skip(1) {
                out.push(Field {
                    name: name(alias, one, column),
                    points: one
                        .rows
                        .iter()
                        .map(|row| (row[0].as_i64().unwrap_or(0), row[n].clone()))
                        .collect(),
                });
            }
        }
    }
    out
}

fn name(alias: &str, series: &Series, column: &str) -> String {
    let mut out = alias.replace("$col", column);
    for (tag, value) in &series.tags {
        out = out.replace(&format!("$tag_{tag}"), value);
    }
    out
}
