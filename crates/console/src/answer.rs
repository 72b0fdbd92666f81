//! What is answered when there is no page to show: a plain message that says what happened and what to do, never a blank page.
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::access::Person;
use crate::console::Console;
use crate::metrics::FAILED;
use crate::render::Shown;

/// Why a page is not shown.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// What was asked for is not there, or not for this person: both look the same.
    NotFound,
    /// The address asks for what no page knows.
    Asked(String),
    /// This person may not do that.
    NotAllowed,
    /// Nobody is signed in who could do that.
    SignedOut,
    /// Without a sign-in, this machine's own addresses only.
    Elsewhere,
    /// A form that is none of ours, or of a session that is over.
    NotOurForm,
    /// It took too long, or what was sent never came whole.
    GivenUp,
    /// As many pages are live as may be.
    NoPlace,
    /// It is JSON for looking, and something else was asked.
    NoMethod,
    /// It was not done, and this is why: in words of ours, with what is not ours filled in.
    Not {
        /// How HTTP calls it.
        status: StatusCode,
        /// Section of the texts.
        key: &'static str,
        /// What exactly.
        more: String,
        /// Where to go on.
        back: String,
    },
    /// Something behind the page failed.
    Failed {
        /// What.
        what: &'static str,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    /// Something behind the page failed.
    pub(crate) fn failed(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed {
            what,
            error: Box::new(error),
        }
    }

    /// Another process has it.
    pub(crate) fn elsewhere(key: &'static str, back: &str) -> Self {
        Self::Not {
            status: StatusCode::MISDIRECTED_REQUEST,
            key,
            more: String::new(),
            back: back.to_owned(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Asked(_) => StatusCode::BAD_REQUEST,
            Self::NotAllowed | Self::Elsewhere | Self::NotOurForm => StatusCode::FORBIDDEN,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::GivenUp => StatusCode::REQUEST_TIMEOUT,
            Self::NoPlace => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Not { status, .. } => *status,
            Self::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The section of its texts.
    fn key(&self) -> &'static str {
        match self {
            Self::NotFound => "message.not_found",
            Self::Asked(_) => "message.asked",
            Self::NotAllowed => "message.not_allowed",
            Self::SignedOut => "message.signed_out",
            Self::GivenUp => "message.given_up",
            Self::NoPlace => "message.no_place",
            Self::NoMethod => "message.no_method",
            Self::Elsewhere => "message.elsewhere",
            Self::NotOurForm => "message.not_our_form",
            Self::Not { key, .. } => key,
            Self::Failed { .. } => "message.failed",
        }
    }

    /// Counts and logs what an operator has to know.
    fn note(&self) {
        if let Self::Failed { what, error } = self {
            ::metrics::counter!(FAILED).increment(1);
            tracing::warn!(what, error = %error, "a page of the console cannot be shown");
        }
    }

    /// As a page.
    pub(crate) fn page(self, console: &Console, who: Option<&Person>) -> Response {
        self.note();
        let texts = console.templates.texts();
        let (more, back) = match &self {
            Self::Asked(what) => (what.clone(), "/"),
            Self::Not { more, back, .. } => (more.clone(), back.as_str()),
            _ => (String::new(), "/"),
        };
        let message = Message {
            title: texts.get(&format!("{}.title", self.key())).to_owned(),
            text: texts.get(&format!("{}.text", self.key())).to_owned(),
            more,
            back: back.to_owned(),
        };
        message.page(console, who, self.status())
    }

    /// As JSON.
    pub(crate) fn json(self, console: &Console) -> Response {
        self.note();
        let text = console
            .templates
            .texts()
            .get(&format!("{}.text", self.key()))
            .to_owned();
        let text = match &self {
            // Whoever asks for JSON did nothing, and there are two ways in.
            Self::SignedOut => console.templates.texts().get("message.signed_out.json").to_owned(),
            Self::Asked(what) | Self::Not { more: what, .. } => format!("{text} {what}"),
            _ => text,
        };
        (self.status(), axum::Json(serde_json::json!({ "error": text }))).into_response()
    }
}

/// A page that only says something.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// What happened.
    pub(crate) title: String,
    /// What to do.
    pub(crate) text: String,
    /// What exactly; may be empty.
    pub(crate) more: String,
    /// Where to go on.
    pub(crate) back: String,
}

impl Message {
    /// The page.
    pub(crate) fn page(&self, console: &Console, who: Option<&Person>, status: StatusCode) -> Response {
        let page = console
            .templates
            .page(console, Shown::alone("message.html"), who, self, &[]);
        (status, page).into_response()
    }
}

/// A page that asks for itself again, now as one of ours.
pub(crate) fn bounce(console: &Console) -> Response {
    console
        .templates
        .page(console, Shown::alone("bounce.html"), None, &(), &[])
}

/// Whatever has no route.
pub(crate) async fn nothing_here(State(console): State<Console>) -> Response {
    Refusal::NotFound.page(&console, None)
}

/// An address that takes a form was opened without one: again by a reload, from a bookmark or from the history.
pub(crate) async fn form_only(State(console): State<Console>, asked: Request) -> Response {
    let (above, _) = asked.uri().path().rsplit_once('/').unwrap_or_default();
    let back = match above {
        above if above.starts_with("/alerts/") => above,
        above if above.starts_with("/silences") => "/silences",
        "/sterilization" | "/pipeline" => above,
        _ => "/",
    };
    let refusal = Refusal::Not {
        status: StatusCode::METHOD_NOT_ALLOWED,
        key: "message.form_only",
        more: String::new(),
        back: back.to_owned(),
    };
    refusal.page(&console, None)
}

/// A page of which only is looked at was asked for something else, as JSON.
pub(crate) async fn only_looking(State(console): State<Console>) -> Response {
    Refusal::NoMethod.json(&console)
}

/// Longest time from a request's head to its answer: sooner than the server gives up, which knows no pages.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(25);
const _: () = assert!(GIVEN_UP_AFTER.as_secs() < service::http::ANSWER_WITHIN.as_secs());

/// A page that takes too long is given up in words.
pub(crate) async fn in_time(State(console): State<Console>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(GIVEN_UP_AFTER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::GivenUp.page(&console, None),
    }
}

/// What every answer of the console carries: nothing from elsewhere, no frame, nothing kept.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Sets [`HEADERS`] where the answer does not say otherwise.
pub(crate) async fn guard_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
