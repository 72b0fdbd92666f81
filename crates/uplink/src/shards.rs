//! A set of shards: what an instance owns, what a gateway has devices in.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use telemetry::SHARDS;

/// Some of the [`SHARDS`] shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardSet(u64);

/// Why a text is no set of shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no set of shards, write it as \"0-31\" or \"0,5,40-63\"; shards are 0 to 63")]
pub struct ShardSetError(String);

impl ShardSet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// Every shard.
    pub const ALL: Self = Self(u64::MAX);

    /// From a mask: bit s stands for shard s.
    pub const fn from_mask(mask: u64) -> Self {
        Self(mask)
    }

    /// As a mask.
    pub const fn mask(self) -> u64 {
        self.0
    }

    /// Whether a shard is in it.
    pub const fn contains(self, shard: u16) -> bool {
        shard < SHARDS && self.0 & (1 << shard) != 0
    }

    /// With one more; a number that is no shard changes nothing.
    #[must_use]
    pub const fn with(self, shard: u16) -> Self {
        if shard < SHARDS {
            Self(self.0 | (1 << shard))
        } else {
            self
        }
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether none is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..SHARDS).filter(move |shard| self.contains(*shard))
    }
}

impl FromIterator<u16> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u16>>(shards: I) -> Self {
        shards.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl FromStr for ShardSet {
    type Err = ShardSetError;

    fn from_str(text: &str) -> Result<Self, ShardSetError> {
        let wrong = || ShardSetError(text.to_owned());
        let number = |text: &str| match text.trim().parse::<u16>() {
            Ok(shard) if shard < SHARDS => Ok(shard),
            _ => Err(wrong()),
        };
        let mut set = Self::EMPTY;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong());
            }
            set = (first..=last).fold(set, Self::with);
        }
        Ok(set)
    }
}

impl TryFrom<String> for ShardSet {
    type Error = ShardSetError;

    fn try_from(text: String) -> Result<Self, ShardSetError> {
        text.parse()
    }
}

impl From<ShardSet> for String {
    fn from(set: ShardSet) -> Self {
        set.to_string()
    }
}

impl fmt::Display for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shard = 0;
        let mut first = true;
        while shard < SHARDS {
            if !self.contains(shard) {
                shard += 1;
                continue;
            }
            let begin = shard;
            while self.contains(shard) {
                shard += 1;
            }
            let comma = if first { "" } else { "," };
            first = false;
            match shard - begin {
                1 => write!(f, "{comma}{begin}")?,
                _ => write!(f, "{comma}{begin}-{}", shard - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_set_is_read_as_it_is_written(mask in 1u64..) {
            let set = ShardSet::from_mask(mask);
            proptest::prop_assert_eq!(set.to_string().parse::<ShardSet>().unwrap(), set);
            proptest::prop_assert_eq!(set.iter().collect::<ShardSet>(), set);
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "64", "3-1", "0-64", "a", "1,,2", "-1", "1-"] {
            assert!(text.parse::<ShardSet>().is_err(), "{text:?}");
        }
        assert_eq!("0-63".parse::<ShardSet>().unwrap(), ShardSet::ALL);
    }
}
