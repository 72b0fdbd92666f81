//! The shipped dashboards as Grafana reads them: panels, variables and annotations out of the JSON, variables and macros filled in.
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tests::workspace_root;

/// Width of a panel in pixels that Grafana divides the range by, to find `$__interval`.
const POINTS: i64 = 800;

/// One shipped dashboard.
pub(super) struct Dashboard {
    pub(super) file: PathBuf,
    pub(super) json: Value,
}

/// Every shipped dashboard.
pub(super) fn shipped() -> Vec<Dashboard> {
    let mut out = Vec::new();
    for folder in std::fs::read_dir(workspace_root().join("deploy/grafana/dashboards")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let json = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            out.push(Dashboard { file, json });
        }
    }
    out.sort_by(|a, b| a.file.cmp(&b.file));
    assert!(!out.is_empty(), "no dashboard is shipped");
    out
}

impl Dashboard {
    pub(super) fn title(&self) -> &str {
        text(&self.json, "title")
    }

    pub(super) fn uid(&self) -> &str {
        text(&self.json, "uid")
    }

    /// A digest of what is shipped.
    pub(super) fn digest(&self) -> String {
        let shipped = std::fs::read(&self.file).unwrap();
        registry::sha256(&shipped)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(super) fn panels(&self) -> &[Value] {
        list(&self.json, "/panels")
    }

    pub(super) fn annotations(&self) -> impl Iterator<Item = &Value> {
        list(&self.json, "/annotations/list")
            .iter()
            .filter(|one| one.get("target").is_some())
    }

    pub(super) fn variables(&self) -> &[Value] {
        list(&self.json, "/templating/list")
    }

    pub(super) fn asks_prometheus(&self) -> bool {
        self.panels()[0]["datasource"]["type"] == "prometheus"
    }
}

/// The text of a key; empty if it has none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The list at a pointer; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is chosen at the top of a dashboard.
#[derive(Debug, Clone, Default)]
pub(super) struct Chosen {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// By name; several values of one variable, or one.
    pub(super) values: BTreeMap<String, Vec<String>>,
    /// Variables whose values stand in a regular expression: those that take several.
    pub(super) several: Vec<String>,
}

impl Chosen {
    /// With one more value chosen.
    pub(super) fn one(&self, name: &str, value: String) -> Self {
        let mut out = self.clone();
        out.values.insert(name.to_owned(), vec![value]);
        out
    }

    /// With all values of a variable that takes several.
    pub(super) fn several(&self, name: &str, values: Vec<String>) -> Self {
        let mut out = self.clone();
        out.values.insert(name.to_owned(), values);
        out.several.push(name.to_owned());
        out
    }

    /// With "All" as Grafana fills it in where several can be chosen.
    pub(super) fn all_of_several(&self, dashboard: &Dashboard) -> Self {
        let several = dashboard
            .variables()
            .iter()
            .filter(|variable| variable["multi"] == true);
        several.fold(self.clone(), |chosen, variable| {
            chosen.several(text(variable, "name"), vec![text(variable, "allValue").to_owned()])
        })
    }

    /// `$__interval` as Grafana computes it: the range over the panel's width, rounded to something that people use.
    pub(super) fn interval(&self) -> &'static str {
        /// Below so many milliseconds it is that.
        const ROUNDED: [(i64, &str); 8] = [
            (1_500, "1s"),
            (7_500, "5s"),
            (15_000, "10s"),
            (45_000, "30s"),
            (90_000, "1m"),
            (210_000, "2m"),
            (450_000, "5m"),
            (750_000, "10m"),
        ];
        let exact = (self.to_ms - self.from_ms) / POINTS;
        ROUNDED
            .iter()
            .find(|(below, _)| exact < *below)
            .map_or("30m", |(_, name)| *name)
    }

    /// A query with its macros and variables filled in; a variable that nobody chose fails.
    pub(super) fn fill(&self, query: &str) -> String {
        let mut out = query
            .replace(
                "$timeFilter",
                &format!("time >= {}ms and time <= {}ms", self.from_ms, self.to_ms),
            )
            .replace("${__from}", &self.from_ms.to_string())
            .replace("${__to}", &self.to_ms.to_string())
            .replace("$__interval", self.interval());
        for (name, values) in &self.values {
            let value = match values.as_slice() {
                [one] if !self.several.contains(name) => one.clone(),
                // Grafana makes an alternative of several values.
                many => format!("({})", many.join("|")),
            };
            out = out.replace(&format!("${{{name}}}"), &value);
            out = replace_word(&out, &format!("${name}"), &value);
        }
        assert!(!has_variable(&out), "a variable of this query is not defined: {out}");
        out
    }
}

/// Whether a `$` begins a name (and does not end a regular expression).
fn has_variable(query: &str) -> bool {
    let bytes = query.as_bytes();
    (0..bytes.len()).any(|at| {
        bytes[at] == b'$'
            && bytes
                .get(at + 1)
                .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_' || *b == b'{')
    })
}

/// Replaces `$name` where no longer name stands.
fn replace_word(text: &str, name: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let after = &rest[at + name.len()..];
        out.push_str(&rest[..at]);
        let longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        out.push_str(if longer { name } else { value });
        rest = after;
    }
    out + rest
}
