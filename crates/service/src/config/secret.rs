//! A value that must not be seen: it prints as `***`, wherever it is printed.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password, token or key. In a file: `"inline"`, `{ file = "/run/secrets/x" }` (a trailing newline is cut; relative to
/// the configuration file) or `{ env = "NAME" }`. [`super::load`] resolves the last two; elsewhere they are refused.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// How a secret that stands elsewhere asks [`super::load`] to fetch it: an error that starts with this, then the kind,
/// a colon and the place. It never reaches a reader when it comes through `load`.
pub(super) const ELSEWHERE: &str = "secret stands elsewhere, in ";

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

/// Its errors never name what was given: it may be the secret.
struct Value;

const ALLOWED: &str = "a string, { file = \"path\" } or { env = \"NAME\" }";

impl<'de> Visitor<'de> for Value {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Secret, E> {
        Ok(Secret::new(value))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(format_args!("a secret must be {ALLOWED}, not a boolean")))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(format_args!("a secret must be {ALLOWED}, not a number")))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        self.visit_i64(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        self.visit_i64(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        self.visit_i64(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        self.visit_i64(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let wrong = || A::Error::custom(format_args!("a secret must be {ALLOWED}"));
        let (Some(kind), place) = (
            map.next_key::<String>()?,
            map.next_value::<String>().map_err(|_| wrong())?,
        ) else {
            return Err(wrong());
        };
        if map.next_key::<String>()?.is_some() || !matches!(kind.as_str(), "file" | "env") {
            return Err(wrong());
        }
        Err(A::Error::custom(format_args!("{ELSEWHERE}{kind}:{place}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_and_serialises_as_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap_or_default(), "\"***\"");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
