//! The journal on disk: what was answered is there, what was being written is cut, and what was damaged is named.
use registry::{Book, Journal, JournalError, OpenError};

use crate::changes::{Fleet, add, change};

/// A journal of three changes, and its bytes.
fn three() -> (Fleet, Vec<u8>) {
    let fleet = Fleet::new();
    let book = fleet.open();
    for id in ["pen-2", "pen-3", "pen-4"] {
        change(&book, &add(id, "north")).unwrap();
    }
    let bytes = std::fs::read(fleet.journal()).unwrap();
    (fleet, bytes)
}

#[test]
fn a_process_that_dies_at_any_byte_of_an_append_loses_at_most_what_it_had_not_answered() {
    let (fleet, bytes) = three();
    // Every byte of the last line, and some of those before: each costs some syncs.
    let last = bytes.len() - bytes.len() / 3;
    for end in (0..last).step_by(11).chain((last..bytes.len()).step_by(3)) {
        std::fs::write(fleet.journal(), &bytes[..end]).unwrap();
        let whole = bytes[..end].iter().filter(|&&byte| byte == b'\n').count();
        let (journal, changes, torn) = Journal::open(&fleet.journal()).unwrap();
        assert_eq!(changes.len(), whole, "{end} bytes");
        let tail = bytes[..end].rsplit(|&byte| byte == b'\n').next().unwrap();
        assert_eq!(torn.as_ref().map_or(0, |torn| torn.bytes), tail.len());
        if let Some(torn) = torn {
            assert_eq!(
                (torn.line, std::fs::read(torn.kept).unwrap().as_slice()),
                (whole + 1, tail)
            );
        }
        drop(journal);
        // It goes on from there.
        assert!(Journal::open(&fleet.journal()).unwrap().2.is_none());
    }
    std::fs::write(fleet.journal(), &bytes[..bytes.len() - 1]).unwrap();
    let book = fleet.open();
    assert_eq!(change(&book, &add("pen-4", "north")).unwrap().change.n, 3);
    assert_eq!(fleet.open().shared().current().devices().len(), 4);
}

#[test]
fn a_byte_that_changed_anywhere_in_what_was_answered_is_found_and_its_line_is_named() {
    let (fleet, bytes) = three();
    for at in (0..bytes.len() - 1).step_by(7) {
        if bytes[at] == b'\n' {
            continue;
        }
        let mut damaged = bytes.clone();
        // Case and digit both change.
        damaged[at] ^= 0x01;
        if damaged[at] == b'\n' {
            continue;
        }
        std::fs::write(fleet.journal(), &damaged).unwrap();
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
        match Journal::open(&fleet.journal()) {
            Err(JournalError::Damaged { line: named, .. }) => assert_eq!(named, line, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(
            std::fs::read(fleet.journal()).unwrap(),
            damaged,
            "and it is left as it is"
        );
    }
}

#[test]
fn a_line_that_was_taken_out_moved_or_written_twice_is_found() {
    let (fleet, bytes) = three();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (order, named) in [
        (vec![1, 2], 1),
        (vec![0, 2], 2),
        (vec![0, 2, 1], 2),
        (vec![0, 0, 1, 2], 2),
    ] {
        let text: Vec<u8> = order.iter().flat_map(|&at: &usize| lines[at].to_vec()).collect();
        std::fs::write(fleet.journal(), text).unwrap();
        match Book::open(&fleet.journal().with_file_name("registry"), &fleet.journal()) {
            Err(OpenError::Journal(JournalError::Damaged { line, .. })) => assert_eq!(line, named, "{order:?}"),
            other => panic!("{order:?}: {other:?}"),
        }
    }
}
