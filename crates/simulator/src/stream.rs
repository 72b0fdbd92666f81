//! A whole fleet's publishes in the order of their arrival, without MQTT: for benches, property tests and backtests.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::device::DeviceStream;
use crate::fleet::Fleet;
use crate::spec::micros;
use crate::uplink::{TimedFrame, Uplink};

/// See [`Fleet::frames`].
#[derive(Debug)]
pub struct Frames {
    end_us: u64,
    uplinks: Vec<Uplink>,
    /// The next arrival of each device.
    heads: Vec<Option<TimedFrame>>,
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Fleet {
    /// What arrives within `duration` of simulated time, sorted by time (and by device for equal times). Holds one frame a
    /// device in memory, and those that a broken network holds back.
    pub fn frames(&self, duration: Duration) -> Frames {
        let uplinks: Vec<Uplink> = self
            .devices()
            .iter()
            .enumerate()
            .map(|(index, device)| Uplink::new(index, device, DeviceStream::new(self, device)))
            .collect();
        let mut frames = Frames {
            end_us: micros(duration),
            heads: uplinks.iter().map(|_| None).collect(),
            uplinks,
            order: BinaryHeap::new(),
        };
        for index in 0..frames.uplinks.len() {
            frames.refill(index);
        }
        frames
    }
}

impl Frames {
    fn refill(&mut self, index: usize) {
        let next = self
            .uplinks
            .get_mut(index)
            .and_then(|uplink| uplink.next_until(self.end_us));
        if let (Some(frame), Some(head)) = (next, self.heads.get_mut(index)) {
            self.order.push(Reverse((frame.at_us, index)));
            *head = Some(frame);
        }
    }
}

impl Iterator for Frames {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        let Reverse((_, index)) = self.order.pop()?;
        let frame = self.heads.get_mut(index)?.take();
        self.refill(index);
        frame
    }
}
