//! What became of a publish, and how each protocol version is told.

use rumqttc::v5::mqttbytes::v5::PubAckReason;

/// What was wrong with a publish that is kept in quarantine; decides the MQTT 5 reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 0x87: not its own topic, or not allowed to say this.
    NotAuthorized,
    /// 0x90: the topic is well formed and names nothing that exists here.
    TopicNameInvalid,
    /// 0x99: the payload cannot be decoded or says something impossible.
    PayloadFormatInvalid,
    /// 0x83: none of the above; the reason string says what.
    ImplementationSpecific,
}

/// The answer to one publish. Only the first two mean "on disk".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Durable and good: PUBACK, 0x00.
    Stored,
    /// Durable in quarantine. 3.1.1: a plain PUBACK, because a refusal would only be a resend loop.
    /// MQTT 5: the fault's code and, if the client wants problem information, `why`.
    Quarantined {
        /// Which reason code.
        fault: Fault,
        /// A short, fixed text for the firmware engineer; goes out as the reason string.
        why: &'static str,
    },
    /// Not kept: the store is at its cap. MQTT 5: 0x97, the device keeps its data. 3.1.1: closed.
    QuotaExceeded,
    /// Not kept, come again later: the connection is closed (MQTT 5: DISCONNECT 0x89).
    ServerBusy,
    /// Nobody answered: the slot was dropped. The connection is closed, so that the device resends.
    Lost,
}

/// What a PUBACK says in MQTT 5.
pub(crate) type PubAckSays = (PubAckReason, Option<&'static str>);

impl Verdict {
    /// Metric labels, in the order of [`Verdict::label_index`].
    pub(crate) const LABELS: [&'static str; 5] = ["stored", "quarantined", "quota_exceeded", "server_busy", "lost"];

    pub(crate) fn label_index(&self) -> usize {
        match self {
            Verdict::Stored => 0,
            Verdict::Quarantined { .. } => 1,
            Verdict::QuotaExceeded => 2,
            Verdict::ServerBusy => 3,
            Verdict::Lost => 4,
        }
    }

    /// The metric label.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        Self::LABELS.get(self.label_index()).copied().unwrap_or("unknown")
    }

    /// The MQTT 5 PUBACK, or `None` where the connection is closed instead.
    pub(crate) fn puback(&self) -> Option<PubAckSays> {
        match *self {
            Verdict::Stored => Some((PubAckReason::Success, None)),
            Verdict::Quarantined { fault, why } => Some((fault.reason(), Some(why))),
            Verdict::QuotaExceeded => Some((
                PubAckReason::QuotaExceeded,
                Some("store is at its cap, keep the data and publish it again later"),
            )),
            Verdict::ServerBusy | Verdict::Lost => None,
        }
    }
}

impl Fault {
    fn reason(self) -> PubAckReason {
        match self {
            Fault::NotAuthorized => PubAckReason::NotAuthorized,
            Fault::TopicNameInvalid => PubAckReason::TopicNameInvalid,
            Fault::PayloadFormatInvalid => PubAckReason::PayloadFormatInvalid,
            Fault::ImplementationSpecific => PubAckReason::ImplementationSpecificError,
        }
    }
}
