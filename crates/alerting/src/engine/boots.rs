//! The boots of a device: the one that was heard last as it is worked with, those before it packed as in a row of the file.
//! Nearly every frame is of the newest; the others are kept for copies that come late, and there are three of them per device.
use serde::Deserialize;

use super::row::{Bytes, RowError, put_varint};
use super::seen::{BootSeen, Repeat};

/// Boots that are remembered per device; at the bound the one heard longest ago goes.
pub const MAX_BOOTS: usize = 4;

/// Sequence numbers of a device, by boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "Vec<BootSeen>")]
pub struct Boots {
    newest: Option<BootSeen>,
    /// Those before, packed one after the other; the one heard longest ago first.
    older: Box<[u8]>,
}

impl Boots {
    /// The boot that was heard last.
    pub fn newest(&self) -> Option<&BootSeen> {
        self.newest.as_ref()
    }

    /// The boot that was heard last, to look at what it lacks.
    pub fn newest_mut(&mut self) -> Option<&mut BootSeen> {
        self.newest.as_mut()
    }

    /// How many boots are remembered.
    pub fn len(&self) -> usize {
        self.unpack().len() + usize::from(self.newest.is_some())
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Takes a sequence number with the hash of its payload.
    pub(super) fn take(&mut self, boot: u64, sequence: u64, hash: u64) -> Repeat {
        match &mut self.newest {
            Some(newest) if newest.boot() == boot => newest.take(sequence, hash),
            _ => self.turn_to(boot).take(sequence, hash),
        }
    }

    /// Another boot is heard from here on.
    fn turn_to(&mut self, boot: u64) -> &mut BootSeen {
        let mut older = self.unpack();
        let known = older.iter().position(|seen| seen.boot() == boot);
        let seen = known.map_or_else(|| BootSeen::new(boot), |at| older.remove(at));
        if let Some(mut before) = self.newest.take() {
            before.is_over();
            older.push(before);
        }
        let gone = older.len().saturating_sub(MAX_BOOTS - 1);
        older.drain(..gone);
        self.pack(&older);
        self.newest.insert(seen)
    }

    fn unpack(&self) -> Vec<BootSeen> {
        let mut bytes = Bytes(&self.older);
        // They were written or checked here: nothing else can stand in them.
        std::iter::from_fn(|| BootSeen::read(&mut bytes).ok()).collect()
    }

    fn pack(&mut self, older: &[BootSeen]) {
        let mut bytes = Vec::new();
        older.iter().for_each(|boot| boot.write(&mut bytes));
        self.older = bytes.into();
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        put_varint(self.len() as u64, into);
        into.extend(&self.older);
        if let Some(newest) = &self.newest {
            newest.write(into);
        }
    }

    pub(super) fn read(from: &mut Bytes<'_>) -> Result<Self, RowError> {
        let Some(older) = from.count(MAX_BOOTS)?.checked_sub(1) else {
            return Ok(Self::default());
        };
        let begin = from.clone();
        for _ in 0..older {
            BootSeen::read(from)?;
        }
        Ok(Self {
            older: begin.until(from).into(),
            newest: Some(BootSeen::read(from)?),
        })
    }
}

/// As rows had them before they were packed: the newest last.
impl From<Vec<BootSeen>> for Boots {
    fn from(mut all: Vec<BootSeen>) -> Self {
        let mut boots = Self {
            newest: all.pop(),
            ..Self::default()
        };
        let gone = all.len().saturating_sub(MAX_BOOTS - 1);
        boots.pack(all.get(gone..).unwrap_or_default());
        boots
    }
}
