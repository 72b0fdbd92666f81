//! The checks of the door: each is one question, and its failure one reason with the schema name of the field.
use crate::strokes::{MAX_BATCH_DURATION_US, MAX_STROKES};
use crate::{DepthUm, IdError, OutOfRange, RejectReason, Rejected, Serial, Uptime, proto};

/// Most items in one load or wipe.
const MAX_ITEMS: usize = 256;

/// Ordinals and totals stay below this, so that sums never overflow: 2^48 is 30,000 years of strokes.
const MAX_ORDINAL: u64 = 1 << 48;

pub(super) type Result<T> = std::result::Result<T, Rejected>;

pub(super) fn check_columns(b: &proto::StrokeBatch) -> Result<()> {
    let len = b.depth_um.len();
    if len == 0 {
        return Err(missing("stroke_batch.depth_um"));
    }
    if len > MAX_STROKES {
        return Err(too_many("stroke_batch.depth_um", len, MAX_STROKES));
    }
    if !b.interval_us.is_empty() && b.interval_us.len() != len {
        return Err(Rejected::new(
            RejectReason::Columns,
            "stroke_batch.interval_us",
            format!(
                "{} intervals for {len} depths: send as many, or none",
                b.interval_us.len()
            ),
        ));
    }
    let ascending = b.unread_index.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if !ascending || b.unread_index.last().is_some_and(|&last| last as usize >= len) {
        return Err(Rejected::new(
            RejectReason::Columns,
            "stroke_batch.unread_index",
            "indices must ascend and lie within depth_um",
        ));
    }
    Ok(())
}

pub(super) fn malformed(error: &prost::DecodeError) -> Rejected {
    Rejected::new(
        RejectReason::Malformed,
        "payload",
        format!("no protobuf of this schema: {error}"),
    )
}

pub(super) fn missing(field: &'static str) -> Rejected {
    Rejected::new(RejectReason::MissingField, field, "is missing")
}

pub(super) fn bad_id(field: &'static str, error: &IdError) -> Rejected {
    Rejected::new(RejectReason::BadId, field, error.to_string())
}

pub(super) fn out_of_range(field: &'static str, error: &OutOfRange) -> Rejected {
    Rejected::new(RejectReason::OutOfRange, field, error.to_string())
}

pub(super) fn too_many(field: &'static str, count: usize, max: usize) -> Rejected {
    Rejected::new(
        RejectReason::TooMany,
        field,
        format!("{count}, at most {max} are allowed"),
    )
}

pub(super) fn range_error<T>(made: std::result::Result<T, OutOfRange>) -> OutOfRange {
    made.err().unwrap_or(OutOfRange {
        unit: "",
        value: 0,
        min: 0,
        max: 0,
    })
}

pub(super) fn uptime(micros: u64, field: &'static str) -> Result<Uptime> {
    // Room for one more batch, so that a stroke's own time is always within.
    Uptime::new(micros)
        .filter(|u| u.micros() < Uptime::MAX.micros() - u64::from(MAX_BATCH_DURATION_US))
        .ok_or_else(|| {
            Rejected::new(
                RejectReason::OutOfRange,
                field,
                format!("{micros} µs is more than a century since boot"),
            )
        })
}

pub(super) fn ordinal(value: Option<u64>, field: &'static str) -> Result<u64> {
    total(value, field)?.ok_or_else(|| missing(field))
}

pub(super) fn total(value: Option<u64>, field: &'static str) -> Result<Option<u64>> {
    match value {
        Some(n) if n >= MAX_ORDINAL => Err(Rejected::new(
            RejectReason::OutOfRange,
            field,
            format!("{n} is outside 0 to {MAX_ORDINAL}"),
        )),
        other => Ok(other),
    }
}

pub(super) fn at_most(value: Option<u32>, max: u32, unit: &'static str, field: &'static str) -> Result<Option<u32>> {
    match value {
        Some(n) if n > max => Err(out_of_range(
            field,
            &OutOfRange {
                unit,
                value: i64::from(n),
                min: 0,
                max: i64::from(max),
            },
        )),
        other => Ok(other),
    }
}

pub(super) fn depth_offset(value: Option<i32>) -> Result<Option<i32>> {
    let max = i64::from(DepthUm::MAX);
    match value.map(i64::from) {
        Some(um) if um.abs() > max => Err(out_of_range(
            "birth.depth_offset_um",
            &OutOfRange {
                unit: DepthUm::UNIT,
                value: um,
                min: -max,
                max,
            },
        )),
        _ => Ok(value),
    }
}

pub(super) fn unit<N, T>(
    value: Option<N>,
    new: impl Fn(N) -> std::result::Result<T, OutOfRange>,
    field: &'static str,
) -> Result<Option<T>> {
    value.map(new).transpose().map_err(|e| out_of_range(field, &e))
}

pub(super) fn id<T>(
    text: Option<String>,
    new: impl Fn(&str) -> std::result::Result<T, IdError>,
    field: &'static str,
) -> Result<Option<T>> {
    // nanopb sends "" for a string that was never set.
    text.filter(|t| !t.is_empty())
        .map(|t| new(&t))
        .transpose()
        .map_err(|e| bad_id(field, &e))
}

pub(super) fn items(texts: &[String], field: &'static str) -> Result<Vec<Serial>> {
    if texts.len() > MAX_ITEMS {
        return Err(too_many(field, texts.len(), MAX_ITEMS));
    }
    texts
        .iter()
        .map(|t| Serial::new(t).map_err(|e| bad_id(field, &e)))
        .collect()
}
