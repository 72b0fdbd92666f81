//! Spool out, points stored: windows, completeness, and the store behind one seam. Never pages.
//!
//! ```text
//! spool ──▶ intake ──▶ lanes ──▶ writes ──▶ ledger ──▶ cursor
//!           decode     batches   in flight  sessions,  over the contiguous
//!           window     per       retry,     quarantine prefix that the store
//!                      tenant    bisect                confirmed
//! ```
//!
//! A record is stored when the store said so; then the ledger takes it in; then the cursor moves. A kill at any moment leaves
//! the cursor behind, and everything is done again with the same result: a record is a function of the message it came from,
//! a point written twice is one point, and the ledger holds sets.

pub mod admin;
pub mod config;
pub mod frame;
pub mod ledger;
pub mod line;
pub mod metrics;
mod pipeline;
pub mod read;
pub mod record;
pub mod rollup;
pub mod schema;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod value;
pub mod window;

pub use config::{Config, RawConfig};
pub use frame::Fleet;
pub use pipeline::{BuildError, CURSOR, Ingestor, LEDGER_FILE, PARKED_CURSOR, PARKED_FOLDER, STORE_FILE};
