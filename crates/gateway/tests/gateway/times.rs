//! Event times are the same for every copy and within bounds, whatever a device's clock says.
use std::time::Duration;

use gateway::Verdict;
use telemetry::proto::WallTimeSource::{Ntp, Rtc};
use telemetry::proto::{self, frame::Body};
use telemetry::{ClockQuality, UnixMicros, Uptime};

use super::kit::{Frame, Ground, START, World, frame};

fn now_us() -> i64 {
    START.as_micros() as i64
}

fn event_time(world: &World, at: usize, uptime: Duration) -> (i64, ClockQuality) {
    let admitted = &world.stored()[at];
    let uptime = Uptime::new(uptime.as_micros() as u64).unwrap();
    (admitted.event_time(uptime).0 - now_us(), admitted.clock)
}

#[tokio::test]
async fn far_future_and_ancient_clocks_date_nothing_outside_the_bounds() {
    let world = Ground::new().up();
    let day = 86_400_000_000_i64;
    let cases = [
        (-60_000_000, -60_000_000, ClockQuality::Device),
        (100 * 365 * day, 0, ClockQuality::Skewed),
        (-20 * 365 * day, 0, ClockQuality::Skewed),
        (i64::MAX - now_us(), 0, ClockQuality::Skewed),
    ];
    for (n, (offset, event, clock)) in cases.into_iter().enumerate() {
        let frame = Frame {
            boot: n as u64,
            wall: Some((now_us() + offset, Ntp)),
            ..Frame::new("pen-1", 0)
        };
        assert_eq!(world.submit(&frame.bytes()).await, Verdict::Stored);
        assert_eq!(event_time(&world, n, frame.uptime), (event, clock), "{offset}");
    }
    // A clock that nobody disciplines is not believed, however right it looks.
    let rtc = Frame {
        boot: 99,
        wall: Some((now_us() - 60_000_000, Rtc)),
        ..Frame::new("pen-1", 0)
    };
    assert_eq!(world.submit(&rtc.bytes()).await, Verdict::Stored);
    assert_eq!(event_time(&world, cases.len(), rtc.uptime), (0, ClockQuality::Received));
    world.down().await;
}

#[tokio::test]
async fn an_uptime_that_jumps_within_a_boot_dates_nothing_into_another_century() {
    let world = Ground::new().up();
    let century = Duration::from_secs(99 * 365 * 86_400);
    let jump = Frame {
        uptime: century,
        ..Frame::new("pen-1", 1)
    };
    assert_eq!(world.submit(&frame(0)).await, Verdict::Stored);
    assert_eq!(world.submit(&jump.bytes()).await, Verdict::Stored);
    assert_eq!(event_time(&world, 1, century), (0, ClockQuality::Skewed));
    // And readings that claim to be from another age than their frame are not believed at all.
    let pulse = proto::Pulse {
        ordinal: Some(0),
        uptime_us: Some(century.as_micros() as u64),
        ..Default::default()
    };
    let body = Body::PulseBatch(proto::PulseBatch {
        pulses: vec![pulse],
        flush_reason: None,
    });
    let verdict = world.submit(&Frame::new("pen-1", 2).with(body)).await;
    assert!(matches!(verdict, Verdict::Quarantined(rejected) if rejected.field == "pulse.uptime_us"));
    world.down().await;
}

#[tokio::test]
async fn later_frames_of_a_boot_keep_the_anchor_of_its_first_whatever_their_clock_says() {
    let world = Ground::new().up();
    assert_eq!(world.submit(&frame(0)).await, Verdict::Stored);
    world.clock.advance(Duration::from_secs(3_600));
    let later = Frame {
        wall: Some((now_us(), Ntp)),
        ..Frame::new("pen-1", 1)
    };
    assert_eq!(world.submit(&later.bytes()).await, Verdict::Stored);
    let stored = world.stored();
    assert_eq!(stored[0].anchor, stored[1].anchor);
    assert_eq!(stored[1].received_at, UnixMicros(now_us() + 3_600_000_000));
    world.down().await;
}

#[tokio::test]
async fn alerting_is_told_how_far_everything_was_received_and_never_too_far() {
    let world = Ground::new().up_with(super::kit::registry(), |config| {
        config.watermark_every = Duration::from_millis(10)
    });
    for sequence in 0..50 {
        assert_eq!(world.submit(&frame(sequence)).await, Verdict::Stored);
        world.clock.advance(Duration::from_millis(100));
    }
    super::kit::eventually("watermarks", || world.watermarks().len() > 3).await;
    let marks = world.watermarks();
    assert!(marks.windows(2).all(|pair| pair[0] <= pair[1]), "{marks:?}");
    let now = UnixMicros::from(world.clock.now()).0;
    assert!(marks.iter().all(|mark| *mark < now), "{marks:?} at {now}");
    world.down().await;
}
