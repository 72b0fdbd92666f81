//! The topic grammar, both ways: `dermatel/v1/{tenant}/{clinic}/{device}/{channel}`.
use std::fmt;
use std::str::FromStr;

use crate::{ClinicId, DeviceId, DeviceKey, IdError, TenantId};

const PREFIX: &str = "dermatel/v1/";

/// How many shards northbound topics spread over. Fixed for ever: a shard's state is bound to it.
pub const SHARDS: u16 = 64;

/// What a topic's last level says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Frames from the device.
    Telemetry,
    /// Retained presence, with last will.
    Status,
    /// To the device.
    Command,
}

impl Channel {
    /// The topic level.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Status => "status",
            Self::Command => "command",
        }
    }
}

/// A device's topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The tenant.
    pub tenant: TenantId,
    /// The clinic that the device says it is in; the gateway checks it against the registry.
    pub clinic: ClinicId,
    /// The device.
    pub device: DeviceId,
    /// The last level.
    pub channel: Channel,
}

impl Topic {
    /// The device's identity.
    pub fn key(&self) -> DeviceKey {
        DeviceKey {
            tenant: self.tenant.clone(),
            device: self.device.clone(),
        }
    }

    /// The filter that matches this channel of every device, for an intake from an existing broker.
    pub fn filter(channel: Channel) -> String {
        format!("{PREFIX}+/+/+/{}", channel.as_str())
    }
}

/// Why a topic is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It does not start with `dermatel/v1/` or has not six levels.
    #[error("topic is not dermatel/v1/{{tenant}}/{{clinic}}/{{device}}/telemetry|status|command")]
    Shape,
    /// The last level is none of ours.
    #[error("last level of the topic is none of telemetry, status, command")]
    Channel,
    /// One level is not an id.
    #[error("topic holds a bad id")]
    Id(#[source] IdError),
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(topic: &str) -> Result<Self, TopicError> {
        let rest = topic.strip_prefix(PREFIX).ok_or(TopicError::Shape)?;
        let mut levels = rest.split('/');
        let (Some(tenant), Some(clinic), Some(device), Some(channel), None) = (
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
            levels.next(),
        ) else {
            return Err(TopicError::Shape);
        };
        let channel = match channel {
            "telemetry" => Channel::Telemetry,
            "status" => Channel::Status,
            "command" => Channel::Command,
            _ => return Err(TopicError::Channel),
        };
        Ok(Self {
            tenant: TenantId::new(tenant).map_err(TopicError::Id)?,
            clinic: ClinicId::new(clinic).map_err(TopicError::Id)?,
            device: DeviceId::new(device).map_err(TopicError::Id)?,
            channel,
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}/{}/{}/{}",
            self.tenant,
            self.clinic,
            self.device,
            self.channel.as_str()
        )
    }
}

/// The shard of a clinic, 0 to 63: a stable hash (XXH3, 64 bits, seed 0, over `tenant/clinic`), the same on every machine
/// and in every version.
pub fn shard(tenant: &TenantId, clinic: &ClinicId) -> u16 {
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{tenant}/{clinic}").as_bytes());
    (hash % u64::from(SHARDS)) as u16
}
