//! `dermatel bench`.
use anyhow::Result;

use crate::cli;

pub(crate) fn run(_options: &cli::Bench) -> Result<()> {
    anyhow::bail!("not measured yet")
}
