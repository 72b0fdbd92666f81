//! What was let in already: one copy of each frame, and one anchor per boot, remembered across any crash.
//!
//! Two steps, because nothing counts as seen before it is on disk: [`Ledger::judge`] and [`Ledger::hold`] while a batch is
//! made up, then [`Ledger::record`] once it is synced, or [`Ledger::release`] if it failed. What is recorded is a pure
//! function of the records of the log in their order, so a snapshot plus the log's tail gives the same ledger again.
pub mod anchor;
mod boot;
mod codec;
pub mod file;
mod held;
#[cfg(test)]
mod tests;

use telemetry::{Admitted, BootId, ClockQuality, Content, DeviceKey, Header, Origin, UnixMicros, Uptime};

pub use anchor::{Anchors, ClockPolicy, Placed, Stretch};
pub use boot::{INTERVALS_MAX, RECENT_MAX};
pub use codec::SnapshotError;

use boot::{Boot, Match};
use held::Held;

/// Boots remembered per device, the least recently recorded go first. A device that reboots more often than this while it
/// still resends frames of the first one has them stored again. What people recorded of it (each is a boot of its own) has as
/// many places beside them, so that an afternoon of recording makes nobody forget the boot that the device is in.
pub const BOOTS_MAX: usize = 8;
/// Anchors of frames that alerting has and the store refused. One per boot that began while the store was at its cap.
pub const PROVISIONAL_MAX: usize = 16_384;

/// What a frame is to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The same frame is recorded: on disk.
    Duplicate,
    /// The same frame is held in this batch: on disk if the batch gets there.
    DuplicateInBatch,
    /// To be let in.
    New {
        /// The sequence number was used by another payload.
        sequence_reused: bool,
        /// The sequence number was seen too long ago to compare.
        maybe_seen_before: bool,
        /// Where its times lie.
        placed: Placed,
    },
}

/// One frame, as far as the ledger is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: DeviceKey,
    pub(crate) boot: BootId,
    pub(crate) sequence: u64,
    pub(crate) hash: u64,
    pub(crate) uptime: Uptime,
    pub(crate) anchor: UnixMicros,
    pub(crate) clock: ClockQuality,
    /// A person recorded it.
    pub(crate) recorded: bool,
}

/// What was given up at a bound, since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Boots of devices that had more than [`BOOTS_MAX`].
    pub boots: u64,
    /// Sequence numbers in holes that were closed although nothing came.
    pub holes: u64,
    /// Anchors beyond [`PROVISIONAL_MAX`].
    pub anchors: u64,
}

/// Anchors that some log has and the store has not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Provisional {
    anchors: Anchors,
    /// A snapshot on disk holds them.
    durable: bool,
}

/// Boots by device, the one recorded last at the end.
type Boots = foldhash::HashMap<DeviceKey, Vec<Boot>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    devices: Boots,
    /// What people recorded of them.
    recorded: Boots,
    provisional: foldhash::HashMap<(DeviceKey, BootId), Provisional>,
    held: Held,
    /// Who asked in this batch to be told how far the far end has everything, and what each keeps at the oldest.
    asks: Vec<(DeviceKey, BootId, u64)>,
    forgotten: Forgotten,
}

