//! The embedded store's file: what a point is, and files that an older version made.

use ingestor::frame::FrameReader;
use ingestor::record::Record;
use ingestor::schema::{MEASUREMENTS, STROKE_WINDOW};
use ingestor::store::SqliteStore;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use telemetry::Admitted;

use crate::support::{Device, OneModel};

fn records(frame: &Admitted) -> Vec<Record> {
    FrameReader::new(Arc::new(OneModel))
        .decode(&frame.encode())
        .unwrap()
        .records
}

fn number(file: &Path, sql: &str) -> i64 {
    Connection::open(file)
        .unwrap()
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_reading_of_a_device_that_moved_stays_one_point_with_its_latest_tags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.db");
    let store = SqliteStore::open(&file, None).unwrap();
    let mut pen = Device::new("acme", "pen-1", 1);
    let before = pen.range(0, 10);
    let mut after = before.clone();
    after.clinic = "south".parse().unwrap();
    store.write(&records(&before), 0).unwrap();
    store.write(&records(&after), 0).unwrap();
    assert_eq!(
        number(&file, "SELECT count(*) FROM stroke_window WHERE device = 'pen-1'"),
        1
    );
    assert_eq!(
        number(&file, "SELECT count(*) FROM stroke_window WHERE clinic = 'south'"),
        1
    );
    // Another tenant's device of the same name is another one.
    let theirs = Device::new("other", "pen-1", 1).range(0, 10);
    store.write(&records(&theirs), 0).unwrap();
    assert_eq!(
        number(&file, "SELECT count(*) FROM stroke_window WHERE device = 'pen-1'"),
        2
    );
}

/// As the version before series made it: every tag in every row.
fn old_layout(file: &Path) {
    let db = Connection::open(file).unwrap();
    for measurement in MEASUREMENTS {
        let mut columns =
            "tenant TEXT NOT NULL, device TEXT NOT NULL, time_ns INTEGER NOT NULL, clinic TEXT NOT NULL, \
             model TEXT NOT NULL, kind TEXT NOT NULL, "
                .to_owned();
        let mut key = "tenant, device, time_ns".to_owned();
        for (has, tag) in [(measurement.zone, "zone"), (measurement.rule, "rule")] {
            if has {
                columns.push_str(&format!("{tag} TEXT NOT NULL, "));
                key.push_str(&format!(", {tag}"));
            }
        }
        // The last field came later.
        for field in &measurement.fields[..measurement.fields.len() - 1] {
            columns.push_str(&format!("\"{}\" {}, ", field.name, field.ty.sql()));
        }
        let name = measurement.name;
        db.execute_batch(&format!(
            "CREATE TABLE {name} ({columns} PRIMARY KEY ({key})); CREATE INDEX {name}_time ON {name} (time_ns);"
        ))
        .unwrap();
    }
}

#[test]
fn a_file_of_the_layout_before_series_is_taken_over_whole_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
    old_layout(&old);
    let frames = [
        Device::new("acme", "pen-1", 1).range(0, 10),
        Device::new("acme", "pen-1", 2).range(0, 20),
        Device::new("acme", "ipl-1", 1).pulses(0, 3),
        Device::new("other", "pen-1", 1).range(0, 30),
    ];
    let expected = SqliteStore::open(&new, None).unwrap();
    for frame in &frames {
        expected.write(&records(frame), 0).unwrap();
    }
    // What the new file holds, written the old way; `received_at_us` is the field that the old one did not have.
    let db = Connection::open(&new).unwrap();
    db.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
    for measurement in MEASUREMENTS {
        let columns: Vec<String> = db
            .prepare(&format!(
                "SELECT name FROM pragma_table_info('{}', 'old')",
                measurement.name
            ))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let columns = columns
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let name = measurement.name;
        db.execute_batch(&format!(
            "INSERT INTO old.{name} ({columns}) SELECT {columns} FROM main.{name}"
        ))
        .unwrap();
        let last = measurement.fields.last().unwrap().name;
        db.execute_batch(&format!("UPDATE {name}_point SET \"{last}\" = NULL"))
            .unwrap();
    }
    drop(db);
    for _ in 0..2 {
        let taken = SqliteStore::open(&old, None).unwrap();
        for measurement in MEASUREMENTS {
            assert_eq!(
                taken.dump(measurement).unwrap(),
                expected.dump(measurement).unwrap(),
                "{}",
                measurement.name
            );
        }
        // The same reading again is still the same point.
        taken.write(&records(&frames[0]), 0).unwrap();
        assert_eq!(taken.dump(&STROKE_WINDOW).unwrap().len(), 3);
        expected.write(&records(&frames[0]), 0).unwrap();
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.db");
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = SqliteStore::open(&file, None).unwrap_err();
    assert!(format!("{:?}", error).contains("newer version"), "{error:?}");
    assert_eq!(number(&file, "SELECT count(*) FROM sqlite_master"), 0);
}
