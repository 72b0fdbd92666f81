//! Hygiene and presence policy of a device, resolved.
//!
//! The defaults are cautious and are configuration, not advice: each names its source and how sure it is. *High* is an official
//! source, *medium* a trade or vendor page, *unverified* common practice without a source.
use std::time::Duration;

use telemetry::DisinfectionLevel;

use crate::field::Setting;
use crate::patch::Patch;

/// What has to happen around treatments, and how long a device may say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A disinfection must lie between two visits of different clients. Default true (IPL tip: wiped before and after each
    /// treatment, a maker's notes, medium; pen body blood-splashed: intermediate level per client, Toronto Public Health, high
    /// for tattoo machines, by analogy for pens).
    pub disinfection_between_visits: bool,
    /// Lowest level of that disinfection. Default intermediate (same sources).
    pub disinfection_level: DisinfectionLevel,
    /// Shortest contact time, if one is demanded. No default: depends on the product (no figure found).
    pub disinfection_contact_time_min: Option<Duration>,
    /// How long evidence from another connection may take before its absence counts. Default 120 s (our choice).
    pub evidence_grace: Duration,
    /// Whether a cycle or wipe that was recorded at another clinic of the tenant counts. Default false.
    pub evidence_from_other_clinics: bool,
    /// The item (tip, hand piece) must be sterilized at least this often. No default: depends on the item.
    pub sterilization_every: Option<Duration>,
    /// The item must be sterilized at least every so many visits. No default.
    pub sterilization_every_uses: Option<u32>,
    /// A sterilizer needs a passed biological indicator at least this often. Default 7 days (CDC 2008, at least weekly,
    /// category IB, high).
    pub biological_indicator_every: Duration,
    /// Of a sterilizer: each load needs a passed chemical or biological indicator, beside the machine's own word (CDC 2008: each
    /// load mechanical and chemical, high). Default false: a clinic that reads its strips on paper would be paged for each load.
    pub indicator_each_load: bool,
    /// A cartridge serves one visit. Default true (every cleared device found: sterile, single use, not to be reused, high).
    pub cartridge_single_use: bool,
    /// The pack's expiry is compared with the day of treatment. Default true (unverified).
    pub pack_expiry_checked: bool,
    /// Silence within a session that is a loss of protection. Default 30 s: three heartbeats of 10 s (our choice).
    pub silent_in_session_after: Duration,
    /// Silence outside a session that is worth an entry on the board. Default 72 h: a long weekend (our choice).
    pub silent_after: Duration,
    /// An expected device that was never heard is told after this. Default 24 h (our choice).
    pub never_seen_after: Duration,
    /// Shortest time between two treatments of one client. No default: 4 to 6 weeks is common for pens (medium), 2 to 8 weeks
    /// for IPL (medium).
    pub treatment_interval_min: Option<Duration>,
}

/// From the number in a patch.
pub(crate) fn level(value: i64) -> Option<DisinfectionLevel> {
    i32::try_from(value).ok().and_then(DisinfectionLevel::from_wire)
}

const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;

/// The typed view of resolved values, in which every setting with a default is there.
pub(crate) fn from_patch(patch: &Patch) -> Policy {
    let get = |setting: Setting| patch.get(setting as usize);
    let yes = |setting| get(setting) != Some(0);
    let span = |setting, unit_s: u64| {
        get(setting)
            .and_then(|v| u64::try_from(v).ok())
            .map(|v| Duration::from_secs(v * unit_s))
    };
    let need = |setting, unit_s| span(setting, unit_s).unwrap_or_default();
    Policy {
        disinfection_between_visits: yes(Setting::DisinfectionBetweenVisits),
        disinfection_level: get(Setting::DisinfectionLevel)
            .and_then(level)
            .unwrap_or(DisinfectionLevel::High),
        disinfection_contact_time_min: span(Setting::DisinfectionContactTimeMin, 1),
        evidence_grace: need(Setting::EvidenceGrace, 1),
        evidence_from_other_clinics: get(Setting::EvidenceFromOtherClinics) == Some(1),
        sterilization_every: span(Setting::SterilizationEvery, HOUR_S),
        sterilization_every_uses: get(Setting::SterilizationEveryUses).and_then(|v| u32::try_from(v).ok()),
        biological_indicator_every: need(Setting::BiologicalIndicatorEvery, DAY_S),
        indicator_each_load: get(Setting::IndicatorEachLoad) == Some(1),
        cartridge_single_use: yes(Setting::CartridgeSingleUse),
        pack_expiry_checked: yes(Setting::PackExpiryChecked),
        silent_in_session_after: need(Setting::SilentInSessionAfter, 1),
        silent_after: need(Setting::SilentAfter, HOUR_S),
        never_seen_after: need(Setting::NeverSeenAfter, HOUR_S),
        treatment_interval_min: span(Setting::TreatmentIntervalMin, DAY_S),
    }
}
