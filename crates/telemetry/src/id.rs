//! Ids that cannot hold a bad value: parsed once, cheap to clone, safe in topics, tags and file names.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("{what} is empty")]
    Empty {
        /// Which id it should have been.
        what: &'static str,
    },
    /// The text is longer than an id may be.
    #[error("{what} has {len} characters, at most {max} are allowed")]
    TooLong {
        /// Which id it should have been.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest that is allowed.
        max: usize,
    },
    /// A character that an id may not hold.
    #[error("{what} holds a character that is not allowed at byte {at}: use {allowed}")]
    Character {
        /// Which id it should have been.
        what: &'static str,
        /// Where, in bytes from the start.
        at: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Opaque ids have exactly 16 bytes.
    #[error("{what} has {len} bytes, exactly 16 are needed")]
    NotSixteenBytes {
        /// Which id it should have been.
        what: &'static str,
        /// How many it had.
        len: usize,
    },
}

/// The longest id in a topic: `[a-z0-9][a-z0-9-]{0,62}`.
const SLUG_MAX: usize = 63;
const SLUG_ALLOWED: &str = "a-z, 0-9 and, after the first character, -";

fn slug(what: &'static str, text: &str) -> Result<(), IdError> {
    bounded(what, text, SLUG_MAX, SLUG_ALLOWED, |at, c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && c == b'-')
    })
}

fn serial(what: &'static str, text: &str) -> Result<(), IdError> {
    bounded(what, text, 64, "A-Z, a-z, 0-9 and . _ : -", |_, c| {
        c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b':' | b'-')
    })
}

fn printable(what: &'static str, text: &str) -> Result<(), IdError> {
    // No newline, quote, comma or backslash: these would have to be escaped wherever the text is written.
    bounded(what, text, 64, "printable ASCII but \" , \\ and =", |_, c| {
        (c.is_ascii_graphic() || c == b' ') && !matches!(c, b'"' | b',' | b'\\' | b'=')
    })
}

/// The longest name of a person in bytes.
const ACTOR_MAX: usize = 200;

fn named(what: &'static str, text: &str) -> Result<(), IdError> {
    let len = text.len();
    if text.trim().is_empty() {
        return Err(IdError::Empty { what });
    }
    if len > ACTOR_MAX {
        let max = ACTOR_MAX;
        return Err(IdError::TooLong { what, len, max });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(IdError::Character {
            what,
            at,
            allowed: "everything but control characters",
        }),
        None => Ok(()),
    }
}

fn bounded(
    what: &'static str,
    text: &str,
    max: usize,
    allowed: &'static str,
    ok: impl Fn(usize, u8) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > max {
        return Err(IdError::TooLong {
            what,
            len: text.len(),
            max,
        });
    }
    match text.bytes().enumerate().find(|&(at, c)| !ok(at, c)) {
        Some((at, _)) => Err(IdError::Character { what, at, allowed }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[schemars(extend("pattern" = $pattern))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses an id; says what is wrong and where.
            pub fn new(text: &str) -> Result<Self, IdError> {
                $check($what, text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A clinic chain or any other customer: the border that no data crosses. `[a-z0-9][a-z0-9-]{0,62}`.
    TenantId, "tenant id", slug, "^[a-z0-9][a-z0-9-]{0,62}$"
);
text_id!(
    /// One site of a tenant. An attribute of a device, not part of its identity. `[a-z0-9][a-z0-9-]{0,62}`.
    ClinicId, "clinic id", slug, "^[a-z0-9][a-z0-9-]{0,62}$"
);
text_id!(
    /// A device, unique within its tenant. `[a-z0-9][a-z0-9-]{0,62}`.
    DeviceId, "device id", slug, "^[a-z0-9][a-z0-9-]{0,62}$"
);
text_id!(
    /// A device model of the registry. `[a-z0-9][a-z0-9-]{0,62}`.
    ModelId, "model id", slug, "^[a-z0-9][a-z0-9-]{0,62}$"
);
text_id!(
    /// A gateway instance. `[a-z0-9][a-z0-9-]{0,62}`.
    GatewayId, "gateway id", slug, "^[a-z0-9][a-z0-9-]{0,62}$"
);
text_id!(
    /// Serial number of a cartridge, lamp, device or sterilized item: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
    Serial, "serial", serial, "^[A-Za-z0-9._:-]{1,64}$"
);
text_id!(
    /// A sterilizer's own name for a cycle: 1 to 64 of `A-Z a-z 0-9 . _ : -`.
    CycleId, "cycle id", serial, "^[A-Za-z0-9._:-]{1,64}$"
);
text_id!(
    /// A short printable text without characters that need escaping, such as a firmware version: 1 to 64 bytes.
    Text, "text", printable, r"^[ !#-+\--<>-\[\]-~]{1,64}$"
);
text_id!(
    /// A member of staff who did or recorded something, as they signed in or as it was said: 1 to 200 bytes, no control characters.
    /// Never a client.
    Actor, "actor", named, r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
);

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes exactly 16 bytes.
            pub fn new(bytes: &[u8]) -> Result<Self, IdError> {
                let bytes: [u8; 16] =
                    bytes.try_into().map_err(|_| IdError::NotSixteenBytes { what: $what, len: bytes.len() })?;
                Ok(Self(bytes))
            }

            /// The bytes as they came.
            pub fn bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// 32 hexadecimal digits, for the store. Not `Display`: the id must not slip into logs and pages.
            pub fn to_hex(&self) -> String {
                // Without the formatter: it is called for every stored record.
                let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
                let mut text = String::with_capacity(32);
                for byte in self.0 {
                    text.push(digit(byte >> 4));
                    text.push(digit(byte & 0x0f));
                }
                text
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($what, " (hidden)"))
            }
        }
    };
}

opaque_id!(
    /// One treatment session: 16 random bytes drawn by the device.
    SessionId, "session id"
);
opaque_id!(
    /// One client's visit: 16 random bytes. Order-of-events rules compare visits, because a battery swap is a new
    /// session but not a new client.
    VisitId, "visit id"
);

/// Drawn at random by a device at every boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a device is known by: the tenant and its id there. The clinic is an attribute, because devices move.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DeviceKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The device within the tenant.
    pub device: DeviceId,
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.device)
    }
}
