//! What people record (a cycle, a wipe, an indicator result) becomes a frame and goes the way of all frames: admitted, logged,
//! synced, and only then answered.
use prost::Message as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::proto;
use telemetry::{Actor, Channel, ClinicId, DeviceId, DisinfectionLevel, IndicatorKind, Outcome, TenantId, Topic};

use super::submit::Submission;

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Drawn at random by the caller: the same request sent twice is one record.
    pub request: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// Where it was done.
    pub clinic: ClinicId,
    /// Who did it, or records it: a member of staff, never a client. Without it nobody can say later who it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// What was done.
    // Not flattened: serde would then refuse every field of the event as unknown.
    pub event: Event,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A sterilizer ran.
    Cycle {
        /// Which one.
        sterilizer: DeviceId,
        /// Its name for the cycle: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
        cycle: String,
        /// Device ids or serials of what was in the load.
        items: Vec<String>,
        /// How it came out.
        outcome: Outcome,
        /// When it ended, in microseconds since 1970-01-01 UTC; `None`: now.
        ended_at_us: Option<i64>,
    },
    /// A device was disinfected.
    Wipe {
        /// Which one.
        device: DeviceId,
        /// Level.
        level: DisinfectionLevel,
        /// Seconds of contact.
        contact_time_s: Option<u32>,
        /// When, in microseconds since 1970-01-01 UTC; `None`: now.
        performed_at_us: Option<i64>,
    },
    /// An indicator was read.
    Indicator {
        /// Whose.
        sterilizer: DeviceId,
        /// What it reads.
        kind: IndicatorKind,
        /// The result.
        outcome: Outcome,
        /// The tested cycle.
        cycle: Option<String>,
        /// When that cycle ran, in microseconds since 1970-01-01 UTC; `None`: now.
        cycle_ended_at_us: Option<i64>,
    },
}

impl Record {
    /// The topic that the device itself would have used.
    fn topic(&self) -> Topic {
        let device = match &self.event {
            Event::Cycle { sterilizer, .. } | Event::Indicator { sterilizer, .. } => sterilizer,
            Event::Wipe { device, .. } => device,
        };
        Topic {
            tenant: self.tenant.clone(),
            clinic: self.clinic.clone(),
            device: device.clone(),
            channel: Channel::Telemetry,
        }
    }

    /// As it is submitted.
    pub fn submission(&self) -> Submission {
        Submission {
            topic: self.topic(),
            payload: self.frame().into(),
            recorded_by: self.actor.clone(),
        }
    }

    /// The frame. A record is a boot of its own with one frame, so that it never meets the device's own sequence numbers. It says
    /// no wall time: it happened when it was received, and the same request is the same frame whenever it comes again.
    fn frame(&self) -> Vec<u8> {
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(self.topic().device.to_string()),
            boot_id: Some(self.request),
            sequence: Some(0),
            uptime_us: Some(0),
            ..proto::Header::default()
        };
        proto::Frame {
            header: Some(header),
            body: Some(self.body()),
        }
        .encode_to_vec()
    }

    fn body(&self) -> proto::frame::Body {
        match self.event.clone() {
            Event::Cycle {
                cycle,
                items,
                outcome,
                ended_at_us,
                ..
            } => proto::frame::Body::SterilizationCycle(proto::SterilizationCycle {
                cycle_id: Some(cycle),
                items,
                outcome: Some(outcome.to_wire()),
                ended_at_us,
                ..proto::SterilizationCycle::default()
            }),
            Event::Wipe {
                level,
                contact_time_s,
                performed_at_us,
                ..
            } => proto::frame::Body::Disinfection(proto::Disinfection {
                items: Vec::new(),
                level: Some(level.to_wire()),
                contact_time_s,
                performed_at_us,
            }),
            Event::Indicator {
                kind,
                outcome,
                cycle,
                cycle_ended_at_us,
                ..
            } => proto::frame::Body::IndicatorResult(proto::IndicatorResult {
                kind: Some(kind.to_wire()),
                sterilizer_id: None,
                cycle_id: cycle,
                outcome: Some(outcome.to_wire()),
                cycle_ended_at_us,
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn record(event: Event) -> Record {
        Record {
            request: 7,
            tenant: "acme".parse().unwrap(),
            clinic: "acme-north".parse().unwrap(),
            actor: "Zoë Ó Briain".parse().ok(),
            event,
        }
    }

    #[test]
    fn what_the_command_line_sends_is_what_the_api_takes() {
        let events = [
            Event::Cycle {
                sterilizer: "autoclave-1".parse().unwrap(),
                cycle: "c-17".into(),
                items: vec!["pen-1".into()],
                outcome: Outcome::Pass,
                ended_at_us: None,
            },
            Event::Wipe {
                device: "pen-1".parse().unwrap(),
                level: DisinfectionLevel::Intermediate,
                contact_time_s: Some(60),
                performed_at_us: None,
            },
            Event::Indicator {
                sterilizer: "autoclave-1".parse().unwrap(),
                kind: IndicatorKind::Biological,
                outcome: Outcome::Fail,
                cycle: None,
                cycle_ended_at_us: Some(1),
            },
        ];
        for event in events {
            let sent = record(event);
            let taken: Record = serde_json::from_value(serde_json::to_value(&sent).unwrap()).unwrap();
            assert_eq!((taken.topic(), taken.frame()), (sent.topic(), sent.frame()));
        }
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused_and_not_overlooked() {
        let mut json = serde_json::to_value(record(Event::Wipe {
            device: "pen-1".parse().unwrap(),
            level: DisinfectionLevel::Low,
            contact_time_s: None,
            performed_at_us: None,
        }))
        .unwrap();
        json["event"]["performed_at"] = "2026-11-22".into();
        assert!(serde_json::from_value::<Record>(json).is_err());
    }
}
