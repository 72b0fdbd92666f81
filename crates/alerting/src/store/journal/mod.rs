//! The journal: append-only and hash-chained, so that a row that was changed, added, moved or removed shows. Free text
//! stands beside it under a random key; the chain holds the keyed digest, so a text can be erased and the chain still holds.
mod kinds;
mod read;

pub use kinds::EntryKind;
use rand::RngCore as _;
pub use read::{MAX_ROWS_OF_ALERT, Row};
pub(super) use read::{about, before, is_delivered, of_kind, page};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use telemetry::UnixMicros;

use crate::engine::Transition;
use crate::id::{AlertId, hex};
use crate::lifecycle::State;

/// Hexadecimal digits of a head that stand in a page: 64 bits that nobody hits by chance.
const HEAD_DIGITS: usize = 16;

/// One row to be.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, by the wall clock.
    pub at: UnixMicros,
    /// What kind.
    pub kind: EntryKind,
    /// What, as JSON. No free text of people.
    pub body: Value,
    /// Free text of a person and the alert that it is about: beside the chain, which holds its keyed digest.
    pub text: Option<(AlertId, String)>,
}

impl Entry {
    /// Of what this is made: the fields that its kind names.
    pub fn new(at: UnixMicros, kind: EntryKind, body: &Value) -> Self {
        debug_assert_eq!(
            kind.stranger(body),
            None,
            "not in the list of fields of {kind:?}, see kinds.rs"
        );
        Self {
            at,
            kind,
            body: body.clone(),
            text: None,
        }
    }

    /// The same with what a person wrote about an alert; nothing written is no text.
    #[must_use]
    pub fn with_text(mut self, alert: AlertId, text: &str) -> Self {
        self.text = (!text.is_empty()).then(|| (alert, text.to_owned()));
        self
    }

    pub(super) fn transition(t: &Transition, now: UnixMicros) -> Self {
        let a = &t.alert;
        let mut body = json!({
            "transition": t.id, "alert": a.id, "rule": a.rule, "kind": a.kind, "priority": a.priority, "from": t.from, "to": t.to,
            "why": t.why, "page": t.page, "class": a.class, "tenant": a.tenant, "clinic": a.clinic, "device": a.device,
            "zone": a.zone, "value": a.value, "limit": a.limit, "unit": a.kind.unit(), "event_us": t.event_time.0,
            "decided_us": t.decided_at.0, "actor": a.acknowledged_by,
            "told_by": t.told_by,
        });
        // Once, by the step that raised it: it does not change.
        if t.from == State::Inactive {
            body["in_force"] = json!(a.raised.as_deref());
        }
        Self::new(now, EntryKind::Transition, &body)
    }
}

/// The last row that was cut off: the chain goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Its number.
    pub(super) n: i64,
    /// Its hash.
    pub(super) hash: Vec<u8>,
}

impl Anchor {
    /// As it stands in the row that says so.
    pub(super) fn body(&self) -> Value {
        json!({"last": self.n, "hash": hex(&self.hash)})
    }

    pub(super) fn put(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.prepare_cached("INSERT OR REPLACE INTO journal_anchor (id, n, hash) VALUES (1, ?1, ?2)")?
            .execute(params![self.n, self.hash])?;
        Ok(())
    }
}

fn link(previous: &[u8], n: i64, at: i64, kind: &str, body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(n.to_be_bytes());
    hash.update(at.to_be_bytes());
    hash.update((kind.len() as u64).to_be_bytes());
    hash.update(kind.as_bytes());
    hash.update(body.as_bytes());
    hash.finalize().into()
}

/// Appends a row. Within an immediate transaction, so the head that it reads is the head.
pub(super) fn append(tx: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    append_after(tx, None, entry).map(drop)
}

