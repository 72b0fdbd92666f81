//! A backup made beside the running process can be gone on from: the same alerts, a journal that holds, no unmarked repeat,
//! and what is not in it is told and not hidden.
mod apart;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tests::{Mqtt, Page, SOON, Source, Stack, StackSpec, Version, Webhook, copy_folder, deliver_all, wait_for};

const RULE: &str = "depth-above-limit";
/// Strokes of a frame.
const BATCH: usize = 20;

/// Makes the next frame of a device.
type Next = fn(&mut Source) -> Vec<u8>;

/// A pen that publishes until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(stack: &Stack) -> Self {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut pen = Source::new("pen-2");
        let login = pen.login(stack.mqtt, Version::V5);
        let thread = std::thread::spawn({
            let (stop, acked) = (Arc::clone(&stop), Arc::clone(&acked));
            move || {
                while !stop.load(Ordering::SeqCst) {
                    let frames: Vec<Vec<u8>> = (0..50).map(|_| pen.good(BATCH)).collect();
                    deliver_all(&login, &pen.topic(), &frames, |_| {
                        _ = acked.fetch_add(1, Ordering::SeqCst)
                    });
                }
            }
        });
        Self { stop, acked, thread }
    }

    fn acked(&self) -> usize {
        self.acked.load(Ordering::SeqCst)
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_backup_under_load_restores_to_the_same_alerts_and_says_what_it_cannot_know() {
    let webhook = Webhook::start();
    let spec = StackSpec::plain(&webhook);
    let mut stack = Stack::start(&spec);
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    put(&mut mqtt, &mut pen, &[Source::start, Source::hazard]);
    wait_for("the first page", SOON, || webhook.of_rule(RULE).pop().ok_or(()));
    // A page that waits when the backup is made, and leaves afterwards.
    webhook.answer(500);
    pen.next_session();
    put(&mut mqtt, &mut pen, &[Source::start, Source::hazard]);
    stack.wait_metric("alerting_notifications_failed_total", 1.0);
    let load = Load::start(&stack);
    wait_for("load", SOON, || {
        if load.acked() > 300 { Ok(()) } else { Err(load.acked()) }
    });

    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("backup");
    let (alerts, before) = (alerts(&stack), load.acked());
    let config = stack.folder().join("dermatel.toml");
    let (done, said) = stack.command(&["backup", "--config", path(&config), "--to", path(&copy)]);
    assert!(done && said.contains("journal whole"), "{said}");
    assert!(load.acked() > before, "nothing was published meanwhile");

    // What happens after the backup: the page arrives, and 3 frames are acknowledged that nobody will have.
    webhook.answer(200);
    wait_for("the second page", SOON, || {
        let ids = ids(&webhook.of_rule(RULE));
        if ids.len() == 2 { Ok(()) } else { Err(ids) }
    });
    put(&mut mqtt, &mut pen, &[good as Next; 3]);
    // A hazard that was paged and whose PUBACK got lost on the way: its device will send it once more.
    let mut unheard = Source::of("other", "other-south", "pen-1");
    let hazard = unheard.hazard();
    let mut link = Mqtt::connect(&unheard.login(stack.mqtt, Version::V5)).unwrap();
    assert_eq!(link.put(&unheard.topic(), &hazard), Some(0));
    wait_for("the third page", SOON, || {
        let ids = ids(&webhook.of_rule(RULE));
        if ids.len() == 3 { Ok(()) } else { Err(ids) }
    });
    load.end();
    stack.kill();

    let mut restored = restore(&spec, &copy);
    let file = restored.folder().join("data/alerting.sqlite");
    let (whole, said) = restored.command(&["journal", "verify", "--file", path(&file)]);
    assert!(whole && said.contains("whole"), "{said}");
    restored.up();
    let back = self::alerts(&restored);
    for (id, rule) in &alerts {
        assert_eq!(back.get(id), Some(rule), "an alert is gone: {back:?}");
    }
    restored.wait_number("SELECT max(strokes_stored) > 6000 FROM session_summary", 1);

    // Told: in the log, in the journal, by the rule for frames that never come, by the session's summary.
    assert!(restored.log().contains("restored from a backup"), "{}", restored.log());
    assert_eq!(restored.journal("restored").unwrap().len(), 1);
    let mut mqtt = Mqtt::connect(&pen.login(restored.mqtt, Version::V5)).unwrap();
    let next = told_what_it_keeps(&mut pen);
    assert_eq!(mqtt.put(&pen.topic(), &next), Some(0));
    wait_for("the gap to be an alert", SOON, || {
        let found = self::alerts(&restored).into_values().any(|rule| rule == "sequence-gap");
        if found { Ok(()) } else { Err(self::alerts(&restored)) }
    });
    let end = pen.end(Some(3 + 4 * BATCH as u64), None);
    assert_eq!(mqtt.put(&pen.topic(), &end), Some(0));
    let session = pen.session_hex();
    let missing = format!("SELECT strokes_missing FROM session_summary WHERE session = '{session}' AND closed");
    restored.wait_number(&missing, 3 * BATCH as i64);

    let mut link = Mqtt::connect(&unheard.login(restored.mqtt, Version::V5)).unwrap();
    assert_eq!(link.put(&unheard.topic(), &hazard), Some(0));
    wait_for("its page again", SOON, || {
        let of_other = |page: &&Page| page["tenant"] == "other";
        let again = webhook.of_rule(RULE).iter().filter(of_other).count() > 1;
        if again {
            Ok(())
        } else {
            Err(webhook.of_rule(RULE).len())
        }
    });
    assert_repeats_are_marked(&webhook);
    let repeated = webhook
        .of_rule(RULE)
        .iter()
        .filter(|page| page["possible_repeat"] == true)
        .count();
    assert!(repeated > 0, "the page that waited in the backup goes out again");
    // What happens from now on, clocks allowed for, is nobody's repeat.
    let restored_us = restored.journal("restored").unwrap()[0]["restored_us"]
        .as_i64()
        .unwrap();
    wait_for("clocks to be beyond doubt", SOON, || {
        if tests::now_us() > restored_us + 6_000_000 {
            Ok(())
        } else {
            Err(restored_us)
        }
    });
    let mut other = Source::new("pen-2");
    let mut mqtt = Mqtt::connect(&other.login(restored.mqtt, Version::V5)).unwrap();
    put(&mut mqtt, &mut other, &[Source::start, Source::hazard]);
    let page = wait_for("its page", SOON, || {
        let pages = webhook.of_rule(RULE).into_iter();
        pages.rev().find(|page| page["device"] == "pen-2").ok_or(())
    });
    assert_eq!(page["possible_repeat"], false, "{page}");
    // The next start is an ordinary one.
    assert_eq!(restored.stop(), Some(0));
    restored.up();
    assert_eq!(restored.journal("restored").unwrap().len(), 1);
}

#[test]
fn a_stopped_process_can_be_backed_up_and_a_backup_never_writes_over_anything() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    put(&mut mqtt, &mut pen, &[Source::start, good]);
    assert_eq!(stack.stop(), Some(0));
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("backup");
    let config = stack.folder().join("dermatel.toml");
    let arguments = ["backup", "--config", path(&config), "--to", path(&copy)];
    let (done, said) = stack.command(&arguments);
    assert!(done, "{said}");
    let (again, said) = stack.command(&arguments);
    assert!(!again && said.contains("exists already"), "{said}");
    for file in [
        "data/backup.json",
        "data/gateway/ledger.snapshot",
        "registry/registry.toml",
        "dermatel.toml",
    ] {
        assert!(copy.join(file).is_file(), "{file} is not in the backup");
    }
}

