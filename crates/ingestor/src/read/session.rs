//! Treatment sessions, as their summaries say.

use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{ClinicId, DeviceId, DeviceKey, SessionId, TenantId};

use super::ask::{Only, Question, Row, Take};
use super::{LOOK_BACK, Reader};
use crate::schema::SESSION_SUMMARY;
use crate::store::ReadError;

/// Most sessions of one list.
pub const MAX_SESSIONS: usize = 500;

const FIELDS: &[&str] = &[
    "session",
    "visit",
    "complete",
    "strokes_stored",
    "strokes_total",
    "strokes_missing",
    "strokes_missing_ranges",
    "strokes_last_ordinal",
    "strokes_unread",
    "pulses_stored",
    "pulses_total",
    "pulses_missing",
    "pulses_missing_ranges",
    "pulses_last_ordinal",
    "readings_expired",
    "readings_refused",
    "duration_us",
    "until_ms",
    "zones",
    "start_known",
    "closed",
    "closed_by",
    "end_reason",
    "text",
];

/// Whose sessions.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantId,
    /// One clinic; `None`: all.
    pub clinic: Option<ClinicId>,
    /// One device; `None`: all.
    pub device: Option<DeviceId>,
}

impl Scope {
    pub(super) fn only(&self) -> Vec<Only> {
        let clinic = self
            .clinic
            .as_ref()
            .map(|clinic| Only::Is("clinic", clinic.to_string()));
        let device = self
            .device
            .as_ref()
            .map(|device| Only::Is("device", device.to_string()));
        clinic.into_iter().chain(device).collect()
    }
}

/// One treatment session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Session {
    /// The session: 32 hexadecimal digits, drawn at random by the device.
    pub session: String,
    /// The visit, hexadecimal: to tell whether two sessions are of one client. Never shown.
    #[serde(skip)]
    pub visit: Option<String>,
    /// The clinic.
    pub clinic: String,
    /// The device.
    pub device: String,
    /// Its model, or `unknown`.
    pub model: String,
    /// Its kind, or `unknown`.
    pub kind: String,
    /// Its start, in microseconds since 1970-01-01 UTC.
    pub start_us: i64,
    /// Whether the device said when it started; else the start is that of its first reading.
    pub start_known: bool,
    /// End of its last stored reading, in microseconds since 1970-01-01 UTC; `None`: nothing was read.
    pub until_us: Option<i64>,
    /// Whether it is over; later readings amend it all the same.
    pub closed: bool,
    /// How it ended: the device said so, the next one began, or nothing came any more.
    #[schemars(extend("enum" = ["end", "next", "quiet", null]))]
    pub closed_by: Option<String>,
    /// Why the device ended it.
    pub end_reason: Option<String>,
    /// Whether every reading of a known total is stored; `None`: the total is not known.
    pub complete: Option<bool>,
    /// Strokes.
    pub strokes: Readings,
    /// Strokes that the sensor did not read.
    pub strokes_unread: u64,
    /// Pulses.
    pub pulses: Readings,
    /// Readings that were older than the store keeps.
    pub expired: u64,
    /// Readings that the store refused; they are in quarantine.
    pub refused: u64,
    /// Zones of the stored readings.
    pub zones: Vec<String>,
    /// All of it in a sentence: "4,212 of 4,212 strokes stored".
    pub text: String,
}

/// How complete the strokes or pulses of a session are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default, JsonSchema)]
pub struct Readings {
    /// Stored: the store confirmed it.
    pub stored: u64,
    /// Made, as the device said at the end; `None`: it did not say.
    pub total: Option<u64>,
    /// Known to be made and not stored.
    pub missing: u64,
    /// Their ordinals, at most 32 ranges.
    pub missing_ranges: Option<String>,
    /// Greatest ordinal stored.
    pub last_ordinal: Option<u64>,
}

/// A session id from its 32 hexadecimal digits; `None`: it is none.
pub fn session_of_hex(text: &str) -> Option<SessionId> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    SessionId::new(&bytes?).ok()
}

impl Reader {
    /// Sessions that began in `[from_us, to_us)`, newest first, at most `limit` and [`MAX_SESSIONS`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn sessions(
        &self,
        scope: &Scope,
        (from_us, to_us): (i64, i64),
        limit: usize,
    ) -> Result<Vec<Session>, ReadError> {
        let question = Question {
            measurement: &SESSION_SUMMARY,
            tenant: scope.tenant.clone(),
            from_ns: from_us.saturating_mul(1_000),
            to_ns: to_us.saturating_mul(1_000),
            only: scope.only(),
            take: Take::Rows {
                fields: FIELDS,
                newest_first: true,
                limit: limit.min(MAX_SESSIONS),
            },
        };
        Ok(self.ask(question).await?.iter().filter_map(session).collect())
    }

    /// One session of a device.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn session(
        &self,
        device: &DeviceKey,
        session_id: SessionId,
        now_us: i64,
    ) -> Result<Option<Session>, ReadError> {
        let question = Question {
            measurement: &SESSION_SUMMARY,
            tenant: device.tenant.clone(),
            from_ns: back(now_us),
            to_ns: ahead(now_us),
            only: vec![
                Only::Is("device", device.device.to_string()),
                Only::Is("session", session_id.to_hex()),
            ],
            take: Take::Rows {
                fields: FIELDS,
                newest_first: true,
                limit: 1,
            },
        };
        Ok(self.ask(question).await?.first().and_then(session))
    }
}

/// As far back as is looked.
pub(super) fn back(now_us: i64) -> i64 {
    let back_us = i64::try_from(LOOK_BACK.as_micros()).unwrap_or(i64::MAX);
    now_us.saturating_sub(back_us).max(0).saturating_mul(1_000)
}

/// A day ahead: a device's clock may be.
pub(super) fn ahead(now_us: i64) -> i64 {
    now_us.saturating_add(86_400_000_000).saturating_mul(1_000)
}

fn session(row: &Row) -> Option<Session> {
    let whole = |column| row.integer(column).and_then(|number| u64::try_from(number).ok());
    let tag = |name| row.text(name).unwrap_or_else(|| crate::record::UNKNOWN.to_owned());
    let readings = |[stored, total, missing, ranges, last]: [&'static str; 5]| Readings {
        stored: row.count(stored),
        total: whole(total),
        missing: row.count(missing),
        missing_ranges: row.text(ranges),
        last_ordinal: whole(last),
    };
    let until_us = row
        .integer("until_ms")
        .map(|ms| ms.saturating_mul(1_000))
        .or_else(|| Some(row.time_us().saturating_add(row.integer("duration_us")?)));
    Some(Session {
        session: row.text("session")?,
        visit: row.text("visit"),
        clinic: tag("clinic"),
        device: tag("device"),
        model: tag("model"),
        kind: tag("kind"),
        start_us: row.time_us(),
        start_known: row.yes("start_known").unwrap_or(false),
        until_us,
        closed: row.yes("closed").unwrap_or(false),
        closed_by: row.text("closed_by"),
        end_reason: row.text("end_reason"),
        complete: row.yes("complete"),
        strokes: readings([
            "strokes_stored",
            "strokes_total",
            "strokes_missing",
            "strokes_missing_ranges",
            "strokes_last_ordinal",
        ]),
        strokes_unread: row.count("strokes_unread"),
        pulses: readings([
            "pulses_stored",
            "pulses_total",
            "pulses_missing",
            "pulses_missing_ranges",
            "pulses_last_ordinal",
        ]),
        expired: row.count("readings_expired"),
        refused: row.count("readings_refused"),
        zones: row.list("zones"),
        text: row.text("text").unwrap_or_default(),
    })
}