/// The same; returns how the head begins now, for whoever keeps it elsewhere.
pub(super) fn append_head(tx: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<String> {
    let hash = append_after(tx, None, entry)?;
    let mut head = hex(&hash);
    head.truncate(HEAD_DIGITS);
    Ok(head)
}

/// Appends a row; if there is none left, after `cut`.
pub(super) fn append_after(tx: &Transaction<'_>, cut: Option<&Anchor>, entry: &Entry) -> rusqlite::Result<[u8; 32]> {
    let head: Option<(i64, Vec<u8>)> = tx
        .prepare_cached("SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let head = head.or_else(|| cut.map(|cut| (cut.n, cut.hash.clone())));
    let (n, previous) = head.map_or_else(|| (1, vec![0; 32]), |(n, hash)| (n + 1, hash));
    let mut body = entry.body.clone();
    if let Some((alert, text)) = &entry.text {
        body[kinds::DIGEST] = json!(put_text(tx, *alert, text)?);
    }
    let body = body.to_string();
    let hash = link(&previous, n, entry.at.0, entry.kind.as_str(), &body);
    tx.prepare_cached("INSERT INTO journal (n, at_us, kind, body, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![n, entry.at.0, entry.kind.as_str(), body, previous, hash])?;
    Ok(hash)
}

/// Puts a person's text beside the chain. Returns its keyed digest in hexadecimal digits.
fn put_text(tx: &Transaction<'_>, alert: AlertId, text: &str) -> rusqlite::Result<String> {
    let mut key = [0u8; 16];
    rand::rng().fill_bytes(&mut key);
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(text.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    tx.prepare_cached("INSERT INTO free_text (digest, key, text, alert_id) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![digest, key, text, alert.to_hex()])?;
    Ok(hex(&digest))
}

/// What a look at the whole journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Rows that are there and as they were written.
    pub rows: u64,
    /// The last hash, to compare with an anchor elsewhere: a cut tail shows only there.
    pub head: [u8; 32],
    /// The first row that is not, or the last one that was cut if nothing says so; what follows cannot be trusted.
    pub broken_at: Option<i64>,
}

/// Walks the chain, from where its head was cut.
pub(super) fn verify(db: &Connection) -> rusqlite::Result<Verified> {
    let anchor = super::retain::anchor(db)?;
    let mut found = Verified {
        rows: 0,
        head: [0; 32],
        broken_at: None,
    };
    let mut expected = 1;
    // Every cut appends a row that says where: an anchor that the newest of them does not know was moved.
    let mut witnessed = anchor.is_none();
    if let Some(anchor) = &anchor {
        let Ok(hash) = <[u8; 32]>::try_from(anchor.hash.as_slice()) else {
            found.broken_at = Some(anchor.n);
            return Ok(found);
        };
        found.head = hash;
        expected = anchor.n + 1;
    }
    let told = anchor.as_ref().map(|anchor| anchor.body().to_string());
    let mut statement = db.prepare("SELECT n, at_us, kind, body, previous, hash FROM journal ORDER BY n")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        // A row whose columns changed their type was changed.
        let hash = whole_row(row, n, &found.head)?;
        let Some(hash) = hash.filter(|_| n == expected) else {
            found.broken_at = Some(n);
            return Ok(found);
        };
        if row.get::<_, String>(2)? == EntryKind::Cut.as_str() {
            witnessed = told.as_ref() == Some(&row.get::<_, String>(3)?);
        }
        found.head = hash;
        found.rows += 1;
        expected = n + 1;
    }
    if !witnessed {
        found.broken_at = Some(anchor.map_or(1, |anchor| anchor.n));
    }
    Ok(found)
}

/// The hash of a row that is as it was written after the row with hash `head`.
fn whole_row(row: &rusqlite::Row<'_>, n: i64, head: &[u8; 32]) -> rusqlite::Result<Option<[u8; 32]>> {
    let (Ok(at), Ok(kind), Ok(body)) = (row.get(1), row.get::<_, String>(2), row.get::<_, String>(3)) else {
        return Ok(None);
    };
    let (Ok(previous), Ok(hash)) = (row.get::<_, Vec<u8>>(4), row.get::<_, Vec<u8>>(5)) else {
        return Ok(None);
    };
    let expected = link(head, n, at, &kind, &body);
    Ok((previous == head && hash == expected).then_some(expected))
}
