//! A set of values that some level of the fleet declares, and how levels add up: the more specific wins, and nothing becomes
//! looser than the model's safety bound.
use telemetry::{DisinfectionLevel, SkinType, Zone};

use crate::error::LoadReason;
use crate::field::{Field, LIMITS, Of, SETTINGS, SKIN_FILTER, SKIN_FLUENCE, Shape, ZONE_DEPTH};
use crate::section::Section;
use crate::source::{At, Place, Problems};

/// Which table of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Limits,
    Policy,
}

const ZONES: usize = Zone::ALL.len();
const SKINS: usize = SkinType::ALL.len();

impl Space {
    pub(crate) fn slots(self) -> usize {
        match self {
            Self::Limits => LIMITS.len() + ZONES + 2 * SKINS,
            Self::Policy => SETTINGS.len(),
        }
    }

    /// The setting at a slot, and its name within a group (a zone, a skin type).
    pub(crate) fn field(self, slot: usize) -> Option<(&'static Field, &'static str)> {
        if self == Self::Policy {
            return SETTINGS.get(slot).map(|f| (f, ""));
        }
        if let Some(field) = LIMITS.get(slot) {
            return Some((field, ""));
        }
        let after = slot - LIMITS.len();
        let skin = |at: usize| SkinType::ALL.get(at).map(|s| s.as_str());
        if let Some(zone) = Zone::ALL.get(after) {
            return Some((&ZONE_DEPTH, zone.as_str()));
        }
        if let Some(name) = skin(after - ZONES) {
            return Some((&SKIN_FLUENCE, name));
        }
        skin(after - ZONES - SKINS).map(|name| (&SKIN_FILTER, name))
    }

    pub(crate) fn key(self, slot: usize) -> String {
        match self.field(slot) {
            Some((field, "")) => field.key.to_owned(),
            Some((field, name)) => format!("{}.{name}", field.key),
            None => String::new(),
        }
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Self::Limits => LIMITS,
            Self::Policy => SETTINGS,
        }
    }

    pub(crate) fn keys(self) -> Vec<&'static str> {
        let mut keys: Vec<_> = self.fields().iter().map(|f| f.key).collect();
        if self == Self::Limits {
            keys.extend([ZONE_DEPTH.key, SKIN_FLUENCE.key, SKIN_FILTER.key]);
        }
        keys
    }
}

/// Slot of a zone's depth limit.
pub(crate) fn zone_slot(zone: Zone) -> usize {
    LIMITS.len() + Zone::ALL.iter().position(|&z| z == zone).unwrap_or(0)
}

/// Slot of a skin type's fluence limit.
pub(crate) fn skin_slot(skin: SkinType) -> usize {
    LIMITS.len() + ZONES + SkinType::ALL.iter().position(|&s| s == skin).unwrap_or(0)
}

/// Slot of a skin type's shortest filter.
pub(crate) fn filter_slot(skin: SkinType) -> usize {
    skin_slot(skin) + SKINS
}

/// A value of a patch: where it stands and how specific its level is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    pub(crate) value: i64,
    pub(crate) place: Place,
    pub(crate) level: u8,
}

/// Values by slot.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub(crate) space: Space,
    slots: Vec<Option<Set>>,
    /// Slots whose value was refused: not missing, told already.
    refused: Vec<usize>,
}

impl Patch {
    pub(crate) fn empty(space: Space) -> Self {
        Self {
            space,
            slots: vec![None; space.slots()],
            refused: Vec::new(),
        }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<i64> {
        self.set(slot).map(|s| s.value)
    }

    pub(crate) fn set(&self, slot: usize) -> Option<Set> {
        self.slots.get(slot).copied().flatten()
    }

    pub(crate) fn put(&mut self, slot: usize, set: Set) {
        if let Some(old) = self.slots.get_mut(slot) {
            *old = Some(set);
        }
    }

    pub(crate) fn declared(&self) -> impl Iterator<Item = (usize, Set)> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, set)| Some((slot, (*set)?)))
    }

    /// Lays a more specific patch over this one.
    pub(crate) fn override_with(&mut self, other: &Self, level: u8) {
        for (slot, set) in other.declared() {
            self.put(slot, Set { level, ..set });
        }
    }

    /// Reads the table at `key` of a section.
    pub(crate) fn read(parent: &Section<'_>, space: Space, problems: &mut Problems<'_>) -> Option<Self> {
        let (key, name) = match space {
            Space::Limits => ("limits", "limits"),
            Space::Policy => ("policy", "policy"),
        };
        let section = parent.table(key, name, &space.keys(), problems)?;
        let mut patch = Self::empty(space);
        for (slot, field) in space.fields().iter().enumerate() {
            patch.read_slot(&section, slot, field.key, field, problems);
        }
        if space == Space::Limits {
            let zones: Vec<&str> = Zone::ALL.iter().map(|z| z.as_str()).collect();
            let skins: Vec<&str> = SkinType::ALL.iter().map(|s| s.as_str()).collect();
            let first = LIMITS.len();
            patch.read_group(&section, first, &ZONE_DEPTH, &zones, problems);
            patch.read_group(&section, first + ZONES, &SKIN_FLUENCE, &skins, problems);
            patch.read_group(&section, first + ZONES + SKINS, &SKIN_FILTER, &skins, problems);
        }
        Some(patch)
    }

    fn read_group(
        &mut self,
        section: &Section<'_>,
        first: usize,
        field: &'static Field,
        names: &[&str],
        problems: &mut Problems<'_>,
    ) {
        if let Some(group) = section.table(field.key, field.key, names, problems) {
            for (at, name) in names.iter().enumerate() {
                self.read_slot(&group, first + at, name, field, problems);
            }
        }
    }

    fn read_slot(&mut self, section: &Section<'_>, slot: usize, key: &str, field: &Field, problems: &mut Problems<'_>) {
        let read = match field.shape {
            Shape::Number => section.int(key, &field.possible, field.unit, problems),
            Shape::Bool => section.bool(key, problems).map(|b| At {
                value: i64::from(b.value),
                place: b.place,
            }),
            Shape::Level => section
                .parsed(key, str::parse::<DisinfectionLevel>, problems)
                .map(|l| At {
                    value: i64::from(l.value.to_wire()),
                    place: l.place,
                }),
        };
        if let Some(At { value, place }) = read {
            self.put(slot, Set { value, place, level: 0 });
        } else if section.has(key) {
            self.refused.push(slot);
        }
    }

    /// Whether nothing was written for a slot.
    pub(crate) fn lacks(&self, slot: usize) -> bool {
        self.get(slot).is_none() && !self.refused.contains(&slot)
    }

    /// Reports settings that make no sense for a device that has no needle, or no light.
    pub(crate) fn check_fits(&self, needle: bool, light: bool, what: &str, problems: &mut Problems<'_>) {
        for (slot, set) in self.declared() {
            let fits = match self.space.field(slot).map(|(f, _)| f.of) {
                Some(Of::Needle) => needle,
                Some(Of::Light) => light,
                _ => true,
            };
            if !fits {
                problems.add(
                    LoadReason::Contradiction,
                    set.place,
                    self.space.key(slot),
                    format!("makes no sense for {what}"),
                    "remove it",
                );
            }
        }
    }
}
