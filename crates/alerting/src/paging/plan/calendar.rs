//! Calendar files (iCalendar, RFC 5545): whose shift is when.
//!
//! A shift ends by the clock on the wall: one from 20:00 to 08:00 does so in the night in which the clocks change too, as
//! calendars show it and people hand over. Recurrences are computed on that clock and then placed in time.
use std::collections::BTreeSet;
use std::str::FromStr as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use icalendar::parser::{Component, Property, read_calendar, unfold};
use rrule::RRuleSet;
use telemetry::UnixMicros;

/// Most bytes of a calendar file.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Most events of a calendar file.
const MAX_EVENTS: usize = 2_000;
/// Most shifts of one event that are looked at in one question.
const MAX_SHIFTS: u16 = 2_000;
/// Longest shift: a month and a day.
const MAX_SHIFT: TimeDelta = TimeDelta::days(32);
/// Most bytes of a recurrence rule.
const MAX_RULE: usize = 500;

/// One shift.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    /// From, inclusive.
    pub from: UnixMicros,
    /// To, exclusive.
    pub to: UnixMicros,
    /// Who.
    pub person: String,
}

/// One event: a shift, or shifts that recur.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) people: Vec<String>,
    /// Line of the file at which it begins.
    pub(super) line: usize,
    uid: String,
    zone: Tz,
    start: NaiveDateTime,
    length: TimeDelta,
    rule: Option<RRuleSet>,
    /// The rule never ends.
    endless: bool,
    /// Further times at which it begins.
    more: BTreeSet<NaiveDateTime>,
    except: BTreeSet<NaiveDateTime>,
    /// It stands for the shift of the event with the same uid that begins then.
    instead_of: Option<UnixMicros>,
}

/// What is wrong with a calendar, at which line.
pub(super) type Wrong = (usize, String);

