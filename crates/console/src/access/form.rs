//! What a person sends: a form of ours, with the token that only our pages hold. What another site lets a browser send is refused.
use axum::Form;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Person;
use super::guard::said;
use crate::answer::Refusal;
use crate::console::Console;
use crate::metrics::FORMS_REFUSED;

/// Largest form in bytes.
const MAX_FORM: usize = 64 * 1024;

/// A form that a person sent from one of our pages.
pub(crate) struct Sent<T> {
    /// Who.
    pub(crate) who: Person,
    /// What.
    pub(crate) said: T,
}

/// What stands in the address of a form; what is no text is nothing that is here.
pub(crate) struct Named(pub(crate) String);

impl FromRequestParts<Console> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let named = Path::<String>::from_request_parts(parts, console).await;
        let named = named.map(|Path(name)| Self(name));
        named.map_err(|_| Refusal::NotFound.page(console, None))
    }
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

/// Whether a browser says that a page of another site made it send this.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    said(headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

fn refuse(console: &Console, who: &Person, why: Refusal) -> Response {
    ::metrics::counter!(FORMS_REFUSED).increment(1);
    why.page(console, Some(who))
}

impl<T: DeserializeOwned> FromRequest<Console> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let who = Person::from_request_parts(&mut parts, console).await?;
        if is_from_elsewhere(&parts.headers) {
            return Err(refuse(console, &who, Refusal::NotOurForm));
        }
        let Ok(bytes) = to_bytes(body, MAX_FORM).await else {
            return Err(refuse(
                console,
                &who,
                Refusal::Asked("the form is too large".to_owned()),
            ));
        };
        let again = || Request::from_parts(parts.clone(), Body::from(bytes.clone()));
        let token = Form::<Token>::from_request(again(), console).await;
        // Drawn at random and compared by digest, so that the time taken tells nothing.
        let token = token.map(|Form(token)| registry::sha256(token.csrf.as_bytes()));
        if token.ok() != Some(registry::sha256(who.csrf.as_bytes())) {
            return Err(refuse(console, &who, Refusal::NotOurForm));
        }
        match Form::<T>::from_request(again(), console).await {
            Ok(Form(said)) => Ok(Self { who, said }),
            Err(error) => Err(refuse(console, &who, Refusal::Asked(error.body_text()))),
        }
    }
}
