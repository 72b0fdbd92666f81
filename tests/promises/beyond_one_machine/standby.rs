//! Two alerting instances over the same shards: one pages, the other stands by. The one that pages dies with its disk: the other takes
//! over, no page is missing, and none that had left leaves again.
use std::collections::BTreeMap;
use std::time::Duration;

use tests::{NatsCluster, SOON, Source, Stack, StackSpec, TOKEN, Version, Webhook, deliver_all, uplink, wait_for};

use super::one_broker::broker;
use crate::a_backup_can_be_gone_on_from::restore_part;
use crate::a_silence_hides_what_it_says::time;

const RULE: &str = "depth-above-limit";
/// Two terms of the fence, and what a busy machine takes.
pub(super) const TAKEN_OVER: Duration = Duration::from_secs(120);

/// How an instance of the group is configured, which reports what it told to another one.
pub(super) fn spec(webhook: &Webhook, port: u16, name: &str) -> StackSpec {
    let more = format!(
        "{}group = \"north\"\ntakeover = \"15s\"\n[alerting.upstream]\nurl = \"http://other/v1/told\"\nauthorization = \"Bearer {TOKEN}\"\ninstance = \"{name}\"\n",
        uplink(port, name, "0-63")
    );
    StackSpec {
        more,
        ..StackSpec::plain(webhook)
    }
}

pub(super) fn part(webhook: &Webhook, port: u16, part: &'static str) -> Stack {
    let spec = StackSpec {
        more: uplink(port, "one", "0-63"),
        ..StackSpec::plain(webhook)
    };
    Stack::prepare_part(&spec, part)
}

