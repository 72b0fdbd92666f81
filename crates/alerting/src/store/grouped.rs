//! The same lists by device: one row for all alerts of a device, the most urgent of them first. A flood stays readable that way.
use std::collections::HashMap;

use rusqlite::params;
use telemetry::Priority;

use super::listing::{CHOSEN, PLACE, priority_of};
use super::{Listing, MAX_LISTED, Store, StoreError, Wanted};
use crate::engine::Alert;

/// Most alerts of one device that a list by device shows.
pub const MAX_OF_DEVICE: usize = 10;

/// The alerts of one device that match, or one alert that is about no device.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// At most [`MAX_OF_DEVICE`], and at least one: those that need a person first, then the most urgent, then the newest.
    pub alerts: Vec<Alert>,
    /// How many match, by priority, the most urgent first; none of 0.
    pub counts: Vec<(Priority, u64)>,
}

impl Group {
    /// How many of its alerts match.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, alerts)| alerts).sum()
    }
}

/// One page of a list by device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grouped {
    /// In the order of their first alerts.
    pub groups: Vec<Group>,
    /// How many groups match in all.
    pub total: u64,
    /// All that match and what may be chosen, counted one by one as [`Store::list`] counts; its own alerts are not read.
    pub each: Listing,
}

/// A group of the page that is asked for.
#[derive(Default)]
struct Head {
    /// Its first alerts.
    ids: Vec<String>,
    /// By urgency, the least first.
    counts: [u64; 4],
}

/// Groups as they come, of which those of one page are kept.
struct Heads {
    /// By tenant and device; alerts come in their order, so that a group's place is that of its first one.
    known: HashMap<String, usize>,
    /// What is about no device stands for itself.
    alone: usize,
    offset: usize,
    limit: usize,
    each: usize,
    page: Vec<Head>,
}

impl Heads {
    /// How many groups there are so far.
    fn total(&self) -> usize {
        self.known.len() + self.alone
    }

    /// The next alert in the order of the list.
    fn take(&mut self, id: &str, (tenant, device): (&str, &str), urgency: i64) {
        let next = self.total();
        let at = if device.is_empty() {
            self.alone += 1;
            next
        } else {
            *self.known.entry(format!("{tenant}/{device}")).or_insert(next)
        };
        if at == next && (self.offset..self.offset.saturating_add(self.limit)).contains(&at) {
            self.page.push(Head::default());
        }
        let Some(head) = at.checked_sub(self.offset).and_then(|at| self.page.get_mut(at)) else {
            return;
        };
        if head.ids.len() < self.each {
            head.ids.push(id.to_owned());
        }
        let known = usize::try_from(urgency).unwrap_or(0);
        if let Some(count) = head.counts.get_mut(known) {
            *count += 1;
        }
    }
}

impl Store {
    /// One page of the alerts that are wanted, by device: at most [`MAX_LISTED`] groups of at most `each` alerts.
    ///
    /// One walk over the index in its own order, and the bodies of the page.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list_by_device(
        &self,
        wanted: &Wanted,
        offset: usize,
        limit: usize,
        each: usize,
    ) -> Result<Grouped, StoreError> {
        let listing = self.list(wanted, 0, 0)?;
        let mut heads = Heads {
            known: HashMap::new(),
            alone: 0,
            offset,
            limit: limit.min(MAX_LISTED),
            each: each.clamp(1, MAX_OF_DEVICE),
            page: Vec::new(),
        };
        self.walk(wanted, &mut heads)
            .map_err(self.error("list alerts by device"))?;
        let total = heads.total() as u64;
        let groups: Result<Vec<Group>, StoreError> = heads.page.iter().map(|head| self.group(head)).collect();
        let mut groups = groups?;
        // What was forgotten between the two questions is gone.
        groups.retain(|group| !group.alerts.is_empty());
        Ok(Grouped {
            groups,
            total,
            each: listing,
        })
    }

    fn walk(&self, wanted: &Wanted, heads: &mut Heads) -> rusqlite::Result<()> {
        let chosen = wanted.chosen();
        let db = self.db();
        let mut all = db.prepare_cached(&format!(
            "SELECT id, tenant, device, urgency FROM alert INDEXED BY alert_inbox WHERE open = ?1 AND {PLACE} AND {CHOSEN} \
             ORDER BY waits DESC, urgency DESC, decided_us DESC, id"
        ))?;
        let place = (&wanted.tenant, &wanted.clinic, &wanted.device, &wanted.rule);
        let asked = params![
            chosen.open,
            place.0,
            place.1,
            place.2,
            place.3,
            chosen.urgency,
            chosen.state
        ];
        let mut rows = all.query(asked)?;
        while let Some(row) = rows.next()? {
            let text = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
            heads.take(text(0)?, (text(1)?, text(2)?), row.get(3)?);
        }
        Ok(())
    }

    fn group(&self, head: &Head) -> Result<Group, StoreError> {
        let bodies = {
            let db = self.db();
            let read = || -> rusqlite::Result<Vec<String>> {
                let mut body = db.prepare_cached("SELECT body FROM alert WHERE id = ?1")?;
                let mut bodies = Vec::with_capacity(head.ids.len());
                for id in &head.ids {
                    bodies.extend(
                        body.query_map([id], |row| row.get(0))?
                            .collect::<rusqlite::Result<Vec<String>>>()?,
                    );
                }
                Ok(bodies)
            };
            read().map_err(self.error("list the alerts of a device"))?
        };
        let alerts = bodies.iter().map(|body| self.parse("alert", body));
        let counts = (0..).zip(head.counts).collect::<Vec<_>>();
        let counts = counts
            .into_iter()
            .rev()
            .map(|(urgency, alerts)| (priority_of(urgency), alerts));
        Ok(Group {
            alerts: alerts.collect::<Result<_, _>>()?,
            counts: counts.filter(|(_, alerts)| *alerts > 0).collect(),
        })
    }
}
