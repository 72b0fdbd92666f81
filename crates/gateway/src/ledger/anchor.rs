//! When uptime 0 of a boot was: decided from its first frame, then the same for every copy of every frame, for ever.
//!
//! One anchor is the rule. A device whose uptime jumps by a century in the middle of a boot would date its readings into
//! another century, so a frame that lands outside the bounds begins a further stretch with an anchor of its own.
use std::time::Duration;

use telemetry::{ClockQuality, UnixMicros, Uptime, WallTime, WallTimeSource};

/// A trusted clock may be ahead of the gateway's by this: NTP and a paired host are within seconds; the rest is a
/// gateway whose own clock is being set.
pub const DEFAULT_MAX_AHEAD: Duration = Duration::from_secs(10 * 60);
/// A trusted clock may be behind by this, because the first frame of a boot may have waited in the device. Not longer than
/// a day: what is older than that no longer pages, and a wrong clock must never silence a device.
pub const DEFAULT_MAX_BEHIND: Duration = Duration::from_secs(24 * 3600);
/// The longest that a device keeps a frame. Older event times in a known boot come from an uptime that jumped.
pub const DEFAULT_MAX_BACKLOG: Duration = Duration::from_secs(30 * 24 * 3600);
/// Stretches of one boot. A device that jumps more often gets an anchor of its own for every further frame outside.
pub const STRETCHES_MAX: usize = 4;

/// Which clocks are believed, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPolicy {
    /// See [`DEFAULT_MAX_AHEAD`].
    pub max_ahead: Duration,
    /// See [`DEFAULT_MAX_BEHIND`].
    pub max_behind: Duration,
    /// See [`DEFAULT_MAX_BACKLOG`].
    pub max_backlog: Duration,
    /// Whether a free-running clock that was set by hand is believed as well.
    pub trust_rtc: bool,
}

impl Default for ClockPolicy {
    fn default() -> Self {
        Self {
            max_ahead: DEFAULT_MAX_AHEAD,
            max_behind: DEFAULT_MAX_BEHIND,
            max_backlog: DEFAULT_MAX_BACKLOG,
            trust_rtc: false,
        }
    }
}

impl ClockPolicy {
    fn trusts(&self, source: Option<WallTimeSource>) -> bool {
        match source {
            Some(WallTimeSource::Ntp | WallTimeSource::Host) => true,
            Some(WallTimeSource::Rtc) => self.trust_rtc,
            _ => false,
        }
    }

    /// The anchor that a boot gets from its first frame.
    fn fix(&self, uptime: Uptime, wall: Option<WallTime>, received_at: UnixMicros) -> (UnixMicros, ClockQuality) {
        let before = |at: UnixMicros| at.minus(Duration::from_micros(uptime.micros()));
        match wall.filter(|wall| self.trusts(wall.source)) {
            None => (before(received_at), ClockQuality::Received),
            Some(wall) if wall.at.since(received_at) > self.max_ahead => (before(received_at), ClockQuality::Skewed),
            Some(wall) if received_at.since(wall.at) > self.max_behind => (before(received_at), ClockQuality::Skewed),
            Some(wall) => (before(wall.at), ClockQuality::Device),
        }
    }

    fn plausible(&self, event_time: UnixMicros, received_at: UnixMicros) -> bool {
        event_time.since(received_at) <= self.max_ahead && received_at.since(event_time) <= self.max_backlog
    }
}

/// Uptimes from here on are placed by this anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The uptime of the frame that it was fixed from.
    pub from: Uptime,
    /// Wall time of uptime 0.
    pub anchor: UnixMicros,
    /// How good it is.
    pub clock: ClockQuality,
}

/// What a frame's event times rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Wall time of uptime 0.
    pub anchor: UnixMicros,
    /// How good it is.
    pub clock: ClockQuality,
    /// It was decided for this frame just now.
    pub fixed_now: bool,
}

/// The stretches of one boot, by uptime; one for nearly every boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors(Vec<Stretch>);

