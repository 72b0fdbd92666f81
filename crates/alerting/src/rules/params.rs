//! Parameters of the rules, with units in the keys. What is `Option` can only make a limit of the registry stricter.
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Window;

/// Parameters of a kind of rule.
pub trait Parameters: DeserializeOwned {
    /// What contradicts itself, beyond what the types exclude.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Refuses windows that cannot be.
pub(super) fn window(names: &str, k: u32, n: u32) -> Result<(), String> {
    if k == 0 || k > n || n > Window::MAX {
        return Err(format!("{names} must be 1 <= k <= n <= {}", Window::MAX));
    }
    Ok(())
}

impl Parameters for DepthAboveLimit {
    fn check(&self) -> Result<(), String> {
        window("k_strokes and n_strokes", self.k_strokes, self.n_strokes)
    }
}

impl Parameters for DepthOffSetpoint {
    fn check(&self) -> Result<(), String> {
        window("k_strokes and n_strokes", self.k_strokes, self.n_strokes)
    }
}

impl Parameters for NoParameters {}
impl Parameters for PulseAboveSet {}
impl Parameters for PulseAboveLimit {}
impl Parameters for DisinfectionMissing {}
impl Parameters for CartridgeReused {}
impl Parameters for SilentDevice {}
impl Parameters for GatewaySilent {}

/// A rule without parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// Of `depth_above_limit`. Between limit and limit + guard band it takes `k_strokes` of `n_strokes`: a pen makes 540,000
/// strokes a day, so one noisy stroke must not page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthAboveLimit {
    /// How many strokes.
    pub k_strokes: u32,
    /// Of how many, at most 64.
    pub n_strokes: u32,
    /// The condition is over after so many strokes in a row within the limit.
    pub clear_after_strokes: u32,
    /// A stricter limit, in micrometres.
    pub limit_um: Option<u32>,
    /// A narrower guard band, in micrometres.
    pub guard_band_um: Option<u32>,
}

/// Of `depth_off_setpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthOffSetpoint {
    /// How many strokes.
    pub k_strokes: u32,
    /// Of how many, at most 64.
    pub n_strokes: u32,
    /// The condition is over after so many strokes in a row within the tolerance.
    pub clear_after_strokes: u32,
    /// A narrower tolerance, in micrometres.
    pub tolerance_um: Option<u32>,
}

/// Of `pulse_above_set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseAboveSet {
    /// A narrower tolerance, in thousandths of the set fluence.
    pub tolerance_permille: Option<u32>,
}

/// Of `pulse_above_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseAboveLimit {
    /// A stricter limit, in millijoules per square centimetre.
    pub limit_mj_per_cm2: Option<u32>,
}

/// Of `disinfection_missing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisinfectionMissing {
    /// How far the clocks of a station and of a device may disagree about the order of events, in seconds.
    pub clock_slack_s: u32,
}

/// Of `cartridge_reused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartridgeReused {}

/// Of `device_silent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentDevice {
    /// A shorter time than the registry's, in seconds.
    pub silent_after_s: Option<u32>,
}

/// Of `gateway_silent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySilent {
    /// Longest time without a watermark, in seconds.
    pub silent_after_s: u32,
}

/// Of `heartbeat_missing`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatMissing {
    /// Whose heartbeats are expected, by the names under which they call.
    pub senders: Vec<String>,
    /// Longest time without one, in seconds.
    pub silent_after_s: u32,
}

impl Parameters for HeartbeatMissing {
    fn check(&self) -> Result<(), String> {
        match self.senders.iter().find(|name| telemetry::DeviceId::new(name).is_err()) {
            Some(name) => Err(format!(
                "sender {name:?} must be a-z, 0-9 and, after the first character, -; at most 63"
            )),
            None if self.silent_after_s == 0 => Err("silent_after_s must be at least 1".to_owned()),
            None => Ok(()),
        }
    }
}
