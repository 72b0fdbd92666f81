//! Why a message was refused: bounded reasons that are also metric labels, and a text that says where and what to do.
use std::fmt;

/// Bounded reason of a rejection; the label of `gateway_deliveries_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RejectReason {
    /// The payload is larger than [`crate::MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// The topic is none of the grammar, or not one to publish to.
    Topic,
    /// The bytes are no protobuf of this schema.
    Malformed,
    /// A field that every message needs is missing.
    MissingField,
    /// The device named in the payload is not the one of the topic.
    IdentityMismatch,
    /// A text is no id, or an opaque id has not 16 bytes.
    BadId,
    /// A number is not physically possible.
    OutOfRange,
    /// Columns that belong together have different lengths, or an index points outside.
    Columns,
    /// More elements than a message may hold.
    TooMany,
    /// No body, or one that this version does not know.
    UnknownBody,
    /// The registry does not know the device.
    UnknownDevice,
    /// The device is registered at another clinic.
    WrongClinic,
    /// The connection may not publish to this topic.
    NotOwnTopic,
    /// The device is retired in the registry.
    Retired,
}

impl RejectReason {
    /// Every reason, so that each label exists from the start.
    pub const ALL: &'static [Self] = &[
        Self::TooLarge,
        Self::Topic,
        Self::Malformed,
        Self::MissingField,
        Self::IdentityMismatch,
        Self::BadId,
        Self::OutOfRange,
        Self::Columns,
        Self::TooMany,
        Self::UnknownBody,
        Self::UnknownDevice,
        Self::WrongClinic,
        Self::NotOwnTopic,
        Self::Retired,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Topic => "topic",
            Self::Malformed => "malformed",
            Self::MissingField => "missing_field",
            Self::IdentityMismatch => "identity_mismatch",
            Self::BadId => "bad_id",
            Self::OutOfRange => "out_of_range",
            Self::Columns => "columns",
            Self::TooMany => "too_many",
            Self::UnknownBody => "unknown_body",
            Self::UnknownDevice => "unknown_device",
            Self::WrongClinic => "wrong_clinic",
            Self::NotOwnTopic => "not_own_topic",
            Self::Retired => "retired",
        }
    }

    /// The reason with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == label)
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {field}: {detail}")]
pub struct Rejected {
    /// Bounded reason.
    pub reason: RejectReason,
    /// Where in the message, by its schema name.
    pub field: &'static str,
    /// What was wrong, for a firmware engineer. Made by us, never copied from the payload.
    pub detail: String,
}

impl Rejected {
    /// A rejection.
    pub fn new(reason: RejectReason, field: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            field,
            detail: detail.into(),
        }
    }
}
