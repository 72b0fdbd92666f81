//! Signing in and out.
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::form::{Sent, is_from_elsewhere};
use super::guard::{COOKIE, cookie, next, said};
use super::password;
use crate::answer::Refusal;
use crate::console::Console;
use crate::metrics::SIGN_INS;
use crate::render::Shown;
use crate::text::fill;

/// A hash of a password that nobody has: an unknown name takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LW5vYm9keQ$0mN0H0tGJvZoJCiyTj5nYlI3dFqD1tFq7sZ1lJw5d2E";

/// Where one signs in and out.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    name: String,
    password: String,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Serialize)]
struct View<'v> {
    next: &'v str,
    name: &'v str,
    /// Why it was not taken; empty: not tried.
    wrong: &'v str,
}

/// What came of an attempt; the label of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fine,
    Wrong,
    TooOften(u64),
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Wrong => "wrong",
            Self::TooOften(_) => "too_often",
        }
    }
}

fn page(console: &Console, status: StatusCode, view: &View<'_>) -> Response {
    let page = console
        .templates
        .page(console, Shown::alone("sign_in.html"), None, view, &[]);
    (status, page).into_response()
}

/// The page again, for what cannot be read.
fn unread(console: &Console, status: StatusCode) -> Response {
    let view = View {
        next: next(None),
        name: "",
        wrong: console.templates.texts().get("sign_in.unread"),
    };
    page(console, status, &view)
}

async fn ask(State(console): State<Console>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    if console.access.open.is_some() {
        return Redirect::to("/").into_response();
    }
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return unread(&console, error.status()),
    };
    let view = View {
        next: next(asked.next.as_deref()),
        name: "",
        wrong: "",
    };
    page(&console, StatusCode::OK, &view)
}

/// Compares name and password, not too often and one at a time.
async fn attempt(console: &Console, name: &str, password: String) -> Outcome {
    let access = &console.access;
    let known = access.people.get(name);
    let counted = if known.is_some() { name } else { "" };
    if let Err(wait) = access.attempts().count(counted, console.now()) {
        return Outcome::TooOften(wait);
    }
    let hash = known.map_or_else(|| NOBODY.to_owned(), |known| known.hash.clone());
    // Closed by nobody.
    let Ok(_turn) = access.comparing.acquire().await else {
        return Outcome::Wrong;
    };
    let fits = tokio::task::spawn_blocking(move || password::fits(&password, &hash)).await;
    match (known, fits) {
        (Some(_), Ok(true)) => {
            access.attempts().forget(name);
            Outcome::Fine
        }
        _ => Outcome::Wrong,
    }
}

async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    sent: Result<Form<Said>, FormRejection>,
) -> Response {
    if is_from_elsewhere(&headers) {
        return Refusal::NotOurForm.page(&console, None);
    }
    let Form(Said {
        name,
        password,
        next: asked,
    }) = match sent {
        Ok(sent) => sent,
        Err(error) => return unread(&console, error.status()),
    };
    let name = name.trim();
    let outcome = attempt(&console, name, password).await;
    ::metrics::counter!(SIGN_INS, "outcome" => outcome.as_str()).increment(1);
    let texts = console.templates.texts();
    let (status, wrong) = match outcome {
        Outcome::Fine => {
            tracing::info!(person = name, "signed in to the console");
            let cookie = access_cookie(&console, name, &headers);
            let goes = Redirect::to(next(asked.as_deref()));
            return ([(header::SET_COOKIE, cookie)], goes).into_response();
        }
        Outcome::Wrong => (StatusCode::UNAUTHORIZED, texts.get("sign_in.wrong").to_owned()),
        Outcome::TooOften(wait) => {
            let wait = wait.to_string();
            let text = fill(texts.get("sign_in.too_often"), &[("seconds", &wait)]);
            (StatusCode::TOO_MANY_REQUESTS, text)
        }
    };
    let view = View {
        next: next(asked.as_deref()),
        name,
        wrong: &wrong,
    };
    page(&console, status, &view)
}

/// The cookie of a new session. Only hexadecimal digits and our own words: it always is a header's value.
fn access_cookie(console: &Console, name: &str, headers: &HeaderMap) -> HeaderValue {
    let access = &console.access;
    let value = access.begin(name, console.now());
    let secure = access.https || said(headers, "x-forwarded-proto") == Some("https");
    let secure = if secure { "; Secure" } else { "" };
    let seconds = access.longest.as_secs();
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[derive(Deserialize)]
struct Nothing {}

async fn sign_out(State(console): State<Console>, headers: HeaderMap, sent: Sent<Nothing>) -> Response {
    let Nothing {} = sent.said;
    if let Some(cookie) = cookie(&headers) {
        console.access.end(cookie);
    }
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_name_costs_as_much_as_a_wrong_password() {
        assert!(super::password::is_hash(super::NOBODY));
    }
}
