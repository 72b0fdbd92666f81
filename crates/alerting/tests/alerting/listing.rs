//! A page of the list of alerts is what a walk over all of them would give, made from the indexes; and the picture of an alert.
use std::collections::BTreeMap;
use std::path::Path;

use alerting::engine::{Alert, Changes};
use alerting::id::{AlertId, TransitionId};
use alerting::intake::Silence;
use alerting::lifecycle::{Signal, State};
use alerting::proof::{Bound, MAX_COLUMNS, Quantity, trace};
use alerting::store::{Batch, MAX_OF_DEVICE, Store, Wanted, Which};
use proptest::prelude::*;
use rusqlite::Connection;
use telemetry::{Priority, UnixMicros};

use crate::desk::{file, hazard};
use crate::support::{Said, World, strokes};

/// An alert as the engine raises it.
fn template() -> Alert {
    let mut world = World::new();
    let raised = world.say(&hazard("pen-1", 1));
    raised
        .iter()
        .find(|t| t.alert.rule == "depth-above-limit")
        .unwrap()
        .alert
        .clone()
}

/// Alert number `n`, in one of the states, of one of the tenants, clinics, devices, rules and priorities.
fn alert(template: &Alert, n: u32) -> Alert {
    let mut alert = template.clone();
    alert.id = AlertId(core::array::from_fn(|at| (n >> (8 * (at % 4))) as u8));
    alert.tenant = ["acme", "other"][n as usize % 2].to_owned();
    alert.clinic = ["north", "south", ""][n as usize % 3].to_owned();
    alert.device = format!("pen-{}", n % 5);
    alert.rule = ["depth-above-limit", "pulse-above-set"][n as usize / 2 % 2].to_owned();
    alert.priority = [Priority::High, Priority::Medium, Priority::Low, Priority::Info][n as usize / 3 % 4];
    alert.decided_at = UnixMicros(i64::from(n.wrapping_mul(2_654_435_761) % 1_000));
    alert.life = alerting::lifecycle::Lifecycle::new(true);
    let signals: &[Signal] = match n % 7 {
        0 => &[Signal::Suspected],
        1 | 2 => &[VIOLATED],
        3 => &[VIOLATED, Signal::Acknowledged],
        4 => &[VIOLATED, Signal::Cleared],
        5 => &[VIOLATED, Signal::Silent],
        _ => &[VIOLATED, Signal::Acknowledged, Signal::Cleared],
    };
    for signal in signals {
        alert.life.step(*signal);
    }
    alert
}

const VIOLATED: Signal = Signal::Violated {
    single: true,
    worse: false,
};

