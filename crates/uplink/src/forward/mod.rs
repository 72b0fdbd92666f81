//! The gateway's side: reads its log by a cursor of its own, sends batches, and moves the cursor when every reader has them.
mod cut;
mod era;
mod far;
mod in_flight;
mod line;
mod pack;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use metrics::{counter, gauge};
use service::health::Condition;
use service::mqtt::OptionsError;
use spool::{Offset, Reader, ReaderError, Spool};
use telemetry::GatewayId;
use tokio::sync::watch;

use crate::metrics::{HELD_BACK, RESTARTED, WENT_BACK, forwarder_at_zero};
use crate::readers::{Readers, Seen, Shards, missing};
use crate::topic::{Role, Way};
use crate::{Config, ShardSet};
use era::Era;
use far::{Back, Far};
use line::{Ended, Line};

/// The forwarder's cursor, to be declared in the gateway's log.
pub const CURSOR: &str = "forward";
/// Name of the condition for readiness.
pub const CONDITION: &str = "uplink-readers";

/// Why a forwarder was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The log's cursors lack ours.
    #[error("the gateway's log has no cursor {CURSOR:?}, declare it")]
    Cursor(#[from] ReaderError),
    /// The broker's options contradict themselves.
    #[error("the connection to the broker cannot be made")]
    Options(#[from] OptionsError),
    /// A thread could not be started, or the log's era not be kept.
    #[error("cannot start a thread, or keep which era of the log this is")]
    Io(#[from] std::io::Error),
}

/// What a forwarder is made of, and its line made of again whenever it breaks or goes back.
struct Plan {
    config: Config,
    gateway: GatewayId,
    log: Spool,
    shards: Shards,
    condition: Condition,
    seen: watch::Receiver<Seen>,
    era: Era,
    /// The cursor waits a moment after the start, until every reader that the broker knows of was heard of.
    started: Instant,
    cursor: Arc<Mutex<Reader>>,
}

/// Sends what the log has.
///
/// A broker may lose what it has acknowledged: with a node, with a session, with what it had not saved. So its acknowledgement only
/// makes room for more. The cursor follows what every reader says that it holds on its own disk; when one lacks what was sent, the
/// forwarder goes back to what that one holds, and the others pass over the copies.
pub struct Forwarder {
    plan: Plan,
    far: Far,
    line: Line,
}

impl Forwarder {
    /// Connects and starts to read; sends when it runs. `shards`: those in which this gateway has clinics. `dir`: where it keeps
    /// which era of the log this is. Within a tokio runtime, and before anything more is appended to the log.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn start(
        config: &Config,
        gateway: GatewayId,
        log: &Spool,
        shards: Shards,
        dir: &Path,
        condition: Condition,
    ) -> Result<Self, BuildError> {
        forwarder_at_zero();
        let era = Era::begin(dir, log.next())?;
        let client = format!("dermatel-forward-{gateway}");
        let (readers, seen) = Readers::start(config, &client, Way::Uplink, &gateway)?;
        tokio::spawn(readers.run());
        let cursor = log.reader(CURSOR)?;
        let far = Far::new(era.number, cursor.committed().0);
        let plan = Plan {
            config: config.clone(),
            gateway,
            log: log.clone(),
            shards,
            condition,
            seen,
            era,
            started: Instant::now(),
            cursor: Arc::new(Mutex::new(cursor)),
        };
        let from = plan.committed();
        let line = Line::start(&plan, &far, from)?;
        Ok(Self { plan, far, line })
    }

    /// Sends until `stop` resolves. What readers do not hold then is sent again after the next start.
    ///
    /// # Errors
    /// [`BuildError`]: it could not begin again.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), BuildError> {
        tokio::pin!(stop);
        let Self {
            plan,
            mut far,
            mut line,
        } = self;
        loop {
            let (ended, settled) = line.run(&plan, &mut far, stop.as_mut()).await;
            let mut from = settled.0;
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Broken => {
                    counter!(RESTARTED).increment(1);
                    tracing::warn!("the connection to the broker broke: what it had not acknowledged is sent again");
                }
                Ended::Back(back) => from = plan.go_back(&mut far, &back, from),
            }
            far.line += 1;
            line = Line::start(&plan, &far, Offset(from))?;
        }
    }
}

impl Plan {
    fn committed(&self) -> Offset {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner).committed()
    }

    fn go_back(&self, far: &mut Far, back: &Back, from: u64) -> u64 {
        let oldest = self.log.state().oldest.0;
        let to = far.go_back(back, from, oldest);
        tracing::warn!(
            shards = %back.shards.iter().map(|(shard, _)| *shard).collect::<ShardSet>(),
            records = from.saturating_sub(to),
            "a reader lacks what was sent, it is sent again from what that reader holds"
        );
        to
    }

    /// Whether every shard that we send to has its readers.
    fn is_open(&self, far: &Far) -> bool {
        let seen = self.seen.borrow();
        let lacking = match self.config.wait_for_readers {
            true => missing(&seen.announced, (self.shards)(), &Role::ALL),
            false => ShardSet::EMPTY,
        };
        gauge!(HELD_BACK).set(if lacking.is_empty() { 0.0 } else { 1.0 });
        if !lacking.is_empty() {
            self.condition.red(&format!(
                "shards {lacking} lack an ingestor or an alerting instance at the broker, nothing is forwarded"
            ));
            return false;
        }
        match far.away(&seen.announced, Instant::now()) {
            // A start takes its time.
            Some(reader) if self.started.elapsed() > crate::readers::AWAY_AFTER => self.condition.red(&format!(
                "{} {:?} does not say what it holds, so this gateway keeps everything for it: start it, or take it back                  (docs/scaling.md)",
                reader.role.as_str(),
                reader.instance
            )),
            _ => self.condition.green(),
        }
        true
    }

    /// How far the cursor may go.
    fn cursor(&self, far: &Far, settled: Offset) -> Option<Offset> {
        let seen = self.seen.borrow();
        if self.config.wait_for_readers {
            let lacking = missing(&seen.announced, (self.shards)(), &Role::ALL);
            if !lacking.is_empty() || self.started.elapsed() < self.config.resend {
                return None;
            }
        }
        far.cursor(settled.0, &seen.announced).map(Offset)
    }
}

/// Where to go back to, by what readers have said, if to anywhere.
fn heard(plan: &Plan, far: &mut Far) -> Option<Back> {
    let seen = plan.seen.borrow();
    let mut back = None;
    for (reader, (said, heard)) in &seen.said {
        let lacks = far.hear(reader, said, plan.config.resend, *heard);
        back = back.or(lacks);
    }
    back.inspect(|_| counter!(WENT_BACK, "why" => "lacking").increment(1))
}

fn overdue(plan: &Plan, far: &mut Far, now: Instant) -> Option<Back> {
    let seen = plan.seen.borrow();
    let back = far.overdue(&seen.announced, now);
    back.inspect(|_| counter!(WENT_BACK, "why" => "silence").increment(1))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
