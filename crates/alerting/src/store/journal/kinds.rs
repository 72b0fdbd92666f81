//! The one list of what stands in the journal: every kind of row, and what its body holds. What is not in here cannot be
//! written, and a body with a field that its kind does not name fails every debug build.
use serde_json::Value;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: [$($field:literal),+ $(,)?];)+) => {
        /// What kind of row it is. Closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EntryKind { $($(#[$doc])* $variant,)+ }

        impl EntryKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the file; bounded.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The fields that its body may hold, beside `comment_digest`, which says that a person wrote something.
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($field),+],)+ }
            }
        }
    };
}

kinds! {
    // Alerts
    /// A step of an alert.
    Transition = "transition": ["transition", "alert", "rule", "kind", "priority", "from", "to", "why", "page", "class", "tenant",
        "clinic", "device", "zone", "value", "limit", "unit", "event_us", "decided_us", "actor", "told_by", "in_force"];

    // Who is told
    /// A page was put into the outbox.
    Planned = "planned": ["transition", "alert", "receiver", "digest", "not_before_us", "priority"];
    /// A step of a chain told these, or all of its first step.
    Paged = "paged": ["alert", "page", "route", "chain", "step", "repetition", "told", "anew"];
    /// A first page is held back: by a silence, an alert that says more, a group or another instance.
    Held = "held": ["alert", "transition", "by", "id", "until_us"];
    /// No route is for it.
    NoRoute = "no_route": ["alert", "everybody_is_told"];
    /// Another instance has done the first step; or, over the same frames as this one, delivered a page to a receiver.
    ToldElsewhere = "told_elsewhere": ["alert", "transition", "receiver"];
    /// The telling of an alert had no alert any more.
    CourseWithoutAlert = "course_without_alert": ["alert"];
    /// It was over while its first page was held back: nobody was told.
    EndedWhileHeld = "ended_while_held": ["alert", "transition"];
    /// Pages that waited were taken out of the outbox: a person knows, or it is over.
    Cancelled = "cancelled": ["alert", "pages", "because"];

    /// A later call of the same alert took the place of one that the receiver had not taken.
    Superseded = "superseded": ["receiver", "transition", "alert", "by"];

    // What came back
    /// An attempt began. Of many of one page, the first eight and then those whose number is a power of two.
    Sent = "sent": ["receiver", "transition", "alert", "attempt", "possible_repeat"];
    /// An attempt failed, and there will be another one. As many as of `sent`.
    Failed = "failed": ["receiver", "transition", "alert", "attempt", "reason", "refused", "again_us"];
    /// A receiver has a page: its receipt.
    Delivered = "delivered": ["receiver", "transition", "alert", "attempts", "possible_repeat", "receipt"];
    /// A receiver never will have it.
    Undelivered = "undelivered": ["receiver", "transition", "alert", "attempts", "possible_repeat", "reason"];
    /// A receiver has not taken a page in time.
    Overdue = "overdue": ["receiver", "transition", "alert", "attempts"];
    /// Another receiver gets a page instead.
    Fallback = "fallback": ["receiver", "fallback", "transition", "alert", "reason"];
    /// How a test page came out.
    Test = "test": ["receiver", "transition", "alert", "attempts", "possible_repeat", "receipt", "reason", "outcome"];
    /// A page left in the built-in words because a template failed.
    TemplateFailed = "template_failed": ["receiver", "transition"];
    /// A receiver does not take its pages, or does again.
    ReceiverState = "receiver_state": ["receiver", "failing", "reason", "at_us"];
    /// Another instance has paged or acknowledged.
    Told = "told": ["instance", "alert", "transition", "at", "acknowledged_by"];

    // People
    /// A person knows and takes care.
    Acknowledge = "acknowledge": ["command", "actor", "at_us", "effect", "alert", "instance"];
    /// A person took that back.
    Unacknowledge = "unacknowledge": ["command", "actor", "at_us", "effect", "alert", "instance"];
    /// Somebody takes care of it.
    Assign = "assign": ["command", "actor", "at_us", "effect", "alert", "assignee", "instance"];
    /// A person said something about it; what they said stands beside the chain.
    Annotate = "annotate": ["command", "actor", "at_us", "effect", "alert", "instance"];
    /// First pages are held back.
    Silence = "silence": ["command", "actor", "at_us", "effect", "silence", "hides", "instance"];
    /// A person ended a silence.
    EndSilence = "end_silence": ["command", "actor", "at_us", "effect", "silence_id", "instance"];
    /// A silence came to its end by itself.
    SilenceEnded = "silence_ended": ["silence_id", "until_us"];
    /// The comments of people on an alert were erased.
    Erased = "erased": ["alert", "actor", "comments"];

    // What is judged by
    /// From here on these rules and this registry hold; what they say differently from those before.
    Configured = "configured": ["rules", "registry", "plan", "rules_before", "registry_before", "plan_before", "changes", "more_changes"];

    /// A change of the registry by command, as a line of its own journal; or what that journal lacks of what is known here.
    Registry = "registry": ["n", "hash", "at_us", "actor", "devices", "changes", "folded", "lost_after", "known"];

    // The data
    /// Inputs are missing in the log.
    Gap = "gap": ["from", "to", "reason"];
    /// An input could not be read.
    Rejected = "rejected": ["offset", "error"];
    /// The journal's head was cut off up to here: it is older than it has to be kept.
    Cut = "cut": ["last", "hash"];
    /// The file came out of a backup, and work goes on with it: what was done since the backup is not in here.
    Restored = "restored": ["backup_us", "restored_us", "pages"];
}

/// Beside the fields of its kind, any row may say that a person wrote something.
pub(super) const DIGEST: &str = "comment_digest";

impl EntryKind {
    /// The kind with this name; `None`: a newer program wrote it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// A field of a body that its kind does not name.
    pub fn stranger(self, body: &Value) -> Option<&str> {
        let named = |name: &str| name == DIGEST || self.fields().contains(&name);
        body.as_object()?.keys().map(String::as_str).find(|name| !named(name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_by_which_it_is_found() {
        let names: BTreeSet<_> = EntryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EntryKind::ALL.len());
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::from_name(kind.as_str()), Some(*kind));
        }
    }

    #[test]
    fn every_kind_is_in_the_documentation() {
        let said = include_str!("../../../../../docs/journal.md");
        for kind in EntryKind::ALL {
            assert!(
                said.contains(&format!("`{}`", kind.as_str())),
                "{kind:?} is not in docs/journal.md"
            );
        }
    }

    #[test]
    fn no_body_holds_a_session_a_visit_or_what_a_person_wrote() {
        for kind in EntryKind::ALL {
            for field in kind.fields() {
                assert!(
                    !["session", "visit", "comment", "text"].contains(field),
                    "{kind:?} holds {field}"
                );
            }
        }
    }
}