fn commit(store: &Store, alerts: &[Alert]) {
    let changes = Changes {
        alerts: alerts.iter().map(|alert| (alert.id, alert.clone())).collect(),
        ..Changes::default()
    };
    let batch = Batch {
        changes,
        now: UnixMicros(1),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
}

fn is_wanted(alert: &Alert, wanted: &Wanted) -> bool {
    let fits = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let which = match wanted.which {
        Which::Open => !matches!(alert.state(), State::Resolved | State::Inactive | State::Pending),
        Which::In(state) => alert.state() == state,
    };
    which
        && fits(&wanted.tenant, &alert.tenant)
        && fits(&wanted.clinic, &alert.clinic)
        && fits(&wanted.device, &alert.device)
        && fits(&wanted.rule, &alert.rule)
        && wanted.priority.is_none_or(|priority| priority == alert.priority)
}

/// What a walk over all of them gives.
fn walked(all: &[Alert], wanted: &Wanted) -> Vec<AlertId> {
    let mut found: Vec<&Alert> = all.iter().filter(|alert| is_wanted(alert, wanted)).collect();
    found.sort_by_key(|alert| {
        (
            !alert.life.needs_person(),
            std::cmp::Reverse(alert.priority),
            std::cmp::Reverse(alert.decided_at),
            alert.id.to_hex(),
        )
    });
    found.iter().map(|alert| alert.id).collect()
}

fn one_of(names: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(proptest::sample::select(names).prop_map(str::to_owned))
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let which = proptest::option::of(proptest::sample::select(&State::ALL[..]));
    let priority = proptest::option::of(proptest::sample::select(vec![Priority::High, Priority::Low]));
    (
        which,
        one_of(&["acme", "other", "nobody"]),
        one_of(&["north", "south", ""]),
        one_of(&["pen-1", "pen-2"]),
        one_of(&["depth-above-limit"]),
        priority,
    )
        .prop_map(|(which, tenant, clinic, device, rule, priority)| Wanted {
            which: which.map_or(Which::Open, Which::In),
            tenant,
            clinic,
            device,
            rule,
            priority,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_page_is_a_piece_of_the_whole_list_in_its_order_with_its_counts(
        wanted in wanted(), offset in 0usize..120, limit in 1usize..60,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&file(dir.path())).unwrap();
        let template = template();
        let all: Vec<Alert> = (0..160).map(|n| alert(&template, n)).collect();
        commit(&store, &all);
        let page = store.list(&wanted, offset, limit).unwrap();
        let whole = walked(&all, &wanted);
        prop_assert_eq!(page.total, whole.len() as u64);
        let expected: Vec<AlertId> = whole.into_iter().skip(offset).take(limit).collect();
        let got: Vec<AlertId> = page.alerts.iter().map(|alert| alert.id).collect();
        prop_assert_eq!(got, expected);
        for count in &page.counts {
            let same = Wanted { which: Which::In(count.state), priority: Some(count.priority), ..wanted.clone() };
            prop_assert_eq!(count.alerts, walked(&all, &same).len() as u64);
        }
    }
}

/// What a walk over all of them gives by device: the alerts of each, in the order of the first of them.
fn walked_by_device(all: &[Alert], wanted: &Wanted) -> Vec<Vec<AlertId>> {
    let of = |id: &AlertId| all.iter().find(|alert| alert.id == *id).unwrap();
    let mut groups: Vec<(String, Vec<AlertId>)> = Vec::new();
    for id in walked(all, wanted) {
        let alert = of(&id);
        let key = match alert.device.as_str() {
            "" => id.to_hex(),
            device => format!("{}/{device}", alert.tenant),
        };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, alerts)) => alerts.push(id),
            None => groups.push((key, vec![id])),
        }
    }
    groups.into_iter().map(|(_, alerts)| alerts).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn by_device_each_alert_stands_with_those_of_its_device_behind_the_most_urgent_and_all_are_counted(
        wanted in wanted(), offset in 0usize..15, limit in 1usize..20, each in 1usize..12,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&file(dir.path())).unwrap();
        let template = template();
        let all: Vec<Alert> = (0..160).map(|n| {
            let mut alert = alert(&template, n);
            // No two at one moment: which of them is the first would be a matter of taste.
            alert.decided_at = UnixMicros(i64::from(n * 37 % 163));
            if n % 40 == 7 {
                alert.device = String::new();
            }
            alert
        }).collect();
        commit(&store, &all);
        let page = store.list_by_device(&wanted, offset, limit, each).unwrap();
        let whole = walked_by_device(&all, &wanted);
        prop_assert_eq!(page.total, whole.len() as u64);
        let flat = store.list(&wanted, 0, 0).unwrap();
        prop_assert_eq!((page.each.total, &page.each.counts), (flat.total, &flat.counts));
        let expected: Vec<&Vec<AlertId>> = whole.iter().skip(offset).take(limit).collect();
        prop_assert_eq!(page.groups.len(), expected.len());
        for (group, expected) in page.groups.iter().zip(expected) {
            let shown: Vec<AlertId> = group.alerts.iter().map(|alert| alert.id).collect();
            prop_assert_eq!(&shown[..], &expected[..expected.len().min(each).min(MAX_OF_DEVICE)]);
            prop_assert_eq!(group.total(), expected.len() as u64);
            for (priority, alerts) in &group.counts {
                let of_it = expected.iter().filter(|id| all.iter().any(|a| a.id == **id && a.priority == *priority));
                prop_assert_eq!(*alerts, of_it.count() as u64);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_a_silence_picks_is_counted_as_the_planner_picks(
        tenant in one_of(&["acme", "other"]), clinic in one_of(&["north", ""]), device in one_of(&["pen-1", "pen-4"]),
        rule in one_of(&["depth-above-limit", "depth_above_limit", "pulse-above-set", "nothing"]), most in 0usize..3,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&file(dir.path())).unwrap();
        let template = template();
        let all: Vec<Alert> = (0..160).map(|n| alert(&template, n)).collect();
        commit(&store, &all);
        let what = Silence {
            tenant: tenant.unwrap_or_default(),
            clinic: clinic.unwrap_or_default(),
            device: device.unwrap_or_default(),
            rule: rule.unwrap_or_default(),
            max_priority: [Priority::Info, Priority::Low, Priority::Medium][most],
            from: UnixMicros(0),
            until: UnixMicros(1),
        };
        let open = all.iter().filter(|alert| !matches!(alert.state(), State::Resolved | State::Inactive));
        let walked = alerting::paging::preview(&what, std::iter::empty(), open, |_| false);
        prop_assert_eq!(store.picked(&what).unwrap(), (walked.open_alerts, 0));
    }
}