fn restore(spec: &StackSpec, copy: &Path) -> Stack {
    restore_part(spec, "up", copy)
}

pub(crate) fn restore_part(spec: &StackSpec, part: &'static str, copy: &Path) -> Stack {
    let stack = Stack::prepare_part(spec, part);
    copy_folder(&copy.join("data"), &stack.folder().join("data"));
    std::fs::remove_dir_all(stack.folder().join("registry")).unwrap();
    copy_folder(&copy.join("registry"), &stack.folder().join("registry"));
    stack
}

fn put(mqtt: &mut Mqtt, pen: &mut Source, frames: &[Next]) {
    for frame in frames {
        let frame = frame(pen);
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
}

fn good(pen: &mut Source) -> Vec<u8> {
    pen.good(BATCH)
}

/// Strokes in a frame that says that the device keeps nothing from before it.
fn told_what_it_keeps(pen: &mut Source) -> Vec<u8> {
    let batch = pen.batch(&[tests::SETPOINT_UM; BATCH]);
    let mut frame = pen.frame(telemetry::proto::frame::Body::StrokeBatch(batch));
    let header = frame.header.as_mut().unwrap();
    header.oldest_unacknowledged_sequence = header.sequence;
    prost::Message::encode_to_vec(&frame)
}

fn alerts(stack: &Stack) -> BTreeMap<String, String> {
    let listed = stack.json("/v1/alerts");
    let text = |alert: &Value, field: &str| alert[field].as_str().unwrap().to_owned();
    let alerts = listed.as_array().unwrap().iter();
    alerts.map(|alert| (text(alert, "id"), text(alert, "rule"))).collect()
}

fn ids(pages: &[Page]) -> BTreeSet<String> {
    pages.iter().map(|page| page["alert_id"].to_string()).collect()
}

fn assert_repeats_are_marked(webhook: &Webhook) {
    let mut unmarked = BTreeSet::new();
    for page in webhook.pages().iter().filter(|page| page["possible_repeat"] != true) {
        assert!(
            unmarked.insert(page["transition_id"].to_string()),
            "an unmarked repeat: {page}"
        );
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
