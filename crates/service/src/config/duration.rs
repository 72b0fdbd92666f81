//! Durations in a configuration: `"5s"`, `"250ms"`, `"1h30m"`; use it as `#[serde(with = "service::config::duration")]`.

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserializer, Serializer};

/// Why a duration does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, or no known unit.
    #[error("'{0}' is not a duration, write whole numbers with units, for example 250ms or 1h30m (us, ms, s, m, h, d)")]
    Syntax(String),
    /// More than a duration can hold.
    #[error("'{0}' is too long")]
    TooLong(String),
}

/// Microseconds of each unit, from the largest.
const UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
];

/// Parses a duration with its units; the resolution is one microsecond.
///
/// # Errors
/// [`DurationError`], which says what is allowed.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let syntax = || DurationError::Syntax(crate::logging::clean(text, 32));
    let too_long = || DurationError::TooLong(crate::logging::clean(text, 32));
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(syntax());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, number.is_empty()) else {
            return Err(syntax());
        };
        let number: u64 = number.parse().map_err(|_| too_long())?;
        let part = number.checked_mul(factor).ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_micros(total))
}

/// The duration as [`parse`] reads it, in the fewest parts; digits below a microsecond are cut.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, factor) in UNITS {
        let n = rest / factor;
        rest %= factor;
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
        }
    }
    out
}

/// For serde.
///
/// # Errors
/// As the serialiser says.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For serde.
///
/// # Errors
/// What is wrong and what is allowed.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;
    impl serde::de::Visitor<'_> for Text {
        type Value = Duration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration with its unit in quotes, for example \"5s\" or \"250ms\"")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Text).map_err(D::Error::custom)
}

/// The same for `Option<Duration>`: `#[serde(default, with = "service::config::duration::option")]`.
pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Wrapped(#[serde(with = "super")] Duration);

    /// For serde.
    ///
    /// # Errors
    /// As the serialiser says.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For serde.
    ///
    /// # Errors
    /// What is wrong and what is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::<Wrapped>::deserialize(deserializer).map(|wrapped| wrapped.map(|Wrapped(duration)| duration))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_reads_back_as_it_prints(micros: u64) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn durations_have_units_and_bare_numbers_are_refused() {
        assert_eq!(parse("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse("7d").unwrap(), Duration::from_secs(604_800));
        for bad in ["5", "", "s", "-5s", "1.5s", "5 sec", "5S"] {
            assert!(matches!(parse(bad), Err(DurationError::Syntax(_))), "{bad}");
        }
        assert!(matches!(parse("99999999999999d"), Err(DurationError::TooLong(_))));
    }
}