/// How SQLite reads the rows of a query.
fn plan(dir: &Path, sql: &str) -> String {
    let db = Connection::open(file(dir)).unwrap();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn bodies_are_read_for_one_page_only_however_many_alerts_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&file(dir.path())).unwrap();
    commit(&store, &[template()]);
    let counted = plan(
        dir.path(),
        "SELECT count(*) FROM alert INDEXED BY alert_inbox WHERE open = 1 AND tenant = 'x' AND state = 'firing' AND urgency = 3",
    );
    assert!(counted.contains("USING COVERING INDEX alert_inbox"), "{counted}");
    let page = plan(
        dir.path(),
        "SELECT id FROM alert INDEXED BY alert_inbox WHERE open = 1 AND clinic = 'x' AND device = 'y' AND rule = 'z' \
         ORDER BY waits DESC, urgency DESC, decided_us DESC, id LIMIT 50",
    );
    assert!(page.contains("USING COVERING INDEX alert_inbox"), "{page}");
}

#[test]
fn alerts_of_an_older_file_are_listed_as_new_ones_are() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<Alert> = (0..40).map(|n| alert(&template(), n)).collect();
    let before = {
        let store = Store::open(&file(dir.path())).unwrap();
        commit(&store, &all);
        store.list(&Wanted::default(), 0, 50).unwrap()
    };
    let db = Connection::open(file(dir.path())).unwrap();
    db.execute_batch(
        "DROP INDEX alert_inbox; DROP INDEX alert_of_device; DROP TABLE told_elsewhere; \
         ALTER TABLE alert DROP COLUMN waits; ALTER TABLE alert DROP COLUMN urgency; ALTER TABLE alert DROP COLUMN clinic; \
         ALTER TABLE alert DROP COLUMN device; ALTER TABLE alert DROP COLUMN rule; PRAGMA user_version = 6;",
    )
    .unwrap();
    drop(db);
    let store = Store::open(&file(dir.path())).unwrap();
    assert_eq!(store.list(&Wanted::default(), 0, 50).unwrap(), before);
    let of_one = store.history("acme", "pen-2", None, 50).unwrap();
    let expected = all.iter().filter(|a| a.tenant == "acme" && a.device == "pen-2").count();
    assert_eq!(of_one.len(), expected);
    assert!(of_one.windows(2).all(|two| two[0].decided_at >= two[1].decided_at));
}

#[test]
fn the_picture_of_an_alert_shows_every_stroke_once_and_marks_the_one_that_crossed() {
    let mut world = World::new();
    let calm = Said::new(
        "pen-1",
        1,
        1_000_000,
        strokes(Some(6), Some(800), 0, 1_000_000, vec![790; 500]),
    );
    let mut depths = vec![810; 300];
    depths[100..].fill(2_400);
    let deep = Said::new(
        "pen-1",
        2,
        2_000_000,
        strokes(Some(6), Some(800), 500, 2_000_000, depths),
    );
    assert!(!world.say(&calm).iter().any(|t| t.alert.rule == "depth-above-limit"));
    let raised = world.say(&deep);
    let step = raised.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    // The same frame may be evidence of two steps, and another one may have been trimmed.
    let evidence = BTreeMap::from([
        (
            step.id,
            vec![(1, Some(calm.record())), (2, Some(deep.record())), (3, None)],
        ),
        (TransitionId([9; 16]), vec![(2, Some(deep.record()))]),
    ]);
    let trace = trace(&step.alert, &evidence).unwrap();
    assert_eq!(
        (trace.quantity, trace.unit, trace.of),
        (Quantity::Depth, "mm", "strokes")
    );
    assert_eq!((trace.readings, trace.unread), (800, 0));
    assert!(trace.columns.len() <= MAX_COLUMNS);
    assert_eq!(trace.columns.iter().map(|c| c.to - c.from + 1).sum::<u64>(), 800);
    let first = trace.first.unwrap();
    assert_eq!((first.ordinal, first.value), (600, Some(2.4)));
    assert_eq!(trace.bound, Some(Bound::Most(step.alert.limit / 1_000.0)));
    let crossed = trace.columns.iter().find(|c| (c.from..=c.to).contains(&600)).unwrap();
    assert_eq!((crossed.most, crossed.set), (Some(2.4), Some(0.8)));
    // What another device said is no part of it, nor what it said in another session.
    let mut before = calm.clone();
    before.session = Some(9);
    let with_before = BTreeMap::from([(step.id, vec![(0, Some(before.record())), (2, Some(deep.record()))])]);
    assert_eq!(alerting::proof::trace(&step.alert, &with_before).unwrap().readings, 300);
    let mut of_another = step.alert.clone();
    of_another.device = "pen-2".to_owned();
    assert_eq!(alerting::proof::trace(&of_another, &evidence), None);
}
