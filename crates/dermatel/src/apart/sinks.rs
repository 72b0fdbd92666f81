//! The seams between the parts and the uplink, which only the binary knows.
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alerting::{Advise, Advised, intake};
use gateway::quarantine::tally::Count;
use gateway::{Outlet, Role};
use registry::Shared;
use service::clock::Clock;
use spool::Spool;
use telemetry::{Admitted, DeviceId, DeviceKey, GatewayId, TenantId, UnixMicros, proto};
use uplink::batch::Message;
use uplink::downlink::{Whereabouts, encode};
use uplink::receive::{Records, Sink};
use uplink::report::Report;
use uplink::sender::Sender;

/// How long a command is worth something on its way down; alerting tries no longer either.
const COMMAND_WORTH: Duration = Duration::from_secs(120);

/// The log of a gateway that forwards: what alerting must hear stands in it between the messages.
pub(super) struct ForwardedOutlet {
    pub(super) spool: Spool,
    pub(super) registry: Arc<Shared>,
}

impl Outlet for ForwardedOutlet {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    fn role(&self) -> Role {
        Role::Store
    }

    fn encode_watermark(&self, gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool {
        Report::Watermark(received_at).encode(gateway, into);
        true
    }

    fn encode_refused(&self, gateway: &GatewayId, device: &DeviceKey, count: &Count, into: &mut Vec<u8>) -> bool {
        let registry = self.registry.current();
        // It was registered when it was counted. One that is gone since has no clinic: the forwarder counts it.
        let clinic = registry.device(device).map(|device| device.clinic.to_string());
        let refused = proto::Refused {
            gateway: gateway.to_string(),
            tenant: device.tenant.to_string(),
            device: device.device.to_string(),
            count: count.messages,
            reason: count.reason.as_str().to_owned(),
            received_at_us: count.received_at.0,
        };
        let clinic = clinic.unwrap_or_default();
        Report::Refused { clinic, refused }.encode(gateway, into);
        true
    }
}

/// The ingestor's log: each message as the gateway had it, in its tenant's lane.
pub(super) struct PointSink {
    pub(super) registry: Arc<Shared>,
}

impl Sink for PointSink {
    fn message(&mut self, message: &Message, _now: UnixMicros, out: &mut Records) {
        let registry = self.registry.current();
        // That of a tenant which the registry no longer has is 0, the shared one.
        let lane = registry
            .tenant(&message.admitted.tenant)
            .map_or(0, |tenant| tenant.number);
        out.push(lane, message.encoded.to_vec());
    }
}

/// Alerting's log: each message with the class that it has now, and what gateways report.
pub(super) struct AlarmSink {
    whereabouts: Whereabouts,
    /// Of the last message. Those that come together are a microsecond apart, so that the steps of an alert that they cause are
    /// not at one time, which in the store is one point but for three digits.
    last: UnixMicros,
}

impl AlarmSink {
    pub(super) fn new(whereabouts: Whereabouts) -> Self {
        Self {
            whereabouts,
            last: UnixMicros(0),
        }
    }
}

impl Sink for AlarmSink {
    fn message(&mut self, message: &Message, now: UnixMicros, out: &mut Records) {
        let admitted = &message.admitted;
        self.whereabouts.heard(&admitted.key(), &admitted.gateway);
        self.last = now.max(self.last.plus(Duration::from_micros(1)));
        let mut record = Vec::new();
        intake::wrap_frame(admitted, &message.encoded, self.last, &mut record);
        out.push(0, record);
    }

    fn refused(&mut self, refused: proto::Refused, out: &mut Records) {
        let (Ok(gateway), Ok(tenant), Ok(device)) = (
            GatewayId::new(&refused.gateway),
            TenantId::new(&refused.tenant),
            DeviceId::new(&refused.device),
        ) else {
            return;
        };
        let refused = intake::Refused {
            gateway,
            device: DeviceKey { tenant, device },
            count: refused.count,
            reason: refused.reason,
            received_at: UnixMicros(refused.received_at_us),
        };
        out.push(0, refused.encode());
    }

    fn watermark(&mut self, gateway: &GatewayId, at: UnixMicros, out: &mut Records) {
        out.push(0, intake::encode_watermark(gateway, at));
    }

    fn backlog(&mut self, backlog: proto::Backlog, out: &mut Records) {
        let (Ok(gateway), Ok(log)) = (GatewayId::new(&backlog.gateway), DeviceId::new(&backlog.log)) else {
            return;
        };
        let backlog = intake::Backlog {
            gateway,
            log,
            percent: backlog.percent,
            at: UnixMicros(backlog.at_us),
        };
        out.push(0, backlog.encode());
    }
}

/// Transitions for the store, by way of the broker.
pub(super) struct TransitionsUp {
    pub(super) sender: Sender,
    pub(super) runtime: tokio::runtime::Handle,
}

impl alerting::Outlet for TransitionsUp {
    fn put(&self, transitions: &[Admitted]) -> Result<Vec<usize>, Box<dyn Error + Send + Sync>> {
        // Called where it may block.
        let waiting = self.runtime.block_on(self.sender.transitions(transitions))?;
        let waits = |one: &Admitted| waiting.contains(telemetry::shard(&one.tenant, &one.clinic));
        Ok((0..transitions.len()).filter(|at| waits(&transitions[*at])).collect())
    }
}

/// Commands for devices, by way of the broker and the gateway where they were heard last.
pub(super) struct DownTo {
    pub(super) sender: Sender,
    pub(super) whereabouts: Whereabouts,
    pub(super) clock: Clock,
}

impl Advise for DownTo {
    fn advise(&self, device: DeviceKey, payload: Vec<u8>) -> Pin<Box<dyn Future<Output = Advised> + Send + '_>> {
        Box::pin(async move {
            let gateway = self.whereabouts.of(&device).ok_or("no_gateway")?;
            let until = UnixMicros::from(self.clock.now()).plus(COMMAND_WORTH);
            match self.sender.command(&gateway, encode(&device, payload, until)).await {
                Ok(()) => Ok("forwarded"),
                Err(_) => Err("broker"),
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use prost::Message as _;
    use telemetry::{ClockQuality, Content, Origin};

    use super::*;

    #[test]
    fn messages_that_come_together_enter_alertings_log_one_after_the_other() {
        let admitted = Admitted {
            recorded_by: None,
            tenant: TenantId::new("acme").unwrap(),
            clinic: "soho".parse().unwrap(),
            device: DeviceId::new("pen-1").unwrap(),
            content: Content::Status,
            payload: Vec::new().into(),
            received_at: UnixMicros(5),
            anchor: None,
            clock: ClockQuality::Received,
            origin: Origin::Endpoint,
            sequence_reused: false,
            maybe_seen_before: false,
            gateway: GatewayId::new("gw-1").unwrap(),
            retained: false,
        };
        let message = Message {
            encoded: admitted.encode().into(),
            admitted,
        };
        let (mut sink, mut out) = (AlarmSink::new(Whereabouts::default()), Records::default());
        for now in [100, 100, 100, 300, 200] {
            sink.message(&message, UnixMicros(now), &mut out);
        }
        let logged: Vec<i64> = out
            .iter()
            .map(|record| match proto::Input::decode(record).unwrap().input.unwrap() {
                proto::input::Input::Frame(frame) => frame.logged_at_us,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(logged, [100, 101, 102, 300, 301]);
    }
}
