//! Silencing from an alert: what it would hide first, then why, then it holds. And the silences that hold.
use std::time::Duration;

use alerting::engine::Alert;
use alerting::intake::Silence;
use alerting::paging::{Preview, SilenceError, SilencePolicy};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{Priority, UnixMicros};

use super::Page;
use super::alert::known;
use super::inbox::done;
use super::row::Row;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::console::Console;
use crate::time::round_span;
use crate::url;

pub(crate) struct MakeSilence;
pub(crate) struct Silences;

/// What can be silenced around an alert: name, and who may.
pub(crate) const SCOPES: [(&str, Role); 4] = [
    ("rule_on_device", Role::Responder),
    ("device", Role::Responder),
    ("rule_in_clinic", Role::Lead),
    ("clinic", Role::Lead),
];
/// For how long: name and hours.
const SPANS: [(&str, u64); 6] = [("1h", 1), ("4h", 4), ("8h", 8), ("1d", 24), ("3d", 72), ("7d", 168)];
/// As long as the plan allows.
const LONGEST: &str = "longest";
/// The most urgent priority that is ever silenced from here, whatever more the plan allows.
const UP_TO: Priority = Priority::Medium;

/// The names of what can be silenced.
pub fn silence_scopes() -> impl Iterator<Item = &'static str> {
    SCOPES.into_iter().map(|(name, _)| name)
}

/// The names of how long.
pub fn silence_spans() -> impl Iterator<Item = &'static str> {
    SPANS.into_iter().map(|(name, _)| name).chain([LONGEST])
}

/// For how long the plan allows a silence: those of [`SPANS`] that are not longer, and the longest itself where it is none of them and
/// shorter than the last.
fn spans(policy: &SilencePolicy) -> Vec<(&'static str, Duration)> {
    let all = SPANS.map(|(name, hours)| (name, Duration::from_secs(hours * 3_600)));
    let longer = all.iter().any(|(_, span)| *span > policy.longest);
    let is_one = all.iter().any(|(_, span)| *span == policy.longest);
    let longest = (longer && !is_one).then_some((LONGEST, policy.longest));
    let allowed = all.into_iter().filter(|(_, span)| *span <= policy.longest);
    allowed.chain(longest).collect()
}

/// What is asked for; empty: the first of each.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) scope: String,
    pub(crate) span: String,
    pub(crate) reason: String,
}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SilenceView")]
pub(crate) struct View {
    /// The alert.
    alert: Row,
    /// What may be silenced around it, by whoever asks.
    scopes: Vec<&'static str>,
    /// For how long: what the plan allows. `longest` is as long as it does.
    spans: Vec<&'static str>,
    /// The longest that the plan allows, as text; `null`: all that is ever offered here is.
    longest: Option<String>,
    /// Whoever asks may answer for a silence: with a plan only its people may, who can be reminded.
    may_own: bool,
    /// What would be silenced.
    scope: &'static str,
    /// For how long it would be.
    span: &'static str,
    /// What it would hide.
    preview: Preview,
    /// The silence that would be made.
    silence: Silence,
    /// This alert goes on as before: it is more urgent than a silence may hide, or somebody was told already.
    above: bool,
}

/// Whether a scope says something about an alert. What is a part of the installation has no tenant and no clinic: without its rule a
/// silence would hide the devices of everybody who called one the same.
fn fits(alert: &Alert, scope: &str) -> bool {
    match (alert.tenant.is_empty(), alert.clinic.is_empty()) {
        (true, _) => scope == "rule_on_device",
        (false, true) => !scope.contains("clinic"),
        (false, false) => true,
    }
}

