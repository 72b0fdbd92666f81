//! The gateway's settings: as they stand in a file, checked, and resolved.
mod raw;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use service::mqtt::{Broker, SubscriberOptions};
use service::tls::{ClientCertificates, TlsError, client_config, server_config};
use telemetry::GatewayId;

pub use raw::{DEFAULT_DIR, DEFAULT_ID, RawBroker, RawClock, RawConfig, RawEndpoint, RawQuarantine};
pub use settings::SETTINGS;

use crate::commit::DEFAULT_WATERMARK_EVERY;
use crate::endpoint::{EndpointConfig, Listener};
use crate::intake::DEFAULT_INTAKE_MESSAGES;
use crate::ledger::ClockPolicy;
use crate::quarantine::Bounds;

/// What the broker was subscribed to, in the gateway's directory.
const FILTERS_FILE: &str = "broker-filters";

/// The small files in the gateway's directory, in the order in which a backup copies them: the mark first, for an older mark
/// only hands more on.
pub const FILES: [&str; 3] = [crate::commit::MARK_FILE, crate::ledger::file::FILE_NAME, FILTERS_FILE];

/// Why settings that were checked cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Certificates or keys.
    #[error("the gateway's certificates cannot be used")]
    Tls(#[from] TlsError),
    /// The id.
    #[error("the gateway's id cannot be used")]
    Id(#[from] telemetry::IdError),
}

/// The settings, resolved.
pub struct Config {
    /// This gateway.
    pub id: GatewayId,
    /// Directory of ledger and quarantine; made if missing.
    pub dir: PathBuf,
    /// See [`DEFAULT_WATERMARK_EVERY`].
    pub watermark_every: Duration,
    /// See [`DEFAULT_INTAKE_MESSAGES`].
    pub intake_messages: usize,
    /// Which clocks are believed.
    pub clocks: ClockPolicy,
    /// Bounds of quarantine.
    pub quarantine: Bounds,
    /// Limits of the endpoint.
    pub endpoint: EndpointConfig,
    /// Its addresses; none: no endpoint.
    pub listeners: Vec<Listener>,
    /// The subscription at an existing broker, if any.
    pub broker: Option<SubscriberOptions>,
}

impl Config {
    /// The defaults for a directory: no address, no broker.
    pub fn new(id: GatewayId, dir: impl Into<PathBuf>) -> Self {
        Self {
            id,
            dir: dir.into(),
            watermark_every: DEFAULT_WATERMARK_EVERY,
            intake_messages: DEFAULT_INTAKE_MESSAGES,
            clocks: ClockPolicy::default(),
            quarantine: Bounds::default(),
            endpoint: EndpointConfig::default(),
            listeners: Vec::new(),
            broker: None,
        }
    }

    /// Resolves settings that passed [`RawConfig::validate`]: reads certificates and keys.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file.
    pub fn resolve(raw: &RawConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            id: GatewayId::new(&raw.id)?,
            dir: raw.dir.clone(),
            watermark_every: raw.watermark_every,
            intake_messages: raw.intake_messages,
            clocks: ClockPolicy {
                max_ahead: raw.clock.max_ahead,
                max_behind: raw.clock.max_behind,
                max_backlog: raw.clock.max_backlog,
                trust_rtc: raw.clock.trust_rtc,
            },
            quarantine: Bounds {
                share_entries: raw.quarantine.share_messages,
                share_bytes: raw.quarantine.share_size.as_u64(),
                total_bytes: raw.quarantine.total_size.as_u64(),
            },
            endpoint: raw.endpoint.limits(),
            listeners: raw.endpoint.listeners()?,
            broker: raw.broker.resolve(&raw.id, &raw.dir)?,
        })
    }
}

impl RawBroker {
    fn resolve(&self, id: &str, dir: &std::path::Path) -> Result<Option<SubscriberOptions>, ConfigError> {
        let Some(host) = &self.host else { return Ok(None) };
        let client_id = self.client_id.clone().unwrap_or_else(|| format!("dermatel-{id}"));
        let mut broker = Broker::new(host, self.port, client_id);
        broker.username = self.username.clone();
        broker.password = self.password.clone();
        broker.tls = self.ca.as_deref().map(|ca| client_config(ca, None)).transpose()?;
        let mut options = SubscriberOptions::new(broker, self.filters.clone());
        options.filters_file = Some(dir.join(FILTERS_FILE));
        Ok(Some(options))
    }
}

impl RawEndpoint {
    fn listeners(&self) -> Result<Vec<Listener>, ConfigError> {
        let plain = self.listen.iter().map(|&address| Listener { address, tls: None });
        let mut listeners: Vec<Listener> = plain.collect();
        if let (false, Some(certificate), Some(key)) =
            (self.tls_listen.is_empty(), &self.tls_certificate, &self.tls_key)
        {
            let clients = match (&self.tls_client_ca, self.tls_client_required) {
                (None, _) => ClientCertificates::Ignored,
                (Some(ca), false) => ClientCertificates::Optional(ca.clone()),
                (Some(ca), true) => ClientCertificates::Required(ca.clone()),
            };
            let tls = server_config(certificate, key, &clients)?;
            listeners.extend(self.tls_listen.iter().map(|&address| Listener {
                address,
                tls: Some(tls.clone()),
            }));
        }
        Ok(listeners)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_is_the_truth() {
        service::config::check_settings::<RawConfig>(SETTINGS).unwrap();
    }

    #[test]
    fn the_defaults_resolve_to_the_defaults() {
        let config = Config::resolve(&RawConfig::default()).unwrap();
        let plain = Config::new(config.id.clone(), DEFAULT_DIR);
        assert_eq!(config.clocks, plain.clocks);
        assert_eq!(config.quarantine, plain.quarantine);
        assert_eq!(format!("{:?}", config.endpoint), format!("{:?}", plain.endpoint));
    }
}
