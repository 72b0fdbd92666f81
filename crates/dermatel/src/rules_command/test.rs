//! `dermatel rules test`: each case of a folder is played twice, straight and with a restart after every input.
use std::path::PathBuf;
use std::sync::Arc;

use alerting::RegistryFleet;
use alerting::cases::{self, Setting};
use anyhow::{Context, Result, bail};
use clap::Args;
use telemetry::TenantId;

use super::{registry, rules, toml_files};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Folder of cases (*.toml), or one case
    cases: PathBuf,
    /// Folder of rules; those that come with the program if not given
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Folder of the registry that limits and policies come from
    #[arg(long)]
    registry: PathBuf,
    /// Tenant of cases that name none; the registry's only or first one if not given
    #[arg(long)]
    tenant: Option<TenantId>,
}

/// Prints one line per case and the difference of those that fail.
pub(super) fn run(options: &Test) -> Result<i32> {
    let registry = registry(&options.registry)?;
    let first = registry.tenants().next().map(|tenant| tenant.id.clone());
    let setting = Setting {
        rules: rules(options.rules.as_deref())?,
        tenant: options.tenant.clone().or(first).context("the registry has no tenant")?,
        fleet: Arc::new(RegistryFleet(registry)),
    };
    let files = toml_files(&options.cases)?;
    if files.is_empty() {
        bail!("{} holds no case: there is nothing to test", options.cases.display());
    }
    let mut failed = 0;
    for file in &files {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        match play(&text, &setting) {
            Ok(what) => println!("ok      {name}: {what}"),
            Err(why) => {
                failed += 1;
                println!("FAILED  {name}: {why}");
            }
        }
    }
    println!("{} cases, {failed} failed", files.len());
    Ok(i32::from(failed > 0))
}

/// What the case shows, or what is wrong with it.
fn play(text: &str, setting: &Setting) -> Result<String, String> {
    let told = |error: cases::CaseError| format!("{:#}", anyhow::Error::from(error));
    let case = cases::read(text).map_err(told)?;
    for (restart, how) in [(false, ""), (true, " (started again after every input)")] {
        let got = cases::run(&case, setting, restart).map_err(told)?;
        if let Some(diff) = cases::diff(&case.expect, &got) {
            return Err(format!("{}{how}\n{}", case.what, diff.trim_end()));
        }
    }
    Ok(case.what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn at(below: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(below)
    }

    fn options(cases: PathBuf) -> Test {
        Test {
            cases,
            rules: Some(at("rules")),
            registry: at("registry"),
            tenant: None,
        }
    }

    #[test]
    fn the_examples_that_are_shipped_pass() {
        assert_eq!(run(&options(at("rules/tests"))).unwrap(), 0);
    }

    #[test]
    fn a_case_that_differs_or_cannot_be_read_makes_the_exit_code_1() {
        let dir = tempfile::tempdir().unwrap();
        let example = std::fs::read_to_string(at("rules/tests/depth-one-stroke.toml")).unwrap();
        for wrong in [example.replace("page = true", ""), "colour = 1\n".to_owned()] {
            let file = dir.path().join("case.toml");
            std::fs::write(&file, &wrong).unwrap();
            assert_eq!(run(&options(file)).unwrap(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_folder_without_cases_proves_nothing_and_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(run(&options(dir.path().to_owned())).is_err());
    }
}
