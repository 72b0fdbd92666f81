//! Devices are entered and retired by command where processes run apart: at the instance that leads, and it holds everywhere, also where
//! a process was down meanwhile; and a process whose files say another registry says so.
use serde_json::Value;
use tests::{
    Apart, CLINIC, Login, Mqtt, NotConnected, SOON, Source, Stack, StackSpec, TENANT, TOKEN, Version, Webhook, wait_for,
};

use super::one_broker::broker;

fn prepare(webhook: &Webhook, port: u16) -> Apart {
    let apart = Apart::prepare(&StackSpec::plain(webhook), port);
    let (dir, config) = ("registry_dir = \"registry\"\n", "dermatel.toml");
    apart
        .alerting
        .edit(config, dir, &format!("{dir}registry_leads = true\n"));
    let from = format!(
        "{dir}registry_from = {{ url = \"http://{}/v1/registry/lines\", authorization = \"Bearer {TOKEN}\" }}\n",
        apart.alerting.http
    );
    for follower in [&apart.gateway, &apart.ingestor] {
        follower.edit(config, dir, &from);
    }
    apart
}

/// One that never had the leader's registry is not ready before the leader is there.
fn start(apart: &mut Apart) {
    apart.gateway.spawn();
    apart.ingestor.spawn();
    apart.alerting.up();
    apart.ingestor.wait_ready();
    apart.gateway.wait_ready();
}

fn version(stack: &Stack) -> Value {
    stack.json("/v1/registry")["version"].clone()
}

fn wait_same(apart: &Apart) {
    wait_for("one registry everywhere", SOON, || {
        let all = [&apart.alerting, &apart.ingestor, &apart.gateway].map(version);
        if all.iter().all(|one| *one == all[0]) {
            Ok(())
        } else {
            Err(all)
        }
    });
}

fn change(stack: &Stack, line: &str) -> (bool, String) {
    let args: Vec<&str> = line.split(' ').chain(["--actor", "ana", "--why", "test"]).collect();
    stack.command(&args)
}

fn changed(stack: &Stack, line: &str) {
    let (done, said) = change(stack, line);
    assert!(done, "{line}: {said}");
}

#[test]
fn apart_a_device_that_is_entered_at_the_instance_that_leads_publishes_everywhere_and_is_refused_once_it_is_retired() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = prepare(&webhook, broker.port());
    start(&mut apart);
    let out = apart.alerting.folder().join("secret.csv");
    let entered = format!(
        "device add {TENANT}/pen-7 --clinic {CLINIC} --model np-25 --serial S-7 --secrets-out {}",
        out.display()
    );
    changed(&apart.alerting, &entered);
    let text = std::fs::read_to_string(&out).unwrap();
    let secret = text.lines().nth(1).unwrap().split(',').nth(2).unwrap();
    wait_same(&apart);
    let mut pen = Source::new("pen-7");
    let login = Login::new(apart.gateway.mqtt, Version::V5, "acme/pen-7", secret);
    let mut mqtt = Mqtt::connect(&login).unwrap();
    assert_eq!(mqtt.put(&pen.topic(), &pen.start()), Some(0));
    assert_eq!(mqtt.put(&pen.topic(), &pen.hazard()), Some(0));
    wait_for("its page", SOON, || {
        let pages = webhook.of_rule("depth-above-limit");
        pages
            .iter()
            .find(|page| page["device"] == "pen-7")
            .cloned()
            .ok_or_else(|| apart.alerting.log())
    });
    apart.ingestor.wait_number(
        "SELECT sum(count) FROM stroke_window WHERE device = 'pen-7' AND model = 'np-25'",
        3,
    );

    // Only where it leads.
    for follower in [&apart.gateway, &apart.ingestor] {
        let (done, said) = change(follower, &format!("device retire {TENANT}/pen-7"));
        assert!(!done && said.contains("node.registry_from"), "{said}");
    }
    drop(mqtt);

    // Whoever was down when it was changed, and the leader that was killed after it: it holds.
    apart.gateway.kill();
    apart.ingestor.kill();
    changed(&apart.alerting, &format!("device retire {TENANT}/pen-7"));
    apart.alerting.kill();
    apart.alerting.spawn();
    apart.ingestor.spawn();
    apart.gateway.up();
    apart.alerting.wait_ready();
    apart.ingestor.wait_ready();
    wait_same(&apart);
    assert!(matches!(Mqtt::connect(&login), Err(NotConnected::Refused(_))));
}

#[test]
fn apart_a_process_whose_files_say_another_registry_says_so_until_they_are_the_same() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = prepare(&webhook, broker.port());
    start(&mut apart);
    let name = "name = \"acme\"";
    let file = format!("registry/tenants/{TENANT}/tenant.toml");
    apart.ingestor.edit(&file, name, "name = \"Acme\"");
    let reload = |stack: &Stack| stack.post("/v1/registry/reload", &Value::Null).unwrap();
    assert_eq!(reload(&apart.ingestor).0, 200);
    let why = wait_for("the ingestor to say so", 3 * SOON, || {
        apart.ingestor.remark("registry").ok_or("nothing")
    });
    assert!(why.contains("roll out"), "{why}");
    assert!(apart.ingestor.is_ready(), "it works with the registry it has");
    assert!(apart.gateway.remark("registry").is_none());
    for stack in [&apart.alerting, &apart.gateway] {
        stack.edit(&file, name, "name = \"Acme\"");
        assert_eq!(reload(stack).0, 200);
    }
    wait_same(&apart);
    wait_for("it to be the same", SOON, || {
        apart.ingestor.remark("registry").map_or(Ok(()), Err)
    });
}

