//! Where the gateway's messages go in one process, and where alerting's transitions go: the seams that only the binary knows.
use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use alerting::intake;
use gateway::{Outlet, Role};
use ingestor::Fleet;
use registry::{Registry, Shared};
use spool::{NewRecord, Spool};
use telemetry::{Admitted, DeviceKey, DeviceKind, GatewayId, ModelId, UnixMicros};

/// Alerting's own log, as the gateway sees it.
pub(crate) struct AlarmOutlet {
    pub(crate) spool: Spool,
}

impl Outlet for AlarmOutlet {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    fn encode(&self, admitted: &Admitted, _lane: u32, now: SystemTime, into: &mut Vec<u8>) {
        intake::encode_frame(admitted, UnixMicros::from(now), into);
    }

    fn encode_watermark(&self, gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool {
        into.extend_from_slice(&intake::encode_watermark(gateway, received_at));
        true
    }

    fn role(&self) -> Role {
        Role::Alarm
    }
}

/// The telemetry spool, as alerting sees it: transitions go the way of all messages, so they are stored like them.
pub(crate) struct TransitionOutlet {
    pub(crate) spool: Spool,
    pub(crate) registry: Arc<Shared>,
}

impl alerting::Outlet for TransitionOutlet {
    fn put(&self, transitions: &[Admitted]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let registry = self.registry.current();
        let encoded: Vec<(u32, Vec<u8>)> = transitions
            .iter()
            .map(|one| (lane(&registry, one), one.encode()))
            .collect();
        let records: Vec<NewRecord<'_>> = encoded
            .iter()
            .map(|(lane, bytes)| NewRecord { lane: *lane, bytes })
            .collect();
        let appended = self.spool.append(&records, SystemTime::now())?;
        self.spool.sync_appended(&appended)?;
        Ok(())
    }
}

/// A tenant's lane; that of a tenant which the registry no longer has is 0, the shared one.
fn lane(registry: &Registry, admitted: &Admitted) -> u32 {
    registry.tenant(&admitted.tenant).map_or(0, |tenant| tenant.number)
}

/// The registry, as the ingestor asks it.
pub(crate) struct RegistryFleet(pub(crate) Arc<Shared>);

impl Fleet for RegistryFleet {
    fn describe(&self, device: &DeviceKey) -> Option<(ModelId, DeviceKind)> {
        self.0
            .current()
            .device(device)
            .map(|device| (device.model.clone(), device.kind))
    }

    fn version(&self) -> u64 {
        self.0.current().version().number
    }
}
