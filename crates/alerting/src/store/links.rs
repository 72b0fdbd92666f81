//! Links that were used: each acts once.
use rand::RngCore as _;
use rusqlite::params;
use telemetry::UnixMicros;

use super::{Store, StoreError, put_meta};
use crate::id::hex;

/// How long a used link is remembered, in microseconds: a day longer than the longest that one can be valid.
const REMEMBER_US: i64 = 31 * 86_400_000_000;
/// Where the key stands that was drawn because none was configured.
const KEY: &str = "link_key";

impl Store {
    /// Uses a link up. `false`: it was used before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn spend_link(&self, mac: &str, now: UnixMicros) -> Result<bool, StoreError> {
        self.write("use a link", |tx| {
            tx.execute(
                "DELETE FROM link WHERE used_us < ?1",
                [now.0.saturating_sub(REMEMBER_US)],
            )?;
            let new = tx.execute(
                "INSERT OR IGNORE INTO link (nonce, used_us) VALUES (?1, ?2)",
                params![mac, now.0],
            )?;
            Ok(new > 0)
        })
    }

    /// What it was used for did not happen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn unspend_link(&self, mac: &str) -> Result<(), StoreError> {
        self.write("give a link back", |tx| {
            tx.execute("DELETE FROM link WHERE nonce = ?1", [mac])
        })
        .map(|_| ())
    }

    /// The key that links are signed with, drawn at the first call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn link_key(&self) -> Result<String, StoreError> {
        if let Some(key) = self.meta(KEY)? {
            return Ok(key);
        }
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        let key = hex(&bytes);
        self.write("keep a key", |tx| put_meta(tx, KEY, &key))?;
        Ok(key)
    }
}
