//! The Grafana dashboards that are shipped in `deploy/grafana/dashboards/`, as data: one file here is one dashboard.
//!
//! `cargo xtask dashboards` writes the JSON; a test fails when what is shipped is not what this makes. What a dashboard shows
//! is proven elsewhere (`tests/promises/no_dashboard_shows_nothing`), from the shipped JSON and not from here.

mod alerts;
mod between;
mod chain;
mod clinic;
mod ipl;
mod json;
mod model;
mod panels;
mod parts;
mod pen;
mod pipeline;
mod session;
mod sterilization;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use self::model::Dashboard;
use crate::machine::{root, run};

/// Every dashboard.
fn all() -> Vec<Dashboard> {
    vec![
        chain::dashboard(),
        clinic::dashboard(),
        pen::dashboard(),
        ipl::dashboard(),
        session::dashboard(),
        sterilization::dashboard(),
        alerts::dashboard(),
        pipeline::dashboard(),
        between::dashboard(),
    ]
}

/// Path below the root of the workspace, and text.
fn files() -> Result<Vec<(String, String)>> {
    all()
        .iter()
        .map(|dashboard| {
            let mut value = json::dashboard(dashboard);
            // The order of keys must not hang on a feature that another crate switches on.
            value.sort_all_objects();
            let text = serde_json::to_string_pretty(&value)? + "\n";
            let (folder, file) = (dashboard.folder, dashboard.uid);
            Ok((format!("deploy/grafana/dashboards/{folder}/{file}.json"), text))
        })
        .collect()
}

/// Writes them.
pub(crate) fn write() -> Result<()> {
    for (path, text) in files()? {
        let file: PathBuf = root()?.join(&path);
        let folder = file.parent().context("a dashboard has a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{path}");
    }
    Ok(())
}

/// Draws the pictures of the documentation from the answers of a real InfluxDB: the test that proves the panels does it.
pub(crate) fn pictures() -> Result<()> {
    let mut test = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    test.current_dir(root()?)
        .args(["test", "--package", "tests", "--test", "promises"])
        .arg("every_query_of_every_dashboard_answers_with_data")
        .env("DERMATEL_WRITE_PICTURES", "1");
    run(&mut test)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_shipped_is_what_the_source_says() {
        for (path, text) in files().unwrap() {
            let shipped = std::fs::read_to_string(root().unwrap().join(&path)).unwrap_or_default();
            assert!(
                shipped == text,
                "{path} is not up to date: `cargo xtask dashboards` writes it"
            );
        }
    }

    #[test]
    fn nothing_is_shipped_that_the_source_does_not_know() {
        let known: BTreeSet<String> = files().unwrap().into_iter().map(|(path, _)| path).collect();
        let below = root().unwrap().join("deploy/grafana/dashboards");
        for folder in std::fs::read_dir(below).unwrap().flatten() {
            for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
                let (folder, file) = (folder.file_name(), file.file_name());
                let path = format!("deploy/grafana/dashboards/{}/{}", folder.display(), file.display());
                assert!(known.contains(&path), "{path} has no source");
            }
        }
    }

    #[test]
    fn links_lead_to_dashboards_that_are_there() {
        let uids: BTreeSet<&str> = all().iter().map(|dashboard| dashboard.uid).collect();
        for (path, text) in files().unwrap() {
            for link in text.split("\"/d/").skip(1) {
                let uid = link.split(['?', '"']).next().unwrap();
                assert!(uids.contains(uid), "{path} links to {uid}");
            }
        }
    }
}
