//! Who may see and do what: people of the configuration sign in; in the demo nobody has to, and only this machine gets an answer.
mod attempts;
mod form;
mod guard;
mod kept;
pub(crate) mod password;
mod sessions;
mod sign_in;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use telemetry::{TenantId, UnixMicros};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::metrics::SESSIONS_ENDED;
use attempts::Attempts;
use kept::Kept;
use sessions::{Session, Sessions};

pub(crate) use form::{Named, Sent};
pub use guard::COOKIE as SESSION_COOKIE;
pub(crate) use guard::{Asker, PastTheLock};
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
    /// Digest of that.
    digest: [u8; 32],
}

/// The lock of the console.
pub(crate) struct Access {
    /// Nobody signs in: who everybody is.
    open: Option<Person>,
    https: bool,
    longest: Duration,
    people: BTreeMap<String, Known>,
    sessions: Arc<Mutex<Sessions>>,
    /// Where they are kept; `None`: nowhere.
    kept: Option<Arc<Kept>>,
    attempts: Mutex<Attempts>,
    comparing: Semaphore,
}

impl Access {
    /// `file`: where it is kept who is signed in.
    pub(crate) fn new(config: &Config, file: Option<PathBuf>) -> Self {
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
                digest: registry::sha256(person.password.reveal().as_bytes()),
            };
            (person.name.clone(), known)
        });
        // Where nobody signs in there is nothing to keep.
        let file = file.filter(|_| !config.people.is_empty());
        let (kept, sessions) = file.map(Kept::open).unzip();
        Self {
            open,
            https: config.https,
            longest: config.session,
            people: known.collect(),
            sessions: Arc::new(Mutex::new(sessions.unwrap_or_default())),
            kept: kept.map(Arc::new),
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
            password: self.people.get(name).map_or([0; 32], |known| known.digest),
            since: now,
        };
        let ended = self
            .sessions()
            .begin(registry::sha256(cookie.as_bytes()), session, self.longest);
        ::metrics::counter!(SESSIONS_ENDED).increment(ended as u64);
        self.keep();
        cookie
    }

    /// Ends the session behind a cookie.
    fn end(&self, cookie: &str) {
        self.sessions().end(&registry::sha256(cookie.as_bytes()));
        self.keep();
    }

    fn keep(&self) {
        if let Some(kept) = &self.kept {
            kept.put(&self.sessions);
        }
    }

    /// Who a cookie stands for.
    fn person(&self, cookie: &str, now: UnixMicros) -> Option<Person> {
        let key = registry::sha256(cookie.as_bytes());
        let session = self.sessions().get(&key, now, self.longest).cloned()?;
        // Whoever has a new password since signs in with it.
        let known = self.people.get(&session.name);
        let known = known.filter(|known| known.digest == session.password)?;
        Some(Person {
            name: session.name,
            role: known.role,
            tenant: known.tenant.clone(),
            csrf: token(cookie),
            signed_in: true,
        })
    }
}

/// What each form of a session carries: whoever knows it knows the cookie.
fn token(cookie: &str) -> String {
    hex(&registry::sha256(["form ", cookie].concat().as_bytes()))
}

/// 256 random bits in hexadecimal digits.
fn draw() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex(&bytes)
}

/// As hexadecimal digits.
fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}
