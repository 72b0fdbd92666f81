//! The one stylesheet and the one script, within the program.
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Where the stylesheet is.
pub(crate) const STYLE_PATH: &str = "/console/console.css";
/// Where the script is.
pub(crate) const SCRIPT_PATH: &str = "/console/console.js";

const STYLE: &str = concat!(
    include_str!("../assets/console.css"),
    "\n",
    include_str!("../assets/pages.css")
);
const SCRIPT: &str = include_str!("../assets/console.js");

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// What differs between versions of the program, for the address of what is cached.
pub(crate) fn version() -> String {
    let digest = registry::sha256([STYLE, SCRIPT].concat().as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // The pages name it with its version.
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, text).into_response()
}
