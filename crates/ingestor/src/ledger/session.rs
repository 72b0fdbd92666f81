//! One session in the ledger: what was seen of it, as sets, so that order, duplicates and splits do not matter.

use std::sync::Arc;

use telemetry::{BootId, DeviceId, SessionEndReason, SessionId, SessionRef, TenantId, UnixMicros, VisitId, Zone};

use super::completeness::{Closed, Completeness, Counted, MAX_LISTED};
use super::ordinals::Ordinals;
use crate::record::{Record, Tags};

/// A session's name: its id is random, but another tenant or device may send the same, by malice or by a cloned image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// The session.
    pub session: SessionId,
}

impl std::hash::Hash for SessionKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // 16 random bytes tell two sessions apart; the rest is for equality.
        self.session.hash(state);
    }
}

/// That a session, or at least a boot, was heard of; from any frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Device and clinic.
    pub tags: Arc<Tags>,
    /// The boot.
    pub boot: BootId,
    /// Wall time of uptime 0 of that boot.
    pub anchor: Option<UnixMicros>,
    /// The session, if in one.
    pub session: Option<SessionRef>,
    /// The visit.
    pub visit: Option<VisitId>,
    /// Event time of the frame.
    pub event_time: UnixMicros,
    /// When the gateway received it.
    pub received_at: UnixMicros,
    /// Totals, if the device ended the session.
    pub end: Option<telemetry::SessionEnd>,
}

impl Sighting {
    /// The key of its session.
    pub fn key(&self) -> Option<SessionKey> {
        self.session.map(|session| SessionKey {
            tenant: self.tags.tenant.clone(),
            device: self.tags.device.clone(),
            session: session.id,
        })
    }

    /// Time of the session's point: its start if the device said it, else the time of this frame; the digits below a
    /// microsecond come from the session id.
    pub fn time_ns(&self) -> Option<i64> {
        let session = self.session?;
        let start = match (self.anchor, session.started) {
            (Some(anchor), Some(started)) => started.at(anchor),
            _ => self.event_time,
        };
        let [a, b, ..] = *session.id.bytes();
        Some(telemetry::reading_time_ns(start, u64::from(u16::from_le_bytes([a, b]))))
    }
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The store confirmed it.
    Stored,
    /// It is older than the store keeps.
    Expired,
    /// The store refused it; it is in quarantine.
    Refused,
}

/// A stretch of readings of a session and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The session.
    pub key: SessionKey,
    /// Strokes or pulses.
    pub what: ReadingKind,
    /// First ordinal.
    pub first: u64,
    /// Ordinal after the last.
    pub end: u64,
    /// Ordinals without a reading.
    pub unread: Vec<(u64, u64)>,
    /// Zone.
    pub zone: Option<Zone>,
    /// Event time of the first, in nanoseconds.
    pub from_ns: i64,
    /// End of the last, in nanoseconds.
    pub to_ns: i64,
    /// What became of it.
    pub fate: Fate,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingKind {
    /// Strokes.
    Strokes,
    /// Pulses.
    Pulses,
}

impl Reading {
    /// What a record says for the ledger; `None` for records that hold no reading of a session.
    pub fn of(record: &Record, fate: Fate) -> Option<Self> {
        let (context, what, first, end, zone, from_ns, length_us) = match record {
            Record::StrokeWindow(w) => (
                &w.context,
                ReadingKind::Strokes,
                w.first_ordinal,
                w.first_ordinal + u64::from(w.count),
                w.zone,
                w.time_ns,
                w.duration_us,
            ),
            Record::Pulse(p) => {
                let ordinal = p.pulse.ordinal;
                (
                    &p.context,
                    ReadingKind::Pulses,
                    ordinal,
                    ordinal + 1,
                    p.pulse.zone,
                    p.time_ns,
                    0,
                )
            }
            _ => return None,
        };
        let key = SessionKey {
            tenant: context.tags.tenant.clone(),
            device: context.tags.device.clone(),
            session: context.session?,
        };
        let unread = match record {
            Record::StrokeWindow(w) => w.unread.clone(),
            _ => Vec::new(),
        };
        let to_ns = from_ns.saturating_add(i64::from(length_us) * 1_000);
        Some(Self {
            key,
            what,
            first,
            end,
            unread,
            zone,
            from_ns,
            to_ns,
            fate,
        })
    }
}

/// How many sets a session has.
const SETS: usize = 7;

/// What the ledger knows of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tags of its summary, as first seen.
    pub tags: Arc<Tags>,
    /// Its id.
    pub session: SessionId,
    /// Its boot.
    pub boot: BootId,
    /// Its visit.
    pub visit: Option<VisitId>,
    /// Time of its point: fixed when it was first seen, so that the point stays one.
    pub time_ns: i64,
    /// Whether the device said when it started.
    pub start_known: bool,
    /// Strokes stored, expired, refused, unread; pulses stored, expired, refused.
    pub(super) sets: [Ordinals; SETS],
    /// Strokes made, as told at the end.
    pub strokes_total: Option<u64>,
    /// Pulses fired, as told at the end.
    pub pulses_total: Option<u64>,
    /// Why the device ended it.
    pub end_reason: Option<SessionEndReason>,
    /// First stored reading and end of the last, in nanoseconds.
    pub span_ns: Option<(i64, i64)>,
    /// Zones, see [`Completeness::zones`].
    pub zones: u32,
    /// When a frame of it last came in.
    pub last_received: UnixMicros,
    /// The device ended it.
    pub ended: bool,
    /// A later session or boot of the device was seen.
    pub superseded: bool,
    /// Nothing was heard for a while.
    pub quiet: bool,
}

