//! The one command surface: what continuous integration runs is what a person runs.
//!
//! `cargo xtask test` installs what the tests need (Debian packages, a Python environment) and runs every test;
//! `cargo xtask ci` runs the format check and clippy before it.

mod dashboards;
mod machine;
mod suites;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask <command>

  test [suite…]   install what the tests need, then run all suites (or the named ones)
  install         only install what the tests need
  dashboards      write the JSON of the Grafana dashboards that are shipped
  pictures        draw the dashboards of the documentation, with data
  lint            rustfmt and clippy, warnings are errors
  ci              lint, then test";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    match command.as_deref() {
        Some("test") => {
            machine::install()?;
            suites::test(&rest)
        }
        Some("install") => machine::install(),
        Some("dashboards") => dashboards::write(),
        Some("pictures") => {
            machine::install()?;
            dashboards::pictures()
        }
        Some("lint") => suites::lint(),
        Some("ci") => {
            suites::lint()?;
            machine::install()?;
            suites::test(&[])
        }
        _ => bail!("{USAGE}"),
    }
}
