//! The promises of the spool, one module per kind of trouble.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub)]

#[path = "spool/cap.rs"]
mod cap;
#[path = "spool/copy.rs"]
mod copy;
#[path = "spool/damage.rs"]
mod damage;
#[path = "spool/disk_trouble.rs"]
mod disk_trouble;
#[path = "spool/kit.rs"]
mod kit;
#[path = "spool/model.rs"]
mod model;
#[path = "spool/order_of_calls.rs"]
mod order_of_calls;
#[path = "spool/ordinary.rs"]
mod ordinary;
#[path = "spool/sigkill.rs"]
mod sigkill;
