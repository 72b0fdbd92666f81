//! What is treated, how deep and how strong: the staff's behaviour as tables.
//!
//! None of these numbers is a recommendation. Depth by zone follows the widest of three sellers' charts (weak sources:
//! retail, home-use bias; for jaw and neck no number was found and one is assumed). Fluences follow published settings of
//! 2 x 2.5 ms pulses (Bjerring 2004: 7.9 to 9.9 J/cm² for types I to III; Negishi 2006: 5.5 to 8.0 for III and IV); type V
//! is assumed lower still, and type VI is not treated, as one maker says.
use telemetry::{SkinType, Zone};

/// One zone as the staff treats it with a pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneDepth {
    /// The zone.
    pub zone: Zone,
    /// Usual setpoints in micrometres, least and greatest.
    pub setpoint_um: (u32, u32),
    /// Depth that no stroke may pass, in micrometres, as the generated registry has it.
    pub limit_um: u32,
}

const fn zone(zone: Zone, low: u32, high: u32, limit_um: u32) -> ZoneDepth {
    ZoneDepth {
        zone,
        setpoint_um: (low, high),
        limit_um,
    }
}

/// The zones that pens treat.
pub const PEN_ZONES: &[ZoneDepth] = &[
    zone(Zone::Forehead, 250, 450, 750),
    zone(Zone::Glabella, 250, 500, 1_000),
    zone(Zone::Periorbital, 100, 250, 500),
    zone(Zone::Nose, 200, 350, 750),
    zone(Zone::Cheekbone, 400, 600, 1_000),
    zone(Zone::Cheek, 500, 1_000, 1_500),
    zone(Zone::Perioral, 200, 350, 750),
    zone(Zone::Chin, 500, 1_000, 1_500),
    zone(Zone::Jaw, 400, 800, 1_500),
    zone(Zone::Neck, 250, 500, 1_000),
];

/// Deepest that either pen model may go in micrometres, whatever the zone: beyond 1.5 mm one cleared pen was "not
/// evaluated".
pub const PEN_MAX_DEPTH_UM: u32 = 1_500;

/// Slowest and fastest that the registry says of either pen model, in hertz: cleared pens make 90 to 150, the adjustable one
/// some more.
pub const PEN_RATE_HZ: (u32, u32) = (90, 160);

/// Steps of a pen's dial in micrometres; an assumption.
pub const DIAL_STEP_UM: u32 = 50;

/// The zone's row; the most cautious one for a zone that pens do not treat here.
pub fn zone_depth(zone: Zone) -> ZoneDepth {
    PEN_ZONES
        .iter()
        .copied()
        .find(|row| row.zone == zone)
        .unwrap_or(ZoneDepth {
            zone,
            setpoint_um: (100, 250),
            limit_um: 500,
        })
}

/// What a trained operator dials: what was wanted, but never so deep that the pen's own offset (which its calibration
/// sheet tells) and 6.5 sigma of its noise could carry a stroke over the zone's limit.
pub(crate) fn dial(wanted_um: u32, limit_um: u32, offset_um: i32, sigma_um: u32) -> u32 {
    let margin = offset_um.max(0) as u32 + sigma_um * 13 / 2;
    let most = limit_um.saturating_sub(margin);
    (wanted_um.min(most) / DIAL_STEP_UM * DIAL_STEP_UM).max(DIAL_STEP_UM)
}

/// The zones that IPL units treat.
pub(crate) const IPL_ZONES: &[Zone] = &[
    Zone::Forehead,
    Zone::Cheek,
    Zone::Nose,
    Zone::Chin,
    Zone::Neck,
    Zone::Decollete,
    Zone::Hand,
];

/// Skin types of clients with weights; an assumption. Type VI comes to pens only.
pub(crate) const PEN_CLIENTS: &[(SkinType, u32)] = &[
    (SkinType::I, 5),
    (SkinType::II, 30),
    (SkinType::III, 35),
    (SkinType::IV, 18),
    (SkinType::V, 9),
    (SkinType::VI, 3),
];

/// As [`PEN_CLIENTS`], without type VI.
pub(crate) const IPL_CLIENTS: &[(SkinType, u32)] = &[
    (SkinType::I, 5),
    (SkinType::II, 32),
    (SkinType::III, 36),
    (SkinType::IV, 18),
    (SkinType::V, 9),
];

/// Usual fluences by skin type in mJ/cm², least and greatest, and the limit of the generated registry (0: not treated).
pub const fn fluence(skin: SkinType) -> (u32, u32, u32) {
    match skin {
        SkinType::I | SkinType::II => (7_900, 9_900, 14_000),
        SkinType::III => (5_500, 7_900, 11_000),
        SkinType::IV => (5_500, 7_000, 9_000),
        SkinType::V => (4_000, 5_000, 7_000),
        SkinType::VI => (0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::noise::SCALE_TOLERANCE_UM;

    proptest! {
        #[test]
        fn what_is_dialled_leaves_room_for_offset_and_six_sigma(
            row in prop::sample::select(PEN_ZONES),
            share in 0.0f64..=1.0,
            offset_um in -(SCALE_TOLERANCE_UM as i32)..=SCALE_TOLERANCE_UM as i32,
            sigma_um in prop::sample::select(vec![30u32, 40]),
        ) {
            let (low, high) = row.setpoint_um;
            let wanted = low + (f64::from(high - low) * share) as u32;
            let dialled = dial(wanted, row.limit_um, offset_um, sigma_um);
            prop_assert!(dialled > 0 && dialled <= wanted && dialled.is_multiple_of(DIAL_STEP_UM));
            prop_assert!(dialled as i32 + offset_um + 6 * sigma_um as i32 <= row.limit_um as i32);
            // No more cautious than needed: one step more would not leave the room, or is not wanted.
            let more = (dialled + DIAL_STEP_UM) as i32;
            prop_assert!(more > wanted as i32 || more + offset_um.max(0) + 6 * sigma_um as i32 > row.limit_um as i32 - 20);
        }
    }
}
