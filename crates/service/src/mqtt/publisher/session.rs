//! The publisher's side of the connection: connects, polls, forwards; decides nothing about messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::{Command, DISCONNECT_WITHIN, Shared, Wanted};
use crate::mqtt::driver::{Driver, Event, Sender, Terms};
use crate::mqtt::link::{Complaints, DisconnectReason, Ended, Link};
use crate::mqtt::options::PublisherOptions;
use crate::telemetry_names::{MQTT_COMMANDS_DROPPED, MQTT_CONNECTIONS, MQTT_DISCONNECTS, MQTT_SUBSCRIPTIONS_REFUSED};

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) options: PublisherOptions,
    pub(super) wanted: watch::Receiver<(Wanted, u64)>,
    pub(super) link: watch::Sender<Link>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) complaints: Complaints,
}

impl Session {
    pub(super) async fn run(mut self) {
        let broker = self.options.broker.address();
        let mut backoff = self.options.broker.backoff.clone();
        loop {
            if !self.until_online().await {
                break;
            }
            self.link.send_replace(Link::Connecting {
                attempt: self.complaints.attempt(),
            });
            let mut up_since = None;
            let ended = self.connection(&mut up_since).await;
            self.shared.lost();
            ::metrics::counter!(MQTT_DISCONNECTS, "role" => "publisher", "reason" => ended.reason.as_str())
                .increment(1);
            match ended.reason {
                DisconnectReason::Closed => break,
                DisconnectReason::Cut => {
                    self.link.send_replace(Link::Disconnected {
                        reason: ended.reason,
                        detail: ended.detail,
                    });
                    continue;
                }
                _ => {}
            }
            let now = Instant::now();
            self.complaints.down(now, &broker, &ended);
            self.link.send_replace(Link::Disconnected {
                reason: ended.reason,
                detail: ended.detail,
            });
            let up_for = up_since.map_or(Duration::ZERO, |since| now.duration_since(since));
            let pause = backoff.next_after(up_for, &mut rand::rng());
            let _ = tokio::time::timeout(pause, self.wanted.changed()).await;
        }
        self.link.send_replace(Link::Closed);
    }

    /// Waits while offline is wanted; false when closing is.
    async fn until_online(&mut self) -> bool {
        loop {
            match self.wanted.borrow_and_update().0 {
                Wanted::Online => return true,
                Wanted::Closed => return false,
                Wanted::Offline => self.link.send_replace(Link::Offline),
            };
            if self.wanted.changed().await.is_err() {
                return false;
            }
        }
    }

    async fn connection(&mut self, up_since: &mut Option<Instant>) -> Ended {
        let options = &self.options;
        let terms = Terms {
            version: options.version,
            clean_session: options.clean_session,
            manual_acks: false,
            window: options.window,
            read_limit: options.broker.max_packet_size.as_usize(),
            will: options.will.as_ref(),
        };
        let (mut driver, sender) = Driver::new(&options.broker, &terms);
        loop {
            let polled = tokio::select! {
                polled = driver.poll() => polled,
                // Whatever is asked for ends this connection, so the cancelled poll loses nothing that matters.
                changed = self.wanted.changed() => {
                    let wanted = self.wanted.borrow_and_update().0;
                    let polite = changed.is_ok() && wanted == Wanted::Closed && up_since.is_some();
                    if polite && sender.disconnect() {
                        let _ = tokio::time::timeout(DISCONNECT_WITHIN, self.until_disconnected(&mut driver)).await;
                    }
                    let closed = changed.is_err() || wanted == Wanted::Closed;
                    return if closed { Ended::new(DisconnectReason::Closed, "closed") } else { Ended::new(DisconnectReason::Cut, "cut on demand") };
                }
            };
            match polled {
                Ok(Event::Connected {
                    session_present,
                    receive_max,
                    max_packet,
                }) => {
                    *up_since = Some(Instant::now());
                    self.connected(session_present, &sender, receive_max, max_packet);
                }
                Ok(event) => self.take(event),
                Err(ended) => {
                    driver.leftovers().into_iter().for_each(|event| self.take(event));
                    return ended;
                }
            }
        }
    }

    async fn until_disconnected(&self, driver: &mut Driver) {
        while let Ok(event) = driver.poll().await {
            if matches!(event, Event::Disconnected) {
                return;
            }
            self.take(event);
        }
    }

    fn connected(
        &mut self,
        session_present: bool,
        sender: &Sender,
        receive_max: Option<u16>,
        max_packet: Option<usize>,
    ) {
        ::metrics::counter!(MQTT_CONNECTIONS, "role" => "publisher").increment(1);
        self.complaints
            .up(Instant::now(), &self.options.broker.address(), session_present);
        // Before any publish, so that it takes a packet id out of turn only where none is in use.
        if let Some(filter) = &self.options.command_topic
            && !session_present
        {
            sender.subscribe(std::slice::from_ref(filter));
        }
        self.shared.connected(sender.clone(), receive_max, max_packet);
        self.link.send_replace(Link::Connected { session_present });
    }

    fn take(&self, event: Event) {
        match event {
            Event::Sent { pkid } => self.shared.sent(pkid),
            Event::PubAck { pkid, reason } => self.shared.acked(pkid, reason),
            Event::Publish {
                topic, payload, retain, ..
            } => self.hand_over(Command { topic, payload, retain }),
            Event::SubAck(granted) if granted.contains(&false) => {
                ::metrics::counter!(MQTT_SUBSCRIPTIONS_REFUSED).increment(1);
                tracing::error!(
                    filter = self.options.command_topic,
                    "the broker refused the command topic; check its access rules"
                );
            }
            _ => {}
        }
    }

    /// The policy at the bound is to drop the newest: a command expires, and waiting would stop the telemetry.
    fn hand_over(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            ::metrics::counter!(MQTT_COMMANDS_DROPPED).increment(1);
        }
    }
}
