//! What the engine remembers: of each device, of items, cartridges and sterilizers, of gateways. Serialisable, bounded.
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use telemetry::{UnixMicros, Zone};

pub use super::boots::{Boots, MAX_BOOTS};
pub use super::intern::Name;
pub use super::seen::{BootSeen, HASHES, MAX_INTERVALS, MAX_ODD, OLD_HASHES, Repeat};
use crate::id::{AlertId, Opaque};
use crate::rules::Kind;
use crate::rules::depth::DepthMemory;
use crate::rules::disinfection::{Between, Wipe};
use crate::rules::drift::Baseline;
use crate::rules::fault::Faults;
use crate::rules::lamp::Lamp;
use crate::rules::pen::PenMemory;
use crate::rules::pulse::PulseMemory;
use crate::rules::recovery::Untold;
use crate::rules::refused::Refusals;
use crate::rules::sterilization::FailedCycle;

/// Open alerts of one device: so many are there only where nobody acknowledges. At the bound the oldest alert of a rule stands for
/// what happens next under it, and is told anew for it.
pub const MAX_OPEN: usize = 128;
/// Ids of resolved alerts per device, so that a copy of a frame does not raise them anew; at the bound the oldest goes.
pub const MAX_CLOSED: usize = 64;
/// Frames before a violation that are kept as evidence.
pub const MAX_OFFSETS: usize = 4;
/// Raises of the last minutes that are remembered per device, to see what flaps; at the bound the oldest goes.
pub const MAX_RAISES: usize = 16;
/// Steps of alerts that another instance has told; at the bound the oldest go, and what they are about may page twice.
pub const MAX_TOLD: usize = 8_192;
/// Wipes that are remembered per item; at the bound the oldest goes.
pub const MAX_WIPES: usize = 8;
/// Clinics whose newest cycle is remembered per item; at the bound the oldest goes.
pub const MAX_CLINICS: usize = 8;
/// Visits whose time is remembered per item; those before only count.
pub const MAX_USES: usize = 64;

/// The last frame that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its boot.
    pub boot: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// Its event time.
    pub event_time: UnixMicros,
}

/// The visit that a device is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The visit; the session where the device says no visit.
    pub key: Opaque,
    /// Whether the device said it.
    pub given: bool,
    /// First use.
    pub first: UnixMicros,
    /// Last use.
    pub last: UnixMicros,
}

/// An open alert of a device, by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Kind of its rule.
    pub kind: Kind,
    /// Visit.
    pub visit: Option<Opaque>,
    /// Zone.
    pub zone: Option<Zone>,
    /// The alert.
    pub id: AlertId,
}

/// Evidence that is awaited or was not there: a disinfection, or an indicator of a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The alert.
    pub id: AlertId,
    /// Between which uses.
    pub between: Between,
    /// When waiting ends, on the gateway's clock; `None`: it ended.
    pub due: Option<UnixMicros>,
    /// The load whose indicator it is about; `None`: a disinfection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Box<str>>,
}

/// Of one device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Clinic that it was last heard from.
    pub clinic: Name,
    /// Gateway that last let it in.
    pub gateway: Name,
    /// Its serial, from its birth.
    pub serial: Option<String>,
    /// Factory calibration from its newest birth: measured minus set depth, in micrometres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth_offset_um: Option<i32>,
    /// Sequence numbers; in a row they stand beside the text.
    #[serde(skip_serializing)]
    pub boots: Boots,
    /// Newest frame.
    pub heard: Option<Heard>,
    /// When its gateway last received anything from it.
    pub received_at: UnixMicros,
    /// Whether the newest frame was live and in a session: then silence is a loss of protection.
    pub in_session: bool,
    /// How often in a row the newest frame was of a boot from before the last.
    #[serde(skip_serializing_if = "is_default")]
    pub returns: u8,
    /// When it did that last.
    #[serde(skip_serializing_if = "is_default")]
    pub returned_at: UnixMicros,
    /// Whether it is told as silent.
    pub silent: bool,
    /// Session.
    pub session: Option<Opaque>,
    /// Session that ended last: a frame of it that comes late opens nothing.
    pub ended: Option<Opaque>,
    /// Visit.
    pub visit: Option<Visit>,
    /// Cartridge that was judged for this visit.
    pub cartridge: Option<String>,
    /// Of the depth rules.
    pub depth: DepthMemory,
    /// Of the rules over seconds of strokes; none outside a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pen: Option<Box<PenMemory>>,
    /// Of the rule over sessions.
    #[serde(skip_serializing_if = "is_default")]
    pub baseline: Baseline,
    /// Of the rules on pulses; none outside a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light: Option<Box<PulseMemory>>,
    /// The lamp in it.
    #[serde(skip_serializing_if = "is_default")]
    pub lamp: Lamp,
    /// Visits whose last treatment was not told.
    #[serde(skip_serializing_if = "is_default")]
    pub untold: Untold,
    /// What it says is wrong with itself.
    #[serde(skip_serializing_if = "is_default")]
    pub faults: Faults,
    /// What its gateway refused of it lately; none for nearly every device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Refusals>>,
    /// Open alerts.
    pub open: Vec<Open>,
    /// Raises of the last minutes.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub raises: VecDeque<(Kind, Option<Zone>, UnixMicros)>,
    /// Resolved alerts.
    pub closed: VecDeque<AlertId>,
    /// Evidence that is awaited or was not there.
    pub awaited: Vec<Awaited>,
    /// Offsets of its newest frames in the log.
    pub offsets: VecDeque<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Device {
    /// Whether it ever said anything itself.
    pub fn was_heard(&self) -> bool {
        self.received_at != UnixMicros::default()
    }

    /// Takes a sequence number.
    pub fn take(&mut self, boot: u64, sequence: u64, hash: u64) -> Repeat {
        self.boots.take(boot, sequence, hash)
    }

    /// Remembers a resolved alert.
    pub fn close(&mut self, id: AlertId) {
        self.open.retain(|open| open.id != id);
        self.awaited.retain(|awaited| awaited.id != id);
        self.closed.push_back(id);
        if self.closed.len() > MAX_CLOSED {
            self.closed.pop_front();
        }
    }

    /// Remembers a frame as evidence.
    pub fn remember(&mut self, offset: u64) {
        // First out, then in: a ring that holds one more for a moment has room for twice as many ever after.
        if self.offsets.len() >= MAX_OFFSETS {
            self.offsets.pop_front();
        }
        self.offsets.push_back(offset);
    }
}

