//! Who a connection at the endpoint is, by the registry: a secret or a certificate proves `tenant/device`, and that is all
//! that it may speak as.
use std::sync::Arc;

use registry::{AuthReason, Device, DeviceState};
use telemetry::{Channel, Topic};

use super::common_name::common_name;
use crate::endpoint::{AuthRejected, Authenticate, Peer, Presented, Proof};
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
            (Some(name), Some(secret)) => {
                let device = registry.authenticate_secret(name, secret);
                Some(device.map(|device| (device, Proof::Secret(registry::sha256(secret)))))
            }
            _ => None,
        };
        // A certificate shared by a fleet proves no device; then the secret does, which would be enough without it.
        let proven = match presented.client_certificate {
            Some(der) => {
                let digest = registry::sha256(der);
                registry
                    .authenticate_certificate(common_name(der), &digest)
                    .map(|device| (device, Proof::Certificate(digest)))
                    .or_else(|reason| by_secret().unwrap_or(Err(reason)))
            }
            None => by_secret().unwrap_or(Err(AuthReason::NoCredential)),
        };
        proven.map(|(device, proof)| peer(device, proof)).map_err(|reason| {
            Metrics::not_authenticated(reason.as_str());
            tracing::debug!(reason = reason.as_str(), remote = %presented.remote, "connection proves no device");
            match reason {
                AuthReason::Retired => AuthRejected::NotAuthorized,
                _ => AuthRejected::BadCredentials,
            }
        })
    }

    fn holds(&self, known: &Peer) -> bool {
        let registry = self.registry.current();
        let device = registry::parse_name(&known.identity).and_then(|key| registry.device(&key).cloned());
        device.is_some_and(|device| {
            let proves = match known.proof {
                Proof::Nothing => true,
                Proof::Secret(digest) => device.credentials.secret_sha256.contains(&digest),
                Proof::Certificate(digest) => {
                    device.credentials.certificate_by_name || device.credentials.certificate_sha256.contains(&digest)
                }
            };
            let in_use = device.state == DeviceState::Active;
            // Another clinic means other topics.
            in_use && proves && *peer(&device, known.proof) == *known
        })
    }
}

/// What a device may touch: its own topics, by the clinic that the registry has it at.
fn peer(device: &Device, proof: Proof) -> Arc<Peer> {
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
        proof,
    })
}
