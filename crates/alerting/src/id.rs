//! Ids that every instance computes alike: of an alert from what happened, of a transition from what moved it.
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id is not 32 hexadecimal digits")]
pub struct BadId;

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn from_hex(text: &str) -> Result<[u8; 16], BadId> {
    if text.len() != 32 || !text.is_ascii() {
        return Err(BadId);
    }
    let mut bytes = [0u8; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or(BadId)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| BadId)?;
    }
    Ok(bytes)
}

macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[schemars(extend("pattern" = "^[0-9a-f]{32}$"))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// 32 hexadecimal digits.
            pub fn to_hex(&self) -> String {
                hex(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                from_hex(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                from_hex(&text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_hex()
            }
        }
    };
}

id16!(
    /// One occurrence: the same on every instance that sees the same happening.
    AlertId
);
id16!(
    /// One step of one alert; the idempotency key of its page.
    TransitionId
);
id16!(
    /// One silence.
    SilenceId
);
id16!(
    /// A client's visit or a session, as the engine compares them. Opaque; never in logs or pages, so no `Display`.
    Opaque
);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for TransitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "silence {}", self.to_hex())
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alert {}", self.to_hex())
    }
}

impl fmt::Debug for TransitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transition {}", self.to_hex())
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opaque id (hidden)")
    }
}

/// SHA-256 over length-prefixed parts, so that no two lists of parts run into the same bytes; truncated to 16 bytes.
pub(crate) fn hash16(domain: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((domain.len() as u64).to_be_bytes());
    hash.update(domain.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut out = [0u8; 16];
    out.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    out
}

/// What happened, as far as it names an occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The first violating reading.
    Reading {
        /// Boot of the device.
        boot: u64,
        /// Session, if in one.
        #[schemars(skip)]
        session: Option<Opaque>,
        /// Ordinal within the session.
        ordinal: u64,
    },
    /// A device was used for a visit (the visit itself stands in the id).
    Use,
    /// A cartridge was used for a visit.
    Cartridge {
        /// Its serial.
        serial: String,
    },
    /// A sterilizer's cycle; without an id of its own, the frame that told of it.
    Cycle {
        /// The sterilizer.
        sterilizer: String,
        /// Its name for the cycle, or `boot-sequence` of the frame.
        cycle: String,
    },
    /// A frame, where nothing inside it names the happening.
    Frame {
        /// Boot of the device.
        boot: u64,
        /// Sequence number.
        sequence: u64,
    },
    /// Nothing was heard after this.
    Silence {
        /// Boot that was last heard.
        boot: u64,
        /// Last sequence number heard.
        sequence: u64,
    },
    /// A part of the installation is out of order since then, in microseconds since 1970.
    Since {
        /// Since when.
        at: i64,
    },
    /// Something that holds for a boot of the device.
    Boot {
        /// The boot.
        boot: u64,
    },
    /// A gateway's watermark stopped here, in microseconds since 1970.
    Watermark {
        /// The last one.
        at: i64,
    },
}

impl Cause {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        match self {
            Self::Reading { boot, session, ordinal } => {
                out.push(1);
                out.extend(boot.to_be_bytes());
                out.extend(session.map_or([0; 16], |s| s.0));
                out.extend(ordinal.to_be_bytes());
            }
            Self::Use => out.push(2),
            Self::Cartridge { serial } => {
                out.push(3);
                out.extend(serial.as_bytes());
            }
            Self::Cycle { sterilizer, cycle } => {
                out.push(4);
                out.extend((sterilizer.len() as u64).to_be_bytes());
                out.extend(sterilizer.as_bytes());
                out.extend(cycle.as_bytes());
            }
            Self::Frame { boot, sequence } => {
                out.push(5);
                out.extend(boot.to_be_bytes());
                out.extend(sequence.to_be_bytes());
            }
            Self::Silence { boot, sequence } => {
                out.push(6);
                out.extend(boot.to_be_bytes());
                out.extend(sequence.to_be_bytes());
            }
            Self::Watermark { at } => {
                out.push(7);
                out.extend(at.to_be_bytes());
            }
            Self::Since { at } => {
                out.push(8);
                out.extend(at.to_be_bytes());
            }
            Self::Boot { boot } => {
                out.push(9);
                out.extend(boot.to_be_bytes());
            }
        }
        out
    }
}

/// What an alert is about; with the [`Cause`] it makes the id.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Id of the rule.
    pub rule: &'a str,
    /// Tenant; empty for a gateway, which may serve several.
    pub tenant: &'a str,
    /// Device, sterilizer or gateway.
    pub device: &'a str,
    /// Visit, if known.
    pub visit: Option<Opaque>,
    /// Zone's name, or empty.
    pub zone: &'a str,
}

/// The alert's id: a hash of rule, device, visit, zone and cause.
pub fn alert_id(subject: Subject<'_>, cause: &Cause) -> AlertId {
    AlertId(hash16(
        "dermatel alert 1",
        &[
            subject.rule.as_bytes(),
            subject.tenant.as_bytes(),
            subject.device.as_bytes(),
            subject.visit.as_ref().map_or(&[][..], |v| &v.0[..]),
            subject.zone.as_bytes(),
            &cause.bytes(),
        ],
    ))
}

/// What moved an alert: a part of the transition's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A frame, by its deduplication key.
    Frame {
        /// Boot.
        boot: u64,
        /// Sequence number.
        sequence: u64,
        /// Hash of the payload.
        hash: u64,
    },
    /// A deadline that was due, in microseconds since 1970.
    Due {
        /// When.
        at: i64,
    },
    /// A person's command.
    Command {
        /// Its id.
        id: [u8; 16],
    },
    /// A gateway spoke again.
    Gateway {
        /// Its watermark.
        at: i64,
    },
}

impl Trigger {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Frame { boot, sequence, hash } => {
                [[1u64, *boot, *sequence, *hash].map(u64::to_be_bytes).concat()].concat()
            }
            Self::Due { at } => [&[2u8][..], &at.to_be_bytes()].concat(),
            Self::Command { id } => [&[3u8][..], id].concat(),
            Self::Gateway { at } => [&[4u8][..], &at.to_be_bytes()].concat(),
        }
    }
}

/// The transition's id: a hash of alert, target state and trigger.
pub fn transition_id(alert: AlertId, to: &str, trigger: &Trigger) -> TransitionId {
    TransitionId(hash16(
        "dermatel transition 1",
        &[&alert.0, to.as_bytes(), &trigger.bytes()],
    ))
}
