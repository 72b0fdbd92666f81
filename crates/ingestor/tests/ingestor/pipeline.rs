//! Spool to embedded store.

use ingestor::ledger::SessionKey;
use proptest::prelude::*;

use crate::support::{Device, Site};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A session of a pen with all that belongs to it.
fn session() -> Vec<telemetry::Admitted> {
    let mut pen = Device::new("acme", "pen-1", 1);
    let mut frames = vec![pen.heartbeat(1_000)];
    for first in (0..600).step_by(100) {
        frames.push(pen.strokes(first, &[480, 520, 610, 0].repeat(25), &[3, 7]));
    }
    let mut unit = Device::new("acme", "ipl-1", 2);
    frames.push(unit.pulses(0, 5));
    frames.push(unit.pulses(5, 3));
    frames.push(pen.end(Some(600), None));
    frames.push(unit.end(None, Some(8)));
    frames
}

#[test]
fn a_session_in_the_spool_is_a_whole_session_in_the_store() {
    let site = Site::new();
    site.append(&session());
    runtime().block_on(site.run());
    let counts = site.store().counts().unwrap();
    assert_eq!(counts.len(), 1);
    assert_eq!(
        (
            counts[0].strokes,
            counts[0].windows,
            counts[0].pulses,
            counts[0].sessions
        ),
        (600, 6, 8, 2)
    );
    let sessions = site.store().sessions(&"acme".parse().unwrap(), 10).unwrap();
    assert_eq!(sessions[0].text, "8 of 8 pulses stored");
    assert_eq!(sessions[1].text, "600 of 600 strokes stored");
    assert!(
        sessions
            .iter()
            .all(|s| s.closed && s.complete == Some(true) && s.model == "model-1")
    );
    assert!(site.health.is_ready());
}

#[test]
fn what_is_in_the_log_when_a_stop_begins_is_stored_before_it_ends() {
    let site = Site::new();
    let mut pen = Device::new("acme", "pen-1", 1);
    // More than is read in one go, and more than waits between reader and writer.
    let frames: Vec<_> = (0..6_000).map(|n| pen.range(n, n + 1)).collect();
    site.append(&frames);
    runtime().block_on(site.ingestor().run(std::future::ready(())));
    assert_eq!(site.store().counts().unwrap()[0].windows, 6_000);
    assert!(site.caught_up());
}

#[test]
fn what_is_missing_of_a_session_is_named() {
    let site = Site::new();
    let mut frames = session();
    frames.remove(2);
    site.append(&frames);
    runtime().block_on(site.run());
    let pen = Device::new("acme", "pen-1", 1);
    let row = site
        .store()
        .session(&pen.tenant_id(), pen.session_id())
        .unwrap()
        .unwrap();
    assert_eq!(row.text, "500 of 600 strokes stored, missing 100–199");
    assert_eq!((row.complete, row.strokes_missing), (Some(false), 100));
}

#[test]
fn a_straggler_amends_the_same_summary() {
    let site = Site::new();
    let mut frames = session();
    let straggler = frames.remove(2);
    site.append(&frames);
    let rt = runtime();
    rt.block_on(site.run());
    site.append(&[straggler]);
    rt.block_on(site.run());
    let sessions = site.store().sessions(&"acme".parse().unwrap(), 10).unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[1].text, "600 of 600 strokes stored");
}

#[test]
fn a_record_that_does_not_decode_is_kept_aside_and_its_neighbours_are_stored() {
    let site = Site::new();
    let mut pen = Device::new("acme", "pen-1", 1);
    site.append(&[pen.range(0, 10)]);
    site.append_raw(b"\xff\xff not ours");
    let mut bad = pen.range(10, 20);
    bad.payload = vec![0xff; 20].into();
    site.append(&[bad, pen.range(20, 30)]);
    runtime().block_on(site.run());
    assert_eq!(site.store().counts().unwrap()[0].strokes, 20);
    let kept = site.ledger().quarantined(10).unwrap();
    let reasons: Vec<&str> = kept.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons, ["malformed", "not_admitted"]);
    assert_eq!(kept[1].bytes, b"\xff\xff not ours");
}

#[test]
fn points_beyond_retention_are_expired_not_stored_and_not_in_quarantine() {
    let mut site = Site::new();
    site.config.retention = Some(std::time::Duration::from_secs(3_600 - 65));
    let mut pen = Device::new("acme", "pen-1", 1);
    // The session starts a minute after the anchor; the clock stands an hour after it.
    site.append(&[pen.range(0, 100), pen.range(1_000, 1_100)]);
    runtime().block_on(site.run());
    assert_eq!(site.store().counts().unwrap()[0].strokes, 100);
    assert_eq!(site.ledger().quarantined_count().unwrap(), 0);
    let key = SessionKey {
        tenant: pen.tenant_id(),
        device: "pen-1".parse().unwrap(),
        session: pen.session_id(),
    };
    let told = site.ledger().completeness(&key).unwrap().unwrap();
    assert_eq!((told.strokes.stored, told.expired), (100, 100));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_order_duplication_and_split_of_delivery_and_any_kill_give_the_same_points(
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        split in 1usize..20,
        kills in prop::collection::vec(0u64..6, 0..3),
    ) {
        let rt = runtime();
        let straight = Site::new();
        straight.append(&session());
        rt.block_on(straight.run());

        let mut shuffled = Site::new();
        let mut frames = session();
        // Some twice, and all of them in some order.
        let doubled: Vec<_> = order.iter().take(8).map(|at| frames[at.index(frames.len())].clone()).collect();
        frames.extend(doubled);
        for (at, to) in order.iter().enumerate().take(frames.len()) {
            let to = to.index(frames.len());
            frames.swap(at % 12, to);
        }
        for part in frames.chunks(split) {
            shuffled.append(part);
        }
        // Dropped when the store has so many windows, or has them all: batches of three give it time to be caught.
        shuffled.config.flow.batch_points = 3;
        for windows in kills {
            rt.block_on(shuffled.run_and_kill(|| {
                let made = shuffled.config.dir.join(ingestor::STORE_FILE).exists();
                let stored = || shuffled.store().counts().is_ok_and(|counts| counts.iter().any(|c| c.windows >= windows));
                made && (shuffled.caught_up() || stored())
            }));
        }
        rt.block_on(shuffled.run());
        prop_assert_eq!(straight.dump(), shuffled.dump());
    }
}
