//! From what is written to a plan: each part becomes its type, or a fault with its line.
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, Weekday};
use telemetry::{Priority, UnixMicros};

use super::chain::{Chain, Repeat, Step, Tell};
use super::file::line;
use super::hours::Hours;
use super::inhibit::{AT_MOST, Inhibit};
use super::raw::{RawChain, RawFile, RawHours, RawPerson, RawRota, RawRoute, Some1};
use super::rota::{Rota, WARN_BEFORE};
use super::{Group, Plan, Route, When, calendar, from_priority};
use crate::paging::labels::Matcher;
use crate::paging::silence::SilencePolicy;
use crate::rules::RuleFault;

/// What a fault of the whole is about, to find its line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// A chain by name.
    Chain(String),
    /// A rota by name.
    Rota(String),
    /// A route by number, from 0.
    Route(usize),
    /// An inhibition by number, from 0.
    Inhibit(usize),
    /// The plan.
    Plan,
}

pub(super) struct Reader<'a> {
    pub(super) dir: &'a str,
    pub(super) texts: &'a BTreeMap<String, String>,
    pub(super) faults: Vec<RuleFault>,
    pub(super) warnings: Vec<RuleFault>,
    pub(super) stale: Vec<RuleFault>,
    pub(super) lines: BTreeMap<About, (String, usize)>,
    pub(super) now: UnixMicros,
    pub(super) plan: Plan,
}

