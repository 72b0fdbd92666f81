//! Which receipt of a page is its first, and how long people waited for it.
use std::time::Duration;

use rusqlite::{Transaction, params};
use telemetry::{Priority, UnixMicros};

use super::journal;
use super::outbox::{Page, Settlement};
use super::{delivery, urgency};

/// A page has reached somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstReceipt {
    /// Its priority.
    pub priority: Priority,
    /// From when it was decided until now.
    pub took: Duration,
}

/// The receipt that is about to be kept, if nobody had the page before. `None` too of what is late on purpose or tells no person of
/// anything: digests, test pages, advice that goes down to a device.
pub(super) fn first(
    tx: &Transaction<'_>,
    settled: &Settlement,
    page: &Page,
    now: UnixMicros,
) -> rusqlite::Result<Option<FirstReceipt>> {
    if page.made == UnixMicros(0) || page.digest.is_some() || to_device(&settled.receiver) || delivery::is_test(page) {
        return Ok(None);
    }
    let elsewhere: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM told_elsewhere WHERE transition_id = ?1)")?
        .query_row(params![page.transition], |row| row.get(0))?;
    if elsewhere || journal::is_delivered(tx, &page.alert, &page.transition)? {
        return Ok(None);
    }
    let priority = Priority::ALL
        .iter()
        .find(|one| i64::from(urgency(**one)) == page.urgency);
    Ok(priority.map(|priority| FirstReceipt {
        priority: *priority,
        took: now.since(page.made),
    }))
}

fn to_device(receiver: &str) -> bool {
    receiver.starts_with('@')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::{Due, PageOutcome, Store};

    const MADE: i64 = 1_000_000;
    const FILE: &str = "alerting.sqlite";

    struct Desk {
        dir: tempfile::TempDir,
        db: Connection,
        store: Store,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(FILE);
            Self {
                store: Store::open(&file).unwrap(),
                db: Connection::open(file).unwrap(),
                dir,
            }
        }

        fn put(&self, receiver: &str, transition: &str, digest: Option<&str>, made: i64, state: &str) {
            let sql = "INSERT INTO outbox (receiver, digest, transition_id, alert_id, body, attempts, sent, next_us, priority, made_us) \
                       VALUES (?1, ?2, ?3, ?3, json_object('state', ?5), 0, 0, 1, 2, ?4)";
            self.db
                .execute(sql, params![receiver, digest, transition, made, state])
                .unwrap();
        }

        /// The receiver takes what it is sent, so many milliseconds after it was made.
        fn takes(&self, receiver: &str, ms: i64) -> Vec<FirstReceipt> {
            let now = UnixMicros(MADE + ms * 1_000);
            let pages = self.store.take_due(receiver, now, 9, now, Due::Any).unwrap();
            assert!(!pages.is_empty());
            let delivered = PageOutcome::Delivered { receipt: "200".into() };
            let settled = Settlement {
                receiver: receiver.to_owned(),
                fallbacks: Vec::new(),
                renews: false,
                outcomes: pages.into_iter().map(|page| (page, delivered.clone())).collect(),
            };
            self.store.settle(&settled, now).unwrap()
        }
    }

    #[test]
    fn a_page_is_measured_once_by_whoever_takes_it_first_also_a_fallback_and_after_a_restart() {
        let mut desk = Desk::new();
        desk.put("pager", "one", None, MADE, "firing");
        desk.put("chat", "one", None, MADE, "firing");
        let first = FirstReceipt {
            priority: Priority::Medium,
            took: Duration::from_millis(1_500),
        };
        assert_eq!(desk.takes("chat", 1_500), [first]);
        desk.store = Store::open(&desk.dir.path().join(FILE)).unwrap();
        assert_eq!(desk.takes("pager", 9_000), []);
        // A copy for a fallback is the page that it is a copy of.
        desk.put("pager", "two", None, MADE, "firing");
        let now = UnixMicros(MADE + 60_000_000);
        let page = &desk.store.take_due("pager", now, 9, now, Due::Any).unwrap()[0];
        desk.store
            .copy_page("pager", &["deputy".to_owned()], page, "overdue", now)
            .unwrap();
        let late = Duration::from_secs(61);
        assert_eq!(desk.takes("deputy", 61_000), [FirstReceipt { took: late, ..first }]);
        assert_eq!(desk.takes("pager", 62_000), []);
    }

    #[test]
    fn what_is_late_on_purpose_or_tells_no_person_of_anything_is_not_measured() {
        let desk = Desk::new();
        desk.put("pager", "one", Some("acme"), MADE, "firing");
        desk.put("pager", "two", None, MADE, crate::notify::TEST);
        desk.put("pager", "three", None, 0, "firing");
        assert_eq!(desk.takes("pager", 5), []);
        desk.put("@device", "four", None, MADE, "firing");
        assert_eq!(desk.takes("@device", 5), []);
        // That the device has the advice is no receipt of a person.
        desk.put("pager", "four", None, MADE, "firing");
        assert_eq!(desk.takes("pager", 7).len(), 1);
        // Another instance paged.
        let elsewhere = "INSERT INTO told_elsewhere (transition_id, receiver) VALUES ('five', 'chat')";
        desk.db.execute(elsewhere, []).unwrap();
        desk.put("pager", "five", None, MADE, "firing");
        assert_eq!(desk.takes("pager", 9), []);
    }
}
