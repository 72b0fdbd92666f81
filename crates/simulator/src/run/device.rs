//! One device's client: emissions at their time into the outbox, acknowledgements out of it, the network up and down.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use service::config::Secret;
use service::mqtt::{Acks, Broker, Command, Link, OptionsError, Publisher, PublisherOptions, Will};
use telemetry::{Presence, proto};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Pace, Target};
use crate::device::{Content, DeviceStream, Emission};
use crate::fleet::{Device, Fleet};
use crate::live::{Connected, Live};
use crate::spec::micros;
use crate::uplink::{down_until, encode};

/// Frames that a device keeps while nobody acknowledges: about a quarter of an hour of a session. Beyond it the device
/// waits, as if its memory were larger; nothing is dropped.
const OUTBOX_MESSAGES: usize = 1_000;
/// Messages sent and not acknowledged.
const WINDOW: u16 = 64;
/// Commands that wait to be counted.
const COMMAND_CAPACITY: usize = 16;

/// Simulated time on the real clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) started: Instant,
    pub(super) pace: Pace,
}

impl Clock {
    /// When this simulated time is; `None`: it does not matter.
    fn real(&self, at_us: u64) -> Option<Instant> {
        let speed = self.pace.speed;
        let seconds = at_us as f64 / 1e6 / speed;
        (speed > 0.0 && seconds.is_finite())
            .then(|| {
                Duration::try_from_secs_f64(seconds)
                    .ok()
                    .and_then(|after| self.started.checked_add(after))
            })
            .flatten()
    }

    fn is_over(&self, at_us: u64) -> bool {
        self.pace.duration.is_some_and(|duration| at_us > micros(duration))
    }
}

/// A device and its connection.
pub(super) struct Client {
    device: Arc<Device>,
    stream: DeviceStream,
    clock: Clock,
    live: Live,
    publisher: Publisher,
    acks: Acks,
    commands: mpsc::Receiver<Command>,
    link: watch::Receiver<Link>,
    connected: bool,
    /// Unacknowledged messages by token, with boot and sequence number of those that have one. As many as the outbox holds.
    kept: BTreeMap<u64, Option<(u64, u64)>>,
    token: u64,
    boot: u64,
    /// The network is down until then.
    down: Option<(u64, Option<Instant>)>,
    telemetry: String,
    status: String,
}

/// What a wait ended with.
enum Woke {
    Due,
    Stopped,
}

impl Client {
    pub(super) fn start(
        fleet: &Fleet,
        device: &Arc<Device>,
        target: &Target,
        clock: Clock,
        live: Live,
    ) -> Result<Self, OptionsError> {
        let device = Arc::clone(device);
        let mut broker = Broker::new(target.host.clone(), target.port, device.who.key().to_string());
        if target.login {
            broker.username = Some(device.who.key().to_string());
            broker.password = Some(Secret::new(device.secret.clone()));
        }
        broker.tls = target.tls.clone();
        let mut options = PublisherOptions::new(broker);
        options.version = target.version;
        options.window = WINDOW;
        options.outbox_messages = OUTBOX_MESSAGES;
        options.command_topic = Some(device.who.topic("command"));
        options.command_capacity = COMMAND_CAPACITY;
        options.will = Some(Will {
            topic: device.who.topic("status"),
            payload: presence(Presence::Lost, None),
            retain: true,
        });
        let (publisher, acks, commands) = Publisher::start(options)?;
        Ok(Self {
            stream: DeviceStream::new(fleet, &device),
            clock,
            live,
            link: publisher.link(),
            publisher,
            acks,
            commands,
            connected: false,
            kept: BTreeMap::new(),
            token: 0,
            boot: 0,
            down: None,
            telemetry: device.who.topic("telemetry"),
            status: device.who.topic("status"),
            device,
        })
    }

