//! Topics of the north side, both ways.
use std::fmt;

use telemetry::{ClinicId, GatewayId, SHARDS, TenantId, shard};

use crate::ShardSet;

const PREFIX: &str = "dermatel/v1/";
/// In the place of a tenant, which cannot be named so: the same filter matches both, so that a broker that orders by filter orders
/// a gateway's progress among the batches.
const PROGRESS: &str = "_progress";

/// Who reads the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Stores.
    Ingestor,
    /// Judges.
    Alerting,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingestor, Self::Alerting];

    /// Name in topics and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingestor => "ingestor",
            Self::Alerting => "alerting",
        }
    }
}

/// Which of the two ways up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// From gateways.
    Uplink,
    /// From alerting, for the store.
    Alerts,
}

impl Way {
    /// The topic level.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Alerts => "alerts",
        }
    }
}

/// A topic up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Up {
    /// Messages of one clinic.
    Clinic {
        /// Which way.
        way: Way,
        /// As the topic says; checked against tenant and clinic.
        shard: u16,
        /// The tenant.
        tenant: TenantId,
        /// The clinic.
        clinic: ClinicId,
    },
    /// A gateway's progress on a shard.
    Progress {
        /// Which.
        shard: u16,
        /// Whose.
        gateway: GatewayId,
    },
}

/// Why a topic is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Levels are missing, or too many, or not ids.
    #[error(
        "topic is not dermatel/v1/uplink|alerts/{{shard}}/{{tenant}}/{{clinic}} or uplink/{{shard}}/_progress/{{gateway}}"
    )]
    Shape,
    /// The shard is not that of tenant and clinic.
    #[error("the shard in the topic is not that of its tenant and clinic")]
    Shard,
}

impl Up {
    /// The topic of a clinic.
    pub fn clinic(way: Way, tenant: TenantId, clinic: ClinicId) -> Self {
        let shard = shard(&tenant, &clinic);
        Self::Clinic {
            way,
            shard,
            tenant,
            clinic,
        }
    }

    /// The shard that it says.
    pub const fn shard(&self) -> u16 {
        match self {
            Self::Clinic { shard, .. } | Self::Progress { shard, .. } => *shard,
        }
    }

    /// Reads a topic and recomputes its shard.
    ///
    /// # Errors
    /// [`TopicError`].
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let rest = topic.strip_prefix(PREFIX).ok_or(TopicError::Shape)?;
        let levels: Vec<&str> = rest.split('/').collect();
        let number = |text: &str| match text.parse::<u16>() {
            // One way to write it, so that one clinic has one topic.
            Ok(shard) if shard < SHARDS && shard.to_string() == text => Ok(shard),
            _ => Err(TopicError::Shape),
        };
        let way = |text: &str| match text {
            "uplink" => Ok(Way::Uplink),
            "alerts" => Ok(Way::Alerts),
            _ => Err(TopicError::Shape),
        };
        match levels.as_slice() {
            ["uplink", said, PROGRESS, gateway] => Ok(Self::Progress {
                shard: number(said)?,
                gateway: GatewayId::new(gateway).map_err(|_| TopicError::Shape)?,
            }),
            [direction, said, tenant, clinic] => {
                let (way, said) = (way(direction)?, number(said)?);
                let tenant = TenantId::new(tenant).map_err(|_| TopicError::Shape)?;
                let clinic = ClinicId::new(clinic).map_err(|_| TopicError::Shape)?;
                let topic = Self::clinic(way, tenant, clinic);
                if topic.shard() != said {
                    return Err(TopicError::Shard);
                }
                Ok(topic)
            }
            _ => Err(TopicError::Shape),
        }
    }
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clinic {
                way,
                shard,
                tenant,
                clinic,
            } => write!(f, "{PREFIX}{}/{shard}/{tenant}/{clinic}", way.as_str()),
            Self::Progress { shard, gateway } => write!(f, "{PREFIX}uplink/{shard}/{PROGRESS}/{gateway}"),
        }
    }
}

