//! Who may see and do what: people of the configuration sign in; in the demo nobody has to, and only this machine gets an answer.
mod attempts;
mod form;
mod guard;
pub(crate) mod password;
mod sessions;
mod sign_in;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use telemetry::{TenantId, UnixMicros};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::metrics::SESSIONS_ENDED;
use attempts::Attempts;
use sessions::{Session, Sessions};

pub(crate) use form::Sent;
pub(crate) use sign_in::routes;

/// Passwords that are compared at the same time: each takes 19 MiB and some CPU.
const COMPARED_AT_ONCE: usize = 1;

/// What a person may do. Each may also do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts on alerts, silences one device, and records what was cleaned.
    Responder,
    /// Also silences more than one device, and replays from quarantine.
    Lead,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    /// The name that stands in the journal.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Sees this tenant's only; `None`: everything.
    pub(crate) tenant: Option<TenantId>,
    /// What each form of this person carries.
    pub(crate) csrf: String,
    /// Signed in, so that they may sign out.
    pub(crate) signed_in: bool,
}

impl Person {
    /// Whoever asks by the API: the lock is before it.
    pub(crate) fn of_api() -> Self {
        Self {
            name: "api".to_owned(),
            role: Role::Lead,
            tenant: None,
            csrf: String::new(),
            signed_in: false,
        }
    }

    /// Whether this person's role is enough for what takes `least`.
    pub(crate) fn may(&self, least: Role) -> bool {
        self.role >= least
    }

    /// Whether what belongs to `tenant` (empty: nobody's, as a gateway) is for this person.
    pub(crate) fn sees(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|own| own.as_str() == tenant)
    }
}

/// Somebody of the configuration.
struct Known {
    role: Role,
    tenant: Option<TenantId>,
    hash: String,
}

/// The lock of the console.
pub(crate) struct Access {
    /// Nobody signs in: who everybody is.
    open: Option<Person>,
    https: bool,
    longest: Duration,
    people: BTreeMap<String, Known>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    comparing: Semaphore,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Self {
        let open = config.open.then(|| Person {
            name: "console".to_owned(),
            csrf: draw(),
            ..Person::of_api()
        });
        let known = config.people.iter().map(|person| {
            let known = Known {
                role: person.role,
                tenant: person.tenant.clone(),
                hash: person.password.reveal().to_owned(),
            };
            (person.name.clone(), known)
        });
        Self {
            open,
            https: config.https,
            longest: config.session,
            people: known.collect(),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            comparing: Semaphore::new(COMPARED_AT_ONCE),
        }
    }

    /// Those to whom an alert of a tenant can be given: they see it and may act.
    pub(crate) fn assignable(&self, tenant: &str) -> Vec<String> {
        let may = |known: &Known| {
            known.role >= Role::Responder && known.tenant.as_ref().is_none_or(|own| own.as_str() == tenant)
        };
        let able = self.people.iter().filter(|(_, known)| may(known));
        able.map(|(name, _)| name.clone()).collect()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session. Returns what the cookie holds.
    fn begin(&self, name: &str, now: UnixMicros) -> String {
        let cookie = draw();
        let session = Session {
            name: name.to_owned(),
            csrf: draw(),
            since: now,
        };
        let ended = self
            .sessions()
            .begin(registry::sha256(cookie.as_bytes()), session, self.longest);
        ::metrics::counter!(SESSIONS_ENDED).increment(ended as u64);
        cookie
    }

    /// Who a cookie stands for.
    fn person(&self, cookie: &str, now: UnixMicros) -> Option<Person> {
        let key = registry::sha256(cookie.as_bytes());
        let session = self.sessions().get(&key, now, self.longest).cloned()?;
        let known = self.people.get(&session.name)?;
        Some(Person {
            name: session.name,
            role: known.role,
            tenant: known.tenant.clone(),
            csrf: session.csrf,
            signed_in: true,
        })
    }
}

/// 256 random bits in hexadecimal digits.
fn draw() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
