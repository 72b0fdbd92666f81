//! Ground truth: what really was wrong, where it started, and who must say so.
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeMap as _;
use telemetry::UnixMicros;

use super::FaultKind;
use crate::device::{Place, Who};

/// One fault as it happened: the first reading, frame or event that it spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// The fault.
    pub fault: FaultKind,
    /// The rule of alerting that must fire.
    pub rule: &'static str,
    /// Whose tenant.
    pub tenant: String,
    /// At which clinic.
    pub clinic: String,
    /// Which device.
    pub device: String,
    /// When, in simulated microseconds since the start.
    pub at_us: u64,
    /// The boot that it happened in.
    pub boot: u64,
    /// The session, if in one.
    pub session: Option<[u8; 16]>,
    /// Session ordinal of the first offending stroke or pulse.
    pub ordinal: Option<u64>,
    /// Sequence number of the frame that tells it: the last one heard for silence.
    pub sequence: Option<u64>,
    /// What was done, with numbers and units.
    pub detail: String,
}

impl Truth {
    pub(crate) fn new(fault: FaultKind, who: &Who, at_us: u64, detail: impl Into<String>) -> Self {
        Self {
            fault,
            rule: fault.rule(),
            tenant: who.tenant.to_string(),
            clinic: who.clinic.to_string(),
            device: who.id.to_string(),
            at_us,
            boot: 0,
            session: None,
            ordinal: None,
            sequence: None,
            detail: detail.into(),
        }
    }

    /// Where in the device's own count it happened.
    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.boot = place.boot;
        self.sequence = Some(place.sequence);
        self.session = place.session;
        self
    }

    #[must_use]
    pub(crate) fn ordinal(mut self, ordinal: u64) -> Self {
        self.ordinal = Some(ordinal);
        self
    }

    /// One line of JSON without a line feed, with the wall time of a simulation that started at `start`.
    pub fn json_line(&self, start: UnixMicros) -> String {
        let at = start.plus(Duration::from_micros(self.at_us));
        let line = serde_json::to_value(self).ok().and_then(|mut line| {
            line.as_object_mut()?.insert("at_unix_us".to_owned(), at.0.into());
            Some(line.to_string())
        });
        // Only maps of texts and numbers are written: there is nothing that could fail.
        line.unwrap_or_default()
    }

    #[must_use]
    pub(crate) fn rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }
}

impl Serialize for Truth {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("fault", self.fault.as_str())?;
        map.serialize_entry("rule", self.rule)?;
        map.serialize_entry("tenant", &self.tenant)?;
        map.serialize_entry("clinic", &self.clinic)?;
        map.serialize_entry("device", &self.device)?;
        map.serialize_entry("at_us", &self.at_us)?;
        // As telemetry prints a boot: a JSON number would lose digits.
        map.serialize_entry("boot", &format!("{:016x}", self.boot))?;
        if let Some(session) = &self.session {
            let hex: String = session.iter().map(|byte| format!("{byte:02x}")).collect();
            map.serialize_entry("session", &hex)?;
        }
        if let Some(ordinal) = self.ordinal {
            map.serialize_entry("ordinal", &ordinal)?;
        }
        if let Some(sequence) = self.sequence {
            map.serialize_entry("sequence", &sequence)?;
        }
        map.serialize_entry("detail", &self.detail)?;
        map.end()
    }
}
