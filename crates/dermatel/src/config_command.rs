//! `dermatel config`: check a file and all that it names, or print one with every default explained.
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;
use registry::Book;
use service::config::render_parts;

use crate::config::{Config, SETTINGS};
use crate::fleet;

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Check a configuration file and the registry and rules that it names; all errors at once
    Check {
        /// The configuration file
        config: PathBuf,
    },
    /// Print the configuration with every default and what it means
    Print,
}

/// Checks the file, the registry and the rules, and tells everything that is wrong.
pub(crate) fn check(file: &Path) -> Result<()> {
    let config = Config::read(file)?;
    let mut wrong = Vec::new();
    match Book::check(&config.node.registry_dir, &fleet::journal(&config)) {
        Ok(registry) => println!(
            "registry: version {}, {} tenants, {} clinics, {} devices",
            registry.version(),
            registry.tenants().len(),
            registry.clinics().len(),
            registry.devices().len()
        ),
        Err(errors) => wrong.push(format!("node.registry_dir: {errors}")),
    }
    if let Some(Err(errors)) = config.alerting.rules.as_deref().map(alerting::rules::load_dir) {
        wrong.push(errors.to_string());
    }
    if let Err(errors) = crate::route_command::plan(&config, std::time::SystemTime::now().into()) {
        wrong.push(format!("{errors:#}"));
    }
    wrong.extend(refusals(&config));
    wrong.extend(crate::receivers::faults(&config, file));
    for warning in warnings(&config) {
        println!("warning: {warning}");
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("{}: fine", file.display());
    Ok(())
}

/// What `up` would not start with, beside what reading the file has found; nothing is opened or bound.
fn refusals(config: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(error) = gateway::Config::resolve(&config.gateway) {
        wrong.push(format!("{:#}", anyhow::Error::from(error)));
    }
    if let Err(error) = config.ingestor.resolve() {
        wrong.push(format!("ingestor.influx.ca: cannot be read: {error}"));
    }
    if let Err(error) = config.uplink.resolve() {
        wrong.push(format!("uplink.ca: {:#}", anyhow::Error::from(error)));
    }
    if let Err(error) = service::logging::check(&config.node.log) {
        wrong.push(format!("node.log: {:#}", anyhow::Error::from(error)));
    }
    let socket = config.socket();
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        wrong.push(format!(
            "node.data_dir: {} is longer than the {SOCKET_PATH_MAX} bytes that a socket's path may have, use a shorter folder",
            socket.display()
        ));
    }
    if config.node.data_dir.is_file() {
        wrong.push(format!("node.data_dir: {} is a file", config.node.data_dir.display()));
    }
    let endpoint = &config.gateway.endpoint;
    let mut taken = HashSet::new();
    for address in endpoint
        .listen
        .iter()
        .chain(&endpoint.tls_listen)
        .chain(&config.http.listen)
    {
        if address.port() != 0 && !taken.insert(address) {
            wrong.push(format!("{address} is to be listened on twice, give each its own port"));
        }
    }
    wrong
}

/// What `up` would start with, and what is probably not meant.
fn warnings(config: &Config) -> Vec<&'static str> {
    let gateway = &config.gateway;
    let silent = gateway.endpoint.listen.is_empty() && gateway.endpoint.tls_listen.is_empty();
    let broker = gateway.broker.host.is_some();
    let told = [
        (
            config.alerting.receivers.is_empty(),
            "alerting.receivers is empty: nobody is paged",
        ),
        (
            silent && !broker,
            "gateway.endpoint.listen and tls_listen are empty and there is no gateway.broker: no device can publish",
        ),
        (
            broker,
            "devices publish to a broker: its PUBACK means what it means there, not that a message is on disk here",
        ),
    ];
    told.into_iter().filter(|(so, _)| *so).map(|(_, text)| text).collect()
}

/// Longest path of a Unix socket, bytes: 108 with the end that C needs.
const SOCKET_PATH_MAX: usize = 107;

/// Prints the annotated defaults; the output loads as a configuration.
pub(crate) fn print() {
    print!("{}", annotated());
}

fn annotated() -> String {
    let parts = [
        ("", SETTINGS),
        ("console", console::config::SETTINGS),
        ("gateway", gateway::config::SETTINGS),
        ("ingestor", ingestor::config::SETTINGS),
        ("alerting", alerting::config::SETTINGS),
        ("uplink", uplink::config::SETTINGS),
    ];
    render_parts(&parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use service::config::{Sources, load};

    use super::*;

    #[test]
    fn the_shipped_configuration_is_the_printed_one() {
        let shipped = include_str!("../../../deploy/dermatel.toml");
        assert!(
            shipped == annotated(),
            "run `dermatel config print > deploy/dermatel.toml`"
        );
    }

    #[test]
    fn the_printed_configuration_loads_to_the_defaults() {
        let loaded: Config = load(&Sources::new().file("printed.toml", annotated())).unwrap();
        assert_eq!(loaded, Config::default());
    }

    #[test]
    fn what_up_would_refuse_is_found_before_and_all_of_it() {
        let mut config = Config::default();
        assert_eq!(refusals(&config), Vec::<String>::new());
        config.node.log = "info,=".to_owned();
        config.node.data_dir = "x".repeat(200).into();
        config.gateway.endpoint.listen = vec!["127.0.0.1:9464".parse().unwrap()];
        config.gateway.endpoint.tls_listen = vec!["127.0.0.1:8883".parse().unwrap()];
        config.gateway.endpoint.tls_certificate = Some("missing.pem".into());
        config.gateway.endpoint.tls_key = Some("missing.key".into());
        let wrong = refusals(&config);
        let names = ["missing.pem", "node.log", "node.data_dir", "127.0.0.1:9464"];
        assert!(
            names.iter().all(|name| wrong.iter().any(|text| text.contains(name))),
            "{wrong:?}"
        );
        assert_eq!(wrong.len(), names.len(), "{wrong:?}");
    }

    #[test]
    fn the_least_logs_that_the_settings_allow_are_large_enough_for_the_gateway() {
        let least = |segment: &str, cap: &str| {
            let text = format!(
                "spool.telemetry = {{ segment = \"{segment}\", cap = \"{cap}\", at_cap = \"refuse\", keep = \"1m\" }}\n\
                 spool.alerting = {{ segment = \"{segment}\", cap = \"{cap}\", at_cap = \"shed\", keep = \"1m\" }}\n"
            );
            load::<Config>(&Sources::new().file("least.toml", text))
        };
        assert!(least("2047KiB", "1GiB").is_err());
        assert!(least("2MiB", "3MiB").is_err());
        let config = least("2MiB", "4MiB").unwrap();
        for section in [&config.spool.telemetry, &config.spool.alerting] {
            let dir = tempfile::tempdir().unwrap();
            let log = section.resolve(dir.path().to_owned(), &[]);
            assert!(log.segment_bytes >= gateway::commit::SEGMENT_BYTES_MIN);
            assert!(log.max_record_bytes >= gateway::commit::RECORD_BYTES_MIN);
            spool::Spool::open(log, std::sync::Arc::new(spool::OsDisk))
                .map(drop)
                .unwrap();
        }
    }
}
