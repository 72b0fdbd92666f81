//! A device as a row of the file: what goes in comes out, also from rows of older versions, and bad bytes are an error.
use alerting::engine::state::{BootSeen, Device, HASHES, MAX_BOOTS, OLD_HASHES, Repeat};
use proptest::prelude::*;

/// A device as the version before wrote it, as text only.
const OLD: &str = r#"{"clinic":"north","gateway":"gw-1","serial":null,"boots":[{"boot":7,"intervals":[[0,3],[5,6]],
"hashes":[[2,22],[0,20],[1,21],[5,25]],"odd":[[1,99]]}],"heard":{"boot":7,"sequence":5,"event_time":1000},"received_at":1000,
"in_session":true,"silent":false,"session":null,"ended":null,"visit":null,"cartridge":null,
"depth":{"above":{"bits":0,"clean":0,"first_bad":null},"off":{"bits":0,"clean":0,"first_bad":null},"context":null},
"open":[],"closed":[],"awaited":[],"offsets":[1,2]}"#;

#[test]
fn a_row_of_the_version_before_is_read_and_its_copies_are_still_known() {
    let mut device = Device::from_row(OLD.as_bytes()).unwrap();
    assert_eq!(
        (&*device.clinic, &*device.gateway, device.in_session),
        ("north", "gw-1", true)
    );
    assert_eq!(device.boots.newest().unwrap().boot(), 7);
    for (number, hash, repeat) in [
        (0, 20, Repeat::Duplicate),
        (5, 25, Repeat::Duplicate),
        (1, 99, Repeat::Duplicate),
        (2, 23, Repeat::Reused),
        (3, 1, Repeat::New),
    ] {
        assert_eq!(device.take(7, number, hash), repeat, "{number}");
    }
    assert_eq!(Device::from_row(&device.to_row().unwrap()).unwrap(), device);
}

/// Numbers as devices say them: mostly the next, some again, some left out or late.
fn numbers() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    let step = prop_oneof![6 => Just(1i64), 1 => Just(0), 1 => -90i64..-1, 1 => 2i64..200];
    prop::collection::vec((0u8..6, step, 0u64..3), 0..400).prop_map(|steps| {
        let mut at = [100i64; 6];
        let numbers = steps.into_iter().map(|(boot, step, hash)| {
            let at = &mut at[usize::from(boot)];
            *at = (*at + step).max(0);
            (boot, *at as u64, hash)
        });
        numbers.collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_goes_on_alike(numbers in numbers(), more in numbers()) {
        let mut device = Device::default();
        for (boot, number, hash) in numbers {
            device.take(u64::from(boot), number, hash);
        }
        prop_assert!(device.boots.len() <= MAX_BOOTS);
        let mut read = Device::from_row(&device.to_row().unwrap()).unwrap();
        prop_assert_eq!(&read, &device);
        for (boot, number, hash) in more {
            let boot = u64::from(boot);
            prop_assert_eq!(read.take(boot, number, hash), device.take(boot, number, hash));
        }
    }

    #[test]
    fn a_copy_of_one_of_the_newest_frames_is_always_known(numbers in numbers()) {
        // By number, what was said first with it.
        let mut seen = BootSeen::new(1);
        let mut said = std::collections::BTreeMap::new();
        for (_, number, hash) in numbers {
            let newest = said.last_key_value().map(|(n, _)| *n);
            let known = said.get(&number).copied();
            let repeat = seen.take(number, hash);
            let near = newest.is_none_or(|newest| number + HASHES > newest);
            match known {
// Beyond the bound of holes one counts as seen: nothing is known of its numbers.
                None if repeat == Repeat::New => {
                    said.insert(number, hash);
                }
                None => {}
                Some(known) if near && known == hash => prop_assert_eq!(repeat, Repeat::Duplicate),
                Some(_) if near => prop_assert!(matches!(repeat, Repeat::Reused | Repeat::Duplicate)),
                Some(_) => prop_assert!(repeat != Repeat::New),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_a_device_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Device::from_row(&bytes);
        let _ = Device::from_row(&[&[1u8, 2, b'{', b'}'][..], &bytes].concat());
    }
}

#[test]
fn a_boot_before_keeps_the_hashes_of_what_was_in_flight() {
    let mut device = Device::default();
    for number in 0..200 {
        device.take(1, number, number);
    }
    device.take(2, 0, 0);
    assert_eq!(device.take(1, 199, 199), Repeat::Duplicate);
    assert_eq!(device.take(1, 200 - OLD_HASHES, 200 - OLD_HASHES), Repeat::Duplicate);
    assert_eq!(device.take(1, 199 - OLD_HASHES, 199 - OLD_HASHES), Repeat::Old);
}
