//! Columns read as strokes: the same numbers, in order, in time.
use proptest::prelude::*;
use telemetry::proto::{self, frame};
use telemetry::{
    BANDS, Body, DEPTH_BAND_BOUNDS_UM, MAX_BATCH_DURATION_US, StrokeBatch, UnixMicros, decode, depth_band,
    reading_time_ns,
};

use crate::frames::{encode, stroke_batch, topic};

/// The batch as it is after the door; `None` if the intervals of this draw are too long together.
fn through_the_door(wire: proto::StrokeBatch) -> Option<StrokeBatch> {
    match decode(&topic(), &encode(frame::Body::StrokeBatch(wire))).ok()?.body {
        Body::Strokes(batch) => Some(batch),
        _ => None,
    }
}

proptest! {
    #[test]
    fn strokes_are_the_columns_read_in_order(wire in stroke_batch()) {
        let Some(batch) = through_the_door(wire.clone()) else {
            let span: u64 = wire.interval_us.iter().skip(1).map(|&i| u64::from(i)).sum();
            prop_assert!(span > u64::from(MAX_BATCH_DURATION_US));
            return Ok(());
        };
        let strokes: Vec<_> = batch.strokes().collect();
        prop_assert_eq!(strokes.len(), wire.depth_um.len());
        prop_assert_eq!(batch.len(), wire.depth_um.len());
        prop_assert_eq!(batch.next_ordinal(), wire.first_ordinal.unwrap() + strokes.len() as u64);
        for (index, stroke) in strokes.iter().enumerate() {
            prop_assert_eq!(stroke.ordinal, wire.first_ordinal.unwrap() + index as u64);
            let unread = wire.unread_index.contains(&(index as u32));
            prop_assert_eq!(stroke.depth_um, (!unread).then_some(wire.depth_um[index]));
            prop_assert_eq!(batch.stroke(index), Some(*stroke));
        }
        prop_assert_eq!(batch.stroke(strokes.len()), None);
        let read: Vec<_> = strokes.iter().enumerate().filter_map(|(i, s)| Some((i, s.depth_um?))).collect();
        prop_assert_eq!(batch.depths().collect::<Vec<_>>(), read);
        prop_assert_eq!(batch.depths_if_all_read().is_some(), wire.unread_index.is_empty());
    }

    #[test]
    fn time_never_runs_backwards_within_a_batch_and_never_leaves_it(wire in stroke_batch()) {
        if let Some(batch) = through_the_door(wire) {
            let uptimes: Vec<u64> = batch.strokes().map(|s| s.uptime.micros()).collect();
            prop_assert_eq!(uptimes[0], batch.first_uptime.micros());
            prop_assert!(uptimes.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(uptimes[uptimes.len() - 1] <= batch.first_uptime.micros() + u64::from(batch.duration_us));
        }
    }

    #[test]
    fn two_readings_of_one_device_are_never_one_point(wire in stroke_batch(), anchor in 0i64..2_000_000_000_000_000) {
        if let Some(batch) = through_the_door(wire) {
            let times: std::collections::HashSet<i64> = batch
                .strokes()
                .map(|s| reading_time_ns(s.uptime.at(UnixMicros(anchor)), s.ordinal))
                .collect();
            prop_assert_eq!(times.len(), batch.len());
        }
    }

    #[test]
    fn a_depth_lies_within_the_bounds_of_its_band(depth in 0u32..12_000) {
        let band = depth_band(depth);
        prop_assert!(band < BANDS);
        if let Some(&upper) = DEPTH_BAND_BOUNDS_UM.get(band) {
            prop_assert!(depth <= upper);
        }
        if band > 0 {
            prop_assert!(depth > DEPTH_BAND_BOUNDS_UM[band - 1]);
        }
    }
}
