//! Field values that no store can misread: finite numbers, texts without anything to escape, one type per field.

use std::borrow::Cow;

use telemetry::{BootId, CycleId, DeviceId, ModelId, Serial, SessionId, Text, VisitId};

/// Longest [`Plain::clean`]ed text in bytes: a name or a unit, never prose.
pub const CLEAN_MAX_BYTES: usize = 64;

/// The type of a field, in every store and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// 64-bit signed integer (`i` in line protocol).
    Integer,
    /// A finite double.
    Float,
    /// True or false.
    Boolean,
    /// A text without newline, quote or backslash.
    Text,
}

impl FieldType {
    /// Name in the locked schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Text => "text",
        }
    }

    /// The type of the column in SQLite.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Integer | Self::Boolean => "INTEGER",
            Self::Float => "REAL",
            Self::Text => "TEXT",
        }
    }
}

/// A double that is neither NaN nor infinite: InfluxDB refuses those, and SQLite turns NaN into NULL.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Finite(f64);

impl Finite {
    /// Takes a finite number.
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The quotient of two whole numbers; `None` for a divisor of 0.
    pub fn ratio(dividend: u64, divisor: u64) -> Option<Self> {
        (divisor > 0).then(|| Self(dividend as f64 / divisor as f64))
    }

    /// The quotient of two whole numbers, of which the first may be negative; `None` unless the divisor is above 0.
    pub fn quotient(dividend: i64, divisor: i64) -> Option<Self> {
        (divisor > 0).then(|| Self(dividend as f64 / divisor as f64))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A text that needs no escaping anywhere: no control character, double quote or backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain<'a>(Cow<'a, str>);

impl<'a> Plain<'a> {
    /// One of our own names.
    pub const fn name(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Any text: what would need escaping becomes `?`, and what is longer than [`CLEAN_MAX_BYTES`] is cut.
    pub fn clean(text: &str) -> Plain<'static> {
        let mut out = String::with_capacity(text.len().min(CLEAN_MAX_BYTES));
        for c in text.chars() {
            let c = if c.is_control() || matches!(c, '"' | '\\') {
                '?'
            } else {
                c
            };
            if out.len() + c.len_utf8() > CLEAN_MAX_BYTES {
                break;
            }
            out.push(c);
        }
        Plain(Cow::Owned(out))
    }

    /// Numbers, names and punctuation that this crate put together; what would need escaping becomes `?`.
    pub(crate) fn made(text: String) -> Plain<'static> {
        if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return Plain(Cow::Owned(
                text.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "?"),
            ));
        }
        Plain(Cow::Owned(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Detaches it from what it was read from.
    pub fn into_owned(self) -> Plain<'static> {
        Plain(Cow::Owned(self.0.into_owned()))
    }
}

macro_rules! plain_from_id {
    ($($id:ty),+) => {
        // Their alphabets hold nothing that needs escaping.
        $(impl<'a> From<&'a $id> for Plain<'a> {
            fn from(id: &'a $id) -> Self {
                Self(Cow::Borrowed(id.as_str()))
            }
        })+
    };
}
plain_from_id!(Serial, Text, CycleId, DeviceId, ModelId);

impl From<SessionId> for Plain<'_> {
    fn from(id: SessionId) -> Self {
        Self(Cow::Owned(id.to_hex()))
    }
}

impl From<VisitId> for Plain<'_> {
    fn from(id: VisitId) -> Self {
        Self(Cow::Owned(id.to_hex()))
    }
}

impl From<BootId> for Plain<'_> {
    fn from(id: BootId) -> Self {
        Self(Cow::Owned(id.to_string()))
    }
}

/// The value of one field of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// See [`FieldType::Integer`].
    Integer(i64),
    /// See [`FieldType::Float`].
    Float(Finite),
    /// See [`FieldType::Boolean`].
    Boolean(bool),
    /// See [`FieldType::Text`].
    Text(Plain<'a>),
}

/// The start of a text, at most `max` bytes, whole characters only.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// A whole number as a field: every number of ours is below 2^63, and one that is not saturates.
pub(crate) fn int(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cleaned_text_is_short_and_needs_no_escaping(text in "\\PC{0,100}|[\\x00-\\x7f]{0,100}") {
            let plain = Plain::clean(&text);
            prop_assert!(plain.as_str().len() <= CLEAN_MAX_BYTES);
            prop_assert!(!plain.as_str().contains(['"', '\\', '\n', '\r', '\0']));
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_no_field() {
        assert!(Finite::new(f64::NAN).is_none());
        assert!(Finite::new(f64::INFINITY).is_none());
        assert!(Finite::ratio(1, 0).is_none());
        assert_eq!(Finite::ratio(3, 2).unwrap().get(), 1.5);
    }
}
