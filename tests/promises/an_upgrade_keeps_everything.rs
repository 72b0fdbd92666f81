//! Today's program on what an earlier release left behind when it was killed: everything is there; and a file of a later one
//! is refused plainly, before anything is written.
use std::collections::BTreeSet;
use std::process::Command;

use tests::{SOON, Stack, StackSpec, Webhook, wait_for, workspace_root};

/// What earlier releases left; tests/fixtures/README.md says how each was made.
const RELEASES: &[&str] = &["data-f098e8f.tar.xz"];

/// Points that are in both layouts of the embedded store, by what names them and what they say.
const POINTS: &[&str] = &[
    "SELECT tenant, clinic, device, model, kind, time_ns, zone, count, depth_sum_um, depth_max_um, band1_05, session, sequence, received_at_us FROM stroke_window",
    "SELECT tenant, clinic, device, model, kind, time_ns, ordinal, fluence_set_mj_per_cm2 FROM pulse",
    "SELECT tenant, device, time_ns, what, outcome, cycle FROM sterilization_event",
    "SELECT tenant, device, time_ns, zone, rule, transition_id, alert_id, priority, from_state, to_state, value FROM alert_transition",
];

fn left_by(release: &str, webhook: &Webhook) -> Stack {
    let stack = Stack::prepare(&StackSpec::plain(webhook));
    std::fs::remove_dir_all(stack.folder().join("registry")).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xJf")
        .arg(workspace_root().join("tests/fixtures").join(release))
        .arg("-C")
        .arg(stack.folder())
        .status();
    assert!(
        unpacked.is_ok_and(|status| status.success()),
        "tar with xz is missing: `cargo xtask test` installs xz-utils"
    );
    stack
}

fn points(stack: &Stack) -> Vec<BTreeSet<Vec<String>>> {
    let of = |sql: &&str| stack.rows(sql).unwrap().into_iter().collect();
    POINTS.iter().map(of).collect()
}

#[test]
fn todays_program_starts_on_an_earlier_releases_data_and_keeps_alerts_journal_and_points() {
    for release in RELEASES {
        let webhook = Webhook::start();
        let mut stack = left_by(release, &webhook);
        let old_points = points(&stack);
        assert!(
            old_points.iter().all(|points| points.len() > 5),
            "{release} shows nothing"
        );
        let ids = |stack: &Stack| -> BTreeSet<Vec<String>> {
            let rows = stack
                .rows_of("alerting.sqlite", "SELECT id, tenant FROM alert")
                .unwrap();
            rows.into_iter().collect()
        };
        let journal = |stack: &Stack| {
            let sql = "SELECT n, at_us, kind, body, hash FROM journal ORDER BY n";
            stack.rows_of("alerting.sqlite", sql).unwrap()
        };
        let (old_alerts, old_journal) = (ids(&stack), journal(&stack));
        let waiting = "SELECT count(*) FROM quarantine";
        let old_quarantine = stack.rows_of("gateway/quarantine.db", waiting).unwrap();

        stack.up();
        // What the killed process had acknowledged and not stored yet comes too: more, never fewer.
        for (sql, (old, new)) in POINTS.iter().zip(old_points.iter().zip(points(&stack))) {
            let gone: Vec<_> = old.difference(&new).collect();
            assert!(
                gone.is_empty(),
                "{release}: {} of {} are gone: {sql}: {gone:?}",
                gone.len(),
                old.len()
            );
        }
        assert!(old_alerts.is_subset(&ids(&stack)), "{release}: alerts are gone");
        let listed = stack.json("/v1/alerts");
        assert!(listed.as_array().unwrap().len() >= old_alerts.len(), "{listed}");
        assert_eq!(
            journal(&stack)[..old_journal.len()],
            old_journal[..],
            "{release}: the journal changed"
        );
        let file = stack.folder().join("data/alerting.sqlite");
        let (whole, said) = stack.command(&["journal", "verify", "--file", file.to_str().unwrap()]);
        assert!(whole, "{release}: {said}");
        assert_eq!(stack.rows_of("gateway/quarantine.db", waiting).unwrap(), old_quarantine);
        // It is read to its end: nothing of the old logs is unreadable.
        wait_for("the old logs to be read", SOON, || {
            let behind = stack.metric("spool_backlog_records{log=\"telemetry\",reader=\"ingestor\"}")
                + stack.metric("spool_backlog_records{log=\"alerting\",reader=\"alerting\"}");
            // A watermark comes each second and may be on its way.
            if behind <= 2.0 { Ok(()) } else { Err(behind) }
        });
        assert_eq!(stack.metric("spool_corrupt_records_total"), 0.0);
        assert_eq!(stack.metric("alerting_inputs_rejected_total"), 0.0);
        assert_eq!(stack.metric("ingestor_frames_quarantined_total"), 0.0);
        assert_eq!(stack.stop(), Some(0));
    }
}

#[test]
fn a_file_of_a_newer_release_is_refused_by_name_and_version_and_stays_as_it_was() {
    for file in [
        "alerting.sqlite",
        "gateway/quarantine.db",
        "ingestor/ledger.sqlite",
        "ingestor/store.sqlite",
    ] {
        let webhook = Webhook::start();
        let mut stack = left_by(RELEASES[0], &webhook);
        let path = stack.folder().join("data").join(file);
        let db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        stack.spawn();
        assert_eq!(stack.exit_code(SOON), Some(1), "{file}: {}", stack.log());
        let log = stack.log();
        let name = file.rsplit('/').next().unwrap();
        let said = log.lines().find(|line| line.contains(name) && line.contains("99"));
        assert!(said.is_some_and(|line| line.contains("newer")), "{file}: {log}");
        assert_eq!(stack.rows_of(file, "PRAGMA user_version").unwrap(), [["99"]], "{file}");
    }
}

#[test]
fn a_log_of_a_newer_release_is_refused_by_name_and_version() {
    let webhook = Webhook::start();
    let mut stack = left_by(RELEASES[0], &webhook);
    let segment = stack.folder().join("data/spool/telemetry/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
    let checksum = crc32(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&segment, &bytes).unwrap();
    stack.spawn();
    assert_eq!(stack.exit_code(SOON), Some(1), "{}", stack.log());
    let log = stack.log();
    assert!(log.contains("00000000000000000000.seg") && log.contains("99"), "{log}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "it was not touched");
}

/// CRC-32 (IEEE), bit by bit: a header is 60 bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
