//! Where the gateway's messages go in one process, and where alerting's transitions go: the seams that only the binary knows.
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use alerting::{Advise, Advised, intake};
use gateway::endpoint::Delivered;
use gateway::quarantine::tally::Count;
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

    fn wrap(&self, admitted: &Admitted, encoded: &[u8], now: SystemTime, into: &mut Vec<u8>) {
        intake::wrap_frame(admitted, encoded, UnixMicros::from(now), into);
    }

    fn encode_watermark(&self, gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool {
        into.extend_from_slice(&intake::encode_watermark(gateway, received_at));
        true
    }

    fn encode_refused(&self, gateway: &GatewayId, device: &DeviceKey, count: &Count, into: &mut Vec<u8>) -> bool {
        let refused = intake::Refused {
            gateway: gateway.clone(),
            device: device.clone(),
            count: count.messages,
            reason: count.reason.as_str().to_owned(),
            received_at: count.received_at,
        };
        into.extend_from_slice(&refused.encode());
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
    fn put(&self, transitions: &[Admitted]) -> Result<Vec<usize>, Box<dyn Error + Send + Sync>> {
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
        Ok(Vec::new())
    }
}

/// The way down to devices, as alerting sees it: the gateway's, once that is built.
#[derive(Default)]
pub(crate) struct Downlink {
    gateway: OnceLock<gateway::Handle>,
}

impl Downlink {
    /// The gateway is there.
    pub(crate) fn through(&self, gateway: gateway::Handle) {
        // There is one in a process.
        let _ = self.gateway.set(gateway);
    }
}

impl Advise for Downlink {
    fn advise(&self, device: DeviceKey, payload: Vec<u8>) -> Pin<Box<dyn Future<Output = Advised> + Send + '_>> {
        Box::pin(async move {
            let gateway = self.gateway.get().ok_or("no_gateway")?;
            let sent = gateway.send_command(&device, payload.into()).await;
            sent.map(Delivered::as_str).map_err(|error| error.as_str())
        })
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
        // The number alone stays when a device is changed by command.
        let digest = self.0.current().version().digest;
        digest
            .first_chunk()
            .map_or(0, |first: &[u8; 8]| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prost::Message as _;
    use spool::OsDisk;
    use telemetry::{ClinicId, ClockQuality, Content, DeviceId, Origin, TenantId, proto};

    use super::*;

    #[test]
    fn a_frame_in_alertings_log_is_the_message_that_the_codec_would_write() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(spool::Config::new(dir.path(), &[]), Arc::new(OsDisk))
            .unwrap()
            .0;
        let outlet = AlarmOutlet { spool };
        for payload in [vec![], vec![7; 100], vec![7; 40_000]] {
            let admitted = Admitted {
                recorded_by: None,
                content: Content::Status,
                payload: payload.into(),
                received_at: UnixMicros(1_790_000_000_000_000),
                anchor: None,
                clock: ClockQuality::Received,
                origin: Origin::Endpoint,
                sequence_reused: false,
                maybe_seen_before: false,
                gateway: GatewayId::new("gw-1").unwrap(),
                retained: false,
                tenant: TenantId::new("acme").unwrap(),
                clinic: ClinicId::new("soho").unwrap(),
                device: DeviceId::new("pen-1").unwrap(),
            };
            let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_001);
            let mut record = Vec::new();
            outlet.wrap(&admitted, &admitted.encode(), now, &mut record);
            let frame = proto::FrameInput {
                admitted: Some(admitted.to_wire()),
                class: proto::FrameClass::Live as i32,
                logged_at_us: 1_790_000_001_000_000,
            };
            let input = proto::Input {
                input: Some(proto::input::Input::Frame(frame)),
            };
            assert_eq!(record, input.encode_to_vec());
        }
    }
}
