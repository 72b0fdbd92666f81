//! The periods that have news, in memory: what is new to the ledger, what is due, what is under way. Pure decisions; `now`
//! is an argument.

use telemetry::{DeviceKey, TenantId};

use super::{Group, HOUR_WAITS, MOST_WAITS, Period, Rollups, SECOND_NS, Span, Subject, second_of, start_of};

/// Most devices in one group, so that what a step holds in memory stays some megabytes.
const GROUP_DEVICES: usize = 5_000;

/// One period of a device.
#[derive(Debug, Clone, Copy)]
struct Entry {
    subject: Subject,
    span: Span,
    start_s: i64,
    /// First and last touch since it was last computed.
    first_us: i64,
    last_us: i64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in the ledger yet.
    Fresh,
    /// In the ledger.
    Waiting,
    /// Being computed, with so many records on their way; `again`: touched since that began.
    UnderWay { records: usize, again: bool },
}

impl Entry {
    fn place(&self) -> (Subject, Span, i64) {
        (self.subject, self.span, self.start_s)
    }

    fn touch(&mut self, now_us: i64) {
        self.last_us = self.last_us.max(now_us);
        if let State::UnderWay { again, .. } = &mut self.state {
            if !*again {
                self.first_us = now_us;
            }
            *again = true;
        }
    }
}

/// What touching did, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touches {
    /// Periods that were not noted because too many wait.
    pub excess: u64,
}

/// What is to be computed now, and what cannot be any more.
#[derive(Debug, Default)]
pub struct Groups {
    /// To be read and written.
    pub due: Vec<Group>,
    /// They reach beyond what the store keeps; to be taken out of the ledger.
    pub expired: Vec<Period>,
}

/// The set. Bounded by [`Rollups::max_touched`].
#[derive(Debug)]
pub struct Touched {
    rollups: Rollups,
    /// Entries of a device are sorted by their place.
    devices: foldhash::HashMap<DeviceKey, Vec<Entry>>,
    count: usize,
    fresh: Vec<Period>,
    touches: Touches,
}

impl Touched {
    /// A set with the periods that the ledger holds.
    pub fn new(rollups: Rollups, kept: Vec<Period>, now_us: i64) -> Self {
        let mut touched = Self {
            rollups,
            devices: foldhash::HashMap::default(),
            count: 0,
            fresh: Vec::new(),
            touches: Touches::default(),
        };
        if rollups.on {
            for period in kept {
                touched.put(&period, now_us, State::Waiting);
            }
        }
        touched
    }

    /// Notes that a point of this time was stored.
    pub fn point(&mut self, device: &DeviceKey, subject: Subject, time_ns: i64, now_us: i64) {
        if !self.rollups.on {
            return;
        }
        let place = (subject, Span::Minute, start_of(second_of(time_ns), Span::Minute));
        if let Some(entries) = self.devices.get_mut(device)
            // Nearly always the last of its device.
            && let Ok(at) = entries.binary_search_by_key(&place, Entry::place)
            && let Some(entry) = entries.get_mut(at)
        {
            return entry.touch(now_us);
        }
        if self.count >= self.rollups.max_touched {
            self.touches.excess += 1;
            return;
        }
        let period = Period {
            device: device.clone(),
            subject,
            span: Span::Minute,
            start_s: place.2,
        };
        self.put(&period, now_us, State::Fresh);
        self.fresh.push(period);
    }

    /// Whether anything is noted.
    pub fn is_on(&self) -> bool {
        self.rollups.on
    }

    /// Forgets everything and notes nothing from now on. What the ledger holds stays there, for a later start.
    pub fn turn_off(&mut self) {
        self.rollups.on = false;
        self.devices.clear();
        self.fresh.clear();
        self.count = 0;
    }

    /// Notes a period that the ledger holds already: the hour of a minute that was stored.
    pub fn kept(&mut self, period: &Period, now_us: i64) {
        self.put(period, now_us, State::Waiting);
    }

