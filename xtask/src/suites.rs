//! The suites, one package after the other, with the minutes that each took.
//!
//! Everything is built once for the whole workspace and the test programs are then run one by one: `cargo test -p` would
//! resolve other features for each package and build the dependencies again.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{root, run};

const WHOLE: &[&str] = &["--workspace", "--all-features", "--locked"];

/// One built test program.
struct Program {
    file: PathBuf,
    folder: PathBuf,
}

struct Row {
    suite: String,
    took: Duration,
    green: bool,
}

/// rustfmt and clippy; warnings are errors.
pub(crate) fn lint() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo()
        .arg("clippy")
        .args(WHOLE)
        .args(["--all-targets", "--", "-D", "warnings"]))
}

/// Builds everything once, then runs the suites; a red suite does not keep the others from running.
pub(crate) fn test(only: &[String]) -> Result<()> {
    let mut rows = Vec::new();
    let start = Instant::now();
    run(cargo().arg("build").args(WHOLE))?;
    let programs = build_tests()?;
    rows.push(Row {
        suite: "(build)".into(),
        took: start.elapsed(),
        green: true,
    });
    if let Some(unknown) = only.iter().find(|name| !programs.contains_key(*name)) {
        let known: Vec<&str> = programs.keys().map(String::as_str).collect();
        bail!("no suite is called {unknown}: use {}", known.join(", "));
    }
    for (suite, programs) in programs {
        if !only.is_empty() && !only.contains(&suite) {
            continue;
        }
        println!("\n== {suite}");
        let start = Instant::now();
        // Not all(): a red program does not hide the next one's result.
        let red = programs.iter().filter(|program| run_program(program).is_err()).count();
        rows.push(Row {
            suite,
            took: start.elapsed(),
            green: red == 0,
        });
    }
    if only.is_empty() {
        println!("\n== examples in the documentation");
        let start = Instant::now();
        let green = run(cargo().args(["test", "--doc"]).args(WHOLE)).is_ok();
        rows.push(Row {
            suite: "(doc)".into(),
            took: start.elapsed(),
            green,
        });
    }
    report(&rows)
}

/// Builds all test programs; package name to its programs.
fn build_tests() -> Result<BTreeMap<String, Vec<Program>>> {
    let mut command = cargo();
    command.arg("test").args(WHOLE).args([
        "--lib",
        "--bins",
        "--tests",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("building the tests ended with {}", output.status);
    }
    let mut programs: BTreeMap<String, Vec<Program>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            continue;
        }
        let (Some(file), Some(manifest)) = (message["executable"].as_str(), message["manifest_path"].as_str()) else {
            continue;
        };
        let folder = PathBuf::from(manifest)
            .parent()
            .context("a manifest has no folder")?
            .to_owned();
        let package = package_name(&folder)?;
        programs.entry(package).or_default().push(Program {
            file: file.into(),
            folder,
        });
    }
    Ok(programs)
}

fn package_name(folder: &std::path::Path) -> Result<String> {
    let name = folder.file_name().context("a package stands in the root")?;
    Ok(name.to_string_lossy().into_owned())
}

fn run_program(program: &Program) -> Result<()> {
    run(Command::new(&program.file)
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder))
}

fn report(rows: &[Row]) -> Result<()> {
    println!("\n{:<12} {:>8}  result", "suite", "minutes");
    for row in rows {
        let result = if row.green { "ok" } else { "FAILED" };
        println!("{:<12} {:>8.2}  {result}", row.suite, row.took.as_secs_f64() / 60.0);
    }
    let total: Duration = rows.iter().map(|row| row.took).sum();
    println!("{:<12} {:>8.2}", "sum", total.as_secs_f64() / 60.0);
    match rows.iter().filter(|row| !row.green).count() {
        0 => Ok(()),
        red => bail!("{red} suite(s) failed"),
    }
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Ok(root) = root() {
        command.current_dir(root);
    }
    command
}
