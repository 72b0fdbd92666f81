//! What one may choose in the inbox, with how many alerts each choice would show.
use alerting::lifecycle::State;
use alerting::store::Count;
use schemars::JsonSchema;
use serde::Serialize;

use super::asked::{Asked, PRIORITIES};

/// States that one may choose, in the order in which they are offered.
const STATES: [State; 6] = [
    State::Firing,
    State::Latched,
    State::Unknown,
    State::Acknowledged,
    State::Pending,
    State::Resolved,
];
/// One choice of many.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "InboxChoice")]
pub(crate) struct Choice {
    /// A state or priority, or `open` or `any` for all.
    pub(super) name: &'static str,
    /// How many alerts that would show; `None`: not counted.
    pub(super) alerts: Option<u64>,
    /// Where it leads.
    pub(super) link: String,
    /// It is chosen.
    pub(super) chosen: bool,
}

fn counted(counts: &[Count], fits: impl Fn(&Count) -> bool) -> u64 {
    counts
        .iter()
        .filter(|count| fits(count))
        .map(|count| count.alerts)
        .sum()
}

pub(super) fn states(asked: &Asked, counts: &[Count]) -> Vec<Choice> {
    let in_priority = |count: &Count| asked.priority.is_empty() || count.priority.as_str() == asked.priority;
    let all = Choice {
        name: "open",
        alerts: Some(counted(counts, |c| in_priority(c) && c.state != State::Pending)),
        link: asked.link("", &asked.priority, 1),
        chosen: asked.state.is_empty(),
    };
    let each = STATES.into_iter().map(|state| Choice {
        name: state.as_str(),
        // What is over is not counted: there may be years of it.
        alerts: (state != State::Resolved).then(|| counted(counts, |c| in_priority(c) && c.state == state)),
        link: asked.link(state.as_str(), &asked.priority, 1),
        chosen: asked.state == state.as_str(),
    });
    std::iter::once(all).chain(each).collect()
}

pub(super) fn priorities(asked: &Asked, counts: &[Count]) -> Vec<Choice> {
    let in_state = |count: &Count| match asked.state.as_str() {
        "" => count.state != State::Pending,
        state => count.state.as_str() == state,
    };
    let over = asked.state == State::Resolved.as_str();
    let all = Choice {
        name: "any",
        alerts: None,
        link: asked.link(&asked.state, "", 1),
        chosen: asked.priority.is_empty(),
    };
    let each = PRIORITIES.into_iter().map(|priority| Choice {
        name: priority.as_str(),
        alerts: (!over).then(|| counted(counts, |c| in_state(c) && c.priority == priority)),
        link: asked.link(&asked.state, priority.as_str(), 1),
        chosen: asked.priority == priority.as_str(),
    });
    std::iter::once(all).chain(each).collect()
}

#[cfg(test)]
mod tests {
    use telemetry::Priority;

    use super::*;

    fn count(state: State, priority: Priority, alerts: u64) -> Count {
        Count {
            state,
            priority,
            alerts,
        }
    }

    #[test]
    fn a_choice_says_how_many_alerts_it_would_show_and_keeps_the_other_choices() {
        let asked = Asked {
            clinic: "north wing".to_owned(),
            priority: "high".to_owned(),
            ..Asked::default()
        };
        let counts = [
            count(State::Firing, Priority::High, 3),
            count(State::Firing, Priority::Low, 5),
            count(State::Pending, Priority::High, 7),
            count(State::Acknowledged, Priority::High, 11),
        ];
        let states = states(&asked, &counts);
        let shown: Vec<_> = states.iter().map(|c| (c.name, c.alerts)).collect();
        assert_eq!(shown[0], ("open", Some(14)));
        assert_eq!(shown[1], ("firing", Some(3)));
        assert_eq!(shown[5], ("pending", Some(7)));
        assert_eq!(shown[6], ("resolved", None));
        assert_eq!(states[1].link, "/?clinic=north%20wing&state=firing&priority=high");
        let priorities = priorities(&asked, &counts);
        let shown: Vec<_> = priorities.iter().map(|c| (c.name, c.alerts, c.chosen)).collect();
        assert_eq!(shown[1], ("high", Some(14), true));
        assert_eq!(shown[3], ("low", Some(5), false));
    }
}
