//! Touched roll-up periods in the ledger: which roll-ups are not what the store's points say yet.

use rusqlite::{Connection, Row, params};
use telemetry::{DeviceId, DeviceKey, TenantId};

use super::{Ledger, LedgerError, failed};
use crate::rollup::{Period, Span, Subject};

pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS touched (
  subject INTEGER NOT NULL, span INTEGER NOT NULL, start_s INTEGER NOT NULL, tenant TEXT NOT NULL, device TEXT NOT NULL,
  PRIMARY KEY (start_s, subject, span, tenant, device)
) WITHOUT ROWID;
";

impl Ledger {
    /// Roll-up periods that have news, the oldest first, at most `max`.
    ///
    /// # Errors
    /// SQLite's no.
    pub fn touched(&self, max: usize) -> Result<Vec<Period>, LedgerError> {
        list(&self.db, max).map_err(failed("be read"))
    }

    /// Notes that the roll-ups of `done` are stored, and that those of `touched` have news by that.
    ///
    /// # Errors
    /// SQLite's no: nothing is noted, and what is stored will be computed again, which changes nothing.
    pub fn rolled(&mut self, done: &[Period], touched: &[Period]) -> Result<(), LedgerError> {
        let mut run = || -> rusqlite::Result<()> {
            let tx = self.db.transaction()?;
            remove(&tx, done)?;
            insert(&tx, touched)?;
            tx.commit()
        };
        run().map_err(failed("note stored roll-ups"))
    }
}

const fn subject(subject: Subject) -> i64 {
    match subject {
        Subject::Strokes => 0,
        Subject::Pulses => 1,
    }
}

pub(super) fn insert(db: &Connection, periods: &[Period]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO touched (subject, span, start_s, tenant, device) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for p in periods {
        insert.execute(params![
            subject(p.subject),
            p.span.seconds(),
            p.start_s,
            p.device.tenant.as_str(),
            p.device.device.as_str()
        ])?;
    }
    Ok(())
}

pub(super) fn remove(db: &Connection, periods: &[Period]) -> rusqlite::Result<()> {
    let mut remove = db.prepare_cached(
        "DELETE FROM touched WHERE subject = ?1 AND span = ?2 AND start_s = ?3 AND tenant = ?4 AND device = ?5",
    )?;
    for p in periods {
        remove.execute(params![
            subject(p.subject),
            p.span.seconds(),
            p.start_s,
            p.device.tenant.as_str(),
            p.device.device.as_str()
        ])?;
    }
    Ok(())
}

/// The oldest, at most `max`; rows that this version does not understand are left alone.
pub(super) fn list(db: &Connection, max: usize) -> rusqlite::Result<Vec<Period>> {
    let mut list =
        db.prepare("SELECT subject, span, start_s, tenant, device FROM touched ORDER BY start_s LIMIT ?1")?;
    let periods: Vec<Option<Period>> = list.query_map([max as i64], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(periods.into_iter().flatten().collect())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Period>> {
    let subject = match row.get::<_, i64>(0)? {
        0 => Some(Subject::Strokes),
        1 => Some(Subject::Pulses),
        _ => None,
    };
    let span = match row.get::<_, u32>(1)? {
        60 => Some(Span::Minute),
        3_600 => Some(Span::Hour),
        _ => None,
    };
    let (tenant, device): (String, String) = (row.get(3)?, row.get(4)?);
    let device = TenantId::new(&tenant)
        .ok()
        .zip(DeviceId::new(&device).ok())
        .map(|(tenant, device)| DeviceKey { tenant, device });
    let start_s = row.get(2)?;
    Ok(subject.zip(span).zip(device).map(|((subject, span), device)| Period {
        device,
        subject,
        span,
        start_s,
    }))
}