/// The silence that is asked for around an alert.
pub(crate) fn wanted(
    alert: &Alert,
    who: &Person,
    asked: &Asked,
    policy: &SilencePolicy,
    now: UnixMicros,
) -> Result<(&'static str, &'static str, Silence), Refusal> {
    let scope = SCOPES
        .iter()
        .find(|(name, _)| asked.scope.is_empty() || *name == asked.scope);
    if !asked.span.is_empty() && !silence_spans().any(|name| name == asked.span) {
        return Err(Refusal::Asked(format!("span={}", asked.span)));
    }
    let span = spans(policy)
        .into_iter()
        .find(|(name, _)| asked.span.is_empty() || *name == asked.span);
    let Some((scope, least)) = scope else {
        return Err(Refusal::Asked(format!("scope={}", asked.scope)));
    };
    // Offered once, by a plan that has changed since, or typed.
    let Some((span, lasts)) = span else {
        return Err(Refusal::Not {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            key: "message.silence_refused",
            more: SilenceError::TooLong.to_string(),
            back: url::with(&format!("/alerts/{}/silence", alert.id), &[("scope", scope)]),
        });
    };
    // What is nobody's clinic's would silence everybody's.
    if !who.may(*least) || alert.tenant.is_empty() && who.tenant.is_some() {
        return Err(Refusal::NotAllowed);
    }
    if !fits(alert, scope) {
        return Err(Refusal::Asked(format!("scope={scope}")));
    }
    let whole_device = scope.contains("device");
    let silence = Silence {
        tenant: alert.tenant.clone(),
        clinic: if whole_device {
            String::new()
        } else {
            alert.clinic.clone()
        },
        device: if whole_device {
            alert.device.clone()
        } else {
            String::new()
        },
        rule: if scope.starts_with("rule") {
            alert.rule.clone()
        } else {
            String::new()
        },
        max_priority: if policy.max_priority < UP_TO {
            policy.max_priority
        } else {
            UP_TO
        },
        from: now,
        until: now.plus(lasts),
    };
    Ok((scope, span, silence))
}

impl Page for MakeSilence {
    const TEMPLATE: &'static str = "silence.html";
    const SECTION: &'static str = "silences";
    type Path = String;
    type Query = Asked;
    type View = View;

    async fn view(console: &Console, who: &Person, id: String, asked: Asked) -> Result<View, Refusal> {
        let (_, alert) = known(console, who, &id).await?;
        let policy = console.alerts.silence_policy();
        let (scope, span, silence) = wanted(&alert, who, &asked, &policy, console.now())?;
        let spans: Vec<_> = spans(&policy).into_iter().map(|(name, _)| name).collect();
        let is_cut = SPANS.iter().any(|(name, _)| !spans.contains(name));
        let preview = console.alerts.preview_silence(silence.clone()).await;
        let preview = preview.map_err(|error| Refusal::failed("the preview of a silence", error))?;
        Ok(View {
            scopes: SCOPES
                .iter()
                .filter(|(name, least)| who.may(*least) && fits(&alert, name))
                .map(|(name, _)| *name)
                .collect(),
            spans,
            longest: is_cut.then(|| round_span(policy.longest)),
            may_own: console.alerts.may_own_silence(&who.name),
            above: alert.priority > silence.max_priority,
            alert: Row::new(alert, &console.registry.current()),
            scope,
            span,
            preview,
            silence,
        })
    }
}

/// One that holds or will.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SilenceRow")]
pub(crate) struct Holds {
    /// Its id.
    id: String,
    /// Who answers for it.
    owner: String,
    /// What it hides.
    what: Silence,
    /// From when on, in microseconds since 1970-01-01 UTC.
    from_us: i64,
    /// Until when, in microseconds since 1970-01-01 UTC.
    until_us: i64,
    /// This person may end it.
    may_end: bool,
}

/// The silences that hold.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SilencesView")]
pub(crate) struct AllSilences {
    /// The silences, the one that ends first at first.
    silences: Vec<Holds>,
    /// Always `null` here: a message above the page.
    done: Option<&'static str>,
}

/// What was just done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    done: String,
}

/// Whether somebody may end it: their own, one of a device, or as lead any.
pub(crate) fn may_end(who: &Person, owner: &str, what: &Silence) -> bool {
    who.sees(&what.tenant)
        && (who.may(Role::Lead) || who.may(Role::Responder) && (owner == who.name || !what.device.is_empty()))
}