    fn put(&mut self, period: &Period, now_us: i64, state: State) {
        let entries = self.devices.entry(period.device.clone()).or_default();
        let place = (period.subject, period.span, period.start_s);
        match entries.binary_search_by_key(&place, Entry::place) {
            Ok(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    entry.touch(now_us);
                }
            }
            Err(at) => {
                self.count += 1;
                entries.insert(
                    at,
                    Entry {
                        subject: place.0,
                        span: place.1,
                        start_s: place.2,
                        first_us: now_us,
                        last_us: now_us,
                        state,
                    },
                );
            }
        }
    }

    /// Periods that the ledger must take in before the cursor moves.
    pub fn take_fresh(&mut self) -> Vec<Period> {
        std::mem::take(&mut self.fresh)
    }

    /// The ledger has them.
    pub fn noted(&mut self, periods: &[Period]) {
        for period in periods {
            if let Some(entry) = self.entry(period)
                && entry.state == State::Fresh
            {
                entry.state = State::Waiting;
            }
        }
    }

    /// What touching did since the last call.
    pub fn take_touches(&mut self) -> Touches {
        std::mem::take(&mut self.touches)
    }

    /// Periods in the set.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing has news.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn entry(&mut self, period: &Period) -> Option<&mut Entry> {
        let place = (period.subject, period.span, period.start_s);
        let entries = self.devices.get_mut(&period.device)?;
        let at = entries.binary_search_by_key(&place, Entry::place).ok()?;
        entries.get_mut(at)
    }

    /// Chooses what is due, at most `max` groups, the oldest periods first; tenants in `not` wait. What it gives counts as
    /// under way.
    pub fn due(&mut self, now_us: i64, max: usize, per_tenant: bool, not: &dyn Fn(&TenantId) -> bool) -> Groups {
        let mut due: Vec<(i64, Period)> = Vec::new();
        let mut expired = Vec::new();
        for (device, entries) in &self.devices {
            if not(&device.tenant) {
                continue;
            }
            for entry in entries.iter().filter(|entry| self.is_due(entry, entries, now_us)) {
                let period = Period {
                    device: device.clone(),
                    subject: entry.subject,
                    span: entry.span,
                    start_s: entry.start_s,
                };
                if self.has_expired(entry, now_us) {
                    expired.push(period);
                } else {
                    due.push((entry.start_s, period));
                }
            }
        }
        for period in &expired {
            self.remove(period);
        }
        Groups {
            due: self.grouped(due, max, per_tenant),
            expired,
        }
    }

    fn is_due(&self, entry: &Entry, of_device: &[Entry], now_us: i64) -> bool {
        let after = i64::try_from(self.rollups.after.as_micros()).unwrap_or(i64::MAX);
        let wait = match entry.span {
            Span::Minute => after,
            Span::Hour => after.saturating_mul(i64::from(HOUR_WAITS)),
        };
        let longest = wait.saturating_mul(i64::from(MOST_WAITS));
        entry.state == State::Waiting
            && (now_us.saturating_sub(entry.last_us) >= wait || now_us.saturating_sub(entry.first_us) >= longest)
            && !(entry.span == Span::Hour && has_minutes(entry, of_device))
    }

    fn has_expired(&self, entry: &Entry, now_us: i64) -> bool {
        let kept = match entry.span {
            Span::Minute => self.rollups.points_kept,
            Span::Hour => self.rollups.kept,
        };
        kept.is_some_and(|kept| {
            let kept_us = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
            // The points of the next minute go while it is read: that one is not whole any more either.
            let start_us = entry
                .start_s
                .saturating_sub(i64::from(Span::Minute.seconds()))
                .saturating_mul(SECOND_NS / 1_000);
            start_us < now_us.saturating_sub(kept_us)
        })
    }

    fn grouped(&mut self, mut due: Vec<(i64, Period)>, max: usize, per_tenant: bool) -> Vec<Group> {
        let key = |p: &Period| {
            (
                p.start_s,
                p.subject,
                p.span,
                per_tenant.then(|| p.device.tenant.clone()),
            )
        };
        due.sort_unstable_by_key(|(_, period)| key(period));
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        for (_, period) in due {
            let this = Some(key(&period));
            let full = groups.last().is_none_or(|group| group.devices.len() >= GROUP_DEVICES);
            if full || this != last {
                if groups.len() == max {
                    break;
                }
                last = this;
                groups.push(Group {
                    subject: period.subject,
                    span: period.span,
                    start_s: period.start_s,
                    devices: Vec::new(),
                });
            }
            if let Some(entry) = self.entry(&period) {
                entry.state = State::UnderWay {
                    records: 0,
                    again: false,
                };
            }
            if let Some(group) = groups.last_mut() {
                group.devices.push(period.device);
            }
        }
        groups
    }

    /// So many records of a period are on their way; with 0 it is finished, see [`Touched::finish`].
    pub fn on_the_way(&mut self, period: &Period, count: usize) {
        if let Some(Entry {
            state: State::UnderWay { records, .. },
            ..
        }) = self.entry(period)
        {
            *records += count;
        }
    }

    /// One record of a period has its fate; whether it was the last.
    pub fn arrived(&mut self, period: &Period) -> bool {
        match self.entry(period).map(|entry| &mut entry.state) {
            Some(State::UnderWay { records, .. }) => {
                *records = records.saturating_sub(1);
                *records == 0
            }
            _ => false,
        }
    }

    /// A period could not be read: later.
    pub fn put_off(&mut self, period: &Period, now_us: i64) {
        if let Some(entry) = self.entry(period) {
            entry.state = State::Waiting;
            entry.last_us = now_us;
        }
    }

    /// Whether a period whose roll-up is stored leaves the ledger: not if it was touched meanwhile.
    pub fn leaves(&mut self, period: &Period) -> bool {
        self.entry(period)
            .is_some_and(|entry| matches!(entry.state, State::UnderWay { again: false, .. }))
    }

    /// The roll-up of a period is stored, and the ledger knows. What was touched meanwhile waits again.
    pub fn finish(&mut self, period: &Period) {
        if self.leaves(period) {
            self.remove(period);
        } else if let Some(entry) = self.entry(period) {
            entry.state = State::Waiting;
        }
    }

    fn remove(&mut self, period: &Period) {
        let place = (period.subject, period.span, period.start_s);
        let Some(entries) = self.devices.get_mut(&period.device) else {
            return;
        };
        if let Ok(at) = entries.binary_search_by_key(&place, Entry::place) {
            entries.remove(at);
            self.count -= 1;
        }
        if entries.is_empty() {
            self.devices.remove(&period.device);
        }
    }
}

/// Whether a minute of this hour has news of its own: the hour waits for it.
fn has_minutes(hour: &Entry, of_device: &[Entry]) -> bool {
    let end = hour.start_s.saturating_add(i64::from(Span::Hour.seconds()));
    of_device.iter().any(|entry| {
        entry.span == Span::Minute && entry.subject == hour.subject && (hour.start_s..end).contains(&entry.start_s)
    })
}
