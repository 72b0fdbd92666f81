//! The engine: `(state, input) -> (state', transitions)`. No clock and no I/O but looking up what it has put away itself:
//! the only times are those of its inputs, so the same log gives the same alerts, however it is cut into batches.
mod alert;
mod backlog;
mod boots;
mod commands;
mod delay;
mod expected;
mod facts;
mod flapping;
mod frame;
mod hygiene;
mod intern;
mod light;
mod load;
mod moved;
mod ours;
mod past;
mod pen;
mod presence;
mod quality;
mod raise;
mod raised;
mod readings;
mod recovery;
mod refused;
mod row;
mod seen;
pub mod state;
mod told;
mod uses;
mod visit;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use alert::{Alert, Transition, Why};
pub use delay::Delay;
pub use facts::{Cold, ColdError, FactKey, Table};
pub use past::TAKE_BACK;
pub use raised::Raised;
pub use row::RowError;
use telemetry::{DeviceKey, UnixMicros};

use self::expected::Expected;
use self::facts::Book;
use self::frame::Judged;
use self::intern::{Common, Name};
use self::past::Past;
use self::presence::Timers;
use self::state::{BeatState, Device, Gateway};
use crate::fleet::Fleet;
use crate::id::{AlertId, TransitionId, Trigger};
use crate::intake::{Class, Input, Told};
use crate::rules::Ruleset;

/// What an input did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps of alerts, in order.
    pub transitions: Vec<Transition>,
    /// It was a copy of an earlier frame and changed nothing.
    pub duplicate: bool,
    /// Rules and registry to judge by from here on were announced.
    pub configured: bool,
    /// It was a command about an alert that is open and was raised, and it had an effect.
    pub effect: bool,
    /// Occurrences for which an alert that was open already stands, because its device has [`state::MAX_OPEN`].
    pub merged: u64,
}

/// What changed since the last time, for one transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Devices, as rows.
    pub devices: BTreeMap<DeviceKey, Vec<u8>>,
    /// Facts about items, cartridges and sterilizers, as JSON.
    pub facts: BTreeMap<FactKey, String>,
    /// Gateways, as JSON.
    pub gateways: BTreeMap<String, String>,
    /// Alerts.
    pub alerts: BTreeMap<AlertId, Alert>,
    /// Heartbeats that are expected, as JSON.
    pub beats: BTreeMap<String, String>,
    /// What another instance has told.
    pub told: Vec<Told>,
    /// The input log's clock.
    pub clock: UnixMicros,
    /// When the last step of an alert was taken.
    pub stepped: UnixMicros,
}

/// What a restart begins with: what was committed last.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every device.
    pub devices: Vec<(DeviceKey, Device)>,
    /// Every gateway.
    pub gateways: Vec<(String, Gateway)>,
    /// Every alert that is not resolved.
    pub alerts: Vec<Alert>,
    /// Every heartbeat that is expected.
    pub beats: Vec<(String, BeatState)>,
    /// What another instance has told.
    pub told: Vec<Told>,
    /// The input log's clock.
    pub clock: UnixMicros,
    /// When the last step of an alert was taken.
    pub stepped: UnixMicros,
}

/// A device in memory: what is kept, and what is derived from rules and registry.
#[derive(Default)]
struct Slot {
    device: Device,
    judged: Option<Judged>,
    /// The gateway in whose timers its silence stands.
    armed: Option<Name>,
    /// The gateway in whose timers it stands that it must be heard again.
    awaited_at: Option<Name>,
}

/// What moves alerts: when, by what, shown by which frames.
struct Moment<'a> {
    key: &'a DeviceKey,
    trigger: Trigger,
    class: Class,
    event_time: UnixMicros,
    /// When the gateway received the frame that moves them.
    received_at: Option<UnixMicros>,
    evidence: Vec<u64>,
}

/// The state machine.
pub struct Engine {
    rules: Arc<Ruleset>,
    fleet: Arc<dyn Fleet>,
    /// Boxed: a slot is taken out and put back for every frame, and a table that grows has room for many more.
    devices: foldhash::HashMap<DeviceKey, Box<Slot>>,
    common: Common,
    gateways: BTreeMap<String, Gateway>,
    alerts: HashMap<AlertId, Alert>,
    owners: HashMap<AlertId, DeviceKey>,
    book: Book,
    timers: Timers,
    expected: Expected,
    past: Past,
    beats: BTreeMap<String, BeatState>,
    told: BTreeMap<TransitionId, Told>,
    clock: UnixMicros,
    stepped: UnixMicros,
    changed_devices: BTreeSet<DeviceKey>,
    changed_gateways: BTreeSet<String>,
    changed_beats: BTreeSet<String>,
    changed_told: Vec<Told>,
    changed_alerts: BTreeMap<AlertId, Alert>,
    out: Vec<Transition>,
    merged: u64,
}

