//! Alerting's promises, one module each, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "alerting/desk.rs"]
mod desk;
#[path = "alerting/support.rs"]
mod support;

#[path = "alerting/advice.rs"]
mod advice;
#[path = "alerting/board.rs"]
mod board;
#[path = "alerting/cases.rs"]
mod cases;
#[path = "alerting/catalogue.rs"]
mod catalogue;
#[path = "alerting/crash.rs"]
mod crash;
#[path = "alerting/crowded.rs"]
mod crowded;
#[path = "alerting/elsewhere.rs"]
mod elsewhere;
#[path = "alerting/explain.rs"]
mod explain;
#[path = "alerting/journal.rs"]
mod journal;
#[path = "alerting/laws.rs"]
mod laws;
#[path = "alerting/links.rs"]
mod links;
#[path = "alerting/listing.rs"]
mod listing;
#[path = "alerting/moved.rs"]
mod moved;
#[path = "alerting/one_page.rs"]
mod one_page;
#[path = "alerting/pen.rs"]
mod pen;
#[path = "alerting/people.rs"]
mod people;
#[path = "alerting/plan.rs"]
mod plan;
#[path = "alerting/planner.rs"]
mod planner;
#[path = "alerting/process.rs"]
mod process;
#[path = "alerting/proof_routes.rs"]
mod proof_routes;
#[path = "alerting/receivers/mod.rs"]
mod receivers;
#[path = "alerting/reload.rs"]
mod reload;
#[path = "alerting/repeats.rs"]
mod repeats;
#[path = "alerting/retain.rs"]
mod retain;
#[path = "alerting/rows.rs"]
mod rows;
#[path = "alerting/rules.rs"]
mod rules;
#[path = "alerting/trouble.rs"]
mod trouble;
