//! The engine without a process around it: inputs in, transitions out, and what it would have on disk held in memory. For
//! cases, backtests, benches and tests; nothing leaves from here, and a row that cannot be read is an error as on disk.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
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
#[derive(Debug, Default)]
pub struct Memory {
    facts: BTreeMap<FactKey, String>,
    devices: BTreeMap<DeviceKey, Vec<u8>>,
    gateways: BTreeMap<String, String>,
    alerts: BTreeMap<AlertId, String>,
    beats: BTreeMap<String, String>,
    told: BTreeMap<TransitionId, Told>,
    clock: UnixMicros,
    stepped: UnixMicros,
}

impl Cold for Memory {
    fn fact(&self, key: &FactKey) -> Result<Option<String>, ColdError> {
        Ok(self.facts.get(key).cloned())
    }
}

/// A row of a table that is none.
fn bad<E: std::error::Error + Send + Sync + 'static>(
    table: &'static str,
    key: impl ToString,
) -> impl FnOnce(E) -> ColdError {
    move |source| ColdError {
        table,
        key: key.to_string(),
        source: Box::new(source),
    }
}

fn json<T: DeserializeOwned>(table: &'static str, key: impl ToString, text: &str) -> Result<T, ColdError> {
    serde_json::from_str(text).map_err(bad(table, key))
}

impl Memory {
    /// Keeps what changed, as a transaction does.
    ///
    /// # Errors
    /// [`ColdError`]: an alert has no JSON.
    pub fn commit(&mut self, changes: Changes) -> Result<(), ColdError> {
        self.facts.extend(changes.facts);
        self.devices.extend(changes.devices);
        self.gateways.extend(changes.gateways);
        self.beats.extend(changes.beats);
        self.told.extend(changes.told.into_iter().map(|t| (t.transition, t)));
        self.clock = changes.clock;
        self.stepped = changes.stepped;
        for (id, alert) in changes.alerts {
            if matches!(alert.state(), State::Resolved | State::Inactive) {
                self.alerts.remove(&id);
            } else {
                let text = serde_json::to_string(&alert).map_err(bad("alert", id))?;
                self.alerts.insert(id, text);
            }
        }
        Ok(())
    }

    /// What a restart begins with.
    ///
    /// # Errors
    /// [`ColdError`]: a row cannot be read; which one.
    pub fn snapshot(&self) -> Result<Snapshot, ColdError> {
        let device = |(key, row): (&DeviceKey, &Vec<u8>)| {
            let device = Device::from_row(row).map_err(bad("device", key))?;
            Ok((key.clone(), device))
        };
        let gateway = |(id, text): (&String, &String)| Ok((id.clone(), json("gateway", id, text)?));
        let beat = |(id, text): (&String, &String)| Ok((id.clone(), json("heartbeat", id, text)?));
        Ok(Snapshot {
            devices: self.devices.iter().map(device).collect::<Result<_, ColdError>>()?,
            gateways: self.gateways.iter().map(gateway).collect::<Result<_, ColdError>>()?,
            beats: self.beats.iter().map(beat).collect::<Result<_, ColdError>>()?,
            alerts: (self.alerts.iter().map(|(id, text)| json("alert", id, text))).collect::<Result<_, ColdError>>()?,
            told: self.told.values().cloned().collect(),
            clock: self.clock,
            stepped: self.stepped,
        })
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
            self.commit()?;
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
            instance: None,
        }))
    }

    /// A transaction.
    ///
    /// # Errors
    /// As [`Memory::commit`].
    pub fn commit(&mut self) -> Result<(), ColdError> {
        let changes = self.engine.take_changes();
        self.memory.commit(changes)
    }

    /// A transaction, and the engine starts again from its bytes.
    ///
    /// # Errors
    /// As [`Memory::commit`] and [`Memory::snapshot`].
    pub fn restart(&mut self) -> Result<(), ColdError> {
        self.commit()?;
        let (rules, fleet) = (Arc::clone(&self.rules), Arc::clone(&self.fleet));
        self.engine = Engine::new(rules, fleet, self.memory.snapshot()?);
        Ok(())
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_cannot_be_read_is_named_and_never_left_out() {
        let key: DeviceKey = DeviceKey {
            tenant: "acme".parse().unwrap(),
            device: "pen-1".parse().unwrap(),
        };
        let spoil: [fn(&mut Memory, DeviceKey); 4] = [
            |memory, key| drop(memory.devices.insert(key, vec![1])),
            |memory, _| drop(memory.gateways.insert("gw-1".into(), "no".into())),
            |memory, _| drop(memory.beats.insert("watch".into(), "{".into())),
            |memory, _| drop(memory.alerts.insert(AlertId([7; 16]), "{}".into())),
        ];
        let mut said = Vec::new();
        for spoil in spoil {
            let mut memory = Memory::default();
            assert!(memory.snapshot().is_ok());
            spoil(&mut memory, key.clone());
            said.push(memory.snapshot().unwrap_err().to_string());
        }
        let named = [
            "device \"acme/pen-1\"",
            "gateway \"gw-1\"",
            "heartbeat \"watch\"",
            "alert \"0707",
        ];
        assert!(
            said.iter().zip(named).all(|(said, name)| said.contains(name)),
            "{said:?}"
        );
    }
}
