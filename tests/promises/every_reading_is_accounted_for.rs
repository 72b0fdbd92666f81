//! Promise 2: per session, all strokes and pulses are stored, or the summary names which are missing; what comes late amends it.
use std::time::Duration;

use tests::{Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, wait_for};

const BATCH: usize = 100;

/// The summary's columns that people read.
const SUMMARY: &str = "complete, strokes_stored, strokes_total, strokes_missing, strokes_missing_ranges, text";

#[test]
fn missing_strokes_are_named_by_ordinal_and_a_late_arrival_completes_the_same_row() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let mut frames = vec![pen.start()];
    frames.extend((0..10).map(|_| pen.good(BATCH)));
    frames.push(pen.end(Some(1_000), None));
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    // Frame 4 holds the strokes 300 to 399, frame 8 those from 700 to 799.
    for (at, frame) in frames.iter().enumerate().filter(|(at, _)| ![4, 8].contains(at)) {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0), "frame {at}");
    }
    summary(
        &stack,
        &pen,
        &[
            "0",
            "800",
            "1000",
            "200",
            "300–399, 700–799",
            "800 of 1,000 strokes stored, missing 300–399, 700–799",
        ],
    );

    // Two copies of one of them, as after a lost PUBACK: counted once.
    assert_eq!(mqtt.put(&pen.topic(), &frames[4]), Some(0));
    assert_eq!(mqtt.put(&pen.topic(), &frames[4]), Some(0));
    summary(
        &stack,
        &pen,
        &[
            "0",
            "900",
            "1000",
            "100",
            "700–799",
            "900 of 1,000 strokes stored, missing 700–799",
        ],
    );
    assert_eq!(mqtt.put(&pen.topic(), &frames[8]), Some(0));
    summary(
        &stack,
        &pen,
        &["1", "1000", "1000", "0", "-", "1,000 of 1,000 strokes stored"],
    );
    let rows = format!(
        "SELECT count(*) FROM session_summary WHERE session = '{}'",
        pen.session_hex()
    );
    assert_eq!(stack.number(&rows), Ok(1), "amended, not written beside the old one");
}

#[test]
fn a_session_without_an_end_says_what_is_stored_and_that_its_total_is_unknown() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-2");
    let frames = [pen.start(), pen.good(BATCH), pen.good(BATCH), pen.good(BATCH)];
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    for frame in &frames {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    let text = "300 strokes stored, total unknown, last ordinal 299";
    summary(&stack, &pen, &["-", "300", "-", "0", "-", text]);

    // What is known of a session survives the process.
    stack.kill();
    stack.up();
    let end = pen.end(Some(400), None);
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &end), Some(0));
    let text = "300 of 400 strokes stored, missing 300–399";
    summary(&stack, &pen, &["0", "300", "400", "100", "300–399", text]);
}

#[test]
fn every_pulse_is_stored_and_a_missing_one_is_named() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut ipl = Source::new("ipl-1");
    let mut frames = vec![ipl.start()];
    frames.extend((0..20).map(|_| ipl.pulse()));
    frames.push(ipl.end(None, Some(20)));
    let mut mqtt = Mqtt::connect(&ipl.login(stack.mqtt, Version::V311)).unwrap();
    for frame in frames
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 6)
        .map(|(_, frame)| frame)
    {
        assert_eq!(mqtt.put(&ipl.topic(), frame), Some(0));
    }
    let session = ipl.session_hex();
    let sql = format!(
        "SELECT complete, pulses_stored, pulses_total, pulses_missing_ranges FROM session_summary WHERE session = '{session}'"
    );
    wait_row(&stack, &sql, &["0", "19", "20", "5"]);
    let ordinals = format!("SELECT count(DISTINCT ordinal) FROM pulse WHERE session = '{session}'");
    assert_eq!(stack.number(&ordinals), Ok(19));
    assert_eq!(mqtt.put(&ipl.topic(), &frames[6]), Some(0));
    wait_row(&stack, &sql, &["1", "20", "20", "-"]);
}

fn summary(stack: &Stack, pen: &Source, wanted: &[&str]) {
    let session = pen.session_hex();
    let sql = format!("SELECT {SUMMARY} FROM session_summary WHERE session = '{session}'");
    wait_row(stack, &sql, wanted);
}

fn wait_row(stack: &Stack, sql: &str, wanted: &[&str]) {
    wait_for(&format!("{wanted:?}"), SOON + Duration::from_secs(10), || {
        match stack.rows(sql) {
            Ok(rows) if rows.len() == 1 && rows[0] == wanted => Ok(()),
            other => Err(other),
        }
    });
}

#[test]
fn minutes_are_rolled_up_from_what_is_stored_also_across_a_kill_and_for_what_comes_late() {
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec::plain(&webhook));
    stack.edit("dermatel.toml", "[ingestor]\n", "[ingestor]\nrollup_after = \"1s\"\n");
    stack.up();
    let mut pen = Source::new("pen-1");
    let mut frames: Vec<Vec<u8>> = (0..60).map(|_| pen.good(BATCH)).collect();
    let late = frames.remove(7);
    let put = |stack: &Stack, pen: &Source, frames: &[Vec<u8>]| {
        let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
        for frame in frames {
            assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
        }
    };
    // In the middle of it the process is killed; then the rest comes, some of it again.
    put(&stack, &pen, &frames[..40]);
    stack.kill();
    stack.up();
    put(&stack, &pen, &frames[30..]);
    // Of each minute: what a person would compute who looks at the windows.
    let apart = "SELECT count(*) FROM (SELECT tenant, device, zone, time_ns / 60000000000 AS minute, count(*) AS windows, \
         sum(count) AS strokes, max(depth_max_um) AS deepest, sum(depth_sum_um) AS sum FROM stroke_window \
         GROUP BY tenant, device, zone, minute) AS truth LEFT JOIN stroke_1m AS told ON told.tenant = truth.tenant \
         AND told.device = truth.device AND told.zone = truth.zone AND told.time_ns / 60000000000 = truth.minute \
         WHERE (told.windows, told.count, told.depth_max_um, told.depth_sum_um) \
         IS NOT (truth.windows, truth.strokes, truth.deepest, truth.sum)";
    stack.wait_number("SELECT sum(count) FROM stroke_window", 59 * BATCH as i64);
    stack.wait_number(apart, 0);
    stack.wait_number("SELECT sum(count) FROM stroke_1m", 59 * BATCH as i64);
    put(&stack, &pen, &[late]);
    stack.wait_number("SELECT sum(count) FROM stroke_1m", 60 * BATCH as i64);
    stack.wait_number(apart, 0);
}
