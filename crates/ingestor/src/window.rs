//! One stroke batch to one window: the numbers of a distribution, written so that the compiler can vectorise the loops.
//!
//! A window keeps no state between batches, so order, duplicates, splits and restarts cannot change it. Windows add up:
//! counts, sums, sums of squares and bands of two windows give those of both.

use telemetry::{BANDS, DEPTH_BAND_BOUNDS_UM, MAX_STROKES, StrokeBatch};

/// What a batch says about depth. Depths are at most 10 mm and strokes at most 512, so nothing here overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depths {
    /// Strokes with a reading.
    pub read: u32,
    /// Smallest depth in micrometres; `None` without a reading.
    pub min_um: Option<u32>,
    /// Largest depth in micrometres; `None` without a reading.
    pub max_um: Option<u32>,
    /// Sum of the depths in micrometres.
    pub sum_um: u64,
    /// Sum of the squares of the depths in square micrometres.
    pub sum_squares_um2: u64,
    /// Strokes per band of [`telemetry::DEPTH_BAND_BOUNDS_UM`].
    pub bands: [u32; BANDS],
    /// Strokes deeper than the limit that the device enforced; `None` when it told no limit.
    pub over_limit: Option<u32>,
}

/// Computes the numbers of a batch: a pure function of the frame.
pub fn depths(batch: &StrokeBatch) -> Depths {
    // `i16` holds every possible depth (10,000 µm) and fits twice as many into a register as the column's `u32`.
    let mut column = [0_i16; MAX_STROKES];
    let read = match batch.depths_if_all_read() {
        Some(all) => {
            for (to, &from) in column.iter_mut().zip(all) {
                *to = from as i16;
            }
            all.len().min(MAX_STROKES)
        }
        None => {
            let mut read = 0;
            for (to, (_, from)) in column.iter_mut().zip(batch.depths()) {
                *to = from as i16;
                read += 1;
            }
            read
        }
    };
    let column = column.get(..read).unwrap_or(&[]);
    let mut out = moments(column);
    out.bands = bands(column);
    out.over_limit = batch
        .device_limit
        .map(|limit| above(column, i16::try_from(limit.get()).unwrap_or(i16::MAX)));
    out
}

fn moments(column: &[i16]) -> Depths {
    let (mut min, mut max) = (i16::MAX, i16::MIN);
    let mut sum = 0_u32;
    let mut squares = 0_u64;
    for &depth in column {
        min = min.min(depth);
        max = max.max(depth);
        sum += depth as u32;
    }
    // 21 squares of 10,000 fit into an `i32`: sum blocks of 16 narrow, then widen.
    for block in column.chunks(16) {
        let narrow: i32 = block.iter().map(|&depth| i32::from(depth) * i32::from(depth)).sum();
        squares += narrow as u64;
    }
    let any = !column.is_empty();
    Depths {
        read: column.len() as u32,
        min_um: any.then_some(min as u32),
        max_um: any.then_some(max as u32),
        sum_um: u64::from(sum),
        sum_squares_um2: squares,
        ..Depths::default()
    }
}

/// Strokes per band: those above a band's lower bound less those above its upper bound.
fn bands(column: &[i16]) -> [u32; BANDS] {
    let mut bands = [0; BANDS];
    let mut above_lower = column.len() as u32;
    for (band, &bound) in bands.iter_mut().zip(&DEPTH_BAND_BOUNDS_UM) {
        let above_upper = above(column, bound as i16);
        *band = above_lower - above_upper;
        above_lower = above_upper;
    }
    if let Some(last) = bands.last_mut() {
        *last = above_lower;
    }
    bands
}

/// How many depths lie above a bound. At most 512, so the count fits the lane of its comparison.
fn above(column: &[i16], bound: i16) -> u32 {
    column.iter().map(|&depth| i16::from(depth > bound)).sum::<i16>() as u32
}

/// Ordinals of the strokes without a reading, half-open and ascending; empty for nearly every batch.
pub fn unread_ordinals(batch: &StrokeBatch) -> Vec<(u64, u64)> {
    if batch.unread() == 0 {
        return Vec::new();
    }
    let mut unread: Vec<(u64, u64)> = Vec::new();
    let mut next = batch.first_ordinal;
    let read = batch.depths().map(|(index, _)| batch.first_ordinal + index as u64);
    for ordinal in read.chain([batch.next_ordinal()]) {
        if ordinal > next {
            unread.push((next, ordinal));
        }
        next = ordinal + 1;
    }
    unread
}
