//! Cartridge reuse: one serial, two visits, anywhere in the tenant.
use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use crate::id::Opaque;

/// Where a cartridge was first used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartridgeUse {
    /// The visit.
    pub visit: Opaque,
    /// The device.
    pub device: String,
    /// The clinic.
    pub clinic: String,
    /// When.
    pub at: UnixMicros,
    /// Visits that it was used for.
    pub visits: u32,
}

/// Whether use for `visit` is another one than the first.
pub fn reused(first: &CartridgeUse, visit: Opaque) -> bool {
    first.visit != visit
}
