//! Line protocol, written by us: measurement, tags in the order of their keys, fields in schema order, time in nanoseconds.
//!
//! There is no escaping because there is nothing to escape: tags are ids, enum names and serials, texts are [`Plain`],
//! numbers are finite. A record always has at least one field.

use std::fmt::Write as _;

use crate::record::Record;
use crate::value::{Plain, Value};

/// Appends one record as one line, newline included.
pub fn write(out: &mut String, record: &Record) {
    let tags = record.tags();
    out.push_str(record.measurement().name);
    out.push_str(tags.line_head());
    if let Some(rule) = record.rule() {
        push(out, ",rule=", rule.as_str());
    }
    push(out, ",tenant=", tags.tenant.as_str());
    if let Some(zone) = record.zone() {
        push(out, ",zone=", zone.as_str());
    }
    let mut separator = ' ';
    record.each(|field, value| {
        if let Some(value) = value {
            out.push(separator);
            separator = ',';
            out.push_str(field.name);
            out.push('=');
            push_value(out, &value);
        }
    });
    // Writing to a String does not fail.
    let _ = writeln!(out, " {}", record.time_ns());
}

fn push(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push_str(value);
}

fn push_value(out: &mut String, value: &Value<'_>) {
    let _ = match value {
        Value::Integer(number) => write!(out, "{number}i"),
        Value::Float(number) => write!(out, "{}", number.get()),
        Value::Boolean(yes) => write!(out, "{yes}"),
        Value::Text(text) => write!(out, "\"{}\"", Plain::as_str(text)),
    };
}

/// The line of one record without its newline, for quarantine and tests.
pub fn of(record: &Record) -> String {
    let mut line = String::new();
    write(&mut line, record);
    line.truncate(line.trim_end().len());
    line
}
