//! The console: what on-call and clinic staff look at. Pages are rendered here and work without a script; the script only brings
//! what is new without a reload.
//!
//! A page is one file below [`page`]: what is asked for, a pure view model, a template. The view model is also the page's JSON.
//! Deliberately absent: any decision. The console asks alerting, the registry and the stores, and passes on what people do.

mod access;
mod answer;
mod asset;
mod chart;
pub mod config;
mod console;
mod fleet;
mod known;
mod live;
pub mod metrics;
mod page;
pub mod pipeline;
mod render;
mod text;
mod time;
mod url;

pub use crate::access::SESSION_COOKIE;
pub use crate::access::password::{PasswordError, hash as hash_password};
pub use crate::config::Config;
pub use crate::console::{BuildError, Console, Parts};
pub use crate::page::{Shape, api_shapes, silence_scopes, silence_spans};
pub use crate::text::{Texts, fill};

use axum::Router;
use axum::routing::get;
use service::shutdown::Shutdown;

/// The pages, for the open HTTP address: who may see what is decided here. What is live ends when `shutdown` begins.
pub fn router(console: Console, shutdown: Shutdown) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(access::routes())
        .merge(live::routes(shutdown))
        .route(asset::STYLE_PATH, get(asset::style))
        .route(asset::SCRIPT_PATH, get(asset::script))
        .fallback(answer::nothing_here)
        .method_not_allowed_fallback(answer::form_only)
        .layer(axum::middleware::from_fn_with_state(console.clone(), answer::in_time))
        .layer(axum::middleware::from_fn(answer::guard_headers))
        .with_state(console)
}

/// The same pages as JSON, below `/v1/console`. Who may ask is decided by whoever mounts it.
pub fn api_router(console: Console) -> Router {
    let past_the_lock = axum::Extension(access::PastTheLock);
    page::api_routes().layer(past_the_lock).with_state(console)
}

/// The same for whoever may see the pages, and of what they may see: where no token stands before the API.
pub fn api_router_for_people(console: Console) -> Router {
    page::api_routes()
        .layer(axum::middleware::from_fn(answer::guard_headers))
        .with_state(console)
}
