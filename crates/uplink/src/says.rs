//! What a reader says: that the broker keeps its shards for it, and to each sender how far it holds what that sent.
use bytes::Bytes;
use prost::Message as _;
use service::mqtt::{OptionsError, Publisher, PublisherOptions};
use telemetry::{GatewayId, proto};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Config;
use crate::topic::{Role, Way, held, reader};

/// Most words under way: with more the broker does not answer, and what is said later says it too.
const OUTBOX_MESSAGES: usize = 4_096;

/// A connection for it.
pub(crate) struct Says {
    role: Role,
    instance: String,
    publisher: Publisher,
    tasks: [JoinHandle<()>; 2],
    missed: bool,
}

impl Says {
    /// Connects, and says whenever `subscribed` becomes true that the broker keeps this reader's shards.
    pub(crate) fn start(config: &Config, role: Role, subscribed: watch::Receiver<bool>) -> Result<Self, OptionsError> {
        let client = format!("dermatel-{}-{}-says", role.as_str(), config.instance);
        let mut options = PublisherOptions::new(config.broker_as(client));
        options.outbox_messages = OUTBOX_MESSAGES;
        let (publisher, acks, _) = Publisher::start(options)?;
        let said = proto::UplinkReader {
            role: role.as_str().to_owned(),
            shards: config.shards.mask(),
        };
        let topic = reader(role, &config.instance);
        let announced = announce(publisher.clone(), topic, said.encode_to_vec().into(), subscribed);
        Ok(Self {
            role,
            instance: config.instance.clone(),
            publisher,
            tasks: [tokio::spawn(announced), tokio::spawn(acks.ignore())],
            missed: false,
        })
    }

    /// Whether something could not be said since the last time.
    pub(crate) fn missed(&self) -> bool {
        self.missed
    }

    /// Says it.
    pub(crate) fn say(&mut self, said: &[(Way, GatewayId, proto::UplinkHeld)]) {
        self.missed = false;
        for (way, sender, holds) in said {
            let topic = held(*way, sender, self.role, &self.instance);
            let payload = Bytes::from(holds.encode_to_vec());
            self.missed |= self.publisher.try_publish(&topic, payload, 0, false).is_err();
        }
    }

    /// Ends the connection.
    pub(crate) async fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.publisher.close().await;
    }
}

async fn announce(publisher: Publisher, topic: String, payload: Bytes, mut subscribed: watch::Receiver<bool>) {
    while subscribed.wait_for(|held| *held).await.is_ok() {
        if publisher.publish(&topic, payload.clone(), 0, true).await.is_err()
            || subscribed.wait_for(|held| !*held).await.is_err()
        {
            return;
        }
    }
}
