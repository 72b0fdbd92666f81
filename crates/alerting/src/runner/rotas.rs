//! Rotas that run out: said in the log when that begins and when it has happened, so that the engine raises it like anything
//! else that is wrong.
use std::collections::BTreeMap;

use telemetry::UnixMicros;

use super::Runner;
use crate::intake::RotaState;
use crate::rules::Kind;

/// What stands in the log about rotas: when each ends, and whether it has.
#[derive(Debug, Default)]
pub(super) struct Said(Option<BTreeMap<String, Option<(UnixMicros, bool)>>>);

impl Runner {
    /// Says what has changed. At first everything: nobody knows what was said before.
    pub(super) fn look_at_rotas(&self, said: &mut Said) {
        let now = self.now();
        let mut states = self.shared.plan().rotas_by_end(now);
        let known = match &said.0 {
            Some(known) => known.keys().cloned().collect::<Vec<_>>(),
            None => {
                let open = self.engine.alerts().filter(|alert| alert.kind == Kind::RotaEnds);
                open.map(|alert| alert.device.clone()).collect()
            }
        };
        // What is no longer in the plan runs out no longer.
        for rota in known {
            states.entry(rota).or_insert(None);
        }
        let known = said.0.get_or_insert_default();
        for (rota, state) in states {
            if known.get(&rota) == Some(&state) {
                continue;
            }
            let record = RotaState {
                rota: rota.clone(),
                ends: state.map(|(ends, _)| ends),
                at: now,
            };
            if self.append(&record.encode()) {
                known.insert(rota, state);
            }
        }
    }
}
