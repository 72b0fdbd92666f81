//! One TOML table being read: unknown keys are refused at once, every wrong value is one problem, and reading goes on.
use std::ops::RangeInclusive;

use telemetry::UnixMicros;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Date;

use crate::error::LoadReason;
use crate::source::{At, Place, Problems};

/// A table with the only keys it may have.
#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    table: &'a DeTable<'a>,
    name: &'static str,
    pub(crate) place: Place,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    /// Reads `table`; every key that is not in `keys` is a problem.
    pub(crate) fn new(
        table: &'a DeTable<'a>,
        name: &'static str,
        place: Place,
        keys: &[&str],
        problems: &mut Problems<'_>,
    ) -> Self {
        for (key, _) in table.iter() {
            let text: &str = key.get_ref();
            if !keys.contains(&text) {
                let at = Place {
                    file: place.file,
                    byte: key.span().start as u32,
                };
                problems.add(
                    LoadReason::UnknownKey,
                    at,
                    join(name, text),
                    "is not a key of the registry",
                    format!("keys here are: {}", keys.join(", ")),
                );
            }
        }
        Self { table, name, place }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        join(self.name, key)
    }

    fn get(&self, key: &str) -> Option<(&'a Value<'a>, Place)> {
        let value = self.table.get(key)?;
        Some((value, self.place_of(value)))
    }

    fn place_of(&self, value: &Value<'_>) -> Place {
        Place {
            file: self.place.file,
            byte: value.span().start as u32,
        }
    }

    fn wrong_type(&self, key: &str, place: Place, found: &DeValue<'_>, wanted: &str, problems: &mut Problems<'_>) {
        problems.add(
            LoadReason::Type,
            place,
            self.key(key),
            format!("is {}", found.type_str()),
            format!("write {wanted}"),
        );
    }

    /// Reports the key as missing if there is no value.
    pub(crate) fn need<T>(&self, key: &str, value: Option<T>, hint: &str, problems: &mut Problems<'_>) -> Option<T> {
        // A value that was there and wrong has been reported already.
        if value.is_none() && !self.has(key) {
            problems.add(LoadReason::Missing, self.place, self.key(key), "is missing", hint);
        }
        value
    }

    /// Whether the key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(crate) fn str(&self, key: &str, problems: &mut Problems<'_>) -> Option<At<&'a str>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text, place }),
            other => {
                self.wrong_type(key, place, other, "a string", problems);
                None
            }
        }
    }

    /// A string, or an array of at most `max` strings.
    pub(crate) fn strings(&self, key: &str, max: usize, problems: &mut Problems<'_>) -> Vec<At<&'a str>> {
        let Some((value, place)) = self.get(key) else {
            return Vec::new();
        };
        let items: Vec<&'a Value<'a>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() || items.len() > max {
            problems.add(
                LoadReason::OutOfRange,
                place,
                self.key(key),
                format!("has {} entries", items.len()),
                format!("write 1 to {max}"),
            );
        }
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(At {
                    value: text.as_ref(),
                    place: self.place_of(item),
                }),
                other => self.wrong_type(key, place, other, "a string, or an array of strings", problems),
            }
        }
        texts
    }

    /// A text parsed by `parse`, such as an id.
    pub(crate) fn parsed<T, E: std::fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        problems: &mut Problems<'_>,
    ) -> Option<At<T>> {
        let text = self.str(key, problems)?;
        match parse(text.value) {
            Ok(value) => Some(At {
                value,
                place: text.place,
            }),
            Err(e) => {
                problems.add(LoadReason::BadId, text.place, self.key(key), e.to_string(), "");
                None
            }
        }
    }

    pub(crate) fn bool(&self, key: &str, problems: &mut Problems<'_>) -> Option<At<bool>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(At { value: *value, place }),
            other => {
                self.wrong_type(key, place, other, "true or false", problems);
                None
            }
        }
    }

    pub(crate) fn int(
        &self,
        key: &str,
        allowed: &RangeInclusive<i64>,
        unit: &str,
        problems: &mut Problems<'_>,
    ) -> Option<At<i64>> {
        let (value, place) = self.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, place, value.get_ref(), "a whole number", problems);
            return None;
        };
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if allowed.contains(&value) => Some(At { value, place }),
            _ => {
                let unit = if unit.is_empty() {
                    String::new()
                } else {
                    format!(" {unit}")
                };
                problems.add(
                    LoadReason::OutOfRange,
                    place,
                    self.key(key),
                    format!("{}{unit} is not possible", number.as_str()),
                    format!("write {} to {}{unit}", allowed.start(), allowed.end()),
                );
                None
            }
        }
    }

    /// A date, as the first instant of that day in UTC.
    pub(crate) fn day(&self, key: &str, problems: &mut Problems<'_>) -> Option<At<UnixMicros>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::Datetime(t) if t.time.is_none() => t.date.map(|date| At {
                value: UnixMicros(days_since_1970(date) * 86_400 * 1_000_000),
                place,
            }),
            other => {
                self.wrong_type(key, place, other, "a date such as 2026-09-01, without quotes", problems);
                None
            }
        }
    }

    /// A table below this one.
    pub(crate) fn table(
        &self,
        key: &str,
        name: &'static str,
        keys: &[&str],
        problems: &mut Problems<'_>,
    ) -> Option<Section<'a>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(table, name, place, keys, problems)),
            other => {
                self.wrong_type(key, place, other, "a table", problems);
                None
            }
        }
    }

    /// An array of tables below this one.
    pub(crate) fn tables(
        &self,
        key: &str,
        name: &'static str,
        keys: &'static [&'static str],
        problems: &mut Problems<'_>,
    ) -> Vec<Section<'a>> {
        let Some((value, place)) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, place, value.get_ref(), "an array of tables", problems);
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(table, name, self.place_of(item), keys, problems));
                }
                other => self.wrong_type(key, self.place_of(item), other, "a table", problems),
            }
        }
        sections
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// Days from the civil calendar (Gregorian, proleptic); the parser has checked that the date exists.
pub(crate) fn days_since_1970(date: Date) -> i64 {
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let month = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_number_of_days_that_the_calendar_says() {
        for (year, month, day, days) in [
            (1970, 1, 1, 0),
            (1969, 12, 31, -1),
            (2000, 2, 29, 11_016),
            (2026, 11, 22, 20_779),
        ] {
            assert_eq!(days_since_1970(Date { year, month, day }), days);
        }
    }
}
