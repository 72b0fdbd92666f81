//! Somebody else on the uplink: a sender that is none of our processes.
use bytes::Bytes;
use prost::Message as _;
use uplink::ShardSet;
use uplink::batch::pack;
use uplink::stretch::Stretch;
use uplink::topic::Up;

/// A sender's log from `after` to `next`, in one part.
pub fn foreign_stretch(sender: &str, after: u64, next: u64) -> Stretch {
    Stretch {
        after,
        next,
        parts: 1,
        ..Stretch::of(sender.parse().unwrap(), 1)
    }
}

/// A sender's progress on its own topic, before it has sent anything: topic and payload.
pub fn introduction(sender: &str, shard: u16) -> (String, Bytes) {
    let progress = telemetry::proto::UplinkProgress {
        gateway: sender.to_owned(),
        shards: ShardSet::EMPTY.with(shard).mask(),
        ..Default::default()
    };
    let gateway = sender.parse().unwrap();
    let hello = Stretch {
        parts: 0,
        ..foreign_stretch(sender, 0, 0)
    };
    let payload = pack(&progress.encode_to_vec()).payload(&hello);
    (Up::Progress { shard, gateway }.to_string(), payload)
}
