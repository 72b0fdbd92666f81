//! Frames as devices send them.
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use telemetry::proto;

/// A frame as its device would send it.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) device: &'static str,
    pub(crate) boot: u64,
    pub(crate) sequence: u64,
    pub(crate) uptime: Duration,
    pub(crate) wall: Option<(i64, proto::WallTimeSource)>,
    /// Makes another payload of the same sequence number.
    pub(crate) mark: u32,
}

impl Frame {
    pub(crate) fn new(device: &'static str, sequence: u64) -> Self {
        let uptime = Duration::from_millis(1_000 + sequence * 100);
        Self {
            device,
            boot: 1,
            sequence,
            uptime,
            wall: None,
            mark: 0,
        }
    }

    pub(crate) fn header(&self) -> proto::Header {
        proto::Header {
            schema_version: Some(1),
            device_id: Some(self.device.to_owned()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(self.uptime.as_micros() as u64),
            wall_time_us: self.wall.map(|(at, _)| at),
            wall_time_source: self.wall.map(|(_, source)| source as i32),
            ..Default::default()
        }
    }

    pub(crate) fn with(&self, body: proto::frame::Body) -> Bytes {
        proto::Frame {
            header: Some(self.header()),
            body: Some(body),
        }
        .encode_to_vec()
        .into()
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let beat = proto::Heartbeat {
            queued_frames: Some(self.mark),
            ..Default::default()
        };
        self.with(proto::frame::Body::Heartbeat(beat))
    }
}

pub(crate) fn frame(sequence: u64) -> Bytes {
    Frame::new("pen-1", sequence).bytes()
}
