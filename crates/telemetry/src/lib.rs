//! What a reading *is*: the wire's types, ids and units that cannot hold a bad value, the topic grammar in both
//! directions, one door for foreign bytes, and sequence tracking.
//!
//! A foreign value becomes one of these types in [`decode`] and is never checked again inside. Deliberately absent: no
//! tokio, no I/O, no clock (`now` is an argument), no limits of treatment (those are the registry's), and no field that
//! identifies a client.
//!
//! ```
//! use telemetry::{Channel, Topic};
//! let topic: Topic = "dermatel/v1/acme/acme-north/pen-0042/telemetry".parse()?;
//! assert_eq!(topic.channel, Channel::Telemetry);
//! assert_eq!(topic.to_string(), "dermatel/v1/acme/acme-north/pen-0042/telemetry");
//! # Ok::<(), telemetry::TopicError>(())
//! ```

pub mod admitted;
mod band;
mod body;
mod decode;
mod fast;
mod id;
mod kind;
pub mod proto;
mod reject;
pub mod sequence;
mod strokes;
mod time;
mod topic;
mod unit;
pub mod unknown;

pub use admitted::{Admitted, ClockQuality, Content, Origin};
pub use band::{BANDS, DEPTH_BAND_BOUNDS_UM, depth_band};
pub use body::{
    Birth, Body, Disinfection, Fault, Header, Heartbeat, IndicatorResult, Pulse, PulseBatch, SessionEnd, SessionRef,
    SessionStart, Status, SterilizationCycle, Telemetry, WallTime,
};
pub use decode::{MAX_PAYLOAD_BYTES, decode, decode_status};
pub use id::{
    Actor, BootId, ClinicId, CycleId, DeviceId, DeviceKey, GatewayId, IdError, ModelId, Serial, SessionId, TenantId,
    Text, VisitId,
};
pub use kind::{
    DeviceKind, DisinfectionLevel, FaultCode, FlushReason, IndicatorKind, Outcome, Presence, Priority,
    SessionEndReason, SkinType, WallTimeSource, Zone,
};
pub use reject::{RejectReason, Rejected};
pub use strokes::{MAX_BATCH_DURATION_US, MAX_STROKES, Stroke, StrokeBatch};
pub use time::{UnixMicros, Uptime, reading_time_ns};
pub use topic::{Channel, SHARDS, Topic, TopicError, shard};
pub use unit::{AreaMm2, DepthUm, EnergyMj, FluenceMjPerCm2, MilliCelsius, Nanometres, OutOfRange, WidthUs};