impl Page for Silences {
    const TEMPLATE: &'static str = "silences.html";
    const SECTION: &'static str = "silences";
    type Path = ();
    type Query = Told;
    type View = AllSilences;

    async fn view(console: &Console, who: &Person, _path: (), told: Told) -> Result<AllSilences, Refusal> {
        let all = console.alerts.silences().await;
        let all = all.map_err(|error| Refusal::failed("the silences", error))?;
        let mut silences: Vec<Holds> = (all.into_iter())
            .filter(|(_, silence)| who.sees(&silence.what.tenant))
            .map(|(id, silence)| Holds {
                id: id.to_string(),
                may_end: may_end(who, &silence.owner, &silence.what),
                owner: silence.owner,
                from_us: silence.from.0,
                until_us: silence.until.0,
                what: silence.what,
            })
            .collect();
        silences.sort_by_key(|silence| silence.until_us);
        Ok(AllSilences {
            silences,
            done: done(&told.done),
        })
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn asked(scope: &str) -> Asked {
        Asked {
            scope: scope.to_owned(),
            ..Asked::default()
        }
    }

    #[test]
    fn a_silence_is_never_wider_than_what_was_chosen() {
        let (alert, who) = (crate::page::testing::alert(), Person::of_api());
        let of = |scope: &str| {
            wanted(&alert, &who, &asked(scope), &SilencePolicy::default(), UnixMicros(0)).map(|(.., silence)| silence)
        };
        for (scope, clinic, device, rule) in [
            ("", "", "pen-1", "depth-above-limit"),
            ("device", "", "pen-1", ""),
            ("rule_in_clinic", "north", "", "depth-above-limit"),
            ("clinic", "north", "", ""),
        ] {
            let made = of(scope).ok().unwrap_or_else(|| panic!("{scope}"));
            let said = [&*made.tenant, &*made.clinic, &*made.device, &*made.rule];
            assert_eq!(
                (said, made.max_priority),
                (["acme", clinic, device, rule], Priority::Medium)
            );
        }
        assert!(matches!(of("tenant"), Err(Refusal::Asked(_))));
    }

    #[test]
    fn what_is_offered_is_what_the_plan_allows() {
        let (alert, who) = (crate::page::testing::alert(), Person::of_api());
        let hours = |n: u64| Duration::from_secs(n * 3_600);
        let all = ["1h", "4h", "8h", "1d", "3d", "7d"];
        for (longest, offered) in [
            (hours(12), &["1h", "4h", "8h", "longest"][..]),
            (hours(24), &all[..4]),
            (hours(168), &all),
            (hours(1_000), &all),
            (Duration::from_secs(60), &["longest"]),
        ] {
            for max_priority in [Priority::Info, Priority::Low, Priority::Medium, Priority::High] {
                let policy = SilencePolicy { longest, max_priority };
                let names: Vec<&str> = spans(&policy).iter().map(|(name, _)| *name).collect();
                assert_eq!(names, offered, "{longest:?}");
                for span in silence_spans() {
                    let wanted = wanted(
                        &alert,
                        &who,
                        &Asked {
                            span: span.to_owned(),
                            ..Asked::default()
                        },
                        &policy,
                        UnixMicros(0),
                    );
                    assert_eq!(wanted.is_ok(), offered.contains(&span), "{longest:?} {span}");
                    if let Ok((.., silence)) = wanted {
                        assert_eq!(policy.allows(&silence, UnixMicros(0)), Ok(()), "{longest:?} {span}");
                        assert!(silence.max_priority <= Priority::Medium);
                    }
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_installation_is_silenced_by_its_rule_only() {
        let mut gateway = crate::page::testing::alert();
        (gateway.tenant, gateway.clinic) = (String::new(), String::new());
        for (scope, _) in SCOPES {
            let made = wanted(
                &gateway,
                &Person::of_api(),
                &asked(scope),
                &SilencePolicy::default(),
                UnixMicros(0),
            );
            assert_eq!(made.is_ok(), scope == "rule_on_device", "{scope}");
        }
    }
}
