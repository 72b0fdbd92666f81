//! Who may see and do what.
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use telemetry::TenantId;

use crate::config::Config;
use crate::console::Console;

/// What a person may do. Each one may also do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Looks.
    Viewer,
    /// Acts on alerts, and records what was cleaned.
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
}

impl Person {
    /// Whether this person's role is enough for what takes `least`.
    pub(crate) fn may(&self, least: Role) -> bool {
        self.role >= least
    }

    /// Whoever asks by the API: the lock is before it.
    pub(crate) fn of_api() -> Self {
        Self {
            name: "api".to_owned(),
            role: Role::Lead,
            tenant: None,
            csrf: String::new(),
        }
    }

    /// Whether what belongs to `tenant` (empty: nobody's, as a gateway) is for this person.
    pub(crate) fn sees(&self, tenant: &str) -> bool {
        self.tenant.as_ref().is_none_or(|own| own.as_str() == tenant)
    }
}

/// The lock of the console.
pub(crate) struct Access {
    open: Person,
}

impl Access {
    pub(crate) fn new(_config: &Config) -> Self {
        Self {
            open: Person {
                name: "console".to_owned(),
                ..Person::of_api()
            },
        }
    }
}

impl FromRequestParts<Console> for Person {
    type Rejection = Response;

    async fn from_request_parts(_parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        Ok(console.access.open.clone())
    }
}
