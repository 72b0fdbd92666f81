//! Where admitted messages go: logs of which the gateway knows only how to write to them.
use std::time::SystemTime;

use prost::Message as _;
use spool::Spool;
use telemetry::{Admitted, GatewayId, UnixMicros};

/// What a log is to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The telemetry spool: the ledger is rebuilt from it, and its cap may refuse.
    Store,
    /// A log that pages hang on: it gets every frame, also those that the store refuses. It must never refuse.
    Alarm,
}

/// A log that admitted messages go to; the gateway does not know whose it is.
pub trait Outlet: Send + Sync {
    /// The log.
    fn spool(&self) -> &Spool;
    /// Appends the record's bytes to `into`, which may hold others already. `lane` is the tenant's number.
    fn encode(&self, admitted: &Admitted, lane: u32, now: SystemTime, into: &mut Vec<u8>);
    /// Appends a record that says "everything that this gateway received before `received_at` stands before this".
    /// Returns false, and appends nothing, if the log has no such record.
    fn encode_watermark(&self, gateway: &GatewayId, received_at: UnixMicros, into: &mut Vec<u8>) -> bool;
    /// What it is to the gateway.
    fn role(&self) -> Role;
}

/// The telemetry spool: each record is an [`Admitted`] as [`Admitted::encode`] writes it, each lane a tenant's number.
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

    fn encode(&self, admitted: &Admitted, _lane: u32, _now: SystemTime, into: &mut Vec<u8>) {
        // Fails only for a buffer of fixed size.
        let _ = admitted.to_wire().encode(into);
    }

    fn encode_watermark(&self, _gateway: &GatewayId, _received_at: UnixMicros, _into: &mut Vec<u8>) -> bool {
        false
    }

    fn role(&self) -> Role {
        Role::Store
    }
}
