//! The bearer token of the remote API.
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use service::config::Secret;

use super::refuse;

/// Lets a request pass that carries the token.
pub(crate) async fn check(State(token): State<Secret>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match given {
        // Digests, so that the time taken tells nothing about the token.
        Some(given) if registry::sha256(given.as_bytes()) == registry::sha256(token.reveal().as_bytes()) => {
            next.run(request).await
        }
        _ => refuse(
            StatusCode::UNAUTHORIZED,
            "send the token of http.token as `Authorization: Bearer …`",
        ),
    }
}
