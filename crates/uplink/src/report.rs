//! What a gateway has to tell alerting, as it stands in its own log between the messages.
use bytes::Bytes;
use prost::Message as _;
use telemetry::{GatewayId, UnixMicros, proto};

/// A report of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Everything that the gateway received before this stands before this.
    Watermark(UnixMicros),
    /// What it refused of a device, and the clinic where that device is.
    Refused {
        /// The clinic.
        clinic: String,
        /// What.
        refused: proto::Refused,
    },
    /// How full one of its logs is.
    Backlog(proto::Backlog),
}

/// Only what says whose a record is; everything else of it is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Head {
    #[prost(string, tag = "1")]
    pub(crate) tenant: String,
    #[prost(string, tag = "2")]
    pub(crate) clinic: String,
    #[prost(int32, tag = "4")]
    pub(crate) channel: i32,
}

impl Report {
    /// Appends its record to `into`.
    pub fn encode(self, gateway: &GatewayId, into: &mut Vec<u8>) {
        let (clinic, report) = match self {
            Self::Watermark(at) => (
                String::new(),
                proto::gateway_report::Report::Watermark(proto::Watermark {
                    gateway: gateway.to_string(),
                    received_at_us: at.0,
                }),
            ),
            Self::Refused { clinic, refused } => (clinic, proto::gateway_report::Report::Refused(refused)),
            Self::Backlog(backlog) => (String::new(), proto::gateway_report::Report::Backlog(backlog)),
        };
        let report = proto::GatewayReport {
            clinic,
            report: Some(report),
        };
        let record = proto::Admitted {
            channel: proto::Channel::Report as i32,
            payload: Bytes::from(report.encode_to_vec()),
            gateway: gateway.to_string(),
            ..proto::Admitted::default()
        };
        // A Vec grows: encoding into it cannot fail.
        let _ = record.encode(into);
    }

    /// Reads a record of which the head says that it is one.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let record = proto::Admitted::decode(record).ok()?;
        let report = proto::GatewayReport::decode(record.payload).ok()?;
        Some(match report.report? {
            proto::gateway_report::Report::Watermark(mark) => Self::Watermark(UnixMicros(mark.received_at_us)),
            proto::gateway_report::Report::Refused(refused) => Self::Refused {
                clinic: report.clinic,
                refused,
            },
            proto::gateway_report::Report::Backlog(backlog) => Self::Backlog(backlog),
        })
    }
}
