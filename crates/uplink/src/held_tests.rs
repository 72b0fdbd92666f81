//! What the model of the whole does not show: who may introduce a sender, and what is said.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::stretch::tests::stretch;

fn hello(line: u32, at: u64) -> Stretch {
    Stretch {
        parts: 0,
        ..stretch(line, at, at)
    }
}

#[test]
fn who_may_write_a_clinics_topic_only_cannot_make_a_reader_pass_over_what_a_gateway_says() {
    let mut held = Held::default();
    held.judge(Way::Uplink, 3, &hello(0, 0), true);
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 0, 5), false), Verdict::Take);
    let forged = Stretch {
        era: 99,
        oldest: 1_000,
        ..stretch(0, 1_000, 2_000)
    };
    assert_eq!(held.judge(Way::Uplink, 3, &forged, false), Verdict::Stranger);
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 5, 7), false), Verdict::Take);
}

#[test]
fn what_is_lacking_is_said_once_and_no_longer_when_the_sender_went_back() {
    let mut held = Held::default();
    held.judge(Way::Uplink, 3, &hello(0, 0), true);
    held.say(false);
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 5, 7), false), Verdict::Ahead);
    let said = held.say(false);
    assert_eq!((said[0].2.lacking, said[0].2.shards[0].position), (0b1000, Some(0)));
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 7, 8), false), Verdict::Ahead);
    assert!(!held.has_news(), "said already");
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(1, 0, 8), false), Verdict::Take);
    let said = held.say(false);
    assert_eq!((said[0].2.lacking, said[0].2.line), (0, 1));
    // What was still under way of the line before asks for nothing.
    assert_eq!(held.judge(Way::Uplink, 3, &stretch(0, 9, 11), false), Verdict::Ahead);
    assert!(!held.has_news());
}

#[test]
fn who_began_from_nothing_gets_what_all_readers_had_before_and_who_was_there_is_not_sent_it_again() {
    let with = |floor, stretch: Stretch| Stretch { floor, ..stretch };
    // The gateway keeps everything from 0 on; all readers have what is before 6.
    let mut empty = Held::default();
    empty.judge(Way::Uplink, 3, &with(6, hello(0, 0)), true);
    assert_eq!(
        empty.judge(Way::Uplink, 3, &with(6, stretch(0, 0, 4)), false),
        Verdict::Take
    );
    // Its process dies, and the gateway starts again meanwhile.
    let mut empty = Held::decode(&empty.encode()).unwrap();
    let anew = Stretch {
        era: 8,
        continues: Some((7, 6)),
        ..with(6, hello(0, 6))
    };
    assert_eq!(empty.judge(Way::Uplink, 3, &anew, true), Verdict::Ahead);
    let rest = Stretch {
        era: 8,
        ..with(6, stretch(1, 4, 6))
    };
    assert_eq!(empty.judge(Way::Uplink, 3, &rest, false), Verdict::Take);
    // From here on it is one of all: of an idle shard it is told that nothing came.
    let idle = Stretch {
        era: 8,
        ..with(50, hello(1, 50))
    };
    assert_eq!(empty.judge(Way::Uplink, 3, &idle, true), Verdict::Take);

    let mut there = Held::default();
    there.judge(Way::Uplink, 3, &hello(0, 0), true);
    assert_eq!(
        there.judge(Way::Uplink, 3, &with(6, stretch(0, 0, 6)), false),
        Verdict::Copy
    );
}

#[test]
fn one_sender_more_than_are_followed_costs_that_sender() {
    let mut held = Held::default();
    for number in 0..=SENDERS_MAX {
        let sender = format!("gw-{number}").parse().unwrap();
        let verdict = held.judge(Way::Uplink, 0, &Stretch { sender, ..hello(0, 0) }, true);
        let right = if number < SENDERS_MAX {
            Verdict::Take
        } else {
            Verdict::Stranger
        };
        assert_eq!(verdict, right, "{number}");
    }
}
