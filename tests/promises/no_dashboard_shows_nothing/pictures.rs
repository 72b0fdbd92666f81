//! The pictures in the documentation: written on demand, and none may be missing or of another dashboard than the shipped one.
use tests::workspace_root;

use super::Answers;
use super::grafana::{Dashboard, shipped, text};
use super::picture::{Shown, draw};

/// Set: pictures are written to the documentation.
const WRITE: &str = "DERMATEL_WRITE_PICTURES";

/// Draws a dashboard from what it answered, which must work for each, and keeps the picture if asked to.
pub(super) fn keep(dashboard: &Dashboard, answers: Answers) {
    let chosen: Vec<String> = dashboard
        .variables()
        .iter()
        .filter(|variable| variable["type"] == "query")
        .map(|variable| {
            let values = &answers.chosen.values[text(variable, "name")];
            let value = if variable["multi"] == true {
                "all".to_owned()
            } else {
                values.join(", ")
            };
            format!("{}: {value}", text(variable, "label"))
        })
        .collect();
    let picture = draw(&Shown {
        dashboard,
        answers: answers.panels,
        annotations: answers.annotations,
        from_ms: answers.chosen.from_ms,
        to_ms: answers.chosen.to_ms,
        chosen: chosen.join("   "),
    });
    let picture = format!("{picture}{}", mark(dashboard));
    if std::env::var_os(WRITE).is_some() {
        let file = workspace_root().join(format!("docs/pictures/{}.svg", dashboard.uid()));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, picture).unwrap();
    }
}

/// What a picture ends with: of which state of its dashboard it is.
fn mark(dashboard: &Dashboard) -> String {
    format!("<!-- {} -->\n", dashboard.digest())
}

#[test]
fn each_dashboard_has_a_picture_of_what_is_shipped_and_a_place_in_the_documentation() {
    let docs = std::fs::read_to_string(workspace_root().join("docs/dashboards.md")).unwrap();
    let mut faults = Vec::new();
    for dashboard in shipped() {
        if !docs.contains(dashboard.title()) {
            faults.push(format!("docs/dashboards.md does not tell of {}", dashboard.title()));
        }
        if dashboard.asks_prometheus() {
            continue;
        }
        let name = format!("pictures/{}.svg", dashboard.uid());
        let picture = std::fs::read_to_string(workspace_root().join("docs").join(&name)).unwrap_or_default();
        if !docs.contains(&name) {
            faults.push(format!("docs/dashboards.md does not show {name}"));
        }
        if !picture.ends_with(&mark(&dashboard)) {
            faults.push(format!(
                "{name} is of another state of its dashboard: `cargo xtask pictures` draws it anew"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
