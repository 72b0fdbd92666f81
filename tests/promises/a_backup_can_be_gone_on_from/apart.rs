//! Of processes apart each is backed up and restored for itself, says so, and the others go on with it.
use std::path::{Path, PathBuf};

use tests::{Apart, Mosquitto, Mqtt, SOON, Source, Stack, StackSpec, Version, Webhook, uplink, wait_for};

use super::{
    BATCH, Load, Next, RULE, alerts, assert_repeats_are_marked, good, path, put, restore_part, told_what_it_keeps,
};

const RESTORED: &str = "dermatel_restored_timestamp_seconds";

struct Site {
    _folder: tempfile::TempDir,
    _broker: Mosquitto,
    backups: PathBuf,
    webhook: Webhook,
    /// As each process has it.
    spec: StackSpec,
    apart: Apart,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(folder.path());
        let webhook = Webhook::start();
        let plain = StackSpec::plain(&webhook);
        let spec = StackSpec {
            more: uplink(broker.port, "one", "0-63"),
            ..plain.clone()
        };
        let backups = folder.path().join("backups");
        std::fs::create_dir(&backups).unwrap();
        Self {
            apart: Apart::start(&plain, broker.port),
            _folder: folder,
            _broker: broker,
            backups,
            webhook,
            spec,
        }
    }

    fn connect(&self, pen: &Source) -> Mqtt {
        Mqtt::connect(&pen.login(self.apart.gateway.mqtt, Version::V5)).unwrap()
    }

    fn wait_paged(&self, hazards: usize) {
        wait_for("pages of the hazards", SOON, || match self.webhook.of_rule(RULE) {
            pages if super::ids(&pages).len() == hazards => Ok(()),
            pages => Err(pages.len()),
        });
    }

    /// Backs a part up with its own configuration, beside the running process.
    fn back_up(&self, part: &Stack, name: &str) -> PathBuf {
        let copy = self.backups.join(name);
        let config = part.folder().join("dermatel.toml");
        let (done, said) = part.command(&["backup", "--config", path(&config), "--to", path(&copy)]);
        assert!(done, "{said}");
        copy
    }

    fn restored(&self, part: &'static str, copy: &Path) -> Stack {
        restore_part(&self.spec, part, copy)
    }
}

/// It says so in its log, once, and in a metric, from now on.
fn assert_told(stack: &Stack, since_us: i64) {
    let told = stack.log().matches("restored from a backup").count();
    assert_eq!(told, 1, "{}", stack.log());
    assert!(stack.metric(RESTORED) * 1e6 >= since_us as f64 - 1_000.0);
}

#[test]
fn apart_a_gateway_and_an_ingestor_go_on_from_their_backups_and_say_so_and_nothing_that_is_theirs_is_lost_or_told_twice()
 {
    let mut site = Site::start();
    let mut pen = Source::new("pen-1");
    let mut mqtt = site.connect(&pen);
    put(&mut mqtt, &mut pen, &[Source::start, Source::hazard, good]);
    site.wait_paged(1);
    let of_pen = format!("FROM stroke_window WHERE session = '{}'", pen.session_hex());
    let strokes = format!("SELECT sum(count) {of_pen}");
    let in_backup = 3 + BATCH as i64;
    site.apart.ingestor.wait_number(&strokes, in_backup);
    let load = Load::start(&site.apart.gateway);
    wait_for("load", SOON, || {
        if load.acked() > 300 { Ok(()) } else { Err(load.acked()) }
    });
    let before = load.acked();
    let ingestors = site.back_up(&site.apart.ingestor, "ingestor");
    let gateways = site.back_up(&site.apart.gateway, "gateway");
    assert!(load.acked() > before, "nothing was published meanwhile");

    // Three frames that no copy has, stored by the ingestor that is lost.
    put(&mut mqtt, &mut pen, &[good as Next; 3]);
    site.apart.ingestor.wait_number(&strokes, in_backup + 3 * BATCH as i64);
    load.end();
    assert!(site.apart.gateway.metric(RESTORED) < 1.0);
    site.apart.gateway.kill();
    site.apart.ingestor.kill();
    let now_us = tests::now_us();
    site.apart.ingestor = site.restored("ingestor", &ingestors);
    site.apart.gateway = site.restored("gateway", &gateways);
    site.apart.gateway.spawn();
    site.apart.ingestor.up();
    site.apart.gateway.wait_ready();
    for restored in [&site.apart.gateway, &site.apart.ingestor] {
        assert_told(restored, now_us);
    }
    assert!(site.apart.alerting.metric(RESTORED) < 1.0);

    // The device goes on where it was; alerting, which has seen all of it, misses nothing.
    let mut mqtt = site.connect(&pen);
    let next = told_what_it_keeps(&mut pen);
    assert_eq!(mqtt.put(&pen.topic(), &next), Some(0));
    let end = pen.end(Some(3 + 5 * BATCH as u64), None);
    assert_eq!(mqtt.put(&pen.topic(), &end), Some(0));
    let ingestor = &site.apart.ingestor;
    let session = pen.session_hex();
    let missing = format!("SELECT strokes_missing FROM session_summary WHERE session = '{session}' AND closed");
    ingestor.wait_number(&missing, 3 * BATCH as i64);
    ingestor.wait_number(&strokes, in_backup + BATCH as i64);
    ingestor.wait_number("SELECT max(strokes_stored) > 6000 FROM session_summary", 1);
    let mut other = Source::of("other", "other-south", "pen-1");
    let mut mqtt = site.connect(&other);
    put(&mut mqtt, &mut other, &[Source::start, Source::hazard]);
    site.wait_paged(2);
    assert_eq!(site.webhook.of_rule(RULE).len(), 2, "{:#?}", site.webhook.pages());
    assert!(
        alerts(&site.apart.alerting)
            .into_values()
            .all(|rule| rule != "sequence-gap")
    );

    // The next start is an ordinary one.
    for part in [&mut site.apart.gateway, &mut site.apart.ingestor] {
        assert_eq!(part.stop(), Some(0), "{}", part.log());
        part.spawn();
    }
    for part in [&mut site.apart.gateway, &mut site.apart.ingestor] {
        part.wait_ready();
        assert_told(part, now_us);
    }
}