/// Treatments of a pen, a boot each, with a hazard in the middle of each.
pub(super) fn treat(gateway: &Stack, treatments: usize) {
    for _ in 0..treatments {
        let mut pen = Source::new("pen-1");
        let frames = [
            pen.start(),
            pen.good(50),
            pen.hazard(),
            pen.good(50),
            pen.end(Some(103), None),
        ];
        deliver_all(&pen.login(gateway.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(super) fn pages(webhook: &Webhook) -> BTreeMap<String, usize> {
    let mut pages = BTreeMap::new();
    let raised = webhook.of_rule(RULE).into_iter().filter(|page| page["why"] == "raised");
    for page in raised {
        *pages.entry(page["alert_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    pages
}

pub(super) fn wait_paged(webhook: &Webhook, alerts: usize, of: &[Stack; 2]) {
    wait_for("a page of each hazard", TAKEN_OVER, || match pages(webhook).len() {
        all if all == alerts => Ok(()),
        some => Err(format!("{some} of {alerts}\n{}\n{}", of[0].log(), of[1].log())),
    });
}

/// Acknowledged and taken back, assigned, commented, silenced.
fn what_people_do_here_is_known_there(holder: &Stack, other: &Stack, first: &str, second: &str) {
    wait_for("the alerts at the one that stands by", SOON, || {
        let known = [first, second].map(|id| other.get(&format!("/v1/alerts/{id}")).map(|(status, _)| status));
        if known == [Ok(200), Ok(200)] {
            Ok(())
        } else {
            Err(known)
        }
    });
    let (done, said) = other.command(&["alert", "ack", first, "--actor", "ann"]);
    assert!(!done && said.contains("stands by"), "{said}");
    let until = time("1 hour");
    let silence = |device: &str| {
        format!("silence make --device {device} --until {until} --owner ann --reason moving --max-priority low")
    };
    for line in [
        format!("alert ack {first} --actor ann"),
        format!("alert ack {second} --actor ann"),
        format!("alert assign {second} --to bo --actor ann"),
        format!("alert unack {second} --actor bo"),
        format!("alert annotate {second} --actor bo --comment looked-at-it"),
        silence("pen-1"),
        silence("pen-2"),
    ] {
        let (done, said) = holder.command(&line.split(' ').collect::<Vec<_>>());
        assert!(done, "{line}: {said}");
    }
    let silences = |stack: &Stack| {
        let mut all = stack.json("/v1/silences");
        all.as_array_mut().map(std::mem::take).unwrap_or_default()
    };
    let ended = silences(holder)[0]["id"].as_str().unwrap().to_owned();
    let (done, said) = holder.command(&["silence", "end", &ended, "--actor", "ann", "--reason", "moved"]);
    assert!(done, "{said}");
    let known = |stack: &Stack| {
        let alert = |id: &str, field: &str| stack.json(&format!("/v1/alerts/{id}"))[field].clone();
        let who = ["acknowledged_by", "assigned_to"];
        let explained = stack.json(&format!("/v1/alerts/{second}/explain")).to_string();
        (
            who.map(|field| (alert(first, field), alert(second, field))),
            (alert(first, "state"), alert(second, "state")),
            silences(stack),
            explained.contains("looked-at-it"),
        )
    };
    assert!(known(holder).3);
    wait_for("what people did, at the one that stands by", SOON, || {
        let (here, there) = (known(holder), known(other));
        if here == there {
            Ok(())
        } else {
            Err(format!("{here:?}\n{there:?}"))
        }
    });
}

/// Two alerting instances of one group, with what is before them.
pub(super) struct Group {
    pub(super) gateway: Stack,
    pub(super) ingestor: Stack,
    pub(super) both: [Stack; 2],
    /// Which of both pages.
    pub(super) holder: usize,
}

pub(super) fn holds(stack: &Stack) -> bool {
    stack.metric("uplink_fence_held") == 1.0
}

pub(super) fn group(webhook: &Webhook, port: u16) -> Group {
    let mut both = ["a", "b"].map(|name| Stack::prepare_part(&spec(webhook, port, name), "alerting"));
    for at in 0..2 {
        let other = format!("http://{}/v1/told", both[1 - at].http);
        both[at].edit("dermatel.toml", "http://other/v1/told", &other);
    }
    let (mut gateway, mut ingestor) = (part(webhook, port, "gateway"), part(webhook, port, "ingestor"));
    gateway.spawn();
    ingestor.up();
    both.iter_mut().for_each(Stack::up);
    gateway.wait_ready();
    let holder = wait_for("one that pages", TAKEN_OVER, || {
        (0..2).find(|at| holds(&both[*at])).ok_or_else(|| both[0].log())
    });
    Group {
        gateway,
        ingestor,
        both,
        holder,
    }
}

fn one_pages_and_the_other_takes_over(port: u16) {
    let webhook = Webhook::start();
    let Group {
        gateway,
        ingestor,
        mut both,
        holder,
    } = group(&webhook, port);
    let other = 1 - holder;
    treat(&gateway, 3);
    wait_paged(&webhook, 3, &both);
    assert!(!holds(&both[other]));
    let over = pages(&webhook).into_keys().next().unwrap();
    // One that goes on.
    let mut pen = Source::new("pen-2");
    let frames = [pen.start(), pen.good(50), pen.hazard()];
    deliver_all(&pen.login(gateway.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
    wait_paged(&webhook, 4, &both);
    let open = webhook.of_rule(RULE).into_iter().find(|page| page["device"] == "pen-2");
    let open = open.unwrap()["alert_id"].as_str().unwrap().to_owned();
    what_people_do_here_is_known_there(&both[holder], &both[other], &over, &open);

    both[holder].kill();
    std::fs::remove_dir_all(both[holder].folder().join("data")).unwrap();
    treat(&gateway, 3);
    wait_paged(&webhook, 7, &both);
    both[other].wait_metric("uplink_fence_held", 1.0);
    assert_eq!(pages(&webhook).into_values().max(), Some(1), "{:#?}", webhook.pages());

    // It comes back with an empty disk, and stands by.
    both[holder].up();
    treat(&gateway, 1);
    wait_paged(&webhook, 8, &both);
    wait_for("the one that pages", TAKEN_OVER, || {
        let hold = (holds(&both[holder]), holds(&both[other]));
        if hold == (false, true) { Ok(()) } else { Err(hold) }
    });
    assert_eq!(pages(&webhook).into_values().max(), Some(1), "{:#?}", webhook.pages());
    ingestor.wait_number("SELECT sum(count) FROM stroke_window", 7 * 103 + 53);
    let told = "SELECT count(DISTINCT alert_id) FROM alert_transition WHERE rule = 'depth-above-limit' AND to_state = 'firing'";
    ingestor.wait_number(told, 8);
}

#[test]
fn apart_an_instance_moves_with_its_shards_and_its_alerts_to_another_machine_and_no_page_is_missing_or_comes_twice() {
    let (webhook, broker) = (Webhook::start(), broker());
    let port = broker.port();
    let (mut gateway, mut ingestor) = (part(&webhook, port, "gateway"), part(&webhook, port, "ingestor"));
    let mut here = Stack::prepare_part(&spec(&webhook, port, "a"), "alerting");
    gateway.spawn();
    ingestor.up();
    here.up();
    gateway.wait_ready();
    treat(&gateway, 2);
    wait_for("a page of each hazard", TAKEN_OVER, || match pages(&webhook).len() {
        2 => Ok(()),
        _ => Err(here.log()),
    });
    let first = pages(&webhook).into_keys().next().unwrap();
    let (done, said) = here.command(&["alert", "ack", &first, "--actor", "ann"]);
    assert!(done, "{said}");

    // A copy of it stands by elsewhere, under a name of its own.
    let copy = here.folder().join("copy");
    let config = here.folder().join("dermatel.toml");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (done, said) = here.command(&["backup", "--config", &text(&config), "--to", &text(&copy)]);
    assert!(done, "{said}");
    let mut there = restore_part(&spec(&webhook, port, "b"), "alerting", &copy);
    let url = format!("http://{}/v1/told", there.http);
    there.up();
    let known = there.json(&format!("/v1/alerts/{first}"));
    assert_eq!(known["acknowledged_by"], "ann", "{known}");
    here.stop();
    here.edit("dermatel.toml", "http://other/v1/told", &url);
    here.up();
    treat(&gateway, 1);
    let both = [here, there];
    wait_paged(&webhook, 3, &both);
    let [mut here, there] = both;

    // It is taken over when the first is taken away, and goes on alone.
    here.stop();
    treat(&gateway, 2);
    wait_for("the pages from there", TAKEN_OVER, || match pages(&webhook).len() {
        5 => Ok(()),
        _ => Err(there.log()),
    });
    there.wait_metric("uplink_fence_held", 1.0);
    assert_eq!(pages(&webhook).into_values().max(), Some(1), "{:#?}", webhook.pages());
    ingestor.wait_number("SELECT sum(count) FROM stroke_window", 5 * 103);
}

#[test]
fn apart_an_alerting_instance_dies_with_its_disk_and_the_one_that_stands_by_pages_what_it_did_not() {
    one_pages_and_the_other_takes_over(broker().port());
}

#[test]
fn apart_over_a_cluster_an_alerting_instance_dies_with_its_disk_and_the_one_that_stands_by_takes_over() {
    one_pages_and_the_other_takes_over(NatsCluster::start().port);
}
