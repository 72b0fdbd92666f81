//! MQTT over rumqttc, with every guard that it needs: the one place where its client is used.
//!
//! rumqttc 0.25 loses accepted messages and stalls in known ways. What is done about each, here and nowhere else:
//!
//! 1. It clears its pending requests when the broker has no session: [`Publisher`] keeps an outbox of its own, and every
//!    connection gets a fresh event loop, so nothing of an old connection survives in the library.
//! 2. A late acknowledgement could name another message after a reconnect: tokens carry an epoch, checked under one lock.
//! 3. Acknowledgements leave in the order of receipt, whatever the order in which they are given, and never block.
//! 4. Acknowledging and publishing block one another: [`Subscriber`] and [`Publisher`] are separate connections.
//! 5. Nothing moves unless it is polled: one task per connection polls and forwards; what it fills is bounded.
//! 6. Polling is not cancel-safe: a poll is only cancelled when its connection is thrown away with it.
//! 7. A delivery over the size limit would come back for ever: the limit is raised for it, loudly, up to a hard cap.
//! 8. Reconnecting has no pause: full-jitter backoff, reset only by a healthy connection.
//! 9. It does not resubscribe: done whenever the broker has no session, or the filters changed.
//! 10. TCP_NODELAY is off: it is set.
//! 11. Acknowledgements out of order stall it: the window is counted from the oldest message, so packet ids never collide.

mod acks;
mod driver;
mod link;
mod options;
mod outbox;
mod publisher;
mod subscriber;
mod subscriptions;

pub use acks::{AckToken, Acker};
pub use link::{DisconnectReason, Link};
pub use options::{Broker, OptionsError, PublisherOptions, SubscriberOptions, Version, Will};
pub use publisher::{Acked, Acks, Command, PublishError, Publisher};
pub use subscriber::{Delivery, Subscriber};
