//! Following: the lines of the process that leads, each once, whatever was missed, and nothing that it has lost.
use registry::{Book, Change, Digest, FollowError};
use telemetry::UnixMicros;

use crate::changes::{Fleet, add};
use crate::common::DEVICES;

fn lines(book: &Book) -> (Vec<Change>, Digest, String) {
    let (version, head) = book.head();
    let lines = book.changes().into_iter().map(|(line, _)| line).collect();
    (lines, head, version.to_string())
}

fn make(book: &Book, id: &str) {
    book.change(UnixMicros(1), ("ana", "new"), &add(id, "north"), |_| {})
        .unwrap();
}

/// How many lines were new.
fn follow(book: &Book, of: &Book) -> Result<usize, FollowError> {
    let (lines, head, version) = lines(of);
    Ok(book.follow(&lines, head, &version, |_| {})?.lines.len())
}

#[test]
fn one_that_follows_has_the_registry_of_the_one_that_leads_whatever_it_missed_and_keeps_it_over_a_restart() {
    let (there, here) = (Fleet::new(), Fleet::new());
    let (leads, follows) = (there.open(), here.open());
    assert_eq!(follow(&follows, &leads).unwrap(), 0);
    for id in ["pen-2", "pen-3", "pen-4"] {
        make(&leads, id);
    }
    assert_eq!(follow(&follows, &leads).unwrap(), 3);
    assert_eq!(follow(&follows, &leads).unwrap(), 0, "again changes nothing");
    make(&leads, "pen-5");
    drop(follows);
    let follows = here.open();
    assert_eq!(follow(&follows, &leads).unwrap(), 1);
    assert_eq!(follows.head(), leads.head());
    assert_eq!(
        std::fs::read(here.journal()).unwrap(),
        std::fs::read(there.journal()).unwrap()
    );
}

#[test]
fn a_journal_that_was_emptied_is_taken_once_the_files_here_say_what_was_in_it() {
    let (there, here) = (Fleet::new(), Fleet::new());
    let (leads, follows) = (there.open(), here.open());
    make(&leads, "pen-2");
    make(&leads, "pen-3");
    follow(&follows, &leads).unwrap();
    let pending = leads.pending().unwrap();
    let in_files = &pending
        .iter()
        .find(|one| one.device.device.as_str() == "pen-2")
        .unwrap();
    let files = DEVICES.replace("]", &format!("{}]", in_files.row_text().unwrap()));
    there.write("tenants/acme/devices.toml", &files);
    leads.reload(|_| {}).unwrap();
    leads.fold(UnixMicros(2), "ana", "in the files").unwrap();
    assert!(matches!(follow(&follows, &leads), Err(FollowError::NotFolded)));
    assert!(follows.shared().current().device(&in_files.device).is_some());
    here.write("tenants/acme/devices.toml", &files);
    follows.reload(|_| {}).unwrap();
    follow(&follows, &leads).unwrap();
    assert_eq!(follows.head(), leads.head());
}

#[test]
fn a_leader_that_lost_changes_takes_them_from_nobody_and_is_told_where_they_are() {
    let (there, here) = (Fleet::new(), Fleet::new());
    let (leads, follows) = (there.open(), here.open());
    make(&leads, "pen-2");
    follow(&follows, &leads).unwrap();
    let anew = Fleet::new();
    let lost = anew.open();
    let why = follow(&follows, &lost).unwrap_err().to_string();
    assert!(why.contains("from line 1") && why.contains("registry.journal"), "{why}");
    make(&lost, "pen-9");
    assert!(matches!(follow(&follows, &lost), Err(FollowError::Lacks { .. })));
    let (mut damaged, head, version) = lines(&leads);
    damaged[0].by = "somebody else".to_owned();
    let taken = follows.follow(&damaged, head, &version, |_| {});
    assert!(matches!(taken, Err(FollowError::Damaged)));
    assert_eq!(follows.head(), leads.head());
}
