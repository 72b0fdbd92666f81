//! Templates: everything that they show is escaped; what is drawn comes in as finished SVG.
use axum::http::StatusCode;
use std::collections::BTreeMap;

use axum::response::{Html, IntoResponse, Response};
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use crate::access::Person;
use crate::asset;
use crate::console::Inner;
use crate::page::NAV;
use crate::text::{Texts, fill};
use crate::time;

/// Every template, by name.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../templates/layout.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("bounce.html", include_str!("../templates/bounce.html")),
    ("sign_in.html", include_str!("../templates/sign_in.html")),
    ("inbox.html", include_str!("../templates/inbox.html")),
    ("alert.html", include_str!("../templates/alert.html")),
    ("silence.html", include_str!("../templates/silence.html")),
    ("silences.html", include_str!("../templates/silences.html")),
    ("views.html", include_str!("../templates/views.html")),
    ("fleet.html", include_str!("../templates/fleet.html")),
    ("clinic.html", include_str!("../templates/clinic.html")),
    ("device.html", include_str!("../templates/device.html")),
    ("session.html", include_str!("../templates/session.html")),
    ("hygiene.html", include_str!("../templates/hygiene.html")),
    ("scan.html", include_str!("../templates/scan.html")),
    ("pipeline.html", include_str!("../templates/pipeline.html")),
];

/// Most steps of one rendering: a loop without end costs its page.
const FUEL: u64 = 5_000_000;

/// Why a page was not rendered: a fault of the program.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template.
    #[error("template {name} is refused")]
    Template {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: minijinja::Error,
    },
    /// The texts.
    #[error("the texts are refused")]
    Texts(#[source] toml::de::Error),
}

/// A finished drawing: markup of ours, with every text in it escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Svg {
    /// The drawing.
    pub(crate) markup: String,
    /// The same in words.
    pub(crate) description: String,
}

/// Which page it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'p> {
    /// Its template.
    pub(crate) template: &'static str,
    /// The section of [`NAV`] that it belongs to, or "".
    pub(crate) section: &'static str,
    /// Where it is as JSON; `None`: nowhere.
    pub(crate) json: Option<&'p str>,
}

impl Shown<'static> {
    /// One that belongs nowhere and is no JSON.
    pub(crate) const fn alone(template: &'static str) -> Self {
        Self {
            template,
            section: "",
            json: None,
        }
    }
}

/// The templates and the texts that they show.
pub(crate) struct Templates {
    env: Environment<'static>,
    texts: Texts,
    version: String,
}

impl Templates {
    /// Reads all.
    ///
    /// # Errors
    /// [`RenderError`].
    pub(crate) fn new() -> Result<Self, RenderError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        env.set_fuel(Some(FUEL));
        env.add_filter("fill", fill_in);
        env.add_filter("utc", utc);
        env.add_filter("iso", iso);
        env.add_filter("age", age);
        time::add_filters(&mut env);
        for (name, source) in TEMPLATES {
            env.add_template(name, source)
                .map_err(|source| RenderError::Template { name, source })?;
        }
        Ok(Self {
            env,
            texts: Texts::english().map_err(RenderError::Texts)?,
            version: asset::version(),
        })
    }

    /// The texts.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// A page: `page` is its view model, `pictures` what is drawn for it.
    pub(crate) fn page(
        &self,
        console: &Inner,
        shown: Shown<'_>,
        who: Option<&Person>,
        page: &impl Serialize,
        pictures: &[(&'static str, Svg)],
    ) -> Response {
        let drawn = |(name, svg): &(&'static str, Svg)| (*name, Value::from_safe_string(svg.markup.clone()));
        let pictures_of: BTreeMap<_, _> = pictures.iter().map(drawn).collect();
        let descriptions: BTreeMap<_, _> = pictures.iter().map(|(name, svg)| (*name, &svg.description)).collect();
        let name = shown.template;
        let shown = context! {
            t => Value::from(Serde(self.texts.all())),
            who => Value::from(Serde(who)),
            nav => Value::from(Serde(NAV)),
            now_us => console.now().0,
            version => &self.version,
            section => shown.section,
            json => shown.json,
            apart => console.gateway.is_none(),
            fenced => console.alerts.is_fenced(),
            stands_by => console.alerts.stands_by(),
            pictures => Value::from(pictures_of),
            descriptions => Value::from(Serde(descriptions)),
            page => Value::from(Serde(page)),
        };
        match self.env.get_template(name).and_then(|template| template.render(shown)) {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(template = name, error = %format_args!("{error:#}"), "a template failed");
                let text = self.texts.get("message.template.text").to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
}

/// `{{ t.some.text | fill(n=3) }}`.
fn fill_in(text: &str, values: Kwargs) -> Result<String, minijinja::Error> {
    let mut pairs = Vec::new();
    for name in values.args() {
        let value: Value = values.get(name)?;
        pairs.push((name, value.to_string()));
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(fill(text, &pairs))
}

/// Microseconds since 1970 as `2026-11-22 03:04:05`.
pub(crate) fn utc(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us);
    at.map_or_else(|| at_us.to_string(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// The same for machines.
fn iso(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us);
    at.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// How long between a moment and now, in the largest units that say something.
fn age(at_us: i64, now_us: i64) -> String {
    let seconds = now_us.saturating_sub(at_us).max(0) / 1_000_000;
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses_and_none_lets_markup_through() {
        Templates::new().unwrap();
        for (name, source) in TEMPLATES {
            assert!(!source.contains("safe") && !source.contains("autoescape"), "{name}");
        }
    }

    /// The keys that a template names: `t.a.b`.
    fn keys(source: &str) -> Vec<&str> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let starts = source.match_indices("t.").filter(|(at, _)| {
            let before = source.get(..*at).and_then(|before| before.chars().next_back());
            before.is_none_or(|c| !word(c) && c != '-' && c != '/')
        });
        starts
            .map(|(at, _)| {
                let rest = source.get(at + 2..).unwrap_or_default();
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                rest.get(..end).unwrap_or_default()
            })
            .collect()
    }

    #[test]
    fn every_text_that_a_template_names_is_there() {
        let texts = Texts::english().unwrap();
        let mut found = 0;
        for (name, source) in TEMPLATES {
            for key in keys(source) {
                found += 1;
                // A whole section is looked into by a name of ours.
                let section = texts.all().get(key).is_some_and(toml::Value::is_table);
                assert!(section || texts.get(key) != key, "{name} names {key}");
            }
        }
        assert!(found > 100, "{found}");
    }

    #[test]
    fn an_age_is_said_in_the_units_that_matter() {
        let second = 1_000_000;
        for (seconds, said) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_700, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(age(0, seconds * second), said);
        }
        assert_eq!(
            (utc(0), iso(0)),
            ("1970-01-01 00:00:00".to_owned(), "1970-01-01T00:00:00Z".to_owned())
        );
        assert_eq!((utc(i64::MAX), iso(i64::MAX)), (i64::MAX.to_string(), String::new()));
    }
}
