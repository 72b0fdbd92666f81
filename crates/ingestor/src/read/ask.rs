//! A question in the terms of the schema, before it is SQL or InfluxQL, and a row of its answer.

use std::collections::BTreeMap;

use serde_json::Value;
use telemetry::TenantId;

use crate::schema::Measurement;

/// The tags that every row brings, beside the zone where there is one.
pub(super) const TAGS: [&str; 4] = ["clinic", "device", "kind", "model"];

/// What is asked of one measurement of one tenant. All texts in it are ids, serials, hexadecimal or our own names: there is
/// nothing in them that a query language could misread.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) measurement: &'static Measurement,
    pub(super) tenant: TenantId,
    /// First nanosecond.
    pub(super) from_ns: i64,
    /// First nanosecond after it.
    pub(super) to_ns: i64,
    /// All of it must hold.
    pub(super) only: Vec<Only>,
    pub(super) take: Take,
}

/// What must hold of a point.
#[derive(Debug, Clone)]
pub(super) enum Only {
    /// A tag or a field that is a text has this value.
    Is(&'static str, String),
    /// It is not a heartbeat or a status, which are nearly all of what devices say of themselves.
    Rare,
    /// A hygiene event of this device, or with one of these names among its items.
    About { device: String, names: Vec<String> },
}

/// What is taken of the points.
#[derive(Debug, Clone)]
pub(super) enum Take {
    /// These fields of each, at most `limit`.
    Rows {
        fields: &'static [&'static str],
        newest_first: bool,
        limit: usize,
    },
    /// These numbers over each step of time and zone.
    Steps {
        width_ns: i64,
        folds: &'static [(Fold, &'static str, &'static str)],
        limit: usize,
    },
}

/// How the values of a field in a step become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Least,
    Greatest,
}

impl Fold {
    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Least => "min",
            Self::Greatest => "max",
        }
    }
}

/// A row of an answer: columns by name, those without a value left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) time_ns: i64,
    pub(super) columns: BTreeMap<&'static str, Value>,
}

impl Row {
    pub(super) fn integer(&self, column: &str) -> Option<i64> {
        let value = self.columns.get(column)?;
        // A server may say a whole number as 3.0.
        value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
    }

    pub(super) fn count(&self, column: &str) -> u64 {
        self.integer(column).unwrap_or(0).max(0).unsigned_abs()
    }

    pub(super) fn text(&self, column: &str) -> Option<String> {
        let text = self.columns.get(column)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// SQLite has no booleans but 0 and 1.
    pub(super) fn yes(&self, column: &str) -> Option<bool> {
        let value = self.columns.get(column)?;
        value.as_bool().or_else(|| value.as_i64().map(|number| number != 0))
    }

    /// A list that stands as one text.
    pub(super) fn list(&self, column: &str) -> Vec<String> {
        let text = self.text(column).unwrap_or_default();
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    pub(super) fn time_us(&self) -> i64 {
        self.time_ns.div_euclid(1_000)
    }
}

/// The columns that a question brings, in order: its tags, then its fields or folds.
pub(super) fn columns(question: &Question) -> Vec<&'static str> {
    let zone = question.measurement.zone.then_some("zone");
    match &question.take {
        Take::Rows { fields, .. } => TAGS.into_iter().chain(zone).chain(fields.iter().copied()).collect(),
        Take::Steps { folds, .. } => zone.into_iter().chain(folds.iter().map(|(_, _, name)| *name)).collect(),
    }
}
