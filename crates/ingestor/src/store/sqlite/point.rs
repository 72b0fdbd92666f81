//! One record as one row.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

use super::series::Series;
use super::tables;
use crate::record::Record;
use crate::schema::{MEASUREMENTS, Measurement};
use crate::value::Value;

/// The insert statements, made once.
static INSERTS: std::sync::LazyLock<Vec<(&'static str, String)>> =
    std::sync::LazyLock::new(|| MEASUREMENTS.iter().map(|m| (m.name, insert_sql(m))).collect());

fn insert_sql(measurement: &Measurement) -> String {
    let names: Vec<String> = tables::head(measurement)
        .into_iter()
        .chain(measurement.fields.iter().map(|field| field.name))
        .map(|name| format!("\"{name}\""))
        .collect();
    let marks = vec!["?"; names.len()].join(", ");
    let table = tables::table(measurement);
    format!("INSERT OR REPLACE INTO {table} ({}) VALUES ({marks})", names.join(", "))
}

/// Writes a record; the same point again takes the place of the first.
pub(super) fn insert(db: &Connection, record: &Record, series: Series) -> rusqlite::Result<()> {
    let measurement = record.measurement();
    let Some((_, sql)) = INSERTS.iter().find(|(name, _)| *name == measurement.name) else {
        return Ok(());
    };
    let mut statement = db.prepare_cached(sql)?;
    let mut binder = Binder {
        statement: &mut statement,
        at: 0,
    };
    binder.bind(integer(series.id))?;
    binder.bind(integer(series.device))?;
    binder.bind(integer(record.time_ns()))?;
    if measurement.zone {
        // Part of the key, where NULL would equal nothing.
        binder.bind(text(record.zone().map_or("", |zone| zone.as_str())))?;
    }
    if measurement.rule {
        binder.bind(text(record.rule().map_or("", |rule| rule.as_str())))?;
    }
    let mut bound = Ok(());
    record.each(|_, value| {
        if bound.is_ok() {
            bound = binder.bind(value.as_ref().map_or(ToSqlOutput::Borrowed(ValueRef::Null), sql_value));
        }
    });
    bound?;
    statement.raw_execute().map(|_| ())
}

struct Binder<'a, 'db> {
    statement: &'a mut Statement<'db>,
    at: usize,
}

impl Binder<'_, '_> {
    fn bind(&mut self, value: ToSqlOutput<'_>) -> rusqlite::Result<()> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, value)
    }
}

fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
}

fn integer<'a>(number: i64) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(ValueRef::Integer(number))
}

fn sql_value<'a>(value: &'a Value<'_>) -> ToSqlOutput<'a> {
    match value {
        Value::Integer(number) => integer(*number),
        Value::Float(number) => ToSqlOutput::Borrowed(ValueRef::Real(number.get())),
        Value::Boolean(yes) => integer(i64::from(*yes)),
        Value::Text(value) => text(value.as_str()),
    }
}