impl Anchors {
    /// From stretches as [`Self::stretches`] gave them; `None` if there are too many or they do not ascend.
    pub fn from_stretches(stretches: Vec<Stretch>) -> Option<Self> {
        let ascending = stretches
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.from < b.from));
        (ascending && stretches.len() <= STRETCHES_MAX).then_some(Self(stretches))
    }

    /// All stretches, ascending.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// The stretch that an uptime falls into; what is older than the first frame belongs to the first one.
    fn stretch(&self, uptime: Uptime) -> Option<&Stretch> {
        let after = self.0.partition_point(|stretch| stretch.from <= uptime);
        self.0.get(after.saturating_sub(1))
    }

    /// Places a frame, deciding only if the boot has no anchor yet, or none that gives a possible time.
    pub fn place(
        &self,
        policy: &ClockPolicy,
        uptime: Uptime,
        wall: Option<WallTime>,
        received_at: UnixMicros,
    ) -> Placed {
        match self.stretch(uptime) {
            None => {
                let (anchor, clock) = policy.fix(uptime, wall, received_at);
                Placed {
                    anchor,
                    clock,
                    fixed_now: true,
                }
            }
            Some(known) if known.from == uptime || policy.plausible(uptime.at(known.anchor), received_at) => Placed {
                anchor: known.anchor,
                clock: known.clock,
                fixed_now: false,
            },
            Some(_) => Placed {
                anchor: received_at.minus(Duration::from_micros(uptime.micros())),
                clock: ClockQuality::Skewed,
                fixed_now: true,
            },
        }
    }

    /// Remembers where a frame was placed. Gives the same stretches whether it is told by [`Self::place`] or by the log.
    pub fn adopt(&mut self, uptime: Uptime, anchor: UnixMicros, clock: ClockQuality) {
        if self
            .stretch(uptime)
            .is_some_and(|known| known.anchor == anchor || known.from == uptime)
        {
            return;
        }
        if self.0.len() < STRETCHES_MAX {
            let at = self.0.partition_point(|stretch| stretch.from <= uptime);
            self.0.insert(
                at,
                Stretch {
                    from: uptime,
                    anchor,
                    clock,
                },
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_790_000_000_000_000);

    fn up(seconds: u64) -> Uptime {
        Uptime::new(seconds * 1_000_000).unwrap()
    }

    fn wall(offset_s: i64, source: WallTimeSource) -> Option<WallTime> {
        Some(WallTime {
            at: UnixMicros(NOW.0 + offset_s * 1_000_000),
            source: Some(source),
        })
    }

    fn first(wall: Option<WallTime>) -> Placed {
        Anchors::default().place(&ClockPolicy::default(), up(60), wall, NOW)
    }

    #[test]
    fn a_trusted_clock_within_the_bounds_is_believed_and_no_other() {
        let event = |placed: Placed| (up(60).at(placed.anchor).0 - NOW.0) / 1_000_000;
        let cases = [
            (wall(-30, WallTimeSource::Ntp), -30, ClockQuality::Device),
            (wall(500, WallTimeSource::Host), 500, ClockQuality::Device),
            (wall(-3_600, WallTimeSource::Ntp), -3_600, ClockQuality::Device),
            (wall(700, WallTimeSource::Ntp), 0, ClockQuality::Skewed),
            (wall(-90_000, WallTimeSource::Ntp), 0, ClockQuality::Skewed),
            (wall(-30, WallTimeSource::Rtc), 0, ClockQuality::Received),
            (None, 0, ClockQuality::Received),
        ];
        for (wall, seconds, clock) in cases {
            let placed = first(wall);
            assert_eq!((event(placed), placed.clock), (seconds, clock), "{wall:?}");
        }
        let rtc = ClockPolicy {
            trust_rtc: true,
            ..ClockPolicy::default()
        };
        let placed = Anchors::default().place(&rtc, up(60), wall(-30, WallTimeSource::Rtc), NOW);
        assert_eq!(placed.clock, ClockQuality::Device);
    }

    #[test]
    fn an_absurd_wall_clock_cannot_leave_the_bounds_however_extreme() {
        for us in [i64::MIN, -1, 0, i64::MAX] {
            let placed = first(Some(WallTime {
                at: UnixMicros(us),
                source: Some(WallTimeSource::Ntp),
            }));
            assert_eq!(up(60).at(placed.anchor), NOW);
        }
    }

    #[test]
    fn a_frame_whose_uptime_jumped_is_placed_when_it_came_and_its_copies_too() {
        let policy = ClockPolicy::default();
        let century = Uptime::new(Uptime::MAX.micros() - 2_000_000).unwrap();
        for (start, jump) in [(up(60), century), (century, up(60))] {
            let mut anchors = Anchors::default();
            let placed = anchors.place(&policy, start, None, NOW);
            anchors.adopt(start, placed.anchor, placed.clock);
            let jumped = anchors.place(&policy, jump, None, NOW);
            assert_eq!(
                (jump.at(jumped.anchor), jumped.clock, jumped.fixed_now),
                (NOW, ClockQuality::Skewed, true)
            );
            anchors.adopt(jump, jumped.anchor, jumped.clock);
            let later = NOW.plus(Duration::from_secs(3_000_000));
            let copy = anchors.place(&policy, jump, None, later);
            assert_eq!((copy.anchor, copy.fixed_now), (jumped.anchor, false));
            assert_eq!(anchors.place(&policy, start, None, later).anchor, placed.anchor);
        }
    }
}
