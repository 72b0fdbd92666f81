//! What the model of the whole does not show: time.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::topic::Role;

const RESEND: Duration = Duration::from_secs(5);

fn reader() -> ReaderId {
    let (role, instance) = (Role::Ingestor, "a".to_owned());
    ReaderId { role, instance }
}

fn says(position: u64) -> proto::UplinkHeld {
    proto::UplinkHeld {
        era: 1,
        line: 0,
        shards: vec![proto::ShardHeld {
            owed: None,
            shard: 3,
            position: Some(position),
        }],
        lacking: 0,
    }
}

fn far() -> (Far, HashMap<ReaderId, ShardSet>) {
    let mut far = Far::new(1, 0);
    far.sent[3] = 10;
    far.used = ShardSet::EMPTY.with(3);
    (far, HashMap::from([(reader(), ShardSet::ALL)]))
}

#[test]
fn a_reader_that_is_there_and_comes_no_further_gets_again_what_was_sent_last_and_then_ever_more_rarely() {
    let (mut far, announced) = far();
    let start = Instant::now();
    let mut gone_back = Vec::new();
    for second in 0..60 {
        let now = start + Duration::from_secs(second);
        assert_eq!(far.hear(&reader(), &says(4), RESEND, now), None);
        if let Some(back) = far.overdue(&announced, now) {
            assert_eq!(back.shards, [(3, Some(4))]);
            gone_back.push(second);
        }
    }
    assert_eq!(gone_back, [6, 18, 40]);
    far.hear(&reader(), &says(10), RESEND, start + Duration::from_secs(60));
    let later = start + Duration::from_secs(70);
    assert_eq!(far.overdue(&announced, later), None, "it holds everything");
}

#[test]
fn nothing_is_sent_again_for_a_reader_that_is_away_and_the_cursor_waits_for_it() {
    let (mut far, announced) = far();
    let start = Instant::now();
    assert_eq!(far.cursor(10, &announced), None, "it has not said what it holds");
    far.hear(&reader(), &says(4), RESEND, start);
    let later = start + AWAY_AFTER + RESEND * 2;
    assert_eq!(far.overdue(&announced, later), None);
    assert_eq!(far.away(&announced, later), Some(&reader()));
    assert_eq!(far.cursor(10, &announced), Some(4));
    assert_eq!(far.cursor(10, &HashMap::new()), Some(10), "it was taken back");
}

#[test]
fn what_is_said_of_another_era_or_line_moves_nothing() {
    let (mut far, announced) = far();
    let now = Instant::now();
    let other = proto::UplinkHeld { era: 2, ..says(10) };
    assert_eq!(far.hear(&reader(), &other, RESEND, now), None);
    assert_eq!(far.cursor(10, &announced), None);
    far.line = 1;
    let before = proto::UplinkHeld {
        lacking: 1 << 3,
        ..says(4)
    };
    assert_eq!(
        far.hear(&reader(), &before, RESEND, now),
        None,
        "we have gone back since"
    );
    let now_lacking = proto::UplinkHeld { line: 1, ..before };
    assert!(far.hear(&reader(), &now_lacking, RESEND, now).is_some());
}
