//! Changes of the registry by command, in alerting's journal: who changed what, from what to what. The registry keeps a journal of
//! its own; that both say the same shows when either was cut.
use registry::{Change, Digest, Step};
use serde_json::{Value, json};

use crate::handle::Handle;
use crate::store::StoreError;
use crate::store::journal::{Entry, EntryKind};
use crate::store::registry::Line;

/// Devices of one change that stand in its row; the registry's journal, whose hash stands there too, has them all.
const MAX_SHOWN: usize = 100;

pub use crate::store::registry::Followed;

impl Handle {
    /// Puts lines of the registry's journal into alerting's, each once, however often it is told. `whole`: these are all lines
    /// that there are, so that a missing one shows.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was put; the next start tells all lines again.
    pub async fn journal_registry(&self, lines: Vec<(Change, Digest)>, whole: bool) -> Result<Followed, StoreError> {
        self.blocking(move |own| {
            let now = own.clock.now().into();
            let line = |(change, hash): &(Change, Digest)| Line {
                n: change.n,
                hash: hash.to_string(),
                entry: Entry::new(now, EntryKind::Registry, &body(change, *hash)).with_text(NO_ALERT, &change.why),
            };
            let lines: Vec<Line> = lines.iter().map(line).collect();
            own.store.follow_registry(&lines, whole, now)
        })
        .await
    }
}

/// Whose text the reason of a change is: no alert's.
const NO_ALERT: crate::id::AlertId = crate::id::AlertId([0; 16]);

fn body(change: &Change, hash: Digest) -> Value {
    let shown: Vec<Value> = change.steps.iter().take(MAX_SHOWN).map(step).collect();
    json!({
        "n": change.n, "hash": hash.to_string(), "at_us": change.at.0, "actor": change.by,
        "devices": change.steps.len(), "changes": shown, "folded": change.folded.map(|head| head.to_string()),
    })
}

fn step(step: &Step) -> Value {
    let (what, before, after) = match step {
        Step::Add(device) => {
            let after =
                json!({"clinic": device.clinic, "model": device.model, "serial": device.serial, "state": "active"});
            ("add", Value::Null, after)
        }
        Step::Move { from, to, .. } => ("move", json!({"clinic": from}), json!({"clinic": to})),
        Step::Retire { .. } => ("retire", json!({"state": "active"}), json!({"state": "retired"})),
        Step::Restore { .. } => ("restore", json!({"state": "retired"}), json!({"state": "active"})),
    };
    json!({"device": step.device().to_string(), "what": what, "before": before, "after": after})
}
