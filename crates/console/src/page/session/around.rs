//! What was cleaned before and after a treatment. What counts as enough is alerting's to judge, with its alerts beside; here
//! stands what is on record, and between which treatments it lies.
use ingestor::read::{HygieneEvent, Session};
use schemars::JsonSchema;
use serde::Serialize;

/// What was cleaned around a treatment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "HygieneAround")]
pub(crate) struct Around {
    /// The disinfection before.
    pub(crate) before: Evidence,
    /// The disinfection after.
    pub(crate) after: Evidence,
    /// The last cycle with this device in it that passed before the treatment.
    pub(crate) sterilized: Option<HygieneEvent>,
}

/// Whether there was one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DisinfectionEvidence")]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Evidence {
    /// There was.
    Done {
        /// It.
        event: Box<HygieneEvent>,
    },
    /// The other treatment was of the same visit: none is asked for.
    SameVisit,
    /// None between this treatment and the one at this time, in microseconds since 1970-01-01 UTC.
    Missing {
        /// Start of the next or end of the last treatment.
        other_us: i64,
    },
    /// None on record, and no other treatment either.
    None,
}

/// Looks among what was told about the device.
pub(crate) fn around(
    before: Option<&Session>,
    this: &Session,
    after: Option<&Session>,
    events: &[HygieneEvent],
) -> Around {
    let (start, until) = (this.start_us, this.until_us.unwrap_or(this.start_us));
    let wipes = || events.iter().filter(|event| event.what == "disinfection");
    let last = before.map(|session| session.until_us.unwrap_or(session.start_us));
    let next = after.map(|session| session.start_us);
    let wiped_before = wipes()
        .filter(|wipe| wipe.at_us <= start && last.is_none_or(|last| wipe.at_us >= last))
        .max_by_key(|wipe| wipe.at_us);
    let wiped_after = wipes()
        .filter(|wipe| wipe.at_us >= until && next.is_none_or(|next| wipe.at_us <= next))
        .min_by_key(|wipe| wipe.at_us);
    let same = |other: Option<&Session>| other.is_some_and(|other| other.visit.is_some() && other.visit == this.visit);
    let cycles = events.iter().filter(|event| event.what == "cycle");
    Around {
        before: evidence(wiped_before, same(before), last),
        after: evidence(wiped_after, same(after), next),
        sterilized: cycles
            .filter(|cycle| cycle.outcome.as_deref() == Some("pass") && cycle.at_us <= start)
            .max_by_key(|cycle| cycle.at_us)
            .cloned(),
    }
}

fn evidence(wipe: Option<&HygieneEvent>, same_visit: bool, other: Option<i64>) -> Evidence {
    match (wipe, other) {
        (Some(wipe), _) => Evidence::Done {
            event: Box::new(wipe.clone()),
        },
        (None, _) if same_visit => Evidence::SameVisit,
        (None, Some(other_us)) => Evidence::Missing { other_us },
        (None, None) => Evidence::None,
    }
}

#[cfg(test)]
mod tests {
    use ingestor::read::Readings;

    use super::super::cleaned;
    use super::*;

    fn session(start_us: i64, until_us: i64, visit: &str) -> Session {
        Session {
            session: "00".repeat(16),
            visit: Some(visit.to_owned()),
            clinic: "north".to_owned(),
            device: "pen-1".to_owned(),
            model: "pen".to_owned(),
            kind: "pen".to_owned(),
            start_us,
            start_known: true,
            until_us: Some(until_us),
            closed: true,
            closed_by: None,
            end_reason: None,
            complete: Some(true),
            strokes: Readings::default(),
            strokes_unread: 0,
            pulses: Readings::default(),
            expired: 0,
            refused: 0,
            zones: Vec::new(),
            text: String::new(),
        }
    }

    #[test]
    fn a_wipe_counts_only_between_the_treatments_that_it_lies_between() {
        let (last, this, next) = (session(0, 100, "a"), session(200, 300, "b"), session(400, 500, "c"));
        let wipe = |at| cleaned(at, "disinfection", None);
        let done = |at| Evidence::Done {
            event: Box::new(wipe(at)),
        };
        let told = |wipes: &[i64]| {
            let events: Vec<_> = wipes.iter().map(|at| wipe(*at)).collect();
            let around = around(Some(&last), &this, Some(&next), &events);
            (around.before, around.after)
        };
        assert_eq!(told(&[150, 180, 320, 390]), (done(180), done(320)));
        // Before the last treatment ended, in this one, and after the next one began.
        assert_eq!(
            told(&[99, 250, 401]),
            (Evidence::Missing { other_us: 100 }, Evidence::Missing { other_us: 400 })
        );
        let alone = around(None, &this, None, &[]);
        assert_eq!((alone.before, alone.after), (Evidence::None, Evidence::None));
        let other_half = session(400, 500, "b");
        assert_eq!(
            around(Some(&last), &this, Some(&other_half), &[]).after,
            Evidence::SameVisit
        );
    }

    #[test]
    fn only_a_cycle_that_passed_before_the_treatment_made_it_sterile() {
        let this = session(200, 300, "b");
        let events = [
            cleaned(50, "cycle", Some("pass")),
            cleaned(120, "cycle", Some("fail")),
            cleaned(210, "cycle", Some("pass")),
        ];
        let sterilized = around(None, &this, None, &events).sterilized;
        assert_eq!(sterilized.map(|cycle| cycle.at_us), Some(50));
    }
}
