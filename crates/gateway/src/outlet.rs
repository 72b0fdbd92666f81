//! Where admitted messages go: logs of which the gateway knows only how to write to them.
use std::time::SystemTime;

use spool::Spool;
use telemetry::{Admitted, DeviceKey, GatewayId, UnixMicros};

use crate::quarantine::tally::Count;

/// What a log is to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The telemetry spool: each record is an [`Admitted`] as [`Admitted::encode`] writes it (beside the reports that it may have),
    /// each lane a tenant's number. The ledger is rebuilt from it, and its cap may refuse.
    Store,
    /// A log that pages hang on: it gets every frame, also those that the store refuses. It must never refuse.
    Alarm,
}

/// A log that admitted messages go to; the gateway does not know whose it is.
pub trait Outlet: Send + Sync {
    /// The log.
    fn spool(&self) -> &Spool;
    /// What it is to the gateway.
    fn role(&self) -> Role;
    /// Appends this log's record of a message to `into`, which may hold others already. `encoded` is the message as
    /// [`Admitted::encode`] writes it, made once for all logs. Not asked of the store, whose record that is.
    fn wrap(&self, admitted: &Admitted, encoded: &[u8], now: SystemTime, into: &mut Vec<u8>) {
        let _ = (admitted, now);
        into.extend_from_slice(encoded);
    }
    /// Appends a record that says "everything that this gateway received before `received_at` stands before this".
    /// Returns false, and appends nothing, if the log has no such record.
    fn encode_watermark(&self, gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool {
        let _ = (gateway, received_at, into);
        false
    }
    /// Appends a record that says how much of a device was refused since the last one. Returns false, and appends nothing, if
    /// the log has no such record.
    fn encode_refused(&self, gateway: &GatewayId, device: &DeviceKey, count: &Count, into: &mut Vec<u8>) -> bool {
        let _ = (gateway, device, count, into);
        false
    }
}

/// The telemetry spool.
pub struct TelemetryOutlet {
    spool: Spool,
}

impl TelemetryOutlet {
    /// Writes to this spool.
    pub fn new(spool: Spool) -> Self {
        Self { spool }
    }
}

impl Outlet for TelemetryOutlet {
    fn spool(&self) -> &Spool {
        &self.spool
    }

    fn role(&self) -> Role {
        Role::Store
    }
}
