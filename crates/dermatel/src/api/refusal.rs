//! A refusal in JSON, also where a request is refused before its route is asked: a path, query or body that cannot be read, a
//! method that is not there.
use axum::Json;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;

/// Longest text of a refusal that is passed on, in bytes.
const TEXT_MAX: usize = 4_096;

/// A refusal that says why.
pub(crate) fn refuse(status: StatusCode, why: &str) -> Response {
    let refusal = Refusal {
        error: why.to_owned(),
        faults: Vec::new(),
    };
    (status, Json(refusal)).into_response()
}

/// The same routes; whatever they refuse is JSON.
pub(crate) fn in_json(router: Router) -> Router {
    router.layer(map_response(as_json))
}

async fn as_json(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !status.is_client_error() || is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, TEXT_MAX).await.unwrap_or_default();
    let said = match String::from_utf8_lossy(&said) {
        text if text.is_empty() => status.canonical_reason().unwrap_or("refused").to_lowercase(),
        text => text.into_owned(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let mut answer = refuse(status, &said);
    answer.headers_mut().extend(parts.headers);
    answer
}
