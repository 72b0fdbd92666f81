//! The bearer token of the remote API; and what whoever may see the console's pages is answered without it.
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use service::config::Secret;
use tower::ServiceExt as _;

use super::refuse;

/// Where the console's pages are as JSON.
const PAGES: &str = "/v1/console/";

/// What lets in.
#[derive(Clone)]
pub(crate) struct Lock {
    /// To everything.
    pub(crate) token: Secret,
    /// To the console's pages as JSON, for looking: answers by who is signed in. `None`: there is no console.
    pub(crate) people: Option<Router>,
}

/// Lets a request pass that carries the token; one without any that asks for a page is its person's, and no more than that.
pub(crate) async fn check(State(lock): State<Lock>, request: Request, next: Next) -> Response {
    let Lock { token, people } = lock;
    let bare = !request.headers().contains_key(header::AUTHORIZATION);
    if let Some(people) = people.filter(|_| bare && request.uri().path().starts_with(PAGES)) {
        // As it came: what the locked router found out about it is not for another one.
        let (mut parts, body) = request.into_parts();
        parts.extensions.clear();
        return people.oneshot(Request::from_parts(parts, body)).await.into_response();
    }
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
