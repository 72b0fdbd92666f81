//! Lists of alerts, a page at a time: filtered, ordered and counted by the indexes; only the bodies of the page are read.
use rusqlite::params;
use serde::Serialize;
use telemetry::Priority;

use super::{Store, StoreError, urgency};
use crate::engine::Alert;
use crate::intake::Silence;
use crate::lifecycle::State;
use crate::paging::Course;

/// Most alerts of one page.
pub const MAX_LISTED: usize = 200;

/// Which alerts a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// All that are open and were told: no pending ones.
    #[default]
    Open,
    /// Those in one state.
    In(State),
}

/// What a list is asked for; what is `None` matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Where they stand.
    pub which: Which,
    /// Tenant.
    pub tenant: Option<String>,
    /// Clinic.
    pub clinic: Option<String>,
    /// Device, sterilizer or gateway.
    pub device: Option<String>,
    /// Id of the rule.
    pub rule: Option<String>,
    /// Priority.
    pub priority: Option<Priority>,
}

/// How many open alerts stand in a state with a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The state.
    pub state: State,
    /// The priority.
    pub priority: Priority,
    /// How many.
    pub alerts: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listing {
    /// The alerts of this page: those that need a person first, then the most urgent, then the newest.
    pub alerts: Vec<Alert>,
    /// How many match in all.
    pub total: u64,
    /// How many are open of the same tenant, clinic, device and rule, whatever state and priority were asked for.
    pub counts: Vec<Count>,
}

/// Of the rows that a list is about; each placeholder may be null.
pub(super) const PLACE: &str = "(?2 IS NULL OR tenant = ?2) AND (?3 IS NULL OR clinic = ?3) AND (?4 IS NULL OR device = ?4) \
                     AND (?5 IS NULL OR rule = ?5)";
pub(super) const CHOSEN: &str =
    "(?6 IS NULL OR urgency = ?6) AND (?7 IS NULL OR state = ?7) AND (?7 IS NOT NULL OR state <> 'pending')";

/// What the rows of a list are chosen by, beside where they are.
pub(super) struct Chosen {
    pub(super) open: bool,
    pub(super) urgency: Option<u8>,
    pub(super) state: Option<&'static str>,
}

impl Wanted {
    pub(super) fn chosen(&self) -> Chosen {
        let state = match self.which {
            Which::Open => None,
            Which::In(state) => Some(state),
        };
        Chosen {
            open: !matches!(state, Some(State::Resolved | State::Inactive)),
            urgency: self.priority.map(urgency),
            state: state.map(State::as_str),
        }
    }
}

pub(super) fn priority_of(urgency: i64) -> Priority {
    match urgency {
        3 => Priority::High,
        2 => Priority::Medium,
        1 => Priority::Low,
        _ => Priority::Info,
    }
}

