//! What the ingestor promises, over real stores.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "ingestor/admin.rs"]
mod admin;
#[path = "ingestor/embedded.rs"]
mod embedded;
#[path = "ingestor/influx.rs"]
mod influx;
#[path = "ingestor/ledger.rs"]
mod ledger;
#[path = "ingestor/line.rs"]
mod line;
#[path = "ingestor/other_servers.rs"]
mod other_servers;
#[path = "ingestor/parked.rs"]
mod parked;
#[path = "ingestor/pipeline.rs"]
mod pipeline;
#[path = "ingestor/read.rs"]
mod read;
#[path = "ingestor/rollups.rs"]
mod rollups;
#[path = "ingestor/scratch.rs"]
mod scratch;
#[path = "ingestor/support.rs"]
mod support;
#[path = "ingestor/window.rs"]
mod window;
