//! What stands in alerting's own log: frames with their class, watermarks, ticks, commands, configurations.
//!
//! The class is fixed when a frame enters the log, so that whoever reads it later judges it alike.
use std::time::Duration;

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use telemetry::admitted::AdmittedError;
use telemetry::{
    Admitted, Content, GatewayId, IdError, Origin, Rejected, Status, Telemetry, UnixMicros, Uptime, proto,
};

mod command;
mod report;

pub(crate) use command::priority_to_wire;
pub use command::{Action, Command, Silence};
pub use report::{Backlog, Beat, ReceiverState, Refused, RotaState, Told};

/// A frame is live up to this age.
pub const LIVE_UP_TO: Duration = Duration::from_secs(60);
/// A frame is delayed below this age; from here on it is late.
pub const LATE_FROM: Duration = Duration::from_secs(24 * 3_600);
/// Longest comment of a command in bytes.
pub const MAX_COMMENT_BYTES: usize = 2_000;
/// Longest actor of a command in bytes.
pub const MAX_ACTOR_BYTES: usize = 200;

/// How fresh a frame was when it entered the log. Ordered: what pages more comes first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[schemars(rename = "Freshness")]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// At most 60 s old; the future counts as now.
    Live,
    /// Younger than 24 h: pages at its own priority and says when it happened.
    Delayed,
    /// Older: one digest.
    Late,
    /// A replay or a retained delivery: never a page.
    Replayed,
}

impl Class {
    /// The name in labels and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Delayed => "delayed",
            Self::Late => "late",
            Self::Replayed => "replayed",
        }
    }

    /// Whether a person is paged for it.
    pub const fn pages(self) -> bool {
        matches!(self, Self::Live | Self::Delayed)
    }
}

/// Key and length of an embedded message, at most.
const WRAP_BYTES: usize = 16;

/// Only the event time of a frame; everything else of it is skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct FrameHead {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderHead>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderHead {
    #[prost(uint64, optional, tag = "5")]
    uptime_us: Option<u64>,
}

/// Event time of an admitted message; the received time where it says none.
fn event_time(admitted: &Admitted) -> UnixMicros {
    let uptime = (admitted.content == Content::Telemetry)
        .then(|| FrameHead::decode(&admitted.payload[..]).ok())
        .flatten()
        .and_then(|head| head.header)
        .and_then(|header| Uptime::new(header.uptime_us?));
    uptime.map_or(admitted.received_at, |uptime| admitted.event_time(uptime))
}

/// The class of a message that enters the log now.
pub fn classify(admitted: &Admitted, now: UnixMicros) -> Class {
    if admitted.origin == Origin::Replayed || admitted.retained {
        return Class::Replayed;
    }
    match now.since(event_time(admitted)) {
        age if age <= LIVE_UP_TO => Class::Live,
        age if age < LATE_FROM => Class::Delayed,
        _ => Class::Late,
    }
}

/// Appends a frame's log record to `into`.
pub fn encode_frame(admitted: &Admitted, now: UnixMicros, into: &mut Vec<u8>) {
    wrap_frame(admitted, &admitted.encode(), now, into);
}

/// As [`encode_frame`], around the bytes that [`Admitted::encode`] has made: an embedded message is its bytes.
pub fn wrap_frame(admitted: &Admitted, encoded: &[u8], now: UnixMicros, into: &mut Vec<u8>) {
    let class = match classify(admitted, now) {
        Class::Live => proto::FrameClass::Live,
        Class::Delayed => proto::FrameClass::Delayed,
        Class::Late => proto::FrameClass::Late,
        Class::Replayed => proto::FrameClass::Replayed,
    };
    // What stands in a FrameInput beside the message.
    let beside = proto::FrameInput {
        admitted: None,
        class: class as i32,
        logged_at_us: now.0,
    };
    let embedded = key_len(1) + encoded_len_varint(encoded.len() as u64) + encoded.len();
    into.reserve(embedded + beside.encoded_len() + WRAP_BYTES);
    encode_key(1, WireType::LengthDelimited, into);
    encode_varint((embedded + beside.encoded_len()) as u64, into);
    encode_key(1, WireType::LengthDelimited, into);
    encode_varint(encoded.len() as u64, into);
    into.extend_from_slice(encoded);
    // A Vec grows: encoding into it cannot fail.
    let _ = beside.encode(into);
}

