//! Receivers that cannot work, found before anything starts: certificates, URLs and words, each with the line of the
//! configuration at which the receiver begins.
use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::Deserialize;
use toml::Spanned;

use crate::config::Config;

/// Only what names receivers; the rest was read before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    alerting: Section,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    receivers: Vec<Spanned<Named>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Refuses with everything that is wrong with the receivers of a configuration file.
pub(crate) fn check(config: &Config, file: &Path) -> Result<()> {
    let wrong = faults(config, file);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// What is wrong, a line each. A receiver that is set elsewhere than in the file has no line.
pub(crate) fn faults(config: &Config, file: &Path) -> Vec<String> {
    let problems = alerting::check_receivers(&config.alerting);
    if problems.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = lines(&text);
    let said = |problem: alerting::Problem| {
        let place = match lines.get(&problem.receiver) {
            Some(line) => format!("{}:{line}", file.display()),
            None => file.display().to_string(),
        };
        format!("{place}: alerting.receivers: {:#}", anyhow::Error::from(problem))
    };
    problems.into_iter().map(said).collect()
}

fn lines(text: &str) -> HashMap<String, usize> {
    let file: File = toml::from_str(text).unwrap_or_default();
    let line = |at: usize| text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
    let receivers = file.alerting.receivers.into_iter();
    receivers
        .map(|receiver| (receiver.span().start, receiver.into_inner().name))
        .map(|(at, name)| (name, line(at)))
        .collect()
}
