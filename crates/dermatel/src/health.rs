//! `dermatel health`: whether a running process is ready, as an exit code, for supervisors without an HTTP client of their own.
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use hyper::Method;
use tokio::net::TcpStream;

use crate::local_client::exchange;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct HealthCheck {
    /// Its http.listen
    #[arg(long, default_value = "127.0.0.1:9464")]
    http: SocketAddr,
    /// Only whether it runs (/healthz) and not whether it is ready (/readyz)
    #[arg(long)]
    alive: bool,
}

/// Asks; an error says what is red.
pub(crate) async fn run(options: &HealthCheck) -> Result<()> {
    let path = if options.alive { "/healthz" } else { "/readyz" };
    let asked = async {
        let stream = TcpStream::connect(options.http)
            .await
            .with_context(|| format!("nobody answers at {}", options.http))?;
        exchange(stream, Method::GET, path, None).await
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .with_context(|| format!("no answer from {} within {} s", options.http, PATIENCE.as_secs()))??;
    println!("{}", if options.alive { "alive" } else { "ready" });
    Ok(())
}
