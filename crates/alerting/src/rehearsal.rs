//! The engine without a process around it: inputs in, transitions out, and what it would have on disk held in memory. For
//! cases, backtests and benches; nothing leaves from here.
use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry::{DeviceKey, UnixMicros};

use crate::engine::state::Device;
use crate::engine::{Changes, Cold, ColdError, Engine, FactKey, Outcome, Snapshot};
use crate::fleet::Fleet;
use crate::id::{AlertId, TransitionId};
use crate::intake::{Action, Command, Input, Told};
use crate::lifecycle::State;
use crate::rules::Ruleset;

/// Inputs between two transactions, so that what changed does not pile up beside what is kept.
const COMMIT_EVERY: u64 = 8_192;

/// See the module.
pub struct Rehearsal {
    engine: Engine,
    memory: Memory,
    rules: Arc<Ruleset>,
    fleet: Arc<dyn Fleet>,
    offset: u64,
    ticked: Option<UnixMicros>,
}

/// What would be on disk, as the bytes that would be there.
#[derive(Default)]
struct Memory {
    facts: BTreeMap<FactKey, String>,
    devices: BTreeMap<DeviceKey, Vec<u8>>,
    gateways: BTreeMap<String, String>,
    alerts: BTreeMap<AlertId, String>,
    beats: BTreeMap<String, String>,
    told: BTreeMap<TransitionId, Told>,
    clock: UnixMicros,
}

impl Cold for Memory {
    fn fact(&self, key: &FactKey) -> Result<Option<String>, ColdError> {
        Ok(self.facts.get(key).cloned())
    }
}

impl Memory {
    fn commit(&mut self, changes: Changes) {
        self.facts.extend(changes.facts);
        self.devices.extend(changes.devices);
        self.gateways.extend(changes.gateways);
        self.beats.extend(changes.beats);
        self.told.extend(changes.told.into_iter().map(|t| (t.transition, t)));
        self.clock = changes.clock;
        for (id, alert) in changes.alerts {
            let open = !matches!(alert.state(), State::Resolved | State::Inactive);
            match serde_json::to_string(&alert).ok().filter(|_| open) {
                Some(json) => self.alerts.insert(id, json),
                None => self.alerts.remove(&id),
            };
        }
    }

    fn snapshot(&self) -> Snapshot {
        fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
            serde_json::from_str(json).ok()
        }
        Snapshot {
            devices: self
                .devices
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), Device::from_row(v).ok()?)))
                .collect(),
            gateways: self
                .gateways
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), parse(v)?)))
                .collect(),
            beats: self
                .beats
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), parse(v)?)))
                .collect(),
            told: self.told.values().cloned().collect(),
            alerts: self.alerts.values().filter_map(|v| parse(v)).collect(),
            clock: self.clock,
        }
    }
}

impl Rehearsal {
    /// Begins with nothing known.
    pub fn new(rules: Arc<Ruleset>, fleet: Arc<dyn Fleet>) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&rules), Arc::clone(&fleet), Snapshot::default()),
            memory: Memory::default(),
            rules,
            fleet,
            offset: 0,
            ticked: None,
        }
    }

    /// Applies the next input.
    ///
    /// # Errors
    /// [`ColdError`]: a fact that was put away is no JSON of this version.
    pub fn apply(&mut self, input: &Input) -> Result<Outcome, ColdError> {
        let outcome = self.engine.apply(self.offset, input, &self.memory)?;
        self.offset += 1;
        if self.offset.is_multiple_of(COMMIT_EVERY) {
            self.commit();
        }
        Ok(outcome)
    }

    /// Lets time pass to `now`, as the process does: one tick for each deadline that is due.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn pass(&mut self, now: UnixMicros) -> Result<Outcome, ColdError> {
        let due = self
            .engine
            .next_deadline()
            .filter(|due| *due <= now && self.ticked != Some(*due));
        match due {
            Some(due) => {
                self.ticked = Some(due);
                self.apply(&Input::Tick { now })
            }
            None => Ok(Outcome::default()),
        }
    }

    /// A person acknowledges.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn acknowledge(&mut self, at: UnixMicros, actor: &str, alert: AlertId) -> Result<Outcome, ColdError> {
        let mut command = [0; 16];
        for (slot, byte) in command.iter_mut().zip(self.offset.to_be_bytes()) {
            *slot = byte;
        }
        self.apply(&Input::Command(Command {
            id: command,
            at,
            actor: actor.to_owned(),
            action: Action::Acknowledge(alert),
            comment: String::new(),
        }))
    }

    /// A transaction.
    pub fn commit(&mut self) {
        let changes = self.engine.take_changes();
        self.memory.commit(changes);
    }

    /// A transaction, and the engine starts again from its bytes.
    pub fn restart(&mut self) {
        self.commit();
        let (rules, fleet) = (Arc::clone(&self.rules), Arc::clone(&self.fleet));
        self.engine = Engine::new(rules, fleet, self.memory.snapshot());
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
