//! Gateway, ingestor and alerting as processes apart, with a broker between them.
use crate::{Stack, StackSpec};

/// The three processes.
pub struct Apart {
    /// Devices in; its `mqtt` is where they connect.
    pub gateway: Stack,
    /// Points.
    pub ingestor: Stack,
    /// Pages.
    pub alerting: Stack,
}

/// The lines of the section `uplink` for a process named so, at a broker on this port of the loopback.
pub fn uplink(port: u16, instance: &str, shards: &str) -> String {
    format!(
        "[uplink]\nhost = \"127.0.0.1\"\nport = {port}\ninstance = \"{instance}\"\nshards = \"{shards}\"\nresend = \"3s\"\n"
    )
}

impl Apart {
    /// Starts all three, the gateway first: it must not send before somebody reads.
    pub fn start(spec: &StackSpec, broker: u16) -> Self {
        let mut apart = Self::prepare(spec, broker);
        apart.gateway.spawn();
        apart.read();
        apart
    }

    /// Starts those that read, and waits until all are ready.
    pub fn read(&mut self) {
        self.ingestor.up();
        self.alerting.up();
        self.gateway.wait_ready();
    }

    /// Writes registries and configurations and starts nothing.
    pub fn prepare(spec: &StackSpec, broker: u16) -> Self {
        let spec = StackSpec {
            more: format!("{}{}", spec.more, uplink(broker, "one", "0-63")),
            ..spec.clone()
        };
        Self {
            gateway: Stack::prepare_part(&spec, "gateway"),
            ingestor: Stack::prepare_part(&spec, "ingestor"),
            alerting: Stack::prepare_part(&spec, "alerting"),
        }
    }
}