/// What a reader subscribes: one filter per shard, so that a broker that orders by filter orders a clinic's batches and the
/// progress beside them; one for all where all are owned.
pub fn filters(role: Role, shards: ShardSet) -> Vec<String> {
    let ways: &[Way] = match role {
        Role::Ingestor => &[Way::Uplink, Way::Alerts],
        Role::Alerting => &[Way::Uplink],
    };
    let mut filters = Vec::new();
    for way in ways.iter().map(|way| way.as_str()) {
        if shards == ShardSet::ALL {
            filters.push(format!("{PREFIX}{way}/+/+/+"));
        } else {
            filters.extend(shards.iter().map(|shard| format!("{PREFIX}{way}/{shard}/+/+")));
        }
    }
    filters
}

/// Where a reader says which shards it holds.
pub fn reader(role: Role, instance: &str) -> String {
    format!("{PREFIX}readers/{}/{instance}", role.as_str())
}

/// All of those.
pub fn readers_filter() -> String {
    format!("{PREFIX}readers/+/+")
}

/// Where a reader says how far it holds what a sender sends.
pub fn held(way: Way, sender: &GatewayId, role: Role, instance: &str) -> String {
    format!("{PREFIX}held/{}/{sender}/{}/{instance}", way.as_str(), role.as_str())
}

/// All that is said to a sender.
pub fn held_filter(way: Way, sender: &GatewayId) -> String {
    format!("{PREFIX}held/{}/{sender}/+/+", way.as_str())
}

/// What a reader says: that it is there, or what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says<'a> {
    /// Which shards it reads.
    Reads(Role, &'a str),
    /// How far it holds what the subscriber sends.
    Holds(Role, &'a str),
}

/// Reads a topic of those.
pub fn says(topic: &str) -> Option<Says<'_>> {
    let levels: Vec<&str> = topic.strip_prefix(PREFIX)?.split('/').collect();
    let role = |text: &str| Role::ALL.into_iter().find(|role| role.as_str() == text);
    match levels.as_slice() {
        ["readers", as_role, instance] => Some(Says::Reads(role(as_role)?, instance)),
        ["held", _, _, as_role, instance] => Some(Says::Holds(role(as_role)?, instance)),
        _ => None,
    }
}

/// Where the instances of a group say which of them pages.
pub fn fence(role: Role, group: &str) -> String {
    format!("{PREFIX}fence/{}/{group}", role.as_str())
}

/// Commands for devices that are connected at a gateway.
pub fn downlink(gateway: &GatewayId) -> String {
    format!("{PREFIX}downlink/{gateway}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clinic(way: Way) -> Up {
        Up::clinic(way, "acme".parse().unwrap(), "acme-north".parse().unwrap())
    }

    #[test]
    fn a_topic_is_read_as_it_is_written() {
        let progress = Up::Progress {
            shard: 63,
            gateway: "gw-1".parse().unwrap(),
        };
        for topic in [clinic(Way::Uplink), clinic(Way::Alerts), progress] {
            assert_eq!(Up::parse(&topic.to_string()), Ok(topic));
        }
    }

    #[test]
    fn a_clinic_on_another_shards_topic_is_refused() {
        let right = clinic(Way::Uplink);
        for shard in (0..SHARDS).filter(|shard| *shard != right.shard()) {
            let wrong = format!("dermatel/v1/uplink/{shard}/acme/acme-north");
            assert_eq!(Up::parse(&wrong), Err(TopicError::Shard), "{wrong}");
        }
        for wrong in [
            "dermatel/v1/uplink/64/_progress/gw",
            "dermatel/v1/uplink/07/_progress/gw",
            "dermatel/v1/alerts/1/_progress/gw",
            "uplink/1/gw",
        ] {
            assert_eq!(Up::parse(wrong), Err(TopicError::Shape), "{wrong}");
        }
    }

    #[test]
    fn what_a_reader_says_is_known_by_its_topic() {
        let gateway = "gw-1".parse().unwrap();
        assert_eq!(
            says(&reader(Role::Alerting, "a")),
            Some(Says::Reads(Role::Alerting, "a"))
        );
        assert_eq!(
            says(&held(Way::Uplink, &gateway, Role::Ingestor, "b")),
            Some(Says::Holds(Role::Ingestor, "b"))
        );
        for wrong in [
            "dermatel/v1/readers/x/a",
            "dermatel/v1/held/uplink/gw-1/ingestor",
            "readers/ingestor/a",
        ] {
            assert_eq!(says(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_topic_or_none(text in "(dermatel/v1/)?(uplink|alerts|x)?(/(_progress|[a-z0-9/+#-]{0,9})){0,5}") {
            if let Ok(topic) = Up::parse(&text) {
                proptest::prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