/// Reads a calendar. `zone`: whose clock holds where the file does not say.
pub(super) fn read(text: &str, zone: Option<Tz>) -> Result<Vec<Event>, Vec<Wrong>> {
    if text.len() > MAX_BYTES {
        return Err(vec![(1, format!("calendar is larger than {MAX_BYTES} bytes"))]);
    }
    let unfolded = unfold(text);
    let calendar =
        read_calendar(&unfolded).map_err(|_| vec![(1, "is no calendar (iCalendar, RFC 5545)".to_owned())])?;
    let lines = begins(text);
    let events: Vec<&Component<'_>> = calendar
        .components
        .iter()
        .filter(|c| c.name.as_str() == "VEVENT")
        .collect();
    if events.len() > MAX_EVENTS {
        return Err(vec![(1, format!("calendar has more than {MAX_EVENTS} events"))]);
    }
    let mut read = Vec::new();
    let mut wrong = Vec::new();
    for (n, event) in events.into_iter().enumerate() {
        let line = lines.get(n).copied().unwrap_or(1);
        match one(event, line, zone) {
            Ok(Some(event)) => read.push(event),
            Ok(None) => {}
            Err(what) => wrong.push((line, what)),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    replace(&mut read);
    Ok(read)
}

/// The lines at which events begin.
fn begins(text: &str) -> Vec<usize> {
    let begins = |(_, line): &(usize, &str)| line.trim().eq_ignore_ascii_case("BEGIN:VEVENT");
    text.lines().enumerate().filter(begins).map(|(n, _)| n + 1).collect()
}

/// What stands instead of one shift of a recurring event takes its place.
fn replace(events: &mut [Event]) {
    let instead: Vec<(String, UnixMicros)> = events
        .iter()
        .filter_map(|event| Some((event.uid.clone(), event.instead_of?)))
        .collect();
    for (uid, at) in instead {
        let whole = events
            .iter_mut()
            .filter(|event| event.uid == uid && event.instead_of.is_none());
        for event in whole {
            if let Some(local) = local(at, event.zone) {
                event.except.insert(local);
            }
        }
    }
}

fn one(event: &Component<'_>, line: usize, zone: Option<Tz>) -> Result<Option<Event>, String> {
    let find = |name: &str| event.properties.iter().find(|p| p.name.as_str() == name);
    let text = |name: &str| find(name).map(|p| p.val.as_str().trim().to_owned()).unwrap_or_default();
    if text("STATUS").eq_ignore_ascii_case("CANCELLED") {
        return Ok(None);
    }
    if find("EXRULE").is_some() {
        return Err("EXRULE is not understood: write EXDATE".to_owned());
    }
    let people = people(&text("SUMMARY"));
    if people.is_empty() {
        return Err("event has no SUMMARY: it must be the person".to_owned());
    }
    let start = find("DTSTART").ok_or("event has no DTSTART")?;
    let start = Stamp::read(start, zone)?;
    let length = length(find("DTEND"), &text("DURATION"), &start, zone)?;
    if length <= TimeDelta::zero() || length > MAX_SHIFT {
        return Err("shift must be longer than nothing and at most 32 days".to_owned());
    }
    let (more, except) = (dates(event, "RDATE", &start)?, dates(event, "EXDATE", &start)?);
    let instead_of = match find("RECURRENCE-ID") {
        Some(property) => Some(Stamp::read(property, Some(start.zone))?.instant()),
        None => None,
    };
    let rule = text("RRULE");
    let endless = !rule.is_empty()
        && !["UNTIL=", "COUNT="]
            .iter()
            .any(|end| rule.to_ascii_uppercase().contains(end));
    Ok(Some(Event {
        people,
        line,
        uid: text("UID"),
        zone: start.zone,
        start: start.local,
        length,
        rule: if rule.is_empty() {
            None
        } else {
            Some(recurrence(&rule, &start)?)
        },
        endless,
        more,
        except,
        instead_of,
    }))
}

/// The times of a list such as EXDATE, on the clock of the event.
fn dates(event: &Component<'_>, name: &str, start: &Stamp) -> Result<BTreeSet<NaiveDateTime>, String> {
    let mut dates = BTreeSet::new();
    for property in event.properties.iter().filter(|p| p.name.as_str() == name) {
        for value in property.val.as_str().split(',') {
            if value.contains('/') {
                return Err(format!("{name}: periods are not understood, write an event of its own"));
            }
            let stamp = Stamp::parse(value, property, Some(start.zone))?;
            // A day of a series is its shift of that day.
            let time = (start.whole_day || stamp.whole_day).then_some(start.local.time());
            dates.insert(stamp.on(start.zone, time));
        }
    }
    if dates.len() > usize::from(MAX_SHIFTS) {
        return Err(format!("{name} has more than {MAX_SHIFTS} times"));
    }
    Ok(dates)
}

/// The people of a SUMMARY: one, or several with commas between them.
fn people(summary: &str) -> Vec<String> {
    let plain = summary.replace("\\,", ",").replace("\\;", ";");
    let names = plain.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// A time of a calendar.
struct Stamp {
    local: NaiveDateTime,
    zone: Tz,
    whole_day: bool,
}

impl Stamp {
    fn read(property: &Property<'_>, zone: Option<Tz>) -> Result<Self, String> {
        Self::parse(property.val.as_str(), property, zone)
    }

    fn parse(value: &str, property: &Property<'_>, zone: Option<Tz>) -> Result<Self, String> {
        let name = property.name.as_str();
        let value = value.trim();
        let given = property.params.iter().find(|p| p.key.as_str() == "TZID");
        let given = given
            .and_then(|p| p.val.as_ref())
            .map(|v| v.as_str().trim_matches('"').to_owned());
        let zone_of = || match &given {
            Some(id) => Tz::from_str(id)
                .map_err(|_| format!("{name}: time zone {id} is not known, take a name like Europe/Berlin")),
            None => zone.ok_or_else(|| format!("{name} says no time zone: give the rota a time_zone")),
        };
        if let Ok(day) = NaiveDate::parse_from_str(value, "%Y%m%d") {
            return Ok(Self {
                local: day.and_time(NaiveTime::MIN),
                zone: zone_of()?,
                whole_day: true,
            });
        }
        let (digits, utc) = value.strip_suffix('Z').map_or((value, false), |digits| (digits, true));
        let local = NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S")
            .map_err(|_| format!("{name}: {value} is no time of a calendar"))?;
        Ok(Self {
            local,
            zone: if utc { Tz::UTC } else { zone_of()? },
            whole_day: false,
        })
    }

    fn instant(&self) -> UnixMicros {
        instant(self.local, self.zone)
    }

    /// On the clock of another zone; a day of a series that begins at `time` is its shift of that day.
    fn on(&self, zone: Tz, time: Option<NaiveTime>) -> NaiveDateTime {
        if self.whole_day {
            return self.local.date().and_time(time.unwrap_or(NaiveTime::MIN));
        }
        local(self.instant(), zone).unwrap_or(self.local)
    }
}

fn length(end: Option<&Property<'_>>, duration: &str, start: &Stamp, zone: Option<Tz>) -> Result<TimeDelta, String> {
    if let Some(end) = end {
        let end = Stamp::read(end, Some(start.zone).or(zone))?;
        return Ok(end.on(start.zone, None) - start.local);
    }
    if !duration.is_empty() {
        return iso_duration(duration).ok_or_else(|| format!("DURATION: {duration} is not understood"));
    }
    if start.whole_day {
        return Ok(TimeDelta::days(1));
    }
    Err("event has neither DTEND nor DURATION".to_owned())
}

/// A duration such as `PT12H`, `P1D`, `P1W`, `P1DT6H30M`.
fn iso_duration(text: &str) -> Option<TimeDelta> {
    let mut rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    let mut seconds = 0i64;
    let mut in_time = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            (in_time, rest) = (true, after);
            continue;
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = match (rest.get(digits..=digits)?, in_time) {
            ("W", false) => 604_800,
            ("D", false) => 86_400,
            ("H", true) => 3_600,
            ("M", true) => 60,
            ("S", true) => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    TimeDelta::try_seconds(seconds)
}

/// A recurrence on the wall's clock, written for the library as if that were UTC.
fn recurrence(rule: &str, start: &Stamp) -> Result<RRuleSet, String> {
    if rule.len() > MAX_RULE {
        return Err(format!("RRULE is longer than {MAX_RULE} bytes"));
    }
    let mut parts = Vec::new();
    for part in rule.split(';') {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("RRULE: {part} is not understood"))?;
        let key = key.trim().to_ascii_uppercase();
        match key.as_str() {
            "FREQ" if !["DAILY", "WEEKLY", "MONTHLY", "YEARLY"].contains(&value) => {
                return Err(format!("RRULE: shifts that recur {value} are not understood"));
            }
            "UNTIL" => parts.push(format!("UNTIL={}", until(value, start)?)),
            _ => parts.push(format!("{key}={value}")),
        }
    }
    let text = format!(
        "DTSTART:{}\nRRULE:{}",
        start.local.format("%Y%m%dT%H%M%SZ"),
        parts.join(";")
    );
    RRuleSet::from_str(&text).map_err(|error| format!("RRULE is not understood: {error}"))
}

/// The end of a recurrence on the wall's clock.
fn until(value: &str, start: &Stamp) -> Result<String, String> {
    let wrong = || format!("RRULE: UNTIL={value} is no time of a calendar");
    let local = if let Ok(day) = NaiveDate::parse_from_str(value, "%Y%m%d") {
        day.and_hms_opt(23, 59, 59).ok_or_else(wrong)?
    } else {
        let (digits, utc) = value.strip_suffix('Z').map_or((value, false), |digits| (digits, true));
        let stamp = NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S").map_err(|_| wrong())?;
        if utc {
            stamp.and_utc().with_timezone(&start.zone).naive_local()
        } else {
            stamp
        }
    };
    Ok(local.format("%Y%m%dT%H%M%SZ").to_string())
}

/// The time at which a clock shows this. Twice: the first; never, because it was put forward: an hour later.
fn instant(local: NaiveDateTime, zone: Tz) -> UnixMicros {
    let at = zone.from_local_datetime(&local).earliest();
    let at = at.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
    UnixMicros(at.map_or_else(|| local.and_utc().timestamp_micros(), |at| at.timestamp_micros()))
}

fn local(at: UnixMicros, zone: Tz) -> Option<NaiveDateTime> {
    Some(
        DateTime::from_timestamp_micros(at.0)?
            .with_timezone(&zone)
            .naive_local(),
    )
}

impl Event {
    /// Its shifts that touch `[from, to)`.
    pub(super) fn shifts(&self, from: UnixMicros, to: UnixMicros) -> Vec<Shift> {
        let mut shifts = Vec::new();
        for start in self.starts(from, to) {
            if self.except.contains(&start) {
                continue;
            }
            let (begin, end) = (instant(start, self.zone), instant(start + self.length, self.zone));
            if begin < to && end > from {
                shifts.extend(self.people.iter().map(|person| Shift {
                    from: begin,
                    to: end,
                    person: person.clone(),
                }));
            }
        }
        shifts
    }

    /// When its last shift ends; `None`: never. Of more shifts than anybody plans ahead nobody asks for the last.
    pub(super) fn ends(&self) -> Option<UnixMicros> {
        if self.endless {
            return None;
        }
        let mut starts = self.more.clone();
        match &self.rule {
            None => {
                starts.insert(self.start);
            }
            Some(rule) => {
                let all = rule.clone().all(u16::MAX);
                if all.limited {
                    return None;
                }
                starts.extend(all.dates.into_iter().map(|at| at.naive_utc()));
            }
        }
        let last = starts.iter().rev().find(|start| !self.except.contains(start));
        Some(last.map_or(UnixMicros::default(), |start| instant(*start + self.length, self.zone)))
    }

    fn starts(&self, from: UnixMicros, to: UnixMicros) -> BTreeSet<NaiveDateTime> {
        let mut starts = self.more.clone();
        match &self.rule {
            None => {
                starts.insert(self.start);
            }
            Some(rule) => starts.extend(self.recurring(rule, from, to)),
        }
        starts
    }

    fn recurring(&self, rule: &RRuleSet, from: UnixMicros, to: UnixMicros) -> Vec<NaiveDateTime> {
        let (Some(first), Some(last)) = (local(from, self.zone), local(to, self.zone)) else {
            return Vec::new();
        };
        // A clock that was changed in between is at most some hours off.
        let slack = TimeDelta::hours(3);
        let bound = |at: NaiveDateTime| Utc.from_utc_datetime(&at).with_timezone(&rrule::Tz::UTC);
        let (Some(first), Some(last)) = (
            first.checked_sub_signed(self.length + slack),
            last.checked_add_signed(slack),
        ) else {
            return Vec::new();
        };
        let set = rule.clone().after(bound(first)).before(bound(last));
        set.all(MAX_SHIFTS).dates.into_iter().map(|at| at.naive_utc()).collect()
    }
}