/// A watermark's log record: everything that `gateway` received before `received_at` stands in the log before it.
pub fn encode_watermark(gateway: &GatewayId, received_at: UnixMicros) -> Vec<u8> {
    let mut into = Vec::new();
    put(
        proto::input::Input::Watermark(proto::Watermark {
            gateway: gateway.to_string(),
            received_at_us: received_at.0,
        }),
        &mut into,
    );
    into
}

pub(crate) fn encode_tick(now: UnixMicros) -> Vec<u8> {
    let mut into = Vec::new();
    put(proto::input::Input::Tick(proto::Tick { now_us: now.0 }), &mut into);
    into
}

pub(crate) fn encode_configured(at: UnixMicros, rules: &str, registry: &str) -> Vec<u8> {
    let mut into = Vec::new();
    put(
        proto::input::Input::Configured(proto::Configured {
            at_us: at.0,
            rules_version: rules.to_owned(),
            registry_version: registry.to_owned(),
        }),
        &mut into,
    );
    into
}

fn id16(bytes: &[u8]) -> Result<[u8; 16], InputError> {
    <[u8; 16]>::try_from(bytes).map_err(|_| InputError::Missing("an id of 16 bytes"))
}

fn put(input: proto::input::Input, into: &mut Vec<u8>) {
    let message = proto::Input { input: Some(input) };
    into.reserve(message.encoded_len());
    // A Vec grows: encoding into it cannot fail.
    let _ = message.encode(into);
}

/// One input, decoded.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message of a device.
    Frame(Box<Frame>),
    /// A gateway's progress.
    Watermark {
        /// Which one.
        gateway: GatewayId,
        /// Everything that it received before this is in the log, by its own clock.
        received_at: UnixMicros,
        /// When it entered the log, by the log's clock: a gateway's clock must not move that. Its own where nothing is known.
        logged_at: UnixMicros,
    },
    /// Time passed.
    Tick {
        /// Now.
        now: UnixMicros,
    },
    /// A person did something.
    Command(Command),
    /// Rules or registry changed, or the process started.
    Configured {
        /// When.
        at: UnixMicros,
        /// Version of the rules.
        rules: String,
        /// Version of the registry.
        registry: String,
    },
    /// A receiver does not take its pages, or takes them again.
    ReceiverState(ReceiverState),
    /// Somebody whose silence is an alarm was heard.
    Beat(Beat),
    /// Another instance that judges the same frames has paged or acknowledged.
    Told(Told),
    /// A rota runs out, or has shifts again.
    RotaState(RotaState),
    /// A gateway refused messages of a device.
    Refused {
        /// What.
        refused: Refused,
        /// When that entered the log, by the log's clock; the gateway's time where nothing is known.
        logged_at: UnixMicros,
    },
    /// A log fills, or is read again.
    Backlog(Backlog),
}

/// Every label of an input.
pub const KINDS: [&str; 11] = [
    "frame",
    "watermark",
    "tick",
    "command",
    "configured",
    "receiver_state",
    "beat",
    "told",
    "rota_state",
    "refused",
    "backlog",
];

impl Input {
    /// A bounded label, one of [`KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Frame(_) => "frame",
            Self::Watermark { .. } => "watermark",
            Self::Tick { .. } => "tick",
            Self::Command(_) => "command",
            Self::Configured { .. } => "configured",
            Self::ReceiverState(_) => "receiver_state",
            Self::Beat(_) => "beat",
            Self::Told(_) => "told",
            Self::RotaState(_) => "rota_state",
            Self::Refused { .. } => "refused",
            Self::Backlog(_) => "backlog",
        }
    }
}

