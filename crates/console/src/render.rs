//! Templates: everything that they show is escaped; what is drawn comes in as finished SVG.
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Serialize;

use crate::access::Person;
use crate::asset;
use crate::console::Inner;
use crate::page::NAV;
use crate::text::{Texts, fill};

/// Every template, by name.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../templates/layout.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("inbox.html", include_str!("../templates/inbox.html")),
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
pub(crate) struct Svg(pub(crate) String);

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
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        env.set_fuel(Some(FUEL));
        env.add_filter("fill", fill_in);
        env.add_filter("utc", utc);
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
        name: &'static str,
        who: Option<&Person>,
        page: &impl Serialize,
        pictures: &[(&'static str, Svg)],
    ) -> Response {
        let pictures: std::collections::BTreeMap<_, _> = pictures
            .iter()
            .map(|(name, svg)| (*name, Value::from_safe_string(svg.0.clone())))
            .collect();
        let shown = context! {
            t => Value::from(Serde(self.texts.all())),
            who => Value::from(Serde(who)),
            nav => Value::from(Serde(NAV)),
            now_us => console.now().0,
            version => &self.version,
            template => name,
            pictures => pictures,
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
fn utc(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us);
    at.map_or_else(|| at_us.to_string(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}
