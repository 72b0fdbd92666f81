//! The words of a page: templates of minijinja over the page's own fields, ours per way, or the operator's. Checked at load by
//! rendering a sample of every priority and state; one that fails all the same costs its words, never the page.
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::page;
use crate::config;
use crate::plural::counted;

/// One line.
const TITLE: &str = include_str!("words/title.j2");
/// One line that stays the same over an alert's life.
const SUBJECT: &str = include_str!("words/subject.j2");
/// All that a person wants to know.
const FULL: &str = include_str!("words/full.j2");
/// For a small screen.
const SHORT: &str = include_str!("words/short.j2");
/// Most steps of one rendering: a loop without end costs its words.
const FUEL: u64 = 50_000;
/// Longest rendered part in bytes; what is longer is cut.
const PART_MAX: usize = 16_384;
/// Largest template file in bytes.
const FILE_MAX: usize = 65_536;
/// Alerts of a digest that are named one by one; providers limit the length of a message.
const DIGEST_LINES: usize = 20;

/// Title and text of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) title: String,
    pub(super) text: String,
}

/// How the words of a way are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Full,
    Short,
    Mail,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    /// It does not parse, asks for what no page has, or never ends.
    #[error("template does not render: {0}")]
    Render(String),
    /// Nobody could read that.
    #[error("template renders to nothing")]
    Empty,
    /// Its file.
    #[error("template {path} cannot be read: {what}")]
    File {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
    /// Its file.
    #[error("template {path}: {source}")]
    In {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: Box<TemplateError>,
    },
}

/// The templates of a receiver.
pub(super) struct Templates {
    env: Environment<'static>,
    title: String,
    text: String,
}

impl Templates {
    /// The operator's where they are set, else those of the way; checked.
    pub(super) fn new(own: &config::Template, style: Style) -> Result<Self, TemplateError> {
        let (title, text) = match style {
            Style::Full => (TITLE, FULL),
            Style::Short => (TITLE, SHORT),
            Style::Mail => (SUBJECT, FULL),
        };
        Ok(Self {
            env: environment(),
            title: source(own.title.as_ref(), title)?,
            text: source(own.text.as_ref(), text)?,
        })
    }

    /// The words of a page. The error beside them: a template failed, and these are the built-in ones.
    pub(super) fn words(&self, page: &Value) -> (Words, Option<TemplateError>) {
        if page["digest"] == true {
            return (digest(page), None);
        }
        let rendered = render(&self.env, &self.title, page).and_then(|title| {
            let text = render(&self.env, &self.text, page)?;
            Ok(Words {
                title: one_line(&title),
                text,
            })
        });
        match rendered {
            Ok(words) => (words, None),
            Err(error) => (built_in(page), Some(error)),
        }
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env
}

fn source(own: Option<&config::Words>, default: &str) -> Result<String, TemplateError> {
    match own {
        None => Ok(default.to_owned()),
        Some(config::Words::Inline(source)) => check(source).map(|()| source.clone()),
        Some(config::Words::File { file }) => from_file(file),
    }
}

fn from_file(path: &Path) -> Result<String, TemplateError> {
    let failed = |what: String| TemplateError::File {
        path: path.display().to_string(),
        what,
    };
    let source = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if source.len() > FILE_MAX {
        return Err(failed(format!("it is larger than {FILE_MAX} bytes")));
    }
    check(&source).map_err(|source| TemplateError::In {
        path: path.display().to_string(),
        source: Box::new(source),
    })?;
    Ok(source)
}

/// Renders a template with sample pages of every priority and state.
pub(crate) fn check(source: &str) -> Result<(), TemplateError> {
    let env = environment();
    samples()
        .iter()
        .try_for_each(|page| render(&env, source, page).map(drop))
}

/// A template for one page.
pub(super) fn render_one(source: &str, page: &Value) -> Result<String, TemplateError> {
    render(&environment(), source, page)
}

fn render(env: &Environment<'_>, source: &str, page: &Value) -> Result<String, TemplateError> {
    let rendered = env
        .render_str(source, minijinja::value::Serde(page))
        // The alternate form names the line and what stands there.
        .map_err(|error| TemplateError::Render(error.to_string()))?;
    if rendered.trim().is_empty() {
        return Err(TemplateError::Empty);
    }
    Ok(cut(rendered.trim_end(), PART_MAX).to_owned())
}

/// A title has one line: a mail's header and a push's title would break at the second.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `max` bytes at most, whole characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn said<'p>(page: &'p Value, field: &str) -> &'p str {
    page[field].as_str().unwrap_or_default()
}

/// Words that cannot fail.
fn built_in(page: &Value) -> Words {
    let line = |field| said(page, field);
    Words {
        title: one_line(&format!(
            "{} {}: {}",
            line("priority"),
            line("state"),
            line("what_happened")
        )),
        text: format!(
            "{}\nWhere: {}\nWhat to do: {}\nAlert: {}\n(The template of this receiver failed: these are the built-in words.)",
            line("what_happened"),
            line("where"),
            line("what_to_do"),
            line("alert_id")
        ),
    }
}

fn digest(page: &Value) -> Words {
    let alerts = page["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines = alerts.iter().take(DIGEST_LINES).map(|alert| {
        let line = |field| said(alert, field);
        format!(
            "- {} {}, {}: {}",
            line("priority"),
            line("state"),
            line("where"),
            line("what_happened")
        )
    });
    let mut lines: Vec<String> = lines.collect();
    if alerts.len() > DIGEST_LINES {
        lines.push(format!("and {} more", alerts.len() - DIGEST_LINES));
    }
    let old = alerts.iter().all(|alert| said(alert, "class") == "late");
    Words {
        title: format!(
            "{} of {}{}",
            counted(alerts.len(), "alert", "alerts"),
            said(page, "tenant"),
            if old { " about things older than a day" } else { "" }
        ),
        text: lines.join("\n"),
    }
}