#[test]
fn apart_an_ingestor_that_goes_on_from_its_backup_gets_again_what_its_gateway_still_keeps() {
    let mut site = Site::start();
    let mut pen = Source::new("pen-1");
    let mut mqtt = site.connect(&pen);
    put(&mut mqtt, &mut pen, &[Source::start, good]);
    let strokes = "SELECT sum(count) FROM stroke_window";
    site.apart.ingestor.wait_number(strokes, BATCH as i64);
    let copy = site.back_up(&site.apart.ingestor, "ingestor");
    put(&mut mqtt, &mut pen, &[good as Next; 3]);
    let end = pen.end(Some(4 * BATCH as u64), None);
    assert_eq!(mqtt.put(&pen.topic(), &end), Some(0));
    site.apart.ingestor.wait_number(strokes, 4 * BATCH as i64);
    site.apart.ingestor.kill();
    let now_us = tests::now_us();
    site.apart.ingestor = site.restored("ingestor", &copy);
    site.apart.ingestor.up();
    assert_told(&site.apart.ingestor, now_us);
    site.apart.ingestor.wait_number(strokes, 4 * BATCH as i64);
    site.apart
        .ingestor
        .wait_number("SELECT count(*) FROM session_summary WHERE complete", 1);
}

#[test]
fn apart_alerting_goes_on_from_its_backup_with_its_alerts_and_marks_what_may_be_repeats() {
    let mut site = Site::start();
    let mut pen = Source::new("pen-1");
    let mut mqtt = site.connect(&pen);
    put(&mut mqtt, &mut pen, &[Source::start, Source::hazard]);
    site.wait_paged(1);
    // A page that waits when the backup is made, and leaves afterwards.
    site.webhook.answer(500);
    let mut second = Source::new("pen-2");
    let mut other = site.connect(&second);
    put(&mut other, &mut second, &[Source::start, Source::hazard]);
    site.apart
        .alerting
        .wait_metric("alerting_notifications_failed_total", 1.0);
    let known = alerts(&site.apart.alerting);
    let copy = site.back_up(&site.apart.alerting, "alerting");
    site.webhook.answer(200);
    site.wait_paged(2);
    site.apart.alerting.kill();
    let now_us = tests::now_us();
    site.apart.alerting = site.restored("alerting", &copy);
    site.apart.alerting.up();
    assert_told(&site.apart.alerting, now_us);
    assert_eq!(site.apart.alerting.journal("restored").unwrap().len(), 1);
    let back = alerts(&site.apart.alerting);
    assert!(known.iter().all(|(id, rule)| back.get(id) == Some(rule)), "{back:?}");
    wait_for("the page that waited", SOON, || {
        let pages = site.webhook.of_rule(RULE);
        let again = pages.iter().any(|page| page["possible_repeat"] == true);
        if again { Ok(()) } else { Err(pages.len()) }
    });
    // What comes now is judged by it.
    let mut third = Source::of("other", "other-south", "pen-1");
    let mut link = site.connect(&third);
    put(&mut link, &mut third, &[Source::start, Source::hazard]);
    site.wait_paged(3);
    assert_repeats_are_marked(&site.webhook);
}
