//! A batch of strokes: columns as they came, checked once, read as strokes.
use crate::{DepthUm, FlushReason, Serial, Uptime, Zone};

/// Most strokes in one batch: 300 Hz, the fastest pen found (domain survey 1.1), for a second, with a wide margin.
pub const MAX_STROKES: usize = 512;

/// Longest batch in microseconds: a second, with 5 % for a device whose timer rounds up.
pub const MAX_BATCH_DURATION_US: u32 = 1_050_000;

/// Up to a second of strokes of one session with one zone and one setpoint. Made by [`crate::decode`] only, so its columns
/// are of equal length, its depths possible and its unread indices ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrokeBatch {
    /// Session ordinal of the first stroke, from 0.
    pub first_ordinal: u64,
    /// Uptime of the first stroke.
    pub first_uptime: Uptime,
    /// From the first stroke to the end of the last, in microseconds.
    pub duration_us: u32,
    /// Zone; `None` if missing or not known to this version.
    pub zone: Option<Zone>,
    /// Depth that the operator set.
    pub setpoint: Option<DepthUm>,
    /// Limit that the device itself enforced.
    pub device_limit: Option<DepthUm>,
    /// Why it was sent.
    pub flush_reason: Option<FlushReason>,
    /// Cartridge in use.
    pub cartridge: Option<Serial>,
    pub(crate) depth_um: Vec<u32>,
    pub(crate) interval_us: Vec<u32>,
    pub(crate) unread: Vec<u32>,
}

/// One stroke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// Ordinal within the session, from 0.
    pub ordinal: u64,
    /// When, on the device's clock.
    pub uptime: Uptime,
    /// Measured depth in micrometres; `None` if the sensor did not read it.
    pub depth_um: Option<u32>,
}

impl StrokeBatch {
    /// How many strokes, read or not.
    pub fn len(&self) -> usize {
        self.depth_um.len()
    }

    /// Whether it holds no stroke.
    pub fn is_empty(&self) -> bool {
        self.depth_um.is_empty()
    }

    /// How many strokes the sensor did not read.
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// Ordinal after the last stroke.
    pub fn next_ordinal(&self) -> u64 {
        self.first_ordinal + self.depth_um.len() as u64
    }

    /// The depth column when every stroke was read, which is nearly always: lets hot loops skip the unread test.
    pub fn depths_if_all_read(&self) -> Option<&[u32]> {
        self.unread.is_empty().then_some(self.depth_um.as_slice())
    }

    /// Depths of the strokes that were read, in micrometres, with their index in the batch.
    pub fn depths(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let mut unread = self.unread.iter().copied().peekable();
        self.depth_um.iter().copied().enumerate().filter(move |&(index, _)| {
            if unread.peek() == Some(&(index as u32)) {
                unread.next();
                return false;
            }
            true
        })
    }

    /// Every stroke, in order.
    pub fn strokes(&self) -> impl Iterator<Item = Stroke> + '_ {
        let mut unread = self.unread.iter().copied().peekable();
        let mut since_first: u64 = 0;
        let count = self.depth_um.len().max(1) as u64;
        self.depth_um.iter().copied().enumerate().map(move |(index, depth)| {
            since_first = match self.interval_us.get(index) {
                Some(_) if index == 0 => 0,
                Some(&interval) => since_first + u64::from(interval),
                None => u64::from(self.duration_us) * index as u64 / count,
            };
            let read = unread.next_if_eq(&(index as u32)).is_none();
            Stroke {
                ordinal: self.first_ordinal + index as u64,
                // decode() checked that first_uptime leaves room for a batch.
                uptime: Uptime::new(self.first_uptime.micros() + since_first).unwrap_or(Uptime::MAX),
                depth_um: read.then_some(depth),
            }
        })
    }

    /// The stroke at an index, if there is one. Walks the columns: for the one stroke that caused an alert, not for loops.
    pub fn stroke(&self, index: usize) -> Option<Stroke> {
        self.strokes().nth(index)
    }

    /// Strokes per second in thousandths; `None` for a batch without duration.
    pub fn rate_mhz(&self) -> Option<u64> {
        (self.duration_us > 0).then(|| self.depth_um.len() as u64 * 1_000_000_000 / u64::from(self.duration_us))
    }
}