const STROKES_UNREAD: usize = 3;

const fn set_index(what: ReadingKind, fate: Fate) -> usize {
    match (what, fate) {
        (ReadingKind::Strokes, Fate::Stored) => 0,
        (ReadingKind::Strokes, Fate::Expired) => 1,
        (ReadingKind::Strokes, Fate::Refused) => 2,
        (ReadingKind::Pulses, Fate::Stored) => 4,
        (ReadingKind::Pulses, Fate::Expired) => 5,
        (ReadingKind::Pulses, Fate::Refused) => 6,
    }
}

impl Session {
    /// A session first heard of by this sighting; `None` if it names none.
    pub fn first(sighting: &Sighting) -> Option<Self> {
        Some(Self {
            tags: Arc::clone(&sighting.tags),
            session: sighting.session?.id,
            boot: sighting.boot,
            visit: sighting.visit,
            time_ns: sighting.time_ns()?,
            start_known: false,
            sets: Default::default(),
            strokes_total: None,
            pulses_total: None,
            end_reason: None,
            span_ns: None,
            zones: 0,
            last_received: sighting.received_at,
            ended: false,
            superseded: false,
            quiet: false,
        })
    }

    /// Takes in a sighting of it; gives whether its summary changes.
    pub fn sighted(&mut self, sighting: &Sighting) -> bool {
        let told = |s: &Self| {
            (
                s.start_known,
                s.visit,
                s.ended,
                s.strokes_total,
                s.pulses_total,
                s.end_reason,
            )
        };
        let before = told(self);
        self.start_known |= sighting.anchor.is_some() && sighting.session.is_some_and(|s| s.started.is_some());
        self.visit = self.visit.or(sighting.visit);
        self.last_received = self.last_received.max(sighting.received_at);
        if let Some(end) = &sighting.end {
            self.ended = true;
            // Two ends of one session that differ: the greater total, in whatever order they come.
            self.strokes_total = self.strokes_total.max(end.strokes_total);
            self.pulses_total = self.pulses_total.max(end.pulses_total);
            self.end_reason = self.end_reason.max(end.reason);
        }
        before != told(self)
    }

    /// Takes in a reading and what became of it; gives whether its summary changes.
    pub fn read(&mut self, reading: &Reading) -> bool {
        let mut new = self
            .set_mut(set_index(reading.what, reading.fate))
            .insert(reading.first, reading.end);
        if reading.fate != Fate::Stored {
            return new;
        }
        for &(start, end) in &reading.unread {
            new |= self.set_mut(STROKES_UNREAD).insert(start, end);
        }
        let before = (self.zones, self.span_ns);
        self.zones |= 1 << reading.zone.map_or(0, Zone::to_wire);
        self.span_ns = Some(match self.span_ns {
            Some((from, to)) => (from.min(reading.from_ns), to.max(reading.to_ns)),
            None => (reading.from_ns, reading.to_ns),
        });
        new || before != (self.zones, self.span_ns)
    }

    /// Whether it is over, and why; the surest reason first.
    pub fn closed(&self) -> Option<Closed> {
        if self.ended {
            Some(Closed::End)
        } else if self.superseded {
            Some(Closed::Next)
        } else {
            self.quiet.then_some(Closed::Quiet)
        }
    }

    /// What is there of it.
    pub fn completeness(&self) -> Completeness {
        let set = |what, fate| self.set(set_index(what, fate));
        let lost = |fate| {
            [ReadingKind::Strokes, ReadingKind::Pulses]
                .map(|what| set(what, fate).count_without(set(what, Fate::Stored)))
                .iter()
                .sum()
        };
        Completeness {
            strokes: counted(set(ReadingKind::Strokes, Fate::Stored), self.strokes_total),
            pulses: counted(set(ReadingKind::Pulses, Fate::Stored), self.pulses_total),
            strokes_unread: self.set(STROKES_UNREAD).count(),
            expired: lost(Fate::Expired),
            refused: lost(Fate::Refused),
            duration_us: self
                .span_ns
                .map(|(from, to)| to.saturating_sub(from).unsigned_abs() / 1_000),
            until_ms: self.span_ns.map(|(_, to)| to / 1_000_000),
            zones: self.zones,
            start_known: self.start_known,
            closed: self.closed(),
            end_reason: self.end_reason,
        }
    }

    /// The sets as bytes.
    pub(super) fn encode_sets(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.sets.iter().for_each(|set| set.encode(&mut out));
        out
    }

    /// Takes the sets from bytes; whether they were such.
    pub(super) fn decode_sets(&mut self, mut bytes: &[u8]) -> bool {
        for set in &mut self.sets {
            match Ordinals::decode(&mut bytes) {
                Some(read) => *set = read,
                None => return false,
            }
        }
        bytes.is_empty()
    }

    fn set(&self, index: usize) -> &Ordinals {
        // Every index comes from `set_index` or is a constant below SETS.
        &self.sets[index]
    }

    fn set_mut(&mut self, index: usize) -> &mut Ordinals {
        &mut self.sets[index]
    }
}

fn counted(stored: &Ordinals, total: Option<u64>) -> Counted {
    let last_ordinal = stored.last();
    let end = total.unwrap_or(0).max(last_ordinal.map_or(0, |last| last + 1));
    let (missing_runs, missing) = stored.missing_below(end, MAX_LISTED);
    Counted {
        stored: stored.count(),
        total,
        missing,
        missing_runs,
        last_ordinal,
    }
}
