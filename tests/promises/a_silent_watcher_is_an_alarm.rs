//! The dead-man both ways: one installation calls another while it is well, and its silence is the other's alarm.
use tests::{Page, SOON, Stack, StackSpec, TOKEN, Webhook, wait_for};

const RULE: &str = "heartbeat-missing";

/// A rule folder of one rule: `east` must call every twenty seconds.
const RULES: &str = "[[rule]]\nid = \"heartbeat-missing\"\nkind = \"heartbeat_missing\"\npriority = \"medium\"\n\
                     what_to_do = \"look whether east runs\"\nparameters = { senders = [\"east\"], silent_after_s = 20 }\n";

fn watcher(webhook: &Webhook) -> Stack {
    let mut stack = Stack::prepare(&StackSpec::plain(webhook));
    let rules = stack.folder().join("rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("rules.toml"), RULES).unwrap();
    stack.edit(
        "dermatel.toml",
        "[[alerting.receivers]]",
        "[alerting]\nrules = \"rules\"\n[[alerting.receivers]]",
    );
    stack.up();
    stack
}

fn watched(webhook: &Webhook, watcher: &Stack) -> Stack {
    let mut stack = Stack::prepare(&StackSpec::plain(webhook));
    let url = format!("http://{}/v1/heartbeats/east", watcher.http);
    let deadman = format!(
        "[alerting.deadman]\nurl = \"{url}\"\nauthorization = \"Bearer {TOKEN}\"\nevery = \"1s\"\n[[alerting.receivers]]"
    );
    stack.edit("dermatel.toml", "[[alerting.receivers]]", &deadman);
    stack.up();
    stack
}

fn firing(webhook: &Webhook) -> usize {
    let pages = webhook.of_rule(RULE);
    pages.iter().filter(|page| page["state"] == "firing").count()
}

#[test]
fn an_installation_that_is_killed_is_missed_by_the_other_and_one_that_is_well_is_not() {
    let (here, there) = (Webhook::start(), Webhook::start());
    let watcher = watcher(&here);
    let mut east = watched(&there, &watcher);
    // However long its start took, from here on it calls; for longer than it may be silent nothing more is raised.
    let calls = || east.metric("alerting_deadman_calls_total{outcome=\"called\"}");
    wait_for("calls that end what its start may have raised", SOON, || {
        let open = watcher.json("/v1/alerts");
        if calls() >= 2.0 && open.as_array().is_some_and(Vec::is_empty) {
            Ok(())
        } else {
            Err(open)
        }
    });
    let (before, at_first) = (firing(&here), calls());
    east.wait_metric("alerting_deadman_calls_total{outcome=\"called\"}", at_first + 25.0);
    assert_eq!(firing(&here), before, "{:?}", here.of_rule(RULE));
    east.kill();
    let page = wait_for("the alarm", SOON, || {
        let newest = here.of_rule(RULE).into_iter().rfind(|page| page["state"] == "firing");
        newest.filter(|_| firing(&here) > before).ok_or(())
    });
    assert_eq!(page["device"], "east", "{page}");
    east.up();
    let over = wait_for("the end of the alarm", SOON, || {
        let pages = here.of_rule(RULE);
        let same = |over: &Page| over["state"] == "resolved" && over["alert_id"] == page["alert_id"];
        pages.into_iter().find(same).ok_or(())
    });
    assert_eq!(over["why"], "heard", "{over}");
}
