//! A dashboard that shows nothing cannot be shipped: every query of every panel, variable and annotation runs on real servers
//! over a simulated day, and what Grafana will read is checked against Grafana's own types.
mod day;
mod from_the_start;
mod grafana;
mod influxql;
mod picture;
mod pictures;
mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use self::day::Day;
use self::grafana::{Chosen, Dashboard, list, shipped, text};
use self::influxql::{Series, ask, unknown_names};

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let mut faults = Vec::new();
    for dashboard in shipped() {
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.title(), text(panel, "title"));
            let queries = list(panel, "/targets");
            let asks = |target: &Value| !text(target, "query").is_empty() || !text(target, "expr").is_empty();
            if queries.is_empty() || !queries.iter().all(asks) {
                faults.push(format!("{place} asks nothing"));
            }
            for key in ["title", "description"] {
                if text(panel, key).is_empty() {
                    faults.push(format!("{place} has no {key}"));
                }
            }
            if text(&panel["fieldConfig"]["defaults"], "unit").is_empty() {
                faults.push(format!("{place} has no unit"));
            }
            if panel["gridPos"]["w"].as_u64() < Some(4) || panel["gridPos"]["h"].as_u64() < Some(4) {
                faults.push(format!("{place} is too small to look at"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_shipped_is_what_grafana_s_own_types_know() {
    let out = Command::new(tests::python())
        .arg(tests::workspace_root().join("tests/grafana/check.py"))
        .args(shipped().iter().map(|dashboard| &dashboard.file))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}

#[test]
fn every_query_of_every_dashboard_answers_with_data() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let faults = runtime.block_on(async {
        let day = Day::stored().await;
        let mut faults = Vec::new();
        for dashboard in shipped().iter().filter(|one| !one.asks_prometheus()) {
            let mut judged = Judged::default();
            match judged.walk(&day, dashboard).await {
                Ok(best) => pictures::keep(dashboard, best),
                Err(why) => faults.push(why),
            }
            faults.extend(judged.faults());
        }
        faults
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What every query answered with one choice of the variables.
struct Answers {
    chosen: Chosen,
    /// By panel, by query.
    panels: Vec<Vec<Vec<Series>>>,
    annotations: Vec<Vec<Series>>,
}

impl Answers {
    /// How much there is to see: panels and annotations with something in them first, then values.
    fn richness(&self) -> (usize, usize) {
        let answered = |all: &[Vec<Series>]| all.iter().flatten().any(Series::has_value);
        let panels = self.panels.iter().filter(|panel| answered(panel)).count();
        let marks = self
            .annotations
            .iter()
            .filter(|one| one.iter().any(Series::has_value))
            .count();
        let all = self.panels.iter().flatten().flatten();
        (panels + marks, all.map(|series| series.rows.len()).sum())
    }
}

/// Times of all rows.
fn times(answers: &[Vec<Series>]) -> BTreeSet<i64> {
    let rows = answers.iter().flatten().flat_map(|series| &series.rows);
    rows.filter_map(|row| row[0].as_i64()).collect()
}

/// What became of each query, by its place.
#[derive(Default)]
struct Judged {
    answered: BTreeSet<String>,
    empty: BTreeMap<String, String>,
    wrong: BTreeMap<String, String>,
}

impl Judged {
    fn faults(self) -> Vec<String> {
        let empty = self
            .empty
            .into_iter()
            .filter(|(place, _)| !self.answered.contains(place));
        let told = |(place, why)| format!("{place}: {why}");
        empty.map(told).chain(self.wrong.into_iter().map(told)).collect()
    }

    /// Every query with every choice of the variables; gives the choice with the most to see.
    async fn walk(&mut self, day: &Day, dashboard: &Dashboard) -> Result<Answers, String> {
        let mut best: Option<Answers> = None;
        for chosen in choices(day, dashboard).await? {
            let answers = self.ask_all(day, dashboard, chosen).await;
            if best.as_ref().is_none_or(|best| answers.richness() > best.richness()) {
                best = Some(answers);
            }
        }
        let best = best.ok_or_else(|| format!("{}: nothing can be chosen", dashboard.title()))?;
        // As a dashboard is opened: where several can be chosen, all are.
        let opened = self
            .ask_all(day, dashboard, best.chosen.all_of_several(dashboard))
            .await;
        if opened.richness() < best.richness() {
            return Err(format!(
                "{}: \"All\" shows less than all of them named",
                dashboard.title()
            ));
        }
        Ok(best)
    }

    async fn ask_all(&mut self, day: &Day, dashboard: &Dashboard, chosen: Chosen) -> Answers {
        let mut panels = Vec::new();
        for panel in dashboard.panels() {
            let mut answers = Vec::new();
            for target in list(panel, "/targets") {
                let place = format!(
                    "{} / {} {}",
                    dashboard.title(),
                    text(panel, "title"),
                    text(target, "refId")
                );
                answers.push(self.ask(day, &chosen, place, text(target, "query")).await);
            }
            if list(panel, "/transformations").iter().any(|one| one["id"] == "merge") && times(&answers).len() > 1 {
                let place = format!("{} / {}", dashboard.title(), text(panel, "title"));
                self.wrong
                    .insert(place, "rows of different times do not become one row".to_owned());
            }
            panels.push(answers);
        }
        let mut annotations = Vec::new();
        for annotation in dashboard.annotations() {
            let place = format!("{} / annotation {}", dashboard.title(), text(annotation, "name"));
            annotations.push(
                self.ask(day, &chosen, place, text(&annotation["target"], "query"))
                    .await,
            );
        }
        Answers {
            chosen,
            panels,
            annotations,
        }
    }

    async fn ask(&mut self, day: &Day, chosen: &Chosen, place: String, query: &str) -> Vec<Series> {
        let unknown = unknown_names(query);
        if !unknown.is_empty() {
            self.wrong
                .insert(place, format!("the schema has no {unknown:?}: {query}"));
            return Vec::new();
        }
        let filled = chosen.fill(query);
        match ask(day, &filled).await {
            Ok(series) => {
                if series.iter().any(Series::has_value) {
                    self.answered.insert(place);
                } else {
                    self.empty.insert(place, format!("nothing to show: {filled}"));
                }
                series
            }
            Err(why) => {
                self.wrong.insert(place, format!("{why}: {filled}"));
                Vec::new()
            }
        }
    }
}

/// Every combination of what can be chosen: all of it where several can be, else one after the other.
async fn choices(day: &Day, dashboard: &Dashboard) -> Result<Vec<Chosen>, String> {
    let start = Chosen {
        from_ms: day.from_ms,
        to_ms: day.to_ms,
        ..Chosen::default()
    };
    let mut all = vec![start];
    for variable in dashboard.variables() {
        let name = text(variable, "name");
        let mut next = Vec::new();
        for chosen in all {
            match text(variable, "type") {
                "query" => {
                    let values = values(day, &chosen, variable).await?;
                    if variable["multi"] == true {
                        next.push(chosen.several(name, values));
                    } else {
                        next.extend(values.into_iter().map(|value| chosen.one(name, value)));
                    }
                }
                "textbox" => next.push(chosen.one(name, text(variable, "query").to_owned())),
                "datasource" => next.push(chosen.one(name, "the-only-one".to_owned())),
                other => return Err(format!("{}: a variable of type {other}", dashboard.title())),
            }
        }
        if next.is_empty() {
            return Err(format!("{}: variable {name} has no values", dashboard.title()));
        }
        all = next;
    }
    for chosen in &mut all {
        narrow(day, chosen).await?;
    }
    Ok(all)
}

/// A session is opened in its own range, from the table of treatments.
async fn narrow(day: &Day, chosen: &mut Chosen) -> Result<(), String> {
    let Some(session) = chosen.values.get("session").map(|values| values[0].clone()) else {
        return Ok(());
    };
    let series = ask(
        day,
        &format!("SELECT until_ms FROM session_summary WHERE session = '{session}'"),
    )
    .await?;
    let row = series
        .first()
        .and_then(|one| one.rows.first())
        .ok_or("the session is not there")?;
    (chosen.from_ms, chosen.to_ms) = (row[0].as_i64().unwrap(), row[1].as_i64().unwrap());
    Ok(())
}

/// What a variable offers.
async fn values(day: &Day, chosen: &Chosen, variable: &Value) -> Result<Vec<String>, String> {
    let query = text(variable, "query");
    let unknown = unknown_names(query);
    if !unknown.is_empty() {
        return Err(format!("the schema has no {unknown:?}: {query}"));
    }
    let filled = chosen.fill(query);
    let series = ask(day, &filled).await.map_err(|why| format!("{why}: {filled}"))?;
    // As Grafana reads it: the second column, of `SHOW TAG VALUES` and of a `SELECT` alike.
    let rows = series.iter().flat_map(|one| &one.rows);
    Ok(rows.filter_map(|row| row.get(1)?.as_str().map(str::to_owned)).collect())
}

#[test]
fn a_data_source_is_provisioned_for_what_each_dashboard_chooses_from() {
    let file = tests::workspace_root().join("deploy/grafana/provisioning/datasources/dermatel.yaml");
    let provisioned = std::fs::read_to_string(file).unwrap();
    let blocks: Vec<&str> = provisioned.split("\n  - ").skip(1).collect();
    for dashboard in shipped() {
        let source = dashboard
            .variables()
            .iter()
            .find(|one| one["type"] == "datasource")
            .unwrap();
        let start = text(source, "regex").trim_matches(['/', '^']);
        let ty = format!("\n    type: {}\n", text(source, "query"));
        let fits = |block: &&&str| block.starts_with(&format!("name: {start}")) && block.contains(&ty);
        let found = blocks
            .iter()
            .find(fits)
            .unwrap_or_else(|| panic!("no data source for {}", dashboard.title()));
        let influxql = !dashboard.asks_prometheus();
        assert_eq!(
            found.contains("version: InfluxQL\n      dbName: dermatel-${DERMATEL_TENANT}"),
            influxql
        );
    }
}