impl Reader<'_> {
    pub(super) fn place(&self, file: &str, line: usize, what: impl Into<String>) -> RuleFault {
        let file = if file.is_empty() {
            self.dir.to_owned()
        } else {
            format!("{}/{file}", self.dir)
        };
        RuleFault {
            file,
            line,
            what: what.into(),
        }
    }

    pub(super) fn fault(&mut self, file: &str, line: usize, what: impl Into<String>) {
        let fault = self.place(file, line, what);
        self.faults.push(fault);
    }

    pub(super) fn file(&mut self, file: &str, text: &str, raw: RawFile) {
        self.lines.entry(About::Plan).or_insert((file.to_owned(), 1));
        for person in raw.person {
            let at = line(text, person.span().start);
            self.person(file, at, person.into_inner());
        }
        for hours in raw.hours {
            let at = line(text, hours.span().start);
            self.hours(file, at, hours.into_inner());
        }
        for rota in raw.rota {
            let at = line(text, rota.span().start);
            self.rota(file, at, rota.into_inner());
        }
        for chain in raw.chain {
            let at = line(text, chain.span().start);
            self.chain(file, at, chain.into_inner());
        }
        for route in raw.route {
            let at = line(text, route.span().start);
            self.route(file, at, route.into_inner());
        }
        for inhibit in raw.inhibit {
            let at = line(text, inhibit.span().start);
            let raw = inhibit.into_inner();
            self.lines
                .insert(About::Inhibit(self.plan.inhibits.len()), (file.to_owned(), at));
            self.plan.inhibits.push(Inhibit {
                source: many(Some(raw.source)),
                target: many(Some(raw.target)),
                equal: raw.equal,
                at_most: raw.at_most.map_or(AT_MOST, |span| span.0),
            });
        }
        if let Some(silences) = raw.silences {
            let raw = silences.into_inner();
            let policy = &mut self.plan.silences;
            policy.longest = raw.longest.map_or(policy.longest, |span| span.0);
            policy.max_priority = raw.max_priority.unwrap_or(policy.max_priority);
        }
    }

    fn person(&mut self, file: &str, at: usize, raw: RawPerson) {
        let name = raw.name.trim();
        if name.is_empty() || name.len() > 63 || name.contains([',', ':', '\n']) {
            self.fault(
                file,
                at,
                "a person's name must have 1 to 63 bytes, without comma and colon",
            );
        }
        if raw.receivers.is_empty() {
            self.fault(file, at, format!("person {name} has no receiver"));
        }
        for receiver in &raw.receivers {
            if !self.plan.receivers.iter().any(|known| known.name == *receiver) {
                self.fault(
                    file,
                    at,
                    format!("person {name}: receiver {receiver} is not configured"),
                );
            }
        }
        if self.plan.people.insert(name.to_owned(), raw.receivers).is_some() {
            self.fault(file, at, format!("person {name} is there twice"));
        }
    }

    fn hours(&mut self, file: &str, at: usize, raw: RawHours) {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M");
        let (Ok(from), Ok(to)) = (time(&raw.from), time(&raw.to)) else {
            return self.fault(
                file,
                at,
                format!("hours {}: from and to must be like \"08:30\"", raw.name),
            );
        };
        let Ok(zone) = raw.time_zone.parse() else {
            return self.fault(
                file,
                at,
                format!("hours {}: time zone {} is not known", raw.name, raw.time_zone),
            );
        };
        let mut holidays = std::collections::BTreeSet::new();
        for day in &raw.holidays {
            match day.parse::<NaiveDate>() {
                Ok(day) => {
                    holidays.insert(day);
                }
                Err(_) => self.fault(
                    file,
                    at,
                    format!("hours {}: {day} is no date like 2026-12-25", raw.name),
                ),
            }
        }
        let days: Result<Vec<Weekday>, _> = raw.days.iter().map(|day| day.parse()).collect();
        let Ok(days) = days else {
            return self.fault(
                file,
                at,
                format!("hours {}: days must be like [\"mon\", \"tue\"]", raw.name),
            );
        };
        if days.is_empty() {
            self.fault(file, at, format!("hours {} have no days", raw.name));
        }
        let hours = Hours {
            zone,
            days,
            from,
            to,
            holidays,
        };
        if self.plan.hours.insert(raw.name.clone(), hours).is_some() {
            self.fault(file, at, format!("hours {} are there twice", raw.name));
        }
    }

    fn tells(&mut self, file: &str, at: usize, list: &[String]) -> Vec<Tell> {
        let mut tells = Vec::new();
        for text in list {
            match text.split_once(':') {
                Some(("person", name)) => tells.push(Tell::Person(name.to_owned())),
                Some(("rota", name)) => tells.push(Tell::Rota(name.to_owned())),
                Some(("receiver", name)) => tells.push(Tell::Receiver(name.to_owned())),
                _ => self.fault(
                    file,
                    at,
                    format!("\"{text}\" must be person:NAME, rota:NAME or receiver:NAME"),
                ),
            }
        }
        tells
    }

    fn rota(&mut self, file: &str, at: usize, raw: RawRota) {
        self.lines.insert(About::Rota(raw.name.clone()), (file.to_owned(), at));
        // An alert about a rota is named after it, as one about a device is.
        if telemetry::DeviceId::new(&raw.name).is_err() {
            let what = format!(
                "rota {}: its name must be a-z, 0-9 and, after the first character, -; at most 63",
                raw.name
            );
            self.fault(file, at, what);
        }
        let zone = match raw.time_zone.as_deref().map(str::parse::<chrono_tz::Tz>) {
            Some(Ok(zone)) => Some(zone),
            Some(Err(_)) => return self.fault(file, at, format!("rota {}: its time zone is not known", raw.name)),
            None => None,
        };
        if raw.otherwise.is_empty() {
            self.fault(
                file,
                at,
                format!(
                    "rota {}: otherwise must name whom to tell if nobody is on call",
                    raw.name
                ),
            );
        }
        let otherwise = self.tells(file, at, &raw.otherwise);
        if otherwise.iter().any(|tell| matches!(tell, Tell::Rota(_))) {
            self.fault(
                file,
                at,
                format!("rota {}: otherwise must be persons or receivers", raw.name),
            );
        }
        let before = self.faults.len();
        let events = self.calendar(file, at, &raw.calendar, zone);
        let overrides = raw
            .overrides
            .map(|name| self.calendar(file, at, &name, zone))
            .unwrap_or_default();
        let warn_before = raw.warn_before.map_or(WARN_BEFORE, |span| span.0);
        if warn_before > Duration::from_secs(90 * 86_400) {
            self.fault(file, at, format!("rota {}: warn_before must be at most 90d", raw.name));
        }
        let rota = Rota {
            ends: Rota::end_of(&events, &overrides),
            events,
            overrides,
            otherwise,
            warn_before,
        };
        if self.faults.len() == before {
            self.look_ahead(&raw.name, &raw.calendar, &rota);
        }
        if self.plan.rotas.insert(raw.name.clone(), rota).is_some() {
            self.fault(file, at, format!("rota {} is there twice", raw.name));
        }
    }

    /// Whether a rota has ended, will soon, or has gaps before that.
    fn look_ahead(&mut self, name: &str, calendar: &str, rota: &Rota) {
        match rota.running_out(self.now) {
            Some((_, true)) => {
                let what = format!("rota {name} has expired: it has no shift from now on");
                let fault = self.place(calendar, rota.last_line(), what);
                return self.stale.push(fault);
            }
            Some((ends, false)) => {
                let ends = crate::notify::rfc3339(ends);
                let what = format!("rota {name} ends: nobody is on call from {ends} on");
                let warning = self.place(calendar, rota.last_line(), what);
                self.warnings.push(warning);
            }
            None => {}
        }
        let gaps = rota.gaps(self.now);
        if let Some((from, to)) = gaps.first() {
            let (from, to) = (crate::notify::rfc3339(*from), crate::notify::rfc3339(*to));
            let what = format!(
                "rota {name}: nobody is on call from {from} to {to}; {} gaps in 14 days",
                gaps.len()
            );
            let warning = self.place(calendar, 1, what);
            self.warnings.push(warning);
        }
    }

    fn calendar(&mut self, file: &str, at: usize, name: &str, zone: Option<chrono_tz::Tz>) -> Vec<calendar::Event> {
        let texts = self.texts;
        let Some(text) = texts.get(name) else {
            self.fault(
                file,
                at,
                format!("calendar {name} is not in the folder, or does not end in .ics"),
            );
            return Vec::new();
        };
        match calendar::read(text, zone) {
            Ok(events) => {
                for event in &events {
                    for person in &event.people {
                        if !self.plan.people.contains_key(person) {
                            self.fault(name, event.line, format!("{person} is no person of the plan"));
                        }
                    }
                }
                events
            }
            Err(wrong) => {
                for (line, what) in wrong {
                    self.fault(name, line, what);
                }
                Vec::new()
            }
        }
    }

    fn chain(&mut self, file: &str, at: usize, raw: RawChain) {
        self.lines.insert(About::Chain(raw.name.clone()), (file.to_owned(), at));
        let mut steps = Vec::new();
        for step in raw.steps {
            let tell = self.tells(file, at, &step.tell);
            if tell.is_empty() {
                self.fault(file, at, format!("chain {}: a step tells nobody", raw.name));
            }
            let wait = step.wait.map_or(Duration::from_secs(300), |span| span.0);
            // A second is enough between a buzzer and a person.
            if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&wait) {
                self.fault(file, at, format!("chain {}: wait must be 1s to 1d", raw.name));
            }
            steps.push(Step { tell, wait });
        }
        if steps.is_empty() || steps.len() > 100 {
            self.fault(file, at, format!("chain {} must have 1 to 100 steps", raw.name));
        }
        let every = raw
            .repeat_every
            .as_ref()
            .map_or(Duration::from_secs(1_800), |span| span.0);
        if !(Duration::from_secs(60)..=Duration::from_secs(86_400)).contains(&every) {
            self.fault(file, at, format!("chain {}: repeat_every must be 1m to 1d", raw.name));
        }
        if usize::from(raw.once) + usize::from(raw.then.is_some()) + usize::from(raw.repeat_every.is_some()) > 1 {
            self.fault(
                file,
                at,
                format!("chain {}: only one of then, repeat_every and once", raw.name),
            );
        }
        let chain = Chain {
            steps,
            then: raw.then,
            repeat: if raw.once { Repeat::Never } else { Repeat::Every(every) },
            acknowledged_for: raw.acknowledged_for.map(|span| span.0),
        };
        if chain
            .acknowledged_for
            .is_some_and(|holds| holds < Duration::from_secs(60))
        {
            self.fault(
                file,
                at,
                format!("chain {}: acknowledged_for must be at least 1m", raw.name),
            );
        }
        if self.plan.chains.insert(raw.name.clone(), chain).is_some() {
            self.fault(file, at, format!("chain {} is there twice", raw.name));
        }
    }

    fn route(&mut self, file: &str, at: usize, raw: RawRoute) {
        let number = self.plan.routes.len();
        self.lines.insert(About::Route(number), (file.to_owned(), at));
        if raw.priorities.is_some() && raw.min_priority.is_some() || raw.during.is_some() && raw.outside.is_some() {
            self.fault(
                file,
                at,
                "a route has one of priorities and min_priority, and one of during and outside",
            );
        }
        let default = from_priority(raw.min_priority.unwrap_or(Priority::Low));
        let when = match (raw.during, raw.outside) {
            (Some(hours), _) => Some(When { hours, inside: true }),
            (None, Some(hours)) => Some(When { hours, inside: false }),
            (None, None) => None,
        };
        let hold = raw.hold.map_or(Duration::ZERO, |span| span.0);
        if hold > Duration::from_secs(60) {
            self.fault(file, at, "hold must be at most 1m");
        }
        let group = raw.group.map(|group| Group {
            by: group.by,
            wait: group.wait.0,
        });
        if group
            .as_ref()
            .is_some_and(|group| group.wait.is_zero() || group.wait > Duration::from_secs(3_600))
        {
            self.fault(file, at, "group.wait must be longer than nothing and at most 1h");
        }
        let name = raw.name.unwrap_or_else(|| format!("route {}", number + 1));
        if self.plan.routes.iter().any(|route| route.name == name) {
            self.fault(file, at, format!("route {name} is there twice"));
        }
        self.plan.routes.push(Route {
            name,
            matcher: Matcher {
                tenants: many(raw.tenant),
                clinics: many(raw.clinic),
                devices: Vec::new(),
                rules: many(raw.rule),
                priorities: raw.priorities.unwrap_or(default),
            },
            when,
            chain: raw.chain,
            group,
            hold,
            goes_on: raw.goes_on,
        });
    }
}

fn many(some: Option<Some1>) -> Vec<String> {
    match some {
        None => Vec::new(),
        Some(Some1::One(one)) => vec![one],
        Some(Some1::Many(many)) => many,
    }
}

impl Default for SilencePolicy {
    fn default() -> Self {
        Self {
            longest: Duration::from_secs(12 * 3_600),
            max_priority: Priority::Medium,
        }
    }
}
