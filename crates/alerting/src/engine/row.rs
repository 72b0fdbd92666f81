//! A device as a row of the file: a small JSON text for what has names, and packed bytes for the sequence numbers, which are
//! most of it. A restart reads a row of every device, so it must be short and quick to read.
use super::boots::Boots;
use super::state::Device;

/// First byte of a row. JSON begins with another: rows from before are read as what they are.
const PACKED: u8 = 1;

/// Why a row is none.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// It ends in the middle.
    #[error("row ends too early")]
    Short,
    /// Numbers that cannot be.
    #[error("row holds numbers that no device has")]
    Numbers,
    /// Its text.
    #[error("row holds a text that is no device")]
    Text(#[source] serde_json::Error),
}

impl Device {
    /// As it stands in the file.
    ///
    /// # Errors
    /// [`RowError`]: its text.
    pub fn to_row(&self) -> Result<Vec<u8>, RowError> {
        let text = serde_json::to_vec(self).map_err(RowError::Text)?;
        let mut row = Vec::with_capacity(text.len() + 512);
        row.push(PACKED);
        put_varint(text.len() as u64, &mut row);
        row.extend(text);
        self.boots.write(&mut row);
        Ok(row)
    }

    /// What only a part of a row says, without the sequence numbers, which are most of it.
    ///
    /// # Errors
    /// [`RowError`].
    pub(crate) fn part_of_row<T: serde::de::DeserializeOwned>(row: &[u8]) -> Result<T, RowError> {
        if row.first() != Some(&PACKED) {
            return serde_json::from_slice(row).map_err(RowError::Text);
        }
        let mut from = Bytes(row.get(1..).unwrap_or_default());
        let len = usize::try_from(from.varint()?).map_err(|_| RowError::Short)?;
        serde_json::from_slice(from.take(len)?).map_err(RowError::Text)
    }

    /// From a row of the file, also from one of a version that wrote text only.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn from_row(row: &[u8]) -> Result<Self, RowError> {
        if row.first() != Some(&PACKED) {
            return serde_json::from_slice(row).map_err(RowError::Text);
        }
        let mut from = Bytes(row.get(1..).unwrap_or_default());
        let len = usize::try_from(from.varint()?).map_err(|_| RowError::Short)?;
        let mut device: Self = serde_json::from_slice(from.take(len)?).map_err(RowError::Text)?;
        device.boots = Boots::read(&mut from)?;
        Ok(device)
    }
}

/// Seven bits a byte, the lowest first.
pub(super) fn put_varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Bytes that are read from the front.
#[derive(Clone)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// What was read since: from here to where the same bytes are read now.
    pub(super) fn until(&self, now: &Self) -> &'a [u8] {
        let len = self.0.len().saturating_sub(now.0.len());
        self.0.get(..len).unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RowError> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(RowError::Short)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        self.take(N)?.try_into().map_err(|_| RowError::Short)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RowError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, RowError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Result<u64, RowError> {
        let mut number = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RowError::Numbers)
    }

    /// How many of something that is bounded.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, RowError> {
        let count = usize::try_from(self.varint()?).map_err(|_| RowError::Numbers)?;
        (count <= most).then_some(count).ok_or(RowError::Numbers)
    }
}
