//! A copy that is made while records come and go: whole, and never behind what a reader knew when it began.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spool::{Config, Copying, Offset, OsDisk, Spool};

use crate::kit::*;

fn here(dir: &Path) -> Config {
    Config {
        dir: dir.to_owned(),
        keep: Duration::ZERO,
        ..small(&["store"])
    }
}

fn open_here(dir: &Path) -> Spool {
    Spool::open(here(dir), Arc::new(OsDisk)).unwrap().0
}

#[test]
fn a_copy_has_what_was_retired_meanwhile_what_came_meanwhile_and_cursors_as_they_were_at_first() {
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("spool"), scratch.path().join("copy"));
    let spool = open_here(&from);
    append_all(&spool, 0..120);
    spool.sync().unwrap();
    let mut reader = spool.reader("store").unwrap();
    reader.commit(Offset(10)).unwrap();

    let mut copying = Copying::begin(&from, Arc::new(OsDisk)).unwrap();
    // The reader goes on, its segments are unlinked, and others are begun.
    let before = spool.state().segments;
    reader.commit(Offset(100)).unwrap();
    spool.maintain(later(3_600));
    assert!(spool.state().segments < before, "nothing was retired");
    append_all(&spool, 120..200);
    spool.sync().unwrap();
    copying.look_again().unwrap();
    reader.commit(Offset(200)).unwrap();
    append_all(&spool, 200..300);
    spool.sync().unwrap();
    spool.maintain(later(7_200));
    let copied = copying.finish(&to).unwrap();
    assert_eq!((copied.records, copied.end), (300, Offset(300)));

    let copy = open_here(&to);
    let items = read_all(&mut copy.reader("store").unwrap());
    assert_seamless(&items, Offset(10));
    assert_eq!(payloads(&items).len(), 290);
    // It goes on where the original was: no ordinal is given twice.
    assert_eq!(append(&copy, 300..301).first, Offset(300));
}

#[test]
fn a_copy_is_not_written_over_another_spool() {
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("spool"), scratch.path().join("copy"));
    let spool = open_here(&from);
    append_all(&spool, 0..10);
    spool.sync().unwrap();
    let copy = || Copying::begin(&from, Arc::new(OsDisk)).unwrap().finish(&to);
    copy().unwrap();
    assert!(copy().is_err());
}

#[test]
fn what_is_no_spool_cannot_be_copied() {
    let scratch = tempfile::tempdir().unwrap();
    assert!(Copying::begin(&scratch.path().join("nothing"), Arc::new(OsDisk)).is_err());
}