#[test]
fn apart_without_its_leader_a_process_stays_in_service_and_one_that_never_had_its_registry_is_not_ready() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = prepare(&webhook, broker.port());
    apart.gateway.spawn();
    apart.ingestor.spawn();
    for stack in [&apart.gateway, &apart.ingestor] {
        let why = wait_for("it to wait for the leader", SOON, || {
            stack.get("/readyz").map(|_| stack.red("registry").unwrap_or_default())
        });
        assert!(why.contains("never here"), "{why}");
    }
    apart.alerting.up();
    apart.ingestor.wait_ready();
    apart.gateway.wait_ready();
    apart.alerting.kill();
    let silent = |stack: &Stack| {
        let why = wait_for("a remark", SOON, || stack.remark("registry").ok_or("nothing"));
        assert!(why.contains("does not answer"), "{why}");
        assert_eq!(stack.red("registry"), None);
        stack.wait_metric("registry_leader_silence_seconds", 1.0);
    };
    silent(&apart.gateway);
    silent(&apart.ingestor);
    // Nothing was ever changed by command: it is known all the same that there was nothing.
    apart.ingestor.kill();
    apart.ingestor.up();
    silent(&apart.ingestor);
    apart.alerting.up();
    for stack in [&apart.gateway, &apart.ingestor] {
        wait_for("no remark", SOON, || stack.remark("registry").map_or(Ok(()), Err));
    }
    apart.gateway.wait_ready();
}

#[test]
fn apart_where_nobody_leads_a_change_by_command_is_refused_with_what_to_do() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = Apart::prepare(&StackSpec::plain(&webhook), broker.port());
    apart.alerting.up();
    let (done, said) = change(&apart.alerting, &format!("device retire {TENANT}/pen-1"));
    assert!(
        !done && said.contains("node.registry_leads") && said.contains("reload"),
        "{said}"
    );
    apart
        .gateway
        .edit("dermatel.toml", "[node]\n", "[node]\nregistry_leads = true\n");
    let config = apart.gateway.folder().join("dermatel.toml");
    let (done, said) = apart
        .gateway
        .command(&["gateway", "--config", config.to_str().unwrap()]);
    assert!(!done && said.contains("registry_leads is for"), "{said}");
}

/// What the doctor says of these processes, and whether it found nothing wrong.
fn doctor(stacks: &[&Stack]) -> (bool, String) {
    let files = stacks.iter().map(|stack| stack.folder().join("dermatel.toml"));
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    let args = ["doctor", "--config"].into_iter();
    stacks[0].command(&args.chain(files.iter().map(String::as_str)).collect::<Vec<_>>())
}

#[test]
fn apart_the_doctor_names_two_that_lead_none_that_leads_and_one_that_cannot_reach_it_each_with_its_fix() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = prepare(&webhook, broker.port());
    let wrong = |stacks: &[&Stack], texts: &[&str]| {
        let (fine, said) = doctor(stacks);
        assert!(!fine && said.contains("1 thing is wrong"), "{said}");
        assert!(
            said.contains("fix:") && texts.iter().all(|text| said.contains(text)),
            "{said}"
        );
    };
    wrong(&[&apart.ingestor], &["leader_unreachable", "is it running"]);
    apart.alerting.up();
    let all = [&apart.alerting, &apart.ingestor, &apart.gateway];
    let (fine, said) = doctor(&all);
    assert!(fine && said.contains("nothing is wrong"), "{said}");

    let token = format!("Bearer {TOKEN}");
    apart.gateway.edit("dermatel.toml", &token, "Bearer another");
    wrong(&all, &["leader_refuses", "http.token"]);
    apart.gateway.edit("dermatel.toml", "Bearer another", &token);

    // One that was forgotten: its files say another registry.
    let file = format!("registry/tenants/{TENANT}/tenant.toml");
    apart.ingestor.edit(&file, "name = \"acme\"", "name = \"Acme\"");
    wrong(&all, &["registry_differs", "roll out"]);
    apart.ingestor.edit(&file, "name = \"Acme\"", "name = \"acme\"");

    // A second one that leads, as the files say; and none, as the one that is followed says itself.
    let two = Apart::prepare(&StackSpec::plain(&webhook), broker.port());
    let node = "[node]\n";
    two.alerting
        .edit("dermatel.toml", node, "[node]\nregistry_leads = true\n");
    wrong(&[&apart.alerting, &two.alerting], &["two_leaders", "registry_leads"]);
    wrong(&[&apart.alerting, &two.gateway], &["not_following", "registry_from"]);
    let leads = "registry_leads = true\n";
    apart.alerting.edit("dermatel.toml", leads, "");
    apart.alerting.stop();
    apart.alerting.up();
    wrong(&[&apart.ingestor], &["no_leader", "set node.registry_leads there"]);
}

#[test]
fn apart_processes_say_the_same_number_for_the_same_registry_and_another_one_for_another_also_where_nobody_leads() {
    let (webhook, broker) = (Webhook::start(), broker());
    let mut apart = Apart::prepare(&StackSpec::plain(&webhook), broker.port());
    let file = format!("registry/tenants/{TENANT}/tenant.toml");
    apart.ingestor.edit(&file, "name = \"acme\"", "name = \"Acme\"");
    start(&mut apart);
    let number = |stack: &Stack| {
        stack.wait_metric("registry_digest", 1.0);
        stack.metric("registry_digest").to_string()
    };
    let leader = number(&apart.alerting);
    assert_eq!(number(&apart.gateway), leader);
    assert_ne!(number(&apart.ingestor), leader);
    apart.ingestor.edit(&file, "name = \"Acme\"", "name = \"acme\"");
    assert_eq!(apart.ingestor.post("/v1/registry/reload", &Value::Null).unwrap().0, 200);
    wait_for("the same number", SOON, || {
        let now = number(&apart.ingestor);
        if now == leader { Ok(()) } else { Err(now) }
    });
}
