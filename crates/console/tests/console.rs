//! The console's promises, one module each, in one binary: its router over a real alerting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "console/behind.rs"]
mod behind;
#[path = "console/support.rs"]
mod support;

#[path = "console/acting.rs"]
mod acting;
#[path = "console/apart.rs"]
mod apart;
#[path = "console/bad_input.rs"]
mod bad_input;
#[path = "console/forms.rs"]
mod forms;
#[path = "console/malformed.rs"]
mod malformed;
#[path = "console/many.rs"]
mod many;
#[path = "console/news.rs"]
mod news;
#[path = "console/shown.rs"]
mod shown;
#[path = "console/signing_in.rs"]
mod signing_in;
#[path = "console/views.rs"]
mod views;
