//! How far a gateway has come, by what its shards say: the least of those that we own.
use std::collections::HashMap;

use telemetry::{GatewayId, UnixMicros};

use crate::ShardSet;

/// Most gateways that are followed. One more is passed over and counted: its devices are then unknown, not silent.
pub const GATEWAYS_MAX: usize = 10_000;

/// What the shards of each gateway have said. Not kept over a restart: within a second every shard has said it again.
#[derive(Debug, Default)]
pub struct Progress {
    gateways: HashMap<GatewayId, HashMap<u16, UnixMicros>>,
    told: HashMap<GatewayId, UnixMicros>,
}

impl Progress {
    /// A shard has come this far. Gives how far the gateway has, if that is news: the least of the shards that it tells its
    /// progress on and we own, once each was heard.
    pub fn heard(
        &mut self,
        gateway: &GatewayId,
        shard: u16,
        at: UnixMicros,
        shards: ShardSet,
        own: ShardSet,
    ) -> Option<UnixMicros> {
        if self.gateways.len() >= GATEWAYS_MAX && !self.gateways.contains_key(gateway) {
            return None;
        }
        let heard = self.gateways.entry(gateway.clone()).or_default();
        let last = heard.entry(shard).or_insert(at);
        *last = at.max(*last);
        let awaited = shards.and(own);
        heard.retain(|shard, _| awaited.contains(*shard));
        let mut least: Option<UnixMicros> = None;
        for shard in awaited.iter() {
            let at = *heard.get(&shard)?;
            least = Some(least.map_or(at, |least| least.min(at)));
        }
        let least = least?;
        if self.told.get(gateway).is_some_and(|told| least <= *told) {
            return None;
        }
        self.told.insert(gateway.clone(), least);
        Some(least)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn gateway() -> GatewayId {
        "gw-1".parse().unwrap()
    }

    #[test]
    fn a_gateway_has_come_as_far_as_the_last_of_our_shards() {
        let (mut progress, own) = (Progress::default(), "0-9".parse().unwrap());
        let shards = "2,5,40".parse().unwrap();
        let mut heard = |shard, at| progress.heard(&gateway(), shard, UnixMicros(at), shards, own);
        assert_eq!(heard(2, 100), None, "shard 5 was not heard");
        assert_eq!(heard(5, 90), Some(UnixMicros(90)), "shard 40 is not ours");
        assert_eq!(heard(2, 200), None, "nothing new");
        assert_eq!(heard(5, 80), None, "never backwards");
        assert_eq!(heard(5, 150), Some(UnixMicros(150)));
    }

    #[test]
    fn a_shard_that_a_gateway_gives_up_holds_nothing_back() {
        let (mut progress, own) = (Progress::default(), ShardSet::ALL);
        let both = "1,2".parse().unwrap();
        let one = "1".parse().unwrap();
        assert_eq!(progress.heard(&gateway(), 1, UnixMicros(10), both, own), None);
        assert_eq!(
            progress.heard(&gateway(), 1, UnixMicros(20), one, own),
            Some(UnixMicros(20))
        );
        assert_eq!(progress.heard(&gateway(), 1, UnixMicros(30), both, own), None);
    }

    proptest::proptest! {
        #[test]
        fn it_never_says_more_than_the_slowest_shard_and_never_goes_back(
            heard in proptest::collection::vec((0u16..4, 0i64..100), 1..60)
        ) {
            let (mut progress, shards) = (Progress::default(), "0-3".parse().unwrap());
            let (mut last, mut told) = ([i64::MIN; 4], i64::MIN);
            for (shard, at) in heard {
                last[usize::from(shard)] = last[usize::from(shard)].max(at);
                if let Some(said) = progress.heard(&gateway(), shard, UnixMicros(at), shards, ShardSet::ALL) {
                    proptest::prop_assert!(said.0 <= *last.iter().min().unwrap() && said.0 > told);
                    told = said.0;
                }
            }
        }
    }
}
