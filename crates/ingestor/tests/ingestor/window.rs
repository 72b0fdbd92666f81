//! Windows against the definition, and the frozen schema.

use ingestor::frame::FrameReader;
use ingestor::record::Record;
use proptest::prelude::*;
use telemetry::depth_band;

use crate::support::{ANCHOR_US, Device, OneModel};

proptest! {
    #[test]
    fn a_window_is_what_its_definition_says(
        depths in prop::collection::vec(0u32..=10_000, 1..=512),
        unread in prop::collection::btree_set(0u32..512, 0..20),
        first in 0u64..1_000_000,
    ) {
        let unread: Vec<u32> = unread.into_iter().filter(|&at| (at as usize) < depths.len()).collect();
        let mut pen = Device::new("acme", "pen-1", 1);
        let frame = pen.strokes(first, &depths, &unread);
        let mut reader = FrameReader::new(std::sync::Arc::new(OneModel));
        let decoded = reader.decode(&frame.encode()).unwrap();
        let [Record::StrokeWindow(window)] = decoded.records.as_slice() else { panic!("not one window") };

        let read: Vec<u64> = (0..depths.len()).filter(|&at| !unread.contains(&(at as u32))).map(|at| u64::from(depths[at])).collect();
        prop_assert_eq!(window.count as usize, depths.len());
        prop_assert_eq!(window.depths.read as usize, read.len());
        prop_assert_eq!(window.depths.min_um.map(u64::from), read.iter().copied().min());
        prop_assert_eq!(window.depths.max_um.map(u64::from), read.iter().copied().max());
        prop_assert_eq!(window.depths.sum_um, read.iter().sum::<u64>());
        prop_assert_eq!(window.depths.sum_squares_um2, read.iter().map(|d| d * d).sum::<u64>());
        let mut bands = [0; telemetry::BANDS];
        read.iter().for_each(|&d| bands[depth_band(d as u32)] += 1);
        prop_assert_eq!(window.depths.bands, bands);
        prop_assert_eq!(window.depths.over_limit, Some(read.iter().filter(|&&d| d > 600).count() as u32));
        let lost: u64 = window.unread.iter().map(|&(start, end)| end - start).sum();
        prop_assert_eq!(lost as usize, unread.len());
        let named = unread.iter().all(|&at| {
            let ordinal = first + u64::from(at);
            window.unread.iter().any(|&(start, end)| (start..end).contains(&ordinal))
        });
        prop_assert!(named);
        let event_us = ANCHOR_US + 60_000_000 + first as i64 * 10_000;
        prop_assert_eq!(window.time_ns, event_us * 1_000 + (first % 1_000) as i64);
    }
}

#[test]
fn no_field_ever_changes_its_type_or_goes() {
    let locked: Vec<&str> = include_str!("../../schema.lock")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let now = ingestor::schema::lock_lines();
    for line in &locked {
        assert!(
            now.iter().any(|n| n == line),
            "'{line}' was released: a field keeps its name and type for ever"
        );
    }
    for line in &now {
        assert!(
            locked.contains(&line.as_str()),
            "'{line}' is new: add it to schema.lock"
        );
    }
}