/// A message of a device with what was fixed at its entry.
#[derive(Debug, Clone)]
pub struct Frame {
    /// As it was let in.
    pub admitted: Admitted,
    /// What it says.
    pub said: Said,
    /// Its class.
    pub class: Class,
    /// When it entered the log.
    pub logged_at: UnixMicros,
}

/// What a device's message says.
#[derive(Debug, Clone)]
pub enum Said {
    /// A frame.
    Telemetry(Box<Telemetry>),
    /// Its presence.
    Status(Status),
}

/// Why a record is no input. Another version of the program wrote it, or the bytes are damaged.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// No protobuf of this schema.
    #[error("record is no input")]
    Malformed(#[source] prost::DecodeError),
    /// A part that every input of its kind has is missing.
    #[error("input lacks {0}")]
    Missing(&'static str),
    /// The message inside is bad.
    #[error("input holds a bad message")]
    Admitted(#[source] AdmittedError),
    /// The payload inside is refused.
    #[error("input holds a payload that is refused")]
    Payload(#[source] Rejected),
    /// An id is bad.
    #[error("input holds a bad id")]
    Id(#[source] IdError),
}

/// Reads a record of the log.
///
/// # Errors
/// [`InputError`]: counted and journaled by the reader, who goes on.
pub fn decode(bytes: &[u8]) -> Result<Input, InputError> {
    let message = proto::Input::decode(bytes).map_err(InputError::Malformed)?;
    match message.input.ok_or(InputError::Missing("its kind"))? {
        proto::input::Input::Frame(frame) => decode_frame(frame),
        proto::input::Input::Watermark(w) => Ok(Input::Watermark {
            gateway: GatewayId::new(&w.gateway).map_err(InputError::Id)?,
            received_at: UnixMicros(w.received_at_us),
            logged_at: UnixMicros(w.received_at_us),
        }),
        proto::input::Input::Tick(tick) => Ok(Input::Tick {
            now: UnixMicros(tick.now_us),
        }),
        proto::input::Input::Command(command) => Command::from_wire(command).map(Input::Command),
        proto::input::Input::ReceiverState(state) => Ok(Input::ReceiverState(state.into())),
        proto::input::Input::Beat(beat) => Ok(Input::Beat(beat.into())),
        proto::input::Input::RotaState(state) => Ok(Input::RotaState(state.into())),
        proto::input::Input::Told(told) => Told::from_wire(told).map(Input::Told),
        proto::input::Input::Refused(refused) => Refused::from_wire(refused).map(|refused| Input::Refused {
            logged_at: refused.received_at,
            refused,
        }),
        proto::input::Input::Backlog(backlog) => Backlog::from_wire(backlog).map(Input::Backlog),
        proto::input::Input::Configured(c) => Ok(Input::Configured {
            at: UnixMicros(c.at_us),
            rules: c.rules_version,
            registry: c.registry_version,
        }),
    }
}

fn decode_frame(frame: proto::FrameInput) -> Result<Input, InputError> {
    let class = match frame.class() {
        proto::FrameClass::Live => Class::Live,
        proto::FrameClass::Delayed => Class::Delayed,
        proto::FrameClass::Late => Class::Late,
        // A class that is not known must not page.
        _ => Class::Replayed,
    };
    let wire = frame.admitted.ok_or(InputError::Missing("the message"))?;
    let admitted = Admitted::from_wire(wire).map_err(InputError::Admitted)?;
    let said = match admitted.content {
        Content::Telemetry => Said::Telemetry(Box::new(admitted.telemetry().map_err(InputError::Payload)?)),
        Content::Status => Said::Status(admitted.status().map_err(InputError::Payload)?),
        Content::Alert => return Err(InputError::Missing("a message of a device")),
    };
    Ok(Input::Frame(Box::new(Frame {
        admitted,
        said,
        class,
        logged_at: UnixMicros(frame.logged_at_us),
    })))
}
