//! A clinic's own instance pages while its line is down, and the one upstream, which judges the same frames later, does not page
//! for them again: it merges, and an acknowledgement in the clinic counts there too.
use tests::{Mqtt, SOON, Source, Stack, StackSpec, TOKEN, Version, Webhook, wait_for};

const RULE: &str = "depth-above-limit";

/// A plan whose one route waits for the clinic's own instance, for as long as a test may take.
const PLAN: &str = "[[chain]]\nname = \"everybody\"\nsteps = [{ tell = [\"receiver:hook\"], wait = \"1h\" }]\n\
                    [[route]]\nchain = \"everybody\"\nmin_priority = \"info\"\nhold = \"60s\"\n";

fn upstream(webhook: &Webhook) -> Stack {
    let mut stack = Stack::prepare(&StackSpec::plain(webhook));
    let plan = stack.folder().join("paging");
    std::fs::create_dir_all(&plan).unwrap();
    std::fs::write(plan.join("plan.toml"), PLAN).unwrap();
    stack.edit(
        "dermatel.toml",
        "[[alerting.receivers]]",
        "[alerting]\npaging = \"paging\"\n[[alerting.receivers]]",
    );
    stack.up();
    stack
}

fn clinic(webhook: &Webhook, upstream: &Stack) -> Stack {
    let mut stack = Stack::prepare(&StackSpec::plain(webhook));
    let url = format!("http://{}/v1/told", upstream.http);
    let section = format!(
        "[alerting.upstream]\nurl = \"{url}\"\nauthorization = \"Bearer {TOKEN}\"\ninstance = \"clinic-north\"\n[[alerting.receivers]]"
    );
    stack.edit("dermatel.toml", "[[alerting.receivers]]", &section);
    stack.up();
    stack
}

#[test]
fn what_the_clinic_has_paged_upstream_raises_and_does_not_page() {
    let (here, there) = (Webhook::start(), Webhook::start());
    let upstream = upstream(&there);
    let clinic = clinic(&here, &upstream);
    let mut pen = Source::new("pen-1");
    let frames = [pen.start(), pen.good(50), pen.hazard()];
    // The clinic sees them first; its line is down.
    let mut mqtt = Mqtt::connect(&pen.login(clinic.mqtt, Version::V5)).unwrap();
    for frame in &frames {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    let paged = wait_for("the clinic's page", SOON, || here.of_rule(RULE).pop().ok_or(()));
    let id = paged["alert_id"].as_str().unwrap().to_owned();
    let (done, said) = clinic.command(&["alert", "ack", &id, "--actor", "ann"]);
    assert!(done, "{said}");
    // The page, the acknowledgement, and the page that says so.
    clinic.wait_metric("alerting_upstream_reports_total{outcome=\"taken\"}", 3.0);
    // The line is back: the same frames, later.
    let mut mqtt = Mqtt::connect(&pen.login(upstream.mqtt, Version::V5)).unwrap();
    for frame in &frames {
        assert_eq!(mqtt.put(&pen.topic(), frame), Some(0));
    }
    let merged = wait_for("the same alert upstream, acknowledged", SOON, || {
        // Its frames are stored; that they were judged as well shows by the alert being there at all.
        let (status, body) = upstream.get(&format!("/v1/alerts/{id}")).unwrap();
        let alert: serde_json::Value = serde_json::from_str(&body).unwrap();
        if status == 200 && alert["acknowledged_by"] == "ann" {
            Ok(alert)
        } else {
            Err(body)
        }
    });
    assert_eq!(merged["rule"], RULE);
    let firing = |pages: &[tests::Page]| pages.iter().filter(|page| page["state"] == "firing").count();
    assert_eq!(firing(&there.of_rule(RULE)), 0, "{:?}", there.of_rule(RULE));
}
