//! Interval sets against the plainest model: a set of every number.
use std::collections::BTreeSet;

use proptest::prelude::*;
use telemetry::sequence::{IntervalSet, Seen};

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Range(u64, u64),
    Bound(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u64..60).prop_map(Step::Insert),
        3 => (0u64..60, 0u64..12).prop_map(|(start, len)| Step::Range(start, start + len)),
        1 => (0usize..5).prop_map(Step::Bound),
    ]
}

/// Ascending, disjoint, not touching, not empty.
fn assert_well_formed(set: &IntervalSet) {
    let again = IntervalSet::from_intervals(set.intervals().to_vec());
    assert_eq!(again.as_ref(), Some(set));
}

fn model_of(set: &IntervalSet) -> BTreeSet<u64> {
    set.intervals().iter().flat_map(|&(start, end)| start..end).collect()
}

proptest! {
    #[test]
    fn an_interval_set_is_the_set_of_its_numbers(steps in proptest::collection::vec(step(), 0..60), end in 0u64..80, max in 0usize..6) {
        let (mut set, mut model) = (IntervalSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Insert(n) => {
                    let expected = if model.insert(n) { Seen::New } else { Seen::Before };
                    prop_assert_eq!(set.insert(n), expected);
                }
                Step::Range(start, end) => {
                    let new = (start..end).filter(|n| model.insert(*n)).count() as u64;
                    prop_assert_eq!(set.insert_range(start, end), new);
                }
                Step::Bound(max) => {
                    let before = set.intervals().len();
                    let forgotten = set.bound(max);
                    prop_assert!(set.intervals().len() <= max.max(1) || set.intervals().is_empty());
                    prop_assert_eq!(forgotten == 0, set.intervals().len() == before);
                    let bounded = model_of(&set);
                    prop_assert!(bounded.is_superset(&model), "a bound forgets holes, never numbers");
                    prop_assert_eq!((bounded.len() - model.len()) as u64, forgotten);
                    model = bounded;
                }
            }
            assert_well_formed(&set);
            prop_assert_eq!(&model_of(&set), &model);
        }
        prop_assert_eq!(set.count(), model.len() as u64);
        prop_assert_eq!(set.last(), model.last().copied());
        for n in 0..80 {
            prop_assert_eq!(set.contains(n), model.contains(&n));
        }
        let missing: BTreeSet<u64> = (0..end).filter(|n| !model.contains(n)).collect();
        let (ranges, total) = set.missing_below(end, usize::MAX);
        prop_assert_eq!(total, missing.len() as u64);
        prop_assert_eq!(ranges.iter().flat_map(|&(s, e)| s..e).collect::<BTreeSet<_>>(), missing);
        let (some, still) = set.missing_below(end, max);
        prop_assert_eq!((some.as_slice(), still), (&ranges[..ranges.len().min(max)], total));
    }

    #[test]
    fn only_well_formed_intervals_are_taken(intervals in proptest::collection::vec((0u64..20, 0u64..20), 0..4)) {
        if let Some(set) = IntervalSet::from_intervals(intervals.clone()) {
            prop_assert_eq!(set.count(), model_of(&set).len() as u64);
            prop_assert!(intervals.iter().all(|&(s, e)| s < e));
        }
    }
}

#[test]
fn the_bound_closes_the_smallest_hole_first() {
    let mut set = IntervalSet::from_intervals(vec![(0, 1), (10, 11), (12, 13), (40, 41)]).unwrap();
    assert_eq!(set.bound(3), 1);
    assert_eq!(set.intervals(), [(0, 1), (10, 13), (40, 41)]);
    assert_eq!(set.bound(2), 9);
    assert_eq!(set.intervals(), [(0, 13), (40, 41)]);
}

#[test]
fn a_million_numbers_in_order_are_one_interval() {
    let mut set = IntervalSet::new();
    assert!((0..1_000_000).all(|n| set.insert(n) == Seen::New));
    assert_eq!(set.intervals(), [(0, 1_000_000)]);
}
