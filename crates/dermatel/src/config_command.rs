//! `dermatel config`: check a file and all that it names, or print one with every default explained.
use std::path::Path;

use anyhow::{Result, bail};
use registry::Registry;
use service::config::render_parts;

use crate::config::{Config, SETTINGS};

/// Checks the file, the registry and the rules, and tells everything that is wrong.
pub(crate) fn check(file: &Path) -> Result<()> {
    let config = Config::read(file)?;
    let mut wrong = Vec::new();
    match Registry::load(&config.node.registry_dir) {
        Ok(registry) => println!(
            "registry: version {}, {} tenants, {} clinics, {} devices",
            registry.version().number,
            registry.tenants().len(),
            registry.clinics().len(),
            registry.devices().len()
        ),
        Err(errors) => wrong.push(errors.to_string()),
    }
    if let Some(Err(errors)) = config.alerting.rules.as_deref().map(alerting::rules::load_dir) {
        wrong.push(errors.to_string());
    }
    if let Err(error) = gateway::Config::resolve(&config.gateway) {
        wrong.push(format!("{:#}", anyhow::Error::from(error)));
    }
    if config.alerting.receivers.is_empty() {
        println!("warning: alerting.receivers is empty: nobody is paged");
    }
    if config.gateway.broker.host.is_some() {
        println!(
            "warning: devices publish to a broker: its PUBACK means what it means there, not that a message is on disk here"
        );
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("{}: fine", file.display());
    Ok(())
}

/// Prints the annotated defaults; the output loads as a configuration.
pub(crate) fn print() {
    print!("{}", annotated());
}

fn annotated() -> String {
    let parts = [
        ("", SETTINGS),
        ("gateway", gateway::config::SETTINGS),
        ("ingestor", ingestor::config::SETTINGS),
        ("alerting", alerting::config::SETTINGS),
    ];
    render_parts(&parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use service::config::{Sources, load};

    use super::*;

    #[test]
    fn the_printed_configuration_loads_to_the_defaults() {
        let loaded: Config = load(&Sources::new().file("printed.toml", annotated())).unwrap();
        assert_eq!(loaded, Config::default());
    }
}
