//! The fence over a broker: says and hears, and gives the permission to page as far as it goes.
use std::time::Instant;

use metrics::{counter, gauge};
use prost::Message as _;
use service::health::Condition;
use service::mqtt::{Link, OptionsError, Publisher, PublisherOptions, Subscriber, SubscriberOptions};
use telemetry::proto;
use tokio::sync::watch;

use super::{Fence, is_claim};
use crate::Config;
use crate::metrics::{FENCE_CLAIMS, FENCE_EPOCH, FENCE_HELD};
use crate::topic::{self, Role};

/// Name of the condition for readiness.
pub const CONDITION: &str = "uplink-fence";

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Another instance pages from now on.
    #[error(
        "another instance of the group pages from now on; this process has to be started again, and stands by then"
    )]
    Lost,
    /// The broker's options contradict themselves.
    #[error("the connection to the broker cannot be made")]
    Options(#[from] OptionsError),
}

/// Keeps to the fence of `group` until `stop`; `window` says from when until when this instance may page.
///
/// # Errors
/// [`Ended`].
pub async fn run(
    config: &Config,
    group: &str,
    window: &watch::Sender<Option<(Instant, Instant)>>,
    condition: &Condition,
    stop: impl Future<Output = ()>,
) -> Result<(), Ended> {
    let topic = topic::fence(Role::Alerting, group);
    let name = format!("dermatel-alerting-{}-fence", config.instance);
    let options = SubscriberOptions::new(config.broker_as(format!("{name}-hears")), vec![topic.clone()]);
    let mut subscriber = Subscriber::start(options)?;
    let (publisher, acks, _) = Publisher::start(PublisherOptions::new(config.broker_as(name)))?;
    let ignoring = tokio::spawn(acks.ignore());
    let mut fence = Fence::new(config.instance.clone(), rand::random(), config.takeover, Instant::now());
    let (mut link, acker) = (subscriber.link(), subscriber.acker());
    let mut look = tokio::time::interval(config.takeover / 16);
    tokio::pin!(stop);
    let ended = loop {
        tokio::select! {
            // A connection is told before what came over it.
            biased;
            () = &mut stop => break Ok(()),
            changed = link.changed() => {
                let forgot = changed.is_ok() && *link.borrow_and_update() == (Link::Connected { session_present: false });
                // At first there was nothing to forget.
                if forgot && fence.holder().is_some() {
                    fence.forgotten(Instant::now());
                }
            }
            delivery = subscriber.recv() => {
                let Some(delivery) = delivery else { break Ok(()) };
                if let Ok(beat) = proto::FenceBeat::decode(&delivery.payload[..]) {
                    fence.hear(&beat, Instant::now());
                }
                acker.ack(&[delivery.token]);
            }
            _ = look.tick() => {
                if let Some(beat) = fence.tick(Instant::now()) {
                    say(&publisher, &topic, &beat);
                }
            }
        }
        window.send_replace(fence.may_page());
        tell(&fence, condition);
        if fence.is_lost() {
            break Err(Ended::Lost);
        }
    };
    window.send_replace(None);
    ignoring.abort();
    subscriber.stop().await;
    publisher.close().await;
    ended
}

fn say(publisher: &Publisher, topic: &str, beat: &proto::FenceBeat) {
    let claim = is_claim(beat);
    if claim {
        counter!(FENCE_CLAIMS).increment(1);
        tracing::warn!(
            epoch = beat.epoch,
            "nobody is heard who pages for this group: this instance claims it"
        );
    }
    // What does not get through is not heard back, and extends nothing.
    let _ = publisher.try_publish(topic, beat.encode_to_vec().into(), 0, claim);
}

fn tell(fence: &Fence, condition: &Condition) {
    let now = Instant::now();
    let holds = fence.may_page().is_some_and(|(from, until)| from <= now && now < until);
    gauge!(FENCE_HELD).set(if holds { 1.0 } else { 0.0 });
    match fence.holder() {
        Some((_, epoch)) => {
            gauge!(FENCE_EPOCH).set(epoch as f64);
            condition.green();
        }
        None => condition.red("nobody is known to page for this group yet"),
    }
}
