//! Devices in: who says it, is it new, where do its times lie; on disk, and only then acknowledged.
//!
//! Three intakes (the devices' MQTT endpoint, a subscription at an existing broker, the local API) feed one thread, the
//! committer. It takes batches, lets each message in or puts it in quarantine, writes the batch to every log, syncs, and
//! answers in order. The gateway never decides about alerts.
//!
//! ```text
//! endpoint ─┐                 ledger (what is known)        ┌─▶ telemetry spool (may refuse at its cap)
//! broker  ──┼─▶ committer ─▶ admit ─▶ batch ─▶ append, sync ┼─▶ alarm logs     (always)
//! submit  ──┘      │              └─▶ quarantine            └─▶ then: record, mark, answer
//!                  └── snapshots of the ledger, cursor `gateway-ledger`
//! ```

pub mod ack_up_to;
pub mod admit;
pub mod commit;
pub mod config;
pub mod endpoint;
mod gateway;
pub mod intake;
pub mod ledger;
pub mod metrics;
pub mod outlet;
pub mod quarantine;

pub use commit::{StartError, Verdict};
pub use config::{Config, FILES, RawConfig};
pub use gateway::{
    BuildError, CONDITION_ALARM, CONDITION_QUARANTINE, CONDITION_STORE, CommitterEnded, Deps, Gateway, Handle,
};
pub use intake::record::{Event, Record};
pub use intake::submit::{Replayed, Submission, Submitter};
pub use outlet::{Outlet, Role, TelemetryOutlet};
pub use quarantine::FILE_NAME as QUARANTINE_FILE;