    /// Publishes until told to stop or the time is over; then waits for the last acknowledgements and says good-bye.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while let Some(emission) = self.stream.next() {
            let due = self.clock.real(emission.at_us);
            if self.clock.is_over(emission.at_us) {
                let end = self
                    .clock
                    .pace
                    .duration
                    .and_then(|duration| self.clock.real(micros(duration)));
                let _ = self.wait(end, &mut stop).await;
                break;
            }
            if matches!(self.wait(due, &mut stop).await, Woke::Stopped) {
                break;
            }
            self.network(emission.at_us);
            self.live.happened(emission.truths.clone());
            if !self.publish(emission, &mut stop).await {
                break;
            }
        }
        self.end().await;
    }

    /// Takes the network down or brings it back, as simulated time says.
    fn network(&mut self, at_us: u64) {
        match (down_until(&self.device.faults, at_us), self.down) {
            (Some(until_us), None) => {
                self.publisher.set_online(false);
                self.down = Some((until_us, self.clock.real(until_us)));
            }
            (None, Some(_)) => self.network_up(),
            _ => {}
        }
    }

    fn network_up(&mut self) {
        self.down = None;
        self.publisher.set_online(true);
    }

    /// Waits until `due` (without one, not at all), doing everything that happens meanwhile.
    async fn wait(&mut self, due: Option<Instant>, stop: &mut watch::Receiver<bool>) -> Woke {
        if *stop.borrow() {
            return Woke::Stopped;
        }
        let Some(due) = due else {
            while let Some(acked) = self.acks.try_recv() {
                self.acked(acked);
            }
            return Woke::Due;
        };
        loop {
            let up = self.down.and_then(|(_, at)| at);
            tokio::select! {
                acked = self.acks.recv() => match acked {
                    Some(acked) => self.acked(acked),
                    None => return Woke::Stopped,
                },
                () = tokio::time::sleep_until(up.unwrap_or(due)), if up.is_some() => self.network_up(),
                () = tokio::time::sleep_until(due) => return Woke::Due,
                Ok(()) = self.link.changed() => self.linked(),
                Some(_) = self.commands.recv() => self.live.command(),
                _ = stop.changed() => return Woke::Stopped,
            }
        }
    }

    fn acked(&mut self, acked: service::mqtt::Acked) {
        self.kept.remove(&acked.token);
        self.live.acked(acked.is_accepted());
    }

    /// A new connection after a break: the last will has spoken, so the device says that it is there.
    fn linked(&mut self) {
        let connected = matches!(*self.link.borrow_and_update(), Link::Connected { .. });
        match (self.connected, connected) {
            (false, true) => {
                self.live.connected(Connected::Came);
                // Before the first boot is told, the stream's own status says it.
                if self.boot != 0 {
                    let payload = presence(Presence::Online, Some(self.boot));
                    self.token += 1;
                    if self
                        .publisher
                        .try_publish(&self.status, payload, self.token, true)
                        .is_ok()
                    {
                        self.kept.insert(self.token, None);
                    }
                }
            }
            (true, false) => self.live.connected(Connected::Went),
            _ => {}
        }
        self.connected = connected;
    }

    /// Puts an emission into the outbox, waiting for room; false when the device has to end.
    async fn publish(&mut self, emission: Emission, stop: &mut watch::Receiver<bool>) -> bool {
        let place = emission.place();
        let topic = match &emission.content {
            Content::Nothing => return true,
            Content::Status(status) => {
                self.boot = status.boot_id.unwrap_or(0);
                self.status.clone()
            }
            Content::Frame(_) | Content::Garbage(_) => self.telemetry.clone(),
        };
        self.live.published(&emission.content);
        let oldest = place.and_then(|place| {
            self.kept
                .values()
                .flatten()
                .find(|(boot, _)| *boot == place.boot)
                .map(|(_, sequence)| *sequence)
        });
        let (payload, retain) = encode(emission.content, oldest);
        self.token += 1;
        let token = self.token;
        if self.put(&topic, payload, token, retain, stop).await {
            self.kept.insert(token, place.map(|place| (place.boot, place.sequence)));
            return true;
        }
        false
    }

    async fn put(
        &mut self,
        topic: &str,
        payload: Bytes,
        token: u64,
        retain: bool,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        loop {
            let publisher = self.publisher.clone();
            let up = self.down.map(|(_, at)| at.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                published = publisher.publish(topic, payload.clone(), token, retain) => return published.is_ok(),
                acked = self.acks.recv() => match acked {
                    Some(acked) => self.acked(acked),
                    None => return false,
                },
                // A full outbox must not keep the network down.
                () = tokio::time::sleep_until(up.unwrap_or_else(Instant::now)), if up.is_some() => self.network_up(),
                Ok(()) = self.link.changed() => self.linked(),
                Some(_) = self.commands.recv() => self.live.command(),
                _ = stop.changed() => return false,
            }
        }
    }

    async fn end(mut self) {
        if self.down.is_some() {
            self.network_up();
        }
        let payload = presence(Presence::Offline, Some(self.boot));
        self.token += 1;
        if self
            .publisher
            .try_publish(&self.status, payload, self.token, true)
            .is_ok()
        {
            self.kept.insert(self.token, None);
        }
        let deadline = Instant::now() + self.clock.pace.grace;
        while !self.kept.is_empty() {
            match tokio::time::timeout_at(deadline, self.acks.recv()).await {
                Ok(Some(acked)) => self.acked(acked),
                Ok(None) | Err(_) => break,
            }
        }
        self.live.unsent(self.kept.len());
        self.publisher.close().await;
        if self.connected {
            self.live.connected(Connected::Went);
        }
    }
}

fn presence(presence: Presence, boot_id: Option<u64>) -> Bytes {
    proto::Status {
        presence: Some(presence.to_wire()),
        boot_id,
    }
    .encode_to_vec()
    .into()
}
