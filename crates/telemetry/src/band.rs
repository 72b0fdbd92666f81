//! The histogram bands of stroke depth: 16 fixed absolute bands, so that windows of any two devices, times and versions
//! add up. A change of bounds gets new field names in the store (`band1_…` becomes `band2_…`), never new meaning for old.

/// How many bands there are.
pub const BANDS: usize = 16;

/// Upper bounds (inclusive) of all bands but the last, in micrometres. Finer where zone limits differ (domain survey,
/// 1.3: 0.25 mm around the eyes, 2.0 mm for scars).
pub const DEPTH_BAND_BOUNDS_UM: [u32; BANDS - 1] = [
    0, 125, 250, 375, 500, 625, 750, 875, 1_000, 1_250, 1_500, 1_750, 2_000, 2_500, 3_000,
];

/// Index of the band of a depth: the first whose upper bound is not below it.
#[inline]
pub fn depth_band(depth_um: u32) -> usize {
    // Counting comparisons has no branch to predict and is vectorised, which a search of 15 bounds is not.
    DEPTH_BAND_BOUNDS_UM
        .iter()
        .map(|&bound| usize::from(depth_um > bound))
        .sum()
}
