//! Each request's person: from the cookie, or everybody where nobody signs in. Who is nobody is sent to the sign-in.
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::Person;
use crate::answer::{Refusal, bounce};
use crate::console::Console;
use crate::url;

/// The cookie's name.
pub const COOKIE: &str = "dermatel_session";

/// The header as text.
pub(super) fn said<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The session's cookie, if there is one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether the address that was asked for is this machine's own. Another name that leads here is a trick: a page from elsewhere
/// could then read what is shown.
fn is_asked_here(headers: &HeaderMap) -> bool {
    let Some(host) = said(headers, "host") else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where to go on after the sign-in: a place of ours, never another site.
pub(super) fn next(asked: Option<&str>) -> &str {
    asked.and_then(url::own).unwrap_or("/")
}

/// The person of a request: everybody where nobody signs in, else whom the cookie stands for.
fn known(headers: &HeaderMap, console: &Console) -> Result<Person, Refusal> {
    let access = &console.access;
    if let Some(person) = &access.open {
        return match is_asked_here(headers) {
            true => Ok(person.clone()),
            false => Err(Refusal::Elsewhere),
        };
    }
    let known = cookie(headers).and_then(|cookie| access.person(cookie, console.now()));
    known.ok_or(Refusal::SignedOut)
}

/// Marks a request that is past the lock of the API: whoever asks may see everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastTheLock;

/// Who asks for JSON: whoever is past the lock of the API, or a person of the console.
pub(crate) struct Asker(pub(crate) Person);

impl FromRequestParts<Console> for Asker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        if parts.extensions.get::<PastTheLock>().is_some() {
            return Ok(Self(Person::of_api()));
        }
        known(&parts.headers, console)
            .map(Self)
            .map_err(|refusal| refusal.json(console))
    }
}

impl FromRequestParts<Console> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        match known(&parts.headers, console) {
            Ok(person) => return Ok(person),
            Err(Refusal::SignedOut) => {}
            Err(refusal) => return Err(refusal.page(console, None)),
        }
        if parts.method != Method::GET {
            return Err(Refusal::SignedOut.page(console, None));
        }
        // A link in a mail or chat comes without the cookie, which is for our own pages only: asked again from here it comes.
        if said(&parts.headers, "sec-fetch-site") == Some("cross-site") && cookie(&parts.headers).is_none() {
            return Err(bounce(console));
        }
        let asked = parts.uri.path_and_query().map(|asked| asked.as_str());
        Err(Redirect::to(&format!("/sign-in?next={}", url::encoded(next(asked)))).into_response())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn without_a_sign_in_only_this_machines_own_addresses_are_answered() {
        for here in [
            "localhost",
            "localhost:9464",
            "127.0.0.1:9464",
            "127.8.0.1",
            "[::1]:9464",
            "[::1]",
        ] {
            assert!(is_asked_here(&with("host", here)), "{here}");
        }
        for elsewhere in [
            "",
            "evil.example",
            "evil.example:9464",
            "127.0.0.1.evil.example",
            "192.168.1.7:80",
            "[fe80::1]",
        ] {
            assert!(!is_asked_here(&with("host", elsewhere)), "{elsewhere}");
        }
        assert!(!is_asked_here(&HeaderMap::new()));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(cookie(&with("cookie", "a=b; dermatel_session=xyz; c=d")), Some("xyz"));
        assert_eq!(cookie(&with("cookie", "dermatel_session_old=xyz")), None);
        assert_eq!(cookie(&HeaderMap::new()), None);
    }
}
