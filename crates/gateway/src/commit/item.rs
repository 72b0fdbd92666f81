//! What the committer takes in and what it answers.
use std::sync::Arc;

use bytes::Bytes;
use telemetry::{Actor, Origin, Rejected, UnixMicros};
use tokio::sync::oneshot;

use crate::endpoint::{self, AckSlot, Fault, Inbound};

/// One message on its way to the committer.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) origin: Origin,
    pub(crate) recorded_by: Option<Actor>,
    /// `tenant/device` as the connection proved it.
    pub(crate) peer: Option<Arc<str>>,
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) received_at: UnixMicros,
    pub(crate) retained: bool,
    /// A refused message is in quarantine already: it is being replayed.
    pub(crate) kept_already: bool,
    pub(crate) reply: Reply,
}

/// Who waits for the answer.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A device at the endpoint.
    Device(AckSlot),
    /// Somebody in this process.
    Here(oneshot::Sender<Verdict>),
}

/// What became of a message. Only [`Verdict::Stored`], [`Verdict::Duplicate`] and [`Verdict::Quarantined`] mean "on disk".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In every log, synced.
    Stored,
    /// A copy of what is in every log already.
    Duplicate,
    /// In quarantine, and why.
    Quarantined(Rejected),
    /// Not kept: the store is at its cap. Alerting has it.
    QuotaExceeded,
    /// Not kept: a log or the quarantine cannot be written. Come again later.
    Busy,
}

impl Verdict {
    /// The endpoint's word for it.
    fn for_device(&self) -> endpoint::Verdict {
        match self {
            Self::Stored | Self::Duplicate => endpoint::Verdict::Stored,
            Self::Quarantined(rejected) => {
                let (fault, why) = fault(rejected);
                endpoint::Verdict::Quarantined { fault, why }
            }
            Self::QuotaExceeded => endpoint::Verdict::QuotaExceeded,
            Self::Busy => endpoint::Verdict::ServerBusy,
        }
    }
}

/// The reason code and the fixed text that a device's firmware engineer gets; the details are in quarantine.
fn fault(rejected: &Rejected) -> (Fault, &'static str) {
    use telemetry::RejectReason as R;
    let bad = Fault::PayloadFormatInvalid;
    match rejected.reason {
        R::TooLarge => (bad, "quarantined: payload too large, send smaller batches"),
        R::Topic => (Fault::TopicNameInvalid, "quarantined: not a topic to publish to"),
        R::Malformed => (bad, "quarantined: payload is no protobuf of this schema"),
        R::MissingField => (bad, "quarantined: a required field is missing"),
        R::IdentityMismatch => (
            Fault::NotAuthorized,
            "quarantined: payload names another device than the topic",
        ),
        R::BadId => (bad, "quarantined: payload holds a bad id"),
        R::OutOfRange => (bad, "quarantined: a value is not possible"),
        R::Columns => (bad, "quarantined: columns do not fit together"),
        R::TooMany => (bad, "quarantined: too many elements"),
        R::UnknownBody => (bad, "quarantined: body is not known to this version"),
        R::UnknownDevice => (Fault::NotAuthorized, "quarantined: device is not registered"),
        R::WrongClinic => (
            Fault::NotAuthorized,
            "quarantined: device is registered at another clinic",
        ),
        R::NotOwnTopic => (Fault::NotAuthorized, "quarantined: not the device's own topic"),
        R::Retired => (Fault::NotAuthorized, "quarantined: device is retired"),
        _ => (Fault::ImplementationSpecific, "quarantined"),
    }
}

impl From<Inbound> for Item {
    fn from(inbound: Inbound) -> Self {
        Self {
            origin: Origin::Endpoint,
            recorded_by: None,
            peer: Some(Arc::clone(&inbound.peer.identity)),
            topic: inbound.topic,
            payload: inbound.payload,
            received_at: inbound.received_at.into(),
            // At the endpoint the flag is the device's wish; nothing here was delivered late because of it.
            retained: false,
            kept_already: false,
            reply: Reply::Device(inbound.ack),
        }
    }
}

/// Answers in the order of the messages; each connection is woken once.
pub(crate) fn answer_all(answers: impl Iterator<Item = (Reply, Verdict)>) {
    endpoint::answer_all(answers.filter_map(|(reply, verdict)| match reply {
        Reply::Device(slot) => Some((slot, verdict.for_device())),
        Reply::Here(waiting) => {
            // Whoever asked may have gone; what was done stays done.
            let _ = waiting.send(verdict);
            None
        }
    }));
}
