//! Who a connection at the endpoint is, by the registry: a secret or a certificate proves `tenant/device`, and that is all
//! that it may speak as.
use std::sync::Arc;

use registry::{AuthReason, Device};
use telemetry::{Channel, Topic};

use super::common_name::common_name;
use crate::endpoint::{AuthRejected, Authenticate, Peer, Presented};
use crate::metrics::Metrics;

/// Judges CONNECTs by the registry of now.
pub struct ByRegistry {
    registry: Arc<registry::Shared>,
}

impl ByRegistry {
    /// Judges by this registry.
    pub fn new(registry: Arc<registry::Shared>) -> Self {
        Self { registry }
    }
}

impl Authenticate for ByRegistry {
    fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Peer>, AuthRejected> {
        let registry = self.registry.current();
        let by_secret = || match (presented.username, presented.password) {
            (Some(name), Some(secret)) => Some(registry.authenticate_secret(name, secret)),
            _ => None,
        };
        // A certificate shared by a fleet proves no device; then the secret does, which would be enough without it.
        let proven = match presented.client_certificate {
            Some(der) => registry
                .authenticate_certificate(common_name(der), &registry::sha256(der))
                .or_else(|reason| by_secret().unwrap_or(Err(reason))),
            None => by_secret().unwrap_or(Err(AuthReason::NoCredential)),
        };
        proven.map(peer).map_err(|reason| {
            Metrics::not_authenticated(reason.as_str());
            tracing::debug!(reason = reason.as_str(), remote = %presented.remote, "connection proves no device");
            match reason {
                AuthReason::Retired => AuthRejected::NotAuthorized,
                _ => AuthRejected::BadCredentials,
            }
        })
    }
}

/// What a device may touch: its own topics, by the clinic that the registry has it at.
fn peer(device: &Device) -> Arc<Peer> {
    let topic = |channel| -> Arc<str> {
        let topic = Topic {
            tenant: device.key.tenant.clone(),
            clinic: device.clinic.clone(),
            device: device.key.device.clone(),
            channel,
        };
        topic.to_string().into()
    };
    let status = topic(Channel::Status);
    Arc::new(Peer {
        identity: device.key.to_string().into(),
        publish_topics: vec![topic(Channel::Telemetry), Arc::clone(&status)],
        will_topic: Some(status),
        command_topic: topic(Channel::Command),
    })
}
