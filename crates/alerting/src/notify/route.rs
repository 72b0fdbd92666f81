//! Who is told of a transition, and how: at once, in a digest, or not at all.
use std::time::Duration;

use telemetry::UnixMicros;

use super::page;
use crate::config::Receiver;
use crate::engine::Transition;
use crate::intake::Class;
use crate::lifecycle::State;
use crate::store::NewPage;

/// The pages that a transition causes.
pub(crate) fn pages(receivers: &[Receiver], t: &Transition, digest_after: Duration, now: UnixMicros) -> Vec<NewPage> {
    if !is_told(t) {
        return Vec::new();
    }
    let late = t.alert.class == Class::Late;
    let body = page::body(t).to_string();
    let wants = |r: &&Receiver| {
        let tenant = r.tenants.is_empty() || r.tenants.iter().any(|tenant| tenant.as_str() == t.alert.tenant);
        tenant && t.alert.priority >= r.min_priority
    };
    receivers
        .iter()
        .filter(wants)
        .map(|receiver| NewPage {
            receiver: receiver.name.clone(),
            digest: late.then(|| t.alert.tenant.clone()),
            priority: t.alert.priority,
            not_before: if late { next_digest(now, digest_after) } else { now },
            body: body.clone(),
        })
        .collect()
}

/// When the next digest leaves: at whole multiples of its time, so that all that is late leaves together.
fn next_digest(now: UnixMicros, every: Duration) -> UnixMicros {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX).max(1);
    UnixMicros(now.0.div_euclid(every).saturating_add(1).saturating_mul(every))
}

/// A page, or news about one that was sent. What is only pending, or latches with its page already out, is told to nobody;
/// what comes from a replay is for the journal.
fn is_told(t: &Transition) -> bool {
    let news = matches!(t.to, State::Resolved | State::Acknowledged | State::Unknown);
    t.alert.class != Class::Replayed && (t.page || news)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use telemetry::Priority;

    use super::*;
    use crate::engine::{Alert, Why};
    use crate::id::{AlertId, TransitionId};
    use crate::lifecycle::Lifecycle;
    use crate::rules::Kind;

    fn transition(class: Class, priority: Priority, to: State, page: bool) -> Transition {
        let alert = Alert {
            id: AlertId([1; 16]),
            rule: "r".into(),
            kind: Kind::DepthAboveLimit,
            priority,
            what_to_do: "stop".into(),
            tenant: "acme".into(),
            clinic: "north".into(),
            device: "pen-1".into(),
            zone: None,
            visit: None,
            session: None,
            what_happened: "deep".into(),
            event_time: UnixMicros(1),
            decided_at: UnixMicros(2),
            updated_at: UnixMicros(2),
            class,
            value: 1.0,
            told: 1.0,
            limit: 0.5,
            violations: 1,
            acknowledged_by: None,
            assigned_to: None,
            quiet_since: None,
            life: Lifecycle::default(),
        };
        Transition {
            id: TransitionId([2; 16]),
            from: State::Inactive,
            to,
            why: Why::Raised,
            page,
            event_time: UnixMicros(1),
            decided_at: UnixMicros(2),
            told_by: None,
            alert,
            evidence: Vec::new(),
        }
    }

    fn receivers() -> Vec<Receiver> {
        let toml = "[[r]]\nname = \"all\"\n[[r]]\nname = \"acme-high\"\ntenants = [\"acme\"]\nmin_priority = \"high\"\n\
                    [[r]]\nname = \"other\"\ntenants = [\"other\"]\n";
        let mut table: toml::Table = toml::from_str(toml).unwrap();
        table.remove("r").unwrap().try_into().unwrap()
    }

    fn names(t: &Transition) -> Vec<String> {
        let pages = pages(&receivers(), t, Duration::from_secs(300), UnixMicros(0));
        pages.into_iter().map(|p| p.receiver).collect()
    }

    #[test]
    fn a_tenant_is_told_only_to_its_own_receivers_and_only_from_their_priority_on() {
        assert_eq!(
            names(&transition(Class::Live, Priority::High, State::Firing, true)),
            ["all", "acme-high"]
        );
        assert_eq!(
            names(&transition(Class::Live, Priority::Medium, State::Firing, true)),
            ["all"]
        );
        assert!(names(&transition(Class::Live, Priority::Info, State::Firing, true)).is_empty());
    }

    #[test]
    fn a_replay_pages_nobody_and_a_late_alert_waits_for_its_digest() {
        assert!(names(&transition(Class::Replayed, Priority::High, State::Firing, true)).is_empty());
        let late = transition(Class::Late, Priority::High, State::Firing, true);
        let pages = pages(&receivers(), &late, Duration::from_secs(300), UnixMicros(0));
        assert!(
            pages
                .iter()
                .all(|p| p.digest.as_deref() == Some("acme") && p.not_before == UnixMicros(300_000_000))
        );
        assert_eq!(pages.len(), 2);
    }

    #[test]
    fn a_delayed_alert_pages_at_once_and_says_when_it_happened() {
        let delayed = transition(Class::Delayed, Priority::High, State::Firing, true);
        let pages = pages(&receivers(), &delayed, Duration::from_secs(300), UnixMicros(7));
        assert_eq!((pages.len(), pages[0].not_before), (2, UnixMicros(7)));
        assert!(
            pages[0].body.contains("happened 1970-01-01T00:00:00.000Z, told later"),
            "{}",
            pages[0].body
        );
    }

    #[test]
    fn a_page_names_no_session_and_no_visit() {
        let mut t = transition(Class::Live, Priority::High, State::Firing, true);
        t.alert.visit = Some(crate::id::Opaque([0xab; 16]));
        t.alert.session = Some(crate::id::Opaque([0xcd; 16]));
        let pages = pages(&receivers(), &t, Duration::from_secs(300), UnixMicros(7));
        let body = &pages[0].body;
        assert!(
            !body.contains("abab") && !body.contains("cdcd") && !body.contains("visit\""),
            "{body}"
        );
    }

    #[test]
    fn what_is_only_pending_or_latches_is_told_to_nobody() {
        assert!(names(&transition(Class::Live, Priority::High, State::Pending, false)).is_empty());
        assert!(names(&transition(Class::Live, Priority::High, State::Latched, false)).is_empty());
    }
}
