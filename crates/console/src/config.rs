//! The console's section of the configuration: who may use it.
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::{Problems, Secret, Setting, Validate};
use telemetry::TenantId;

use crate::access::{Role, password};

/// Most people in the configuration.
pub const MAX_PEOPLE: usize = 500;
/// Longest name of a person in bytes: what the journal takes.
pub const MAX_NAME_BYTES: usize = 64;

/// Who may use the console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Nobody signs in: whoever reaches the address may do everything. On loopback addresses only.
    pub open: bool,
    /// People reach it through https only: the cookie travels nowhere else.
    pub https: bool,
    /// How long after signing in one has to do so again.
    #[serde(with = "service::config::duration")]
    pub session: Duration,
    /// Who may sign in.
    pub people: Vec<PersonConfig>,
}

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonConfig {
    /// The name that stands in the journal; with a paging plan, the one of the plan.
    pub name: String,
    /// What this person may do.
    pub role: Role,
    /// Sees this tenant's only; not set: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What `dermatel password` prints.
    pub password: Secret,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            open: false,
            https: false,
            session: Duration::from_secs(12 * 3_600),
            people: Vec::new(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &mut Problems) {
        let session = (Duration::from_secs(300)..=Duration::from_secs(30 * 86_400)).contains(&self.session);
        at.check("session", session, "must be 5m to 30d");
        at.check(
            "open",
            !self.open || self.people.is_empty(),
            "with it nobody signs in, so console.people must be empty",
        );
        at.check(
            "people",
            self.people.len() <= MAX_PEOPLE,
            format_args!("at most {MAX_PEOPLE} are allowed"),
        );
        let mut names = BTreeSet::new();
        for (n, person) in self.people.iter().enumerate() {
            at.entry("people", n, |at| {
                let name = &person.name;
                let fine =
                    !name.trim().is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
                at.check(
                    "name",
                    fine,
                    format_args!("must have 1 to {MAX_NAME_BYTES} bytes in one line"),
                );
                at.check("name", names.insert(name), "another person has it, give each their own");
                at.check(
                    "password",
                    password::is_hash(person.password.reveal()),
                    "is no hash, `dermatel password` makes one",
                );
            });
        }
    }
}

impl Config {
    /// Whether there is a console: somebody may sign in, or nobody has to.
    pub fn is_served(&self) -> bool {
        self.open || !self.people.is_empty()
    }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "open",
        "false",
        "Nobody signs in to the console: whoever reaches http.listen may do everything. Only with a loopback address there.",
    ),
    Setting::new(
        "https",
        "false",
        "People reach the console through https only (a proxy before it): the session's cookie travels nowhere else. A proxy that\n\
         sends X-Forwarded-Proto: https says the same.",
    ),
    Setting::new(
        "session",
        "\"12h\"",
        "How long after signing in one has to do so again; 5m to 30d.",
    ),
    Setting::new(
        "people",
        "[]",
        "Who may sign in to the console; with none (and open = false) there is no console. One entry is, for example:\n\
         [[console.people]]\n\
         name = \"anna\"                  # stands in the journal; with a paging plan, the name there\n\
         role = \"responder\"             # viewer: looks; responder: acts on alerts, records; lead: also silences more than a device\n\
         tenant = \"aurora\"              # sees this tenant's only; not set: everything\n\
         password = { file = \"anna.password\" }   # what `dermatel password` prints",
    ),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use service::config::{Sources, check_settings, load};

    use super::*;

    #[test]
    fn the_table_of_settings_is_the_structs_and_its_defaults() {
        check_settings::<Config>(SETTINGS).unwrap();
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let text = "open = true\nsession = \"1m\"\n[[people]]\nname = \"a\"\nrole = \"viewer\"\npassword = \"plain\"\n\
                    [[people]]\nname = \"a\"\nrole = \"lead\"\npassword = \"x\"\n";
        let said = load::<Config>(&Sources::new().file("c.toml", text))
            .unwrap_err()
            .to_string();
        for place in ["c.toml:1:", "c.toml:2:", "c.toml:6:", "c.toml:8:", "c.toml:10:"] {
            assert!(said.contains(place), "{place} in {said}");
        }
        assert!(!said.contains("plain"), "{said}");
    }

    #[test]
    fn there_is_no_console_unless_somebody_may_sign_in_or_nobody_has_to() {
        assert!(!Config::default().is_served());
        let open = Config {
            open: true,
            ..Config::default()
        };
        assert!(open.is_served());
    }
}