impl Engine {
    /// Goes on from a snapshot.
    pub fn new(rules: Arc<Ruleset>, fleet: Arc<dyn Fleet>, snapshot: Snapshot) -> Self {
        let mut engine = Self {
            rules,
            fleet,
            devices: foldhash::HashMap::with_capacity_and_hasher(snapshot.devices.len(), Default::default()),
            common: Common::default(),
            gateways: snapshot.gateways.into_iter().collect(),
            alerts: snapshot.alerts.into_iter().map(|a| (a.id, a)).collect(),
            owners: HashMap::new(),
            book: Book::default(),
            timers: Timers::default(),
            expected: Expected::default(),
            past: Past::default(),
            beats: snapshot.beats.into_iter().collect(),
            told: snapshot.told.into_iter().map(|t| (t.transition, t)).collect(),
            clock: snapshot.clock,
            stepped: snapshot.stepped,
            changed_devices: BTreeSet::new(),
            changed_gateways: BTreeSet::new(),
            changed_beats: BTreeSet::new(),
            changed_told: Vec::new(),
            changed_alerts: BTreeMap::new(),
            out: Vec::new(),
            merged: 0,
        };
        for (key, mut device) in snapshot.devices {
            let key = engine.common.key(key);
            engine.common.share(&mut device);
            let mut slot = Box::new(Slot {
                device,
                ..Slot::default()
            });
            engine
                .owners
                .extend(slot.device.open.iter().map(|open| (open.id, key.clone())));
            engine.rearm(&key, &mut slot);
            engine.rearm_settling(&key, &slot.device);
            engine.rearm_delays(&key, &slot.device);
            engine.devices.insert(key, slot);
        }
        engine.rearm_past();
        engine.expect_devices();
        engine
    }

    /// Judges by these rules and this registry from now on; state stays.
    pub fn configure(&mut self, rules: Arc<Ruleset>, fleet: Arc<dyn Fleet>) {
        self.rules = rules;
        self.fleet = fleet;
        for slot in self.devices.values_mut() {
            slot.judged = None;
        }
        self.common.forget();
    }

    /// Applies the input that stands at `offset` in the log.
    ///
    /// # Errors
    /// [`ColdError`]: what was put away could not be read. The state may be half moved: go on from the last snapshot.
    pub fn apply(&mut self, offset: u64, input: &Input, cold: &dyn Cold) -> Result<Outcome, ColdError> {
        let mut outcome = Outcome::default();
        match input {
            Input::Frame(frame) => {
                self.advance(frame.logged_at);
                outcome.duplicate = !self.frame(offset, frame, cold)?;
            }
            Input::Watermark {
                gateway,
                received_at,
                logged_at,
            } => {
                self.advance(*logged_at);
                self.watermark(gateway.as_str(), *received_at);
            }
            Input::Tick { now } => {
                self.advance(*now);
                self.tick();
            }
            Input::Command(command) => {
                self.advance(command.at);
                outcome.effect = self.command(command);
            }
            Input::Configured { at, .. } => {
                self.advance(*at);
                self.restarted();
                self.expect_beats();
                self.follow_registry();
                self.expect_devices();
                self.forget_unexpected();
                outcome.configured = true;
            }
            Input::ReceiverState(state) => {
                self.advance(state.at);
                self.receiver_state(state);
            }
            Input::Beat(beat) => {
                self.advance(beat.at);
                self.beat(beat);
            }
            Input::RotaState(state) => {
                self.advance(state.at);
                self.rota_state(state);
            }
            Input::Refused { refused, logged_at } => {
                self.advance(*logged_at);
                self.refused(refused);
            }
            Input::Backlog(backlog) => {
                self.advance(backlog.at);
                self.backlog(backlog);
            }
            Input::Told(told) => {
                self.advance(told.at);
                self.told_elsewhere(told);
            }
        }
        outcome.transitions = std::mem::take(&mut self.out);
        outcome.merged = std::mem::take(&mut self.merged);
        Ok(outcome)
    }

    /// The input log's clock never goes back.
    fn advance(&mut self, to: UnixMicros) {
        self.clock = self.clock.max(to);
    }

    /// The time of the next step: the clock's, or a microsecond after the step before if that one has it already. So steps
    /// stand in the store in the order in which they were taken, and none in the place of another.
    fn next_step(&self) -> UnixMicros {
        self.clock.max(UnixMicros(self.stepped.0.saturating_add(1)))
    }

    /// What changed since the last call. The caller keeps it until it is committed.
    pub fn take_changes(&mut self) -> Changes {
        let device_row = |key: &DeviceKey| {
            let slot = self.devices.get(key)?;
            Some((key.clone(), slot.device.to_row().ok()?))
        };
        let devices = self.changed_devices.iter().filter_map(device_row).collect();
        let gateways = self
            .changed_gateways
            .iter()
            .filter_map(|id| Some((id.clone(), serde_json::to_string(self.gateways.get(id)?).ok()?)))
            .collect();
        let beats = self
            .changed_beats
            .iter()
            .filter_map(|id| Some((id.clone(), serde_json::to_string(self.beats.get(id)?).ok()?)))
            .collect();
        self.changed_devices.clear();
        self.changed_gateways.clear();
        self.changed_beats.clear();
        Changes {
            devices,
            facts: self.book.take_changes(),
            gateways,
            alerts: std::mem::take(&mut self.changed_alerts),
            beats,
            told: std::mem::take(&mut self.changed_told),
            clock: self.clock,
            stepped: self.stepped,
        }
    }

    /// How many inputs' worth of devices wait for a transaction.
    pub fn is_changed(&self) -> bool {
        !self.changed_devices.is_empty()
            || !self.changed_gateways.is_empty()
            || !self.changed_beats.is_empty()
            || !self.changed_told.is_empty()
            || !self.changed_alerts.is_empty()
    }

    /// The input log's clock.
    pub fn clock(&self) -> UnixMicros {
        self.clock
    }

    /// Open alerts.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// One open alert.
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id)
    }
}
