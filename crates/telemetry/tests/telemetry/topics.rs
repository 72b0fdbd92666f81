//! The topic grammar, both ways.
use proptest::prelude::*;
use telemetry::{Channel, ClinicId, DeviceId, SHARDS, TenantId, Topic, shard};

pub(crate) const ID: &str = "[a-z0-9][a-z0-9-]{0,62}";

proptest! {
    #[test]
    fn what_is_written_is_read_and_the_other_way_round(tenant in ID, clinic in ID, device in ID, channel in 0usize..3) {
        let topic = Topic {
            tenant: TenantId::new(&tenant).unwrap(),
            clinic: ClinicId::new(&clinic).unwrap(),
            device: DeviceId::new(&device).unwrap(),
            channel: [Channel::Telemetry, Channel::Status, Channel::Command][channel],
        };
        let text = topic.to_string();
        prop_assert_eq!(text.split('/').count(), 6);
        prop_assert_eq!(text.parse::<Topic>().unwrap(), topic);
    }

    #[test]
    fn whatever_parses_is_exactly_what_would_be_written(
        text in r"(dermatel/v1/)?[a-z0-9A-Z/+#$ é-]{0,12}/[a-z0-9-]{0,3}/[a-z0-9-]{0,66}/(telemetry|status|command|x)?/?"
    ) {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }

    #[test]
    fn a_topic_of_arbitrary_text_never_panics_and_never_holds_a_wildcard(text in "(?s).{0,80}") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text.clone());
            prop_assert!(!text.contains(['+', '#', '\0']));
        }
    }

    #[test]
    fn a_shard_is_within_the_fixed_number(tenant in ID, clinic in ID) {
        prop_assert!(shard(&TenantId::new(&tenant).unwrap(), &ClinicId::new(&clinic).unwrap()) < SHARDS);
    }
}

#[test]
fn shards_never_change_because_state_is_bound_to_them() {
    let of = |tenant, clinic| shard(&TenantId::new(tenant).unwrap(), &ClinicId::new(clinic).unwrap());
    // Of the first release; XXH3 is stable across versions by its specification.
    assert_eq!(
        [of("acme", "acme-north"), of("acme", "acme-south"), of("a", "b")],
        SHARDS_OF_RELEASE_1
    );
}

const SHARDS_OF_RELEASE_1: [u16; 3] = [41, 9, 4];
