//! What every page asks, shared by all requests.
use std::path::PathBuf;
use std::sync::Arc;

use service::clock::Clock;
use service::health::Health;
use telemetry::UnixMicros;

use crate::access::Access;
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
    /// Asks the store.
    pub store: ingestor::read::Reader,
    /// Takes what people record, and knows who is connected and what was refused.
    pub gateway: gateway::Handle,
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
    pub(crate) store: ingestor::read::Reader,
    pub(crate) gateway: gateway::Handle,
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
}