/// The hash by which payloads are compared.
pub fn payload_hash(payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(payload)
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what a frame is; changes nothing.
    pub fn judge(
        &self,
        key: &DeviceKey,
        header: &Header,
        hash: u64,
        received_at: UnixMicros,
        policy: &ClockPolicy,
    ) -> Judged {
        let boot = self.boot(key, header.boot);
        let recorded = boot.map_or(Match::New, |boot| boot.look(header.sequence, hash));
        if recorded == Match::Same {
            return Judged::Duplicate;
        }
        let name = (key.clone(), header.boot);
        let held = self.held.look(&name, header.sequence, hash);
        if held == Match::Same {
            return Judged::DuplicateInBatch;
        }
        let anchors = self.anchors(&name, boot);
        let placed = anchors.map_or_else(
            || Anchors::default().place(policy, header.uptime, header.wall, received_at),
            |anchors| anchors.place(policy, header.uptime, header.wall, received_at),
        );
        Judged::New {
            sequence_reused: recorded == Match::Other || held == Match::Other,
            maybe_seen_before: recorded == Match::Forgotten && held == Match::New,
            placed,
        }
    }

    /// Remembers a frame that is about to be appended, until [`Self::record`] or [`Self::release`].
    /// `recorded`: by a person.
    pub fn hold(&mut self, key: &DeviceKey, header: &Header, hash: u64, placed: Placed, recorded: bool) {
        let name = (key.clone(), header.boot);
        let mut known = None;
        if placed.fixed_now {
            known = Some(
                self.anchors(&name, self.boot(key, header.boot))
                    .cloned()
                    .unwrap_or_default(),
            );
        }
        let undurable = placed.fixed_now || self.provisional.get(&name).is_some_and(|p| !p.durable);
        self.held.push(
            Entry {
                key: name.0,
                boot: header.boot,
                sequence: header.sequence,
                hash,
                uptime: header.uptime,
                anchor: placed.anchor,
                clock: placed.clock,
                recorded,
            },
            known,
            undurable,
        );
    }

    /// A device asks to be told how far the far end has everything from `oldest` on.
    pub fn ask(&mut self, key: &DeviceKey, boot: BootId, oldest: u64) {
        self.asks.push((key.clone(), boot, oldest));
    }

    /// Who asked since the last time, with the last sequence number up to which everything from its oldest on is recorded. A boot with
    /// more than [`INTERVALS_MAX`] holes is answered as if those that were forgotten had been filled: see there.
    pub fn take_asks(&mut self) -> Vec<(DeviceKey, BootId, u64)> {
        let asks = std::mem::take(&mut self.asks);
        let recorded = asks.into_iter().filter_map(|(key, id, oldest)| {
            let boot = self.boot(&key, id)?;
            let whole = boot
                .seen
                .intervals()
                .iter()
                .find(|(start, end)| (*start..*end).contains(&oldest))?;
            Some((key, id, whole.1 - 1))
        });
        recorded.collect()
    }

    /// Whether a held frame rests on an anchor that is not on disk yet. Then the store (or a snapshot) must be synced before
    /// the frame goes to any other log, or a crash between the two could give its next copy another anchor.
    pub fn holds_new_anchor(&self) -> bool {
        self.held.undurable
    }

    /// The held frames are on disk in the store.
    pub fn record(&mut self) {
        for entry in self.held.take() {
            self.apply(&entry);
        }
    }

    /// The held frames are not in the store: their copies will be let in. Only their anchors stay, for a copy of them may be
    /// in another log.
    pub fn release(&mut self) {
        for entry in self.held.take() {
            let name = (entry.key.clone(), entry.boot);
            let known = self.anchors(&name, self.boot(&entry.key, entry.boot));
            let mut anchors = known.cloned().unwrap_or_default();
            let before = anchors.stretches().len();
            anchors.adopt(entry.uptime, entry.anchor, entry.clock);
            if anchors.stretches().len() == before {
                continue;
            }
            if self.provisional.len() >= PROVISIONAL_MAX && !self.provisional.contains_key(&name) {
                self.forgotten.anchors += 1;
                continue;
            }
            self.provisional.insert(
                name,
                Provisional {
                    anchors,
                    durable: false,
                },
            );
        }
    }

    /// Adds one record of the log, at start. A record that is no frame says nothing to the ledger.
    pub fn replay(&mut self, admitted: &Admitted) {
        let (Content::Telemetry, Some(anchor)) = (admitted.content, admitted.anchor) else {
            return;
        };
        // Only an older version's record can fail here; its device sends no copy that this version would let in.
        let Ok(telemetry) = admitted.telemetry() else { return };
        self.apply(&Entry {
            key: admitted.key(),
            boot: telemetry.header.boot,
            sequence: telemetry.header.sequence,
            hash: payload_hash(&admitted.payload),
            uptime: telemetry.header.uptime,
            anchor,
            clock: admitted.clock,
            recorded: admitted.origin == Origin::Recorded,
        });
    }

    /// Drops the devices that `keep` does not want, which bounds the ledger by the registry.
    pub fn retain(&mut self, keep: impl Fn(&DeviceKey) -> bool) {
        self.devices.retain(|key, _| keep(key));
        self.recorded.retain(|key, _| keep(key));
        self.provisional.retain(|(key, _), _| keep(key));
    }

    /// How many devices it knows.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// What was given up at a bound since the last call.
    pub fn take_forgotten(&mut self) -> Forgotten {
        std::mem::take(&mut self.forgotten)
    }

    /// A snapshot with everything in it is on disk.
    pub(crate) fn provisional_is_durable(&mut self) {
        for provisional in self.provisional.values_mut() {
            provisional.durable = true;
        }
    }

    fn boot(&self, key: &DeviceKey, id: BootId) -> Option<&Boot> {
        [&self.devices, &self.recorded]
            .into_iter()
            .filter_map(|boots| boots.get(key))
            .find_map(|boots| boots.iter().rev().find(|boot| boot.id == id))
    }

    /// The newest anchors of a boot: this batch's, those of refused frames, or the recorded ones.
    fn anchors<'a>(&'a self, name: &(DeviceKey, BootId), boot: Option<&'a Boot>) -> Option<&'a Anchors> {
        self.held
            .anchors(name)
            .or_else(|| self.provisional.get(name).map(|p| &p.anchors))
            .or_else(|| boot.map(|boot| &boot.anchors))
    }

    /// The one way in which a frame becomes part of the ledger, live and at start.
    fn apply(&mut self, entry: &Entry) {
        if !self.provisional.is_empty() {
            self.settle_provisional(entry);
        }
        let devices = match entry.recorded {
            true => &mut self.recorded,
            false => &mut self.devices,
        };
        let boots = match devices.get_mut(&entry.key) {
            Some(boots) => boots,
            None => devices.entry(entry.key.clone()).or_default(),
        };
        let mut boot = match boots.iter().rposition(|boot| boot.id == entry.boot) {
            Some(at) if at + 1 == boots.len() => None,
            Some(at) => Some(boots.remove(at)),
            None => Some(Boot::new(entry.boot)),
        };
        boots.extend(boot.take());
        if boots.len() > BOOTS_MAX {
            boots.remove(0);
            self.forgotten.boots += 1;
        }
        if let Some(boot) = boots.last_mut() {
            boot.anchors.adopt(entry.uptime, entry.anchor, entry.clock);
            self.forgotten.holes += boot.record(entry.sequence, entry.hash);
        }
    }

    /// A recorded boot keeps the anchors that refused frames of it were given.
    fn settle_provisional(&mut self, entry: &Entry) {
        let Some(provisional) = self.provisional.remove(&(entry.key.clone(), entry.boot)) else {
            return;
        };
        let devices = match entry.recorded {
            true => &mut self.recorded,
            false => &mut self.devices,
        };
        let boots = devices.entry(entry.key.clone()).or_default();
        match boots.iter_mut().rev().find(|boot| boot.id == entry.boot) {
            Some(boot) => boot.anchors = provisional.anchors,
            None => boots.push(Boot {
                anchors: provisional.anchors,
                ..Boot::new(entry.boot)
            }),
        }
    }
}
