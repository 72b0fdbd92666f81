//! Commands down: to the gateway where a device was heard last, which hands them to the device while they are worth something.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use service::clock::Clock;
use service::mqtt::{OptionsError, Subscriber, SubscriberOptions};
use telemetry::{DeviceId, DeviceKey, GatewayId, TenantId, UnixMicros, proto};
use tokio::task::JoinSet;

use crate::Config;
use crate::metrics::{DOWNLINK_COMMANDS, downlink_at_zero};
use crate::topic::downlink;

/// Most devices of which it is known where they are. One more is not reached until it is heard again after a restart.
const DEVICES_MAX: usize = 2_000_000;
/// Commands that are tried at a time.
const UNDER_WAY: usize = 64;
/// Longest wait for a device's answer.
const TRY_FOR: Duration = Duration::from_secs(5);
/// Commands that wait to be handed on.
const WINDOW: usize = 256;

/// Where devices were heard last. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Whereabouts(Arc<RwLock<HashMap<DeviceKey, GatewayId>>>);

impl Whereabouts {
    /// A device was heard by this gateway.
    pub fn heard(&self, device: &DeviceKey, gateway: &GatewayId) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(device) == Some(gateway);
        if known {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < DEVICES_MAX || known.contains_key(device) {
            known.insert(device.clone(), gateway.clone());
        }
    }

    /// Where it was heard last since the start.
    pub fn of(&self, device: &DeviceKey) -> Option<GatewayId> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(device)
            .cloned()
    }
}

/// The bytes of a command for a device, worth something until then.
pub fn encode(device: &DeviceKey, payload: Vec<u8>, until: UnixMicros) -> Bytes {
    let command = proto::DownlinkCommand {
        tenant: device.tenant.to_string(),
        device: device.device.to_string(),
        payload,
        until_us: until.0,
    };
    command.encode_to_vec().into()
}

/// What becomes of a command that did not get down to its device's connection, or stays unanswered.
const NOT_TRIED: [&str; 3] = [TIMEOUT, MALFORMED, EXPIRED];
const TIMEOUT: &str = "timeout";
const MALFORMED: &str = "malformed";
const EXPIRED: &str = "expired";

/// Takes commands from the broker to the devices of a gateway.
pub struct Down {
    subscriber: Subscriber,
    clock: Clock,
}

impl Down {
    /// Connects with a session that the broker keeps. `outcomes`: what may become of a command that is tried, as is counted. Within a
    /// tokio runtime.
    ///
    /// # Errors
    /// The broker's options contradict themselves.
    pub fn start(
        config: &Config,
        gateway: &GatewayId,
        clock: Clock,
        outcomes: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, OptionsError> {
        downlink_at_zero(outcomes.into_iter().chain(NOT_TRIED));
        let broker = config.broker_as(format!("dermatel-down-{gateway}"));
        let mut options = SubscriberOptions::new(broker, vec![downlink(gateway)]);
        options.receive_window = WINDOW;
        Ok(Self {
            subscriber: Subscriber::start(options)?,
            clock,
        })
    }

    /// Hands commands to `deliver` until `stop` resolves; it says in a bounded name what became of one. A command is acknowledged
    /// once it was tried: alerting's own journal says that it was sent, and a device that is not there is told by people. One that
    /// does not answer holds up nobody else.
    pub async fn run<F, D>(mut self, deliver: D, stop: impl Future<Output = ()>)
    where
        D: Fn(DeviceKey, Bytes) -> F,
        F: Future<Output = &'static str> + Send + 'static,
    {
        tokio::pin!(stop);
        let acker = self.subscriber.acker();
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(tried) = under_way.join_next() => {
                    if let Ok((token, outcome)) = tried {
                        counter!(DOWNLINK_COMMANDS, "outcome" => outcome).increment(1);
                        acker.ack(&[token]);
                    }
                }
                delivery = self.subscriber.recv(), if under_way.len() < UNDER_WAY => {
                    let Some(delivery) = delivery else { break };
                    let read = read(&delivery.payload, self.clock.now().into());
                    let deliver = read.map(|(device, payload)| deliver(device, payload));
                    under_way.spawn(async move {
                        let outcome = match deliver {
                            Ok(deliver) => tokio::time::timeout(TRY_FOR, deliver).await.unwrap_or(TIMEOUT),
                            Err(why) => why,
                        };
                        (delivery.token, outcome)
                    });
                }
            }
        }
        self.subscriber.stop().await;
    }
}

fn read(bytes: &[u8], now: UnixMicros) -> Result<(DeviceKey, Bytes), &'static str> {
    let command = proto::DownlinkCommand::decode(bytes).map_err(|_| MALFORMED)?;
    let device = DeviceKey {
        tenant: TenantId::new(&command.tenant).map_err(|_| MALFORMED)?,
        device: DeviceId::new(&command.device).map_err(|_| MALFORMED)?,
    };
    if now.0 > command.until_us {
        return Err(EXPIRED);
    }
    Ok((device, command.payload.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_handed_on_while_it_is_worth_something() {
        let device = DeviceKey {
            tenant: "acme".parse().unwrap(),
            device: "pen-1".parse().unwrap(),
        };
        let bytes = encode(&device, vec![7], UnixMicros(100));
        assert_eq!(read(&bytes, UnixMicros(100)), Ok((device, Bytes::from_static(&[7]))));
        assert_eq!(read(&bytes, UnixMicros(101)), Err("expired"));
        assert_eq!(read(b"\xff", UnixMicros(0)), Err("malformed"));
    }
}