/// Of one reusable item: a device or a serial that was in a load or a wipe.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    /// End of the last cycle that passed, wherever.
    pub sterilized_at: Option<UnixMicros>,
    /// The same by the clinic that recorded it; empty in what was written before that was kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sterilized_in: BTreeMap<String, UnixMicros>,
    /// The load of that last cycle, where an indicator of each load is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Last cycle that did not pass.
    pub failed: Option<FailedCycle>,
    /// Newest wipes.
    pub wipes: VecDeque<Wipe>,
    /// First uses for its newest visits.
    pub uses: VecDeque<UnixMicros>,
    /// Visits before those, and when the newest of them was.
    pub older_uses: (u32, UnixMicros),
    /// The device that last used it, for a result that comes after its use.
    pub used_by: Option<String>,
}

impl Item {
    /// A cycle passed, recorded at a clinic.
    pub fn sterilized(&mut self, at: UnixMicros, clinic: &str, load: Option<Load>) {
        if self.sterilized_at.is_none_or(|before| before <= at) {
            self.sterilized_at = Some(at);
            self.load = load;
        }
        let known = self.sterilized_in.entry(clinic.to_owned()).or_insert(at);
        *known = at.max(*known);
        while self.sterilized_in.len() > MAX_CLINICS {
            let oldest = self.sterilized_in.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(clinic, _)| clinic.clone()) else {
                break;
            };
            self.sterilized_in.remove(&oldest);
        }
    }

    /// What was recorded under another name of the same item.
    pub fn absorb(&mut self, other: Self) {
        if other.sterilized_at > self.sterilized_at {
            (self.sterilized_at, self.load) = (other.sterilized_at, other.load);
        }
        for (clinic, at) in other.sterilized_in {
            let known = self.sterilized_in.entry(clinic).or_insert(at);
            *known = at.max(*known);
        }
        self.failed = self.failed.take().or(other.failed);
        self.wipes.extend(other.wipes);
    }

    /// End of the last cycle that passed and that counts for a device of this clinic.
    pub fn last_good(&self, clinic: &str, from_others: bool) -> Option<UnixMicros> {
        if from_others || self.sterilized_in.is_empty() {
            return self.sterilized_at;
        }
        self.sterilized_in.get(clinic).copied()
    }

    /// A use for a new visit.
    pub fn use_at(&mut self, at: UnixMicros, device: &str) {
        self.used_by = Some(device.to_owned());
        self.uses.push_back(at);
        if self.uses.len() > MAX_USES
            && let Some(oldest) = self.uses.pop_front()
        {
            self.older_uses = (self.older_uses.0.saturating_add(1), oldest.max(self.older_uses.1));
        }
    }

    /// Visits after a time. Where that is longer ago than the memory, all count.
    pub fn uses_since(&self, at: Option<UnixMicros>) -> u32 {
        let older = if at.is_none_or(|at| at < self.older_uses.1) {
            self.older_uses.0
        } else {
            0
        };
        let newer = self
            .uses
            .iter()
            .filter(|&&use_at| at.is_none_or(|at| use_at > at))
            .count();
        older.saturating_add(u32::try_from(newer).unwrap_or(u32::MAX))
    }
}

/// A load of a sterilizer: what an item was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The sterilizer.
    pub sterilizer: String,
    /// Its name for the cycle.
    pub cycle: String,
}

impl Load {
    /// Under what it stands among the facts.
    pub fn key(&self) -> String {
        format!("{}/{}", self.sterilizer, self.cycle)
    }
}

/// Devices that wait for the indicator of one load; at the bound an alert of another ends by a person only.
pub const MAX_WAITING: usize = 64;

/// What is known of a load's indicator.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadIndicator {
    /// One passed.
    pub passed: bool,
    /// Devices that were used before that was told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
}

/// Devices that tell of one sterilizer; at the bound an alert of another ends by a person only.
pub const MAX_TELLERS: usize = 8;

/// Of one sterilizer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sterilizer {
    /// When the newest cycle ran whose biological indicator passed.
    pub biological_pass_at: Option<UnixMicros>,
    /// When its first cycle was told: what counts while no test is on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_cycle_at: Option<UnixMicros>,
    /// Who told that its test is overdue: where the alert stands that a passed one ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overdue_told_by: Vec<String>,
}

/// Of one gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// Everything that it received before this is in the log.
    pub watermark: UnixMicros,
    /// When that last moved, by our own log.
    pub moved_at: UnixMicros,
    /// The alert about its standstill.
    pub alert: Option<AlertId>,
}

/// Of one heartbeat.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BeatState {
    /// Whether the rules expect it.
    pub expected: bool,
    /// When it was heard, or expected anew.
    pub heard_at: UnixMicros,
}
