//! What every page asks, shared by all requests.
use std::path::PathBuf;
use std::sync::Arc;

use service::clock::Clock;
use service::health::Health;
use telemetry::{ClinicId, DeviceKey, TenantId, UnixMicros, shard};

use crate::access::Access;
use crate::answer::Refusal;
use crate::config::Config;
use crate::live::News;
use crate::pipeline::Pipeline;
use crate::render::{RenderError, Templates};

/// What the console is made of.
pub struct Parts {
    /// Its section of the configuration.
    pub config: Config,
    /// Where it is kept who is signed in; `None`: a restart signs everybody out.
    pub sessions: Option<PathBuf>,
    /// Asks and commands alerting.
    pub alerts: alerting::Handle,
    /// Asks the store; `None`: it is embedded in another process, and cannot be asked from here.
    pub store: Option<ingestor::read::Reader>,
    /// Takes what people record, and knows who is connected and what was refused; `None`: gateways are processes of their own.
    pub gateway: Option<gateway::Handle>,
    /// The shards that alerting judges here, as bits. What is elsewhere is said to be.
    pub owned_shards: u64,
    /// How the pipeline is.
    pub pipeline: Arc<dyn Pipeline>,
    /// What is red.
    pub health: Health,
    /// The fleet as it should be.
    pub registry: Arc<registry::Shared>,
    /// What time it is.
    pub clock: Clock,
}

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Templates or texts are not what this program can read: a fault of the program.
    #[error("the console's templates cannot be read")]
    Templates(#[source] RenderError),
}

/// The console; clones share everything.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

/// What the clones share.
pub struct Inner {
    pub(crate) alerts: alerting::Handle,
    pub(crate) store: Option<ingestor::read::Reader>,
    pub(crate) gateway: Option<gateway::Handle>,
    owned_shards: u64,
    pub(crate) pipeline: Arc<dyn Pipeline>,
    pub(crate) health: Health,
    pub(crate) registry: Arc<registry::Shared>,
    pub(crate) clock: Clock,
    pub(crate) templates: Templates,
    pub(crate) access: Access,
    pub(crate) news: News,
}

impl std::ops::Deref for Console {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Console {
    /// Reads templates and texts; nothing runs yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(parts: Parts) -> Result<Self, BuildError> {
        Ok(Self(Arc::new(Inner {
            templates: Templates::new().map_err(BuildError::Templates)?,
            access: Access::new(&parts.config, parts.sessions),
            news: News::default(),
            alerts: parts.alerts,
            store: parts.store,
            gateway: parts.gateway,
            owned_shards: parts.owned_shards,
            pipeline: parts.pipeline,
            health: parts.health,
            registry: parts.registry,
            clock: parts.clock,
        })))
    }
}

impl Inner {
    pub(crate) fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// Whether a device is connected to a gateway in this process. Of one apart it is not known, and what was heard has to do.
    pub(crate) fn is_connected(&self, device: &DeviceKey) -> bool {
        self.gateway
            .as_ref()
            .is_some_and(|gateway| gateway.is_connected(device))
    }

    /// Whether alerting judges a clinic here.
    pub(crate) fn owns(&self, tenant: &TenantId, clinic: &ClinicId) -> bool {
        self.owned_shards & (1 << shard(tenant, clinic)) != 0
    }

    /// A clinic that alerting judges here; of any other nothing true could be said.
    pub(crate) fn own(&self, tenant: &TenantId, clinic: &ClinicId) -> Result<(), Refusal> {
        match self.owns(tenant, clinic) {
            true => Ok(()),
            false => Err(Refusal::elsewhere("message.other_instance", "/fleet")),
        }
    }
}