impl Store {
    /// One page of the alerts that are wanted, and counts for the choice between them. At most [`MAX_LISTED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self, wanted: &Wanted, offset: usize, limit: usize) -> Result<Listing, StoreError> {
        let Chosen { open, urgency, state } = wanted.chosen();
        let place = (&wanted.tenant, &wanted.clinic, &wanted.device, &wanted.rule);
        let chosen = (urgency, state);
        let (bodies, total, counts) = {
            let db = self.db();
            let read = || -> rusqlite::Result<_> {
                let total = db
                    .prepare_cached(&format!(
                        "SELECT count(*) FROM alert INDEXED BY alert_inbox WHERE open = ?1 AND {PLACE} AND {CHOSEN}"
                    ))?
                    .query_row(
                        params![open, place.0, place.1, place.2, place.3, chosen.0, chosen.1],
                        |row| row.get::<_, i64>(0),
                    )?;
                let mut page = db.prepare_cached(&format!(
                    "SELECT body FROM alert WHERE id IN (SELECT id FROM alert INDEXED BY alert_inbox \
                     WHERE open = ?1 AND {PLACE} AND {CHOSEN} \
                     ORDER BY waits DESC, urgency DESC, decided_us DESC, id LIMIT ?8 OFFSET ?9) \
                     ORDER BY waits DESC, urgency DESC, decided_us DESC, id"
                ))?;
                let limit = i64::try_from(limit.min(MAX_LISTED)).unwrap_or(0);
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                let rows = page.query_map(
                    params![
                        open, place.0, place.1, place.2, place.3, chosen.0, chosen.1, limit, offset
                    ],
                    |row| row.get(0),
                )?;
                let bodies: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
                let mut groups = db.prepare_cached(&format!(
                    "SELECT state, urgency, count(*) FROM alert INDEXED BY alert_inbox WHERE open = ?1 AND {PLACE} \
                     GROUP BY state, urgency"
                ))?;
                let rows = groups.query_map(params![true, place.0, place.1, place.2, place.3], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?))
                })?;
                let counts: Vec<(String, i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
                Ok((bodies, total.unsigned_abs(), counts))
            };
            read().map_err(self.error("list alerts"))?
        };
        let alerts = bodies.iter().map(|body| self.parse("alert", body));
        let counts = counts.into_iter().filter_map(|(state, urgency, alerts)| {
            Some(Count {
                state: State::from_name(&state)?,
                priority: priority_of(urgency),
                alerts: alerts.unsigned_abs(),
            })
        });
        Ok(Listing {
            alerts: alerts.collect::<Result<_, _>>()?,
            total,
            counts: counts.collect(),
        })
    }

    /// The newest alerts of a device, open or not, of one rule or of all. At most [`MAX_LISTED`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn history(
        &self,
        tenant: &str,
        device: &str,
        rule: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        let bodies = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<String>> {
                let mut newest = db.prepare_cached(
                    "SELECT body FROM alert INDEXED BY alert_of_device \
                     WHERE tenant = ?1 AND device = ?2 AND (?3 IS NULL OR rule = ?3) ORDER BY decided_us DESC LIMIT ?4",
                )?;
                let limit = i64::try_from(limit.min(MAX_LISTED)).unwrap_or(0);
                let rows = newest.query_map(params![tenant, device, rule, limit], |row| row.get(0))?;
                rows.collect()
            };
            read().map_err(self.error("list alerts of a device"))?
        };
        bodies.iter().map(|body| self.parse("alert", body)).collect()
    }

    /// The open alerts that a silence picks, whatever its times: how many, and of how many of them somebody was told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn picked(&self, what: &Silence) -> Result<(usize, usize), StoreError> {
        let courses = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<Option<String>>> {
                // The kind of a rule stands in the body only, which is read where a rule is asked for and is called otherwise.
                let rule = match what.rule.is_empty() {
                    true => "?5 = ''",
                    false => "(rule = ?5 OR json_extract(body, '$.kind') = ?5)",
                };
                let mut picked = db.prepare_cached(&format!(
                    "SELECT course.state FROM alert INDEXED BY alert_inbox LEFT JOIN course ON course.alert_id = alert.id \
                     WHERE open = 1 AND (?1 = '' OR tenant = ?1) AND (?2 = '' OR clinic = ?2) AND (?3 = '' OR device = ?3) \
                     AND urgency <= ?4 AND {rule}",
                ))?;
                let most = urgency(what.max_priority);
                let rows = picked
                    .query_map(params![what.tenant, what.clinic, what.device, most, what.rule], |row| {
                        row.get(0)
                    })?;
                rows.collect()
            };
            read().map_err(self.error("list alerts that a silence picks"))?
        };
        let mut told = 0;
        for course in courses.iter().flatten() {
            told += usize::from(self.parse::<Course>("course", course)?.is_told());
        }
        Ok((courses.len(), told))
    }

    /// The number of the newest row of the journal: it grows with whatever happens to any alert.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest_row(&self) -> Result<i64, StoreError> {
        self.db()
            .query_row("SELECT coalesce(max(n), 0) FROM journal", [], |row| row.get(0))
            .map_err(self.error("look for what is new"))
    }
}
