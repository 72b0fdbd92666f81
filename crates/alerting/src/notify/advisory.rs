//! Advisories: a high priority alert about a device goes down to the device itself, because the person with the pen is the only
//! one who can stop in time. Advice that expires, never control; whoever is paged is paged all the same.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use serde::{Deserialize, Serialize};
use service::clock::Clock;
use telemetry::{DeviceId, DeviceKey, Priority, TenantId, UnixMicros, proto};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::send::ended;
use crate::engine::Transition;
use crate::intake::{Class, priority_to_wire};
use crate::store::{Due, NewPage, Page, PageOutcome, Settlement, Store, StoreError};

/// Under which name advisories stand in the outbox and the journal; no receiver can have it.
pub(crate) const DEVICE: &str = "@device";
/// How long an advisory makes sense: whoever has gone on for two minutes is told by people.
const WORTH: Duration = Duration::from_secs(120);
/// How long the device shows it.
const SHOW_FOR_S: u32 = 120;
/// Longest text in bytes, as `command.options` bounds it.
const MAX_TEXT: usize = 160;
/// Longest time for one delivery.
const TIMEOUT: Duration = Duration::from_secs(5);
/// First wait after a device that is not there, and the longest: each is twice the one before.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(16));
/// Most deliveries at a time.
const IN_FLIGHT: usize = 256;
/// How often the outbox is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a device said, or why it did not get it: a bounded name.
pub type Advised = Result<&'static str, &'static str>;

/// Takes advisories down to devices.
pub trait Advise: Send + Sync {
    /// Publishes `payload` on the command topic of `device`. Ok is what is known of its arrival, an error why it did not get
    /// there; both are bounded names.
    fn advise(&self, device: DeviceKey, payload: Vec<u8>) -> Pin<Box<dyn Future<Output = Advised> + Send + '_>>;
}

/// An advisory as it waits in the outbox.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    tenant: TenantId,
    device: DeviceId,
    until_us: i64,
    priority: Priority,
    happened: String,
    what_to_do: String,
}

/// The advisory that a transition causes: of a live page of high priority about a device.
pub(crate) fn advisory(t: &Transition, now: UnixMicros) -> Option<NewPage> {
    let alert = &t.alert;
    let wanted = t.page && alert.priority == Priority::High && alert.class == Class::Live && !alert.kind.is_ours();
    if !wanted {
        return None;
    }
    let waiting = Waiting {
        tenant: TenantId::new(&alert.tenant).ok()?,
        device: DeviceId::new(&alert.device).ok()?,
        until_us: now.plus(WORTH).0,
        priority: alert.priority,
        happened: alert.what_happened.clone(),
        what_to_do: alert.what_to_do.clone(),
    };
    Some(NewPage {
        receiver: DEVICE.to_owned(),
        not_before: now,
        priority: alert.priority,
        body: serde_json::to_string(&waiting).ok()?,
    })
}

/// As much of a text as the device has room for.
fn short(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

fn payload(page: &Page, waiting: &Waiting) -> Vec<u8> {
    let alert = page.alert.parse::<crate::id::AlertId>();
    let advisory = proto::Advisory {
        alert_id: alert.map(|id| id.0.to_vec()).unwrap_or_default(),
        priority: priority_to_wire(waiting.priority) as i32,
        happened: short(&waiting.happened),
        what_to_do: short(&waiting.what_to_do),
        show_for_s: SHOW_FOR_S,
    };
    let command = proto::DeviceCommand {
        command: Some(proto::device_command::Command::Advisory(advisory)),
    };
    command.encode_to_vec()
}

type Attempt = (Page, PageOutcome);

/// Empties the devices' part of the outbox.
pub(crate) struct Advisor {
    pub(crate) store: Arc<Store>,
    pub(crate) advise: Arc<dyn Advise>,
    pub(crate) clock: Clock,
    /// Changes when something was put into the outbox.
    pub(crate) wake: watch::Receiver<u64>,
    /// True when it has to end.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Advisor {
    /// Runs until `stop` says so. An advisory that is under way then is sent again after the next start, if it is still worth it.
    pub(crate) async fn run(mut self) {
        let mut stop = self.stop.clone();
        let mut flying: JoinSet<Attempt> = JoinSet::new();
        // Whoever tells ends before this does.
        let mut awake = true;
        loop {
            if let Err(error) = self.launch(&mut flying).await {
                tracing::warn!(error = %error, "advisories to devices wait for alerting's file");
            }
            tokio::select! {
                () = ended(&mut stop) => return,
                // A device that says nothing holds up its own advice only.
                Some(done) = flying.join_next() => self.settle(done, &mut flying).await,
                changed = self.wake.changed(), if awake => awake = changed.is_ok(),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn now(&self) -> UnixMicros {
        self.clock.now().into()
    }

    /// Starts attempts up to the bound.
    async fn launch(&self, flying: &mut JoinSet<Attempt>) -> Result<(), StoreError> {
        let room = IN_FLIGHT.saturating_sub(flying.len());
        if room == 0 {
            return Ok(());
        }
        let (store, now) = (Arc::clone(&self.store), self.now());
        let hold = now.plus(TIMEOUT * 2);
        let pages = blocking(move || store.take_due(DEVICE, now, room, hold, Due::Any)).await?;
        for page in pages {
            let (advise, now) = (Arc::clone(&self.advise), self.now());
            flying.spawn(async move {
                let outcome = deliver(advise.as_ref(), &page, now).await;
                (page, outcome)
            });
        }
        Ok(())
    }

    /// Keeps how those came out that have ended, in one transaction. What cannot be kept is sent again: a device shows it once.
    async fn settle(&self, first: Result<Attempt, JoinError>, flying: &mut JoinSet<Attempt>) {
        let mut outcomes = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok(outcome) => outcomes.push(outcome),
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            }
            next = flying.try_join_next();
        }
        let settlement = Settlement {
            receiver: DEVICE.to_owned(),
            fallbacks: Vec::new(),
            renews: false,
            outcomes,
        };
        let (store, now) = (Arc::clone(&self.store), self.now());
        if let Err(error) = blocking(move || store.settle(&settlement, now)).await {
            tracing::warn!(error = %error, "what became of advisories to devices is not kept");
        }
    }
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(run).await {
        Ok(value) => value,
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
}

async fn deliver(advise: &dyn Advise, page: &Page, now: UnixMicros) -> PageOutcome {
    let Ok(waiting) = serde_json::from_str::<Waiting>(&page.body) else {
        return PageOutcome::Undelivered { reason: "unreadable" };
    };
    if now.0 > waiting.until_us {
        return PageOutcome::Undelivered { reason: "expired" };
    }
    let payload = payload(page, &waiting);
    let key = DeviceKey {
        tenant: waiting.tenant,
        device: waiting.device,
    };
    match tokio::time::timeout(TIMEOUT, advise.advise(key, payload)).await {
        Ok(Ok(receipt)) => PageOutcome::Delivered {
            receipt: receipt.to_owned(),
        },
        refused => PageOutcome::Retry {
            at: now.plus((RETRY.0 * (1 << page.attempts.min(8))).min(RETRY.1)),
            reason: if refused.is_err() { "timeout" } else { "refused" },
            refused: true,
            hopeless: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_text_is_cut_at_a_character_and_fits_the_device(text in "\\PC{0,300}") {
            let cut = short(&text);
            proptest::prop_assert!(cut.len() <= MAX_TEXT && text.starts_with(&cut));
            proptest::prop_assert!(text.len() <= MAX_TEXT || cut.len() + 4 > MAX_TEXT);
        }
    }
}