/// Pages as they may come: every priority and state, with and without what may be missing.
pub(super) fn samples() -> Vec<Value> {
    let mut samples = Vec::new();
    let states = crate::lifecycle::State::ALL.iter().map(|state| state.as_str());
    for state in states.chain([page::TEST]) {
        for priority in ["info", "low", "medium", "high"] {
            for whole in [true, false] {
                samples.push(sample(state, priority, whole));
            }
        }
    }
    samples
}

fn sample(state: &str, priority: &str, whole: bool) -> Value {
    let some = |text: &str| if whole { json!(text) } else { Value::Null };
    let mut page = json!({
        "alert_id": "0123456789abcdef0123456789abcdef", "transition_id": "fedcba9876543210fedcba9876543210",
        "rule": "depth-above-limit", "kind": "depth_above_limit", "priority": priority, "state": state, "why": "raised",
        "tenant": if whole { "aurora" } else { "" }, "clinic": if whole { "north" } else { "" }, "device": "pen-1",
        "zone": some("cheek"), "value": 1400.0, "limit": 1000.0, "unit": if whole { "um" } else { "" },
        "what_happened": "one stroke 1.400 mm deep, the limit is 1.000 mm", "where": "device pen-1 at north, zone cheek",
        "what_to_do": "Stop the pen now.", "event_time": "2026-11-22T16:00:00.000Z",
        "decided_at": "2026-11-22T16:00:00.100Z", "class": "live", "link": some("https://dermatel.example/a/1"),
    });
    page::complete(&mut page, "on-call", !whole);
    if whole {
        page["because"] = json!("receiver on-call");
        page["chain"] = json!("nights");
        page["step"] = json!(1);
        page["repetition"] = json!(0);
    }
    page["fallback_for"] = some("pager");
    page["fallback_reason"] = some("timeout");
    page
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn own(title: &str) -> config::Template {
        config::Template {
            title: Some(config::Words::Inline(title.to_owned())),
            text: None,
        }
    }

    #[test]
    fn the_words_that_come_with_the_program_render_every_page_and_say_what_happened_where_and_what_to_do() {
        for style in [Style::Full, Style::Short, Style::Mail] {
            let templates = Templates::new(&config::Template::default(), style).unwrap();
            check(&templates.title).unwrap();
            check(&templates.text).unwrap();
            for page in samples() {
                let (words, failed) = templates.words(&page);
                assert!(failed.is_none(), "{failed:?}");
                for field in ["what_happened", "where", "what_to_do"] {
                    assert!(
                        words.text.contains(said(&page, field)),
                        "{style:?} lacks {field}: {}",
                        words.text
                    );
                }
                assert_eq!(
                    words.text.contains("repeat"),
                    page["possible_repeat"] == true,
                    "{}",
                    words.text
                );
            }
        }
    }

    #[test]
    fn the_subject_of_a_mail_is_the_same_for_every_step_of_an_alert() {
        let templates = Templates::new(&config::Template::default(), Style::Mail).unwrap();
        let title = |state| templates.words(&sample(state, "high", true)).0.title;
        assert_eq!(title("firing"), title("resolved"));
        assert_eq!(
            title("firing"),
            "[HIGH] depth-above-limit: device pen-1 at north, zone cheek"
        );
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_at_load() {
        let bad = [
            "{{ priority ",
            "{{ visit }}",
            "{{ session_id }}",
            "{{ zone.name }}",
            "{{ what_happened|nofilter }}",
            "{% if state == 'firing' %}{{ priority }}{% endif %}",
            "{% for a in range(9000) %}{% for b in range(9000) %}x{% endfor %}{% endfor %}",
        ];
        for source in bad {
            assert!(Templates::new(&own(source), Style::Full).is_err(), "{source}");
        }
        let fine = own("{{ priority }} {% if zone %}in {{ zone }}{% endif %}");
        Templates::new(&fine, Style::Full).unwrap();
    }

    #[test]
    fn a_template_that_fails_at_run_time_costs_its_words_and_not_the_page() {
        // Renders every sample, and not a value that no sample has.
        let templates = Templates::new(&own("{{ 1 // (value|int) }}x"), Style::Full).unwrap();
        let mut page = sample("firing", "high", true);
        page["value"] = json!(0);
        let (words, failed) = templates.words(&page);
        assert!(failed.is_some());
        assert!(words.title.contains("one stroke 1.400 mm deep"), "{words:?}");
        assert!(words.text.contains("template of this receiver failed"));
    }

    #[test]
    fn a_digest_names_its_alerts_up_to_a_bound() {
        let alerts: Vec<Value> = (0..25).map(|_| sample("firing", "low", true)).collect();
        let page = json!({"digest": true, "tenant": "aurora", "count": 25, "alerts": alerts});
        let words = Templates::new(&config::Template::default(), Style::Short)
            .unwrap()
            .words(&page)
            .0;
        assert_eq!(words.title, "25 alerts of aurora");
        assert_eq!(words.text.lines().count(), DIGEST_LINES + 1);
        assert!(words.text.ends_with("and 5 more"));
    }

    proptest::proptest! {
        #[test]
        fn a_cut_text_is_a_prefix_of_whole_characters(text in "\\PC{0,40}", max in 0usize..60) {
            let short = cut(&text, max);
            proptest::prop_assert!(short.len() <= max && text.starts_with(short));
        }

        #[test]
        fn arbitrary_text_as_a_template_is_refused_or_renders_and_never_panics(source in "[{}%#a-z| .()'\"0-9]{0,60}") {
            let _ = check(&source);
        }
    }
}
