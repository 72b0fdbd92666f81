//! Which registry this is: a number that its author raises and a digest of what it says, whatever its layout and comments.
use std::fmt;

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use crate::change::Change;

/// Version of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryVersion {
    /// As declared in `registry.toml`.
    pub number: u64,
    /// How many changes by command are laid over the files.
    pub changes: u64,
    /// SHA-256 over keys and values of all files in the order of their names, and over the changes; comments, spacing and order of
    /// keys do not count.
    pub digest: [u8; 32],
}

impl RegistryVersion {
    /// The digest as 64 hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }
}

impl fmt::Display for RegistryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.digest_hex();
        write!(f, "{}", self.number)?;
        if self.changes > 0 {
            write!(f, "+{}", self.changes)?;
        }
        write!(f, "-{}", short.get(..12).unwrap_or(&short))
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// 32 bytes from 64 hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "is no SHA-256: write 64 hexadecimal digits".to_owned();
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = text.get(2 * at..2 * at + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

/// Feeds a file's content to a digest: every value with a tag and its length, so that no two contents read the same.
pub(crate) fn feed(hash: &mut Sha256, name: &str, table: &DeTable<'_>) {
    feed_text(hash, b'F', name);
    feed_table(hash, table);
}

/// Feeds a change: its number tells apart two that say the same.
pub(crate) fn feed_change(hash: &mut Sha256, change: &Change) {
    let steps = serde_json::to_string(&change.steps).unwrap_or_default();
    feed_text(hash, b'C', &format!("{}:{steps}", change.n));
}

fn feed_text(hash: &mut Sha256, tag: u8, text: &str) {
    hash.update([tag]);
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn feed_table(hash: &mut Sha256, table: &DeTable<'_>) {
    hash.update([b'T']);
    hash.update((table.len() as u64).to_le_bytes());
    for (key, value) in table.iter() {
        feed_text(hash, b'K', key.get_ref());
        feed_value(hash, value.get_ref());
    }
}

fn feed_value(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => feed_text(hash, b'S', text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => feed_text(hash, b'I', &number.to_string()),
            Err(_) => feed_text(hash, b'I', number.as_str()),
        },
        DeValue::Float(number) => feed_text(hash, b'R', number.as_str()),
        DeValue::Boolean(value) => hash.update([b'B', u8::from(*value)]),
        DeValue::Datetime(time) => feed_text(hash, b'D', &time.to_string()),
        DeValue::Array(items) => {
            hash.update([b'A']);
            hash.update((items.len() as u64).to_le_bytes());
            for item in items.iter() {
                feed_value(hash, item.get_ref());
            }
        }
        DeValue::Table(table) => feed_table(hash, table),
    }
}
