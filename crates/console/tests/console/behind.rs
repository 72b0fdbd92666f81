//! What stands behind the pages beside alerting: a real gateway without devices, an embedded store, and a pipeline that does not move.
use std::path::Path;
use std::sync::Arc;

use console::pipeline::{Figures, Log, Pipeline};
use gateway::{Deps, Gateway, TelemetryOutlet};
use ingestor::read::{ANSWER_WITHIN, Reader};
use ingestor::store::{SqliteStore, Store};
use service::clock::Clock;
use service::health::Health;
use service::shutdown::Shutdown;
use spool::{OsDisk, Spool};

/// Where the gateway's ledger is rebuilt from.
const LEDGER: &str = "gateway-ledger";

pub(crate) struct Behind {
    pub(crate) gateway: gateway::Handle,
    pub(crate) store: Reader,
    pub(crate) health: Health,
}

impl Behind {
    pub(crate) fn start(dir: &Path, registry: &Arc<registry::Shared>, shutdown: &Shutdown) -> Self {
        let log = Spool::open(spool::Config::new(dir.join("telemetry"), &[LEDGER]), Arc::new(OsDisk))
            .unwrap()
            .0;
        let health = Health::default();
        let deps = Deps {
            registry: Arc::clone(registry),
            outlets: vec![Arc::new(TelemetryOutlet::new(log))],
            ack_up_to: gateway::ack_up_to::AckUpTo::default(),
            health: health.clone(),
            clock: Clock::system(),
            disk: Arc::new(OsDisk),
        };
        let config = gateway::Config::new("gw-1".parse().unwrap(), dir.join("gateway"));
        let running = Gateway::build(config, deps).unwrap();
        let gateway = running.handle();
        tokio::spawn(running.run(shutdown.requested()));
        let store = SqliteStore::open(&dir.join("store.sqlite"), None).unwrap();
        Self {
            gateway,
            store: Reader::new(&Store::Sqlite(store), ANSWER_WITHIN),
            health,
        }
    }
}

/// A pipeline of which nothing moves.
pub(crate) struct Still;

impl Pipeline for Still {
    fn figures(&self) -> Option<(Figures, Option<Figures>)> {
        let log = Log {
            name: "telemetry".to_owned(),
            cap_bytes: 1,
            ..Log::default()
        };
        let now = Figures {
            at_us: 1,
            logs: vec![log],
            ..Figures::default()
        };
        Some((now, None))
    }
}
