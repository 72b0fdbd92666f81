//! A paging plan on the real binary: whoever is on call is told, then whoever is next, until somebody acknowledges; the plan is
//! edited while it runs, and one with a fault changes nothing.
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::{Mqtt, Page, SOON, Source, Stack, StackSpec, Version, Webhook, now_us, wait_for};

const RULE: &str = "depth-above-limit";

/// Kim is on call and then Lee; `{wait}`: between the steps.
const PLAN: &str = "\
[[person]]
name = \"Kim\"
receivers = [\"kim-push\"]
[[person]]
name = \"Lee\"
receivers = [\"lee-push\"]
[[rota]]
name = \"duty\"
calendar = \"duty.ics\"
otherwise = [\"receiver:hook\"]
[[chain]]
name = \"urgent\"
steps = [
    { tell = [\"rota:duty\"], wait = \"{wait}\" },
    { tell = [\"person:Lee\"], wait = \"1h\" },
]
repeat_every = \"1h\"
[[route]]
chain = \"urgent\"
min_priority = \"info\"
";

/// People with a receiver each, and the process that tells them.
struct Duty {
    kim: Webhook,
    lee: Webhook,
    desk: Webhook,
    stack: Stack,
}

/// RFC 3339 and iCalendar, so many seconds from now.
fn times(from_now_s: i64) -> (String, String) {
    let at = format!("@{}", now_us() / 1_000_000 + from_now_s);
    let date = |format: &str| {
        let out = Command::new("date").args(["-u", "-d", &at, format]).output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    (date("+%Y-%m-%dT%H:%M:%SZ"), date("+%Y%m%dT%H%M%SZ"))
}

/// One shift, without end or with one.
fn shift(who: &str, from_s: i64, to_s: i64, recurs: &str) -> String {
    let (from, to) = (times(from_s).1, times(to_s).1);
    format!("BEGIN:VEVENT\r\nUID:{who}\r\nSUMMARY:{who}\r\nDTSTART:{from}\r\nDTEND:{to}\r\n{recurs}END:VEVENT\r\n")
}

fn calendar(shifts: &[String]) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{}END:VCALENDAR\r\n",
        shifts.concat()
    )
}

/// Kim for an hour around now, then Lee for 23 hours, every day.
fn around_now() -> String {
    let daily = "RRULE:FREQ=DAILY\r\n";
    calendar(&[
        shift("Kim", -1_800, 1_800, daily),
        shift("Lee", 1_800, 23 * 3_600 + 1_800, daily),
    ])
}

impl Duty {
    fn prepare(plan: &str, calendar: &str) -> Self {
        let (kim, lee, desk) = (Webhook::start(), Webhook::start(), Webhook::start());
        let push = |name: &str, to: &Webhook| {
            format!(
                "[[alerting.receivers]]\nname = \"{name}\"\nwebhook = {{ url = \"{}\" }}\n",
                to.url()
            )
        };
        let spec = StackSpec {
            more: push("kim-push", &kim) + &push("lee-push", &lee),
            ..StackSpec::plain(&desk)
        };
        let stack = Stack::prepare(&spec);
        std::fs::create_dir_all(stack.folder().join("paging")).unwrap();
        stack.edit(
            "dermatel.toml",
            "[[alerting.receivers]]",
            "[alerting]\npaging = \"paging\"\n[[alerting.receivers]]",
        );
        let duty = Self { kim, lee, desk, stack };
        duty.write("plan.toml", plan);
        duty.write("duty.ics", calendar);
        duty
    }

    fn start(plan: &str, calendar: &str) -> Self {
        let mut duty = Self::prepare(plan, calendar);
        duty.stack.up();
        duty
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.stack.folder().join("paging").join(file), text).unwrap();
    }

    fn hazard(&self, device: &str) {
        let mut pen = Source::new(device);
        let mut mqtt = Mqtt::connect(&pen.login(self.stack.mqtt, Version::V5)).unwrap();
        let hazard = pen.hazard();
        assert_eq!(mqtt.put(&pen.topic(), &hazard), Some(0));
    }

    /// Whom `route test` names, as (receiver, why), step by step up to where the chain begins anew.
    fn route_test(&self, at: &str) -> Vec<(String, String)> {
        let config = self.stack.folder().join("dermatel.toml");
        let (done, said) = self.stack.command(&[
            "route",
            "test",
            "--config",
            config.to_str().unwrap(),
            "--tenant",
            "acme",
            "--clinic",
            "acme-north",
            "--rule",
            RULE,
            "--at",
            at,
        ]);
        assert!(done, "{said}");
        let lines = said.lines().take_while(|line| !line.contains("repetition 1"));
        let told = lines.filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        told.map(|(who, why)| (who.to_owned(), why.to_owned())).collect()
    }

    fn route_check(&self) -> (bool, String) {
        let config = self.stack.folder().join("dermatel.toml");
        self.stack
            .command(&["route", "check", "--config", config.to_str().unwrap()])
    }

    fn reload(&self) -> (u16, Value) {
        let (status, body) = self.stack.post("/v1/rules/reload", &Value::Null).unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Reloads what is right and waits until the journal says that it is judged by.
    fn reload_and_wait(&self) {
        let before = self.stack.journal("configured").unwrap().len();
        let (status, said) = self.reload();
        assert_eq!(status, 200, "{said}");
        wait_for("the new plan in the journal", SOON, || {
            let now = self.stack.journal("configured")?;
            if now.len() > before {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
    }
}

/// Pages of the depth rule that stand in a chain, about a device: not the news of what became of it.
fn calls(to: &Webhook, device: &str) -> Vec<Page> {
    let mut pages = to.of_rule(RULE);
    pages.retain(|page| page["device"] == device && page["step"].is_u64());
    pages
}

fn call(what: &str, to: &Webhook, device: &str) -> Page {
    wait_for(what, SOON, || calls(to, device).pop().ok_or_else(|| to.pages()))
}

#[test]
fn whoever_is_on_call_is_told_then_whoever_is_next_and_an_acknowledgement_stops_the_chain() {
    let mut duty = Duty::start(&PLAN.replace("{wait}", "15s"), &around_now());
    let asked = duty.route_test(&times(0).0);
    assert_eq!(
        asked.iter().map(|(who, _)| who.as_str()).collect::<Vec<_>>(),
        ["kim-push", "lee-push"],
        "{asked:?}"
    );
    let later = duty.route_test(&times(3_600).0);
    assert_eq!(later[0].0, "lee-push", "after the hand-over: {later:?}");

    // Somebody acknowledges the first.
    duty.hazard("pen-1");
    let first = call("the page to Kim", &duty.kim, "pen-1");
    assert_eq!((&first["chain"], &first["step"]), (&"urgent".into(), &1.into()));
    assert_eq!(
        first["because"],
        asked[0].1.as_str(),
        "told for the reason that was said"
    );
    let id = first["alert_id"].as_str().unwrap();
    let (done, said) = duty.stack.command(&["alert", "ack", id, "--actor", "Kim"]);
    assert!(done, "{said}");

    // Nobody acknowledges the second, and the process dies between its steps.
    duty.hazard("pen-2");
    call("the second page to Kim", &duty.kim, "pen-2");
    duty.stack.kill();
    duty.stack.up();
    let next = call("the page to Lee", &duty.lee, "pen-2");
    assert_eq!((&next["chain"], &next["step"]), (&"urgent".into(), &2.into()));
    assert_eq!(next["because"], asked[1].1.as_str());
    // The step of the first was due earlier than this one: it is gone.
    assert!(calls(&duty.lee, "pen-1").is_empty(), "{:?}", duty.lee.pages());
    assert_eq!(calls(&duty.kim, "pen-1").len(), 1, "told once");
    assert!(
        duty.desk.of_rule(RULE).is_empty(),
        "the plan names no desk: {:?}",
        duty.desk.pages()
    );
}

#[test]
fn a_reload_that_is_refused_is_counted_by_what_was_read_again_and_one_that_holds_is_not() {
    let plan = PLAN.replace("{wait}", "1h");
    let mut duty = Duty::prepare(&plan, &around_now());
    let folder = duty.stack.folder().to_owned();
    std::fs::create_dir(folder.join("rules")).unwrap();
    let write_rules = |text: &str| std::fs::write(folder.join("rules/rules.toml"), text).unwrap();
    let rules = std::fs::read_to_string(tests::workspace_root().join("deploy/rules/default.toml")).unwrap();
    write_rules(&rules);
    duty.stack.edit(
        "dermatel.toml",
        "paging = \"paging\"",
        "paging = \"paging\"\nrules = \"rules\"",
    );
    duty.stack.up();
    let refused = || {
        let metrics = duty.stack.get("/metrics").unwrap().1;
        ["rules", "plan", "registry"].map(|what| {
            let series = format!("service_reloads_refused_total{{what=\"{what}\"}} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
            value.unwrap_or_else(|| panic!("no {series}in {metrics}")).to_owned()
        })
    };
    assert_eq!(refused(), ["0", "0", "0"]);
    write_rules("[[rule]]\nid = 1\n");
    assert_eq!(duty.reload().0, 422);
    assert_eq!(refused(), ["1", "0", "0"]);
    write_rules(&rules);
    duty.write("plan.toml", &plan.replacen("person:Lee", "person:Leo", 1));
    assert_eq!(duty.reload().0, 422);
    assert_eq!(refused(), ["1", "1", "0"]);
    duty.write("plan.toml", &plan);
    assert_eq!(duty.reload().0, 200);
    assert_eq!(refused(), ["1", "1", "0"]);
}

#[test]
fn an_edited_plan_holds_after_a_reload_also_for_what_is_under_way_and_one_with_a_fault_changes_nothing() {
    let first = PLAN.replace("{wait}", "1h");
    let duty = Duty::start(&first, &around_now());
    duty.hazard("pen-1");
    call("the page to Kim", &duty.kim, "pen-1");

    // A receiver that does not exist, a chain in a circle, a calendar that is none: the old plan holds.
    let line = |text: &str, part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let configured = duty.stack.journal("configured").unwrap().len();
    for (from, to, expected) in [
        ("\"kim-push\"", "\"kym-push\"", "receiver kym-push is not configured"),
        ("repeat_every = \"1h\"", "then = \"urgent\"", "goes on in a circle"),
        ("person:Lee", "person:Leo", "person Leo is not there"),
    ] {
        let broken = first.replacen(from, to, 1);
        duty.write("plan.toml", &broken);
        let (status, said) = duty.reload();
        assert_eq!(status, 422, "{said}");
        // What a part names is told at the line at which the part begins.
        let begins = if expected.contains("kym") {
            "[[person]]"
        } else {
            "[[chain]]"
        };
        let place = format!("paging/plan.toml:{}: ", line(&broken, begins));
        let told = said["faults"][0].as_str().unwrap();
        assert!(told.contains(&place) && told.contains(expected), "{place}: {said}");
        let (done, said) = duty.stack.command(&["rules", "reload"]);
        assert!(!done && said.contains(&place) && said.contains(expected), "{said}");
        let (fine, checked) = duty.route_check();
        assert!(
            !fine && checked.contains(&place) && checked.contains(expected),
            "{checked}"
        );
    }
    duty.write("plan.toml", &first);
    duty.write(
        "duty.ics",
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Kim\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    );
    let (status, said) = duty.reload();
    assert_eq!(status, 422, "{said}");
    assert!(
        said["faults"][0]
            .as_str()
            .unwrap()
            .contains("paging/duty.ics:2: event has no DTSTART"),
        "{said}"
    );
    duty.hazard("pen-2");
    call("a page by the old plan", &duty.kim, "pen-2");
    assert_eq!(
        duty.stack.journal("configured").unwrap().len(),
        configured,
        "nothing else was judged by"
    );

    // Another chain, of other people: new alerts take it, and what was under way in the old one goes on in it.
    duty.write("duty.ics", &around_now());
    let second = first
        .replace("\"urgent\"", "\"loud\"")
        .replacen("rota:duty", "receiver:hook", 1);
    duty.write("plan.toml", &second);
    let (done, said) = duty.stack.command(&["rules", "reload"]);
    assert!(done && said.contains("hold"), "{said}");
    let moved = call("what was under way", &duty.desk, "pen-1");
    assert_eq!(moved["chain"], "loud");
    assert!(
        moved["because"].as_str().unwrap().contains("the plan has changed"),
        "{moved}"
    );
    let mut pen = Source::new("pen-2");
    let mut mqtt = Mqtt::connect(&pen.login(duty.stack.mqtt, Version::V5)).unwrap();
    for frame in [pen.start(), pen.hazard()] {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
    wait_for("a new alert by the new plan", SOON, || {
        let pages = calls(&duty.desk, "pen-2");
        let fresh = |page: &&Page| !page["because"].as_str().unwrap().contains("changed");
        pages.iter().find(fresh).map(drop).ok_or_else(|| pages.clone())
    });
    assert_eq!(calls(&duty.kim, "pen-2").len(), 1, "Kim is no longer told");
}

#[test]
fn a_rota_that_runs_out_is_told_before_and_when_it_has_and_whoever_it_names_otherwise_is_paged() {
    const ENDS: &str = "rota-ends";
    let told = |to: &Webhook, state: &str| {
        let mut pages = to.of_rule(ENDS);
        pages.retain(|page| page["state"] == state && page["device"] == "duty");
        pages
    };
    let duty = Duty::start(&PLAN.replace("{wait}", "1h"), &around_now());
    // Long enough to be told, seen and acknowledged before the shift is over.
    duty.write("duty.ics", &calendar(&[shift("Kim", -3_600, 30, "")]));
    let (fine, said) = duty.route_check();
    assert!(
        fine && said.contains("duty.ics:4: rota duty ends: nobody is on call from"),
        "{said}"
    );
    duty.reload_and_wait();
    // Kim is on call and hears that nobody will be.
    let ahead = wait_for("the warning", SOON, || {
        told(&duty.kim, "firing").pop().ok_or_else(|| duty.kim.pages())
    });
    assert!(
        ahead["what_happened"]
            .as_str()
            .unwrap()
            .contains("ends: nobody is on call from"),
        "{ahead}"
    );
    let id = ahead["alert_id"].as_str().unwrap();
    let (done, said) = duty.stack.command(&["alert", "ack", id, "--actor", "Kim"]);
    assert!(done, "{said}");
    // The shift is over: that is worse than that it will be, and is told to whoever the rota names otherwise.
    let over = wait_for("the end", SOON, || {
        told(&duty.desk, "firing").pop().ok_or_else(|| duty.desk.pages())
    });
    assert_eq!(over["alert_id"], id, "the same alert");
    assert!(
        over["what_happened"].as_str().unwrap().contains("rota duty has ended"),
        "{over}"
    );
    let because = over["because"].as_str().unwrap();
    assert!(
        because.contains("nobody is on call in rota duty, otherwise receiver hook"),
        "{over}"
    );
    duty.hazard("pen-1");
    call("a hazard without anybody on call", &duty.desk, "pen-1");
    let (fine, said) = duty.route_check();
    assert!(!fine && said.contains("duty.ics:4: rota duty has expired"), "{said}");
    let (status, said) = duty.reload();
    assert_eq!(status, 422, "{said}");
    // It does not keep the process from starting, and is not told again.
    let mut duty = duty;
    duty.stack.kill();
    duty.stack.up();
    duty.hazard("pen-2");
    call("a hazard after a restart", &duty.desk, "pen-2");
    assert_eq!(told(&duty.desk, "firing").len(), 1);
    // Further shifts end it.
    duty.write("duty.ics", &around_now());
    duty.reload_and_wait();
    wait_for("the end of the alert", SOON, || {
        told(&duty.desk, "resolved").pop().ok_or_else(|| duty.desk.pages())
    });
    duty.hazard("pen-2");
    call("the next hazard", &duty.kim, "pen-2");
}

#[test]
fn a_plan_with_a_fault_is_refused_at_start_with_file_and_line() {
    let broken = PLAN.replace("{wait}", "15s").replace("rota:duty", "rota:night");
    let mut duty = Duty::prepare(&broken, &around_now());
    duty.stack.spawn();
    assert_eq!(duty.stack.exit_code(Duration::from_secs(30)), Some(1));
    let line = broken.lines().position(|line| line == "[[chain]]").unwrap() + 1;
    let log = duty.stack.log();
    assert!(
        log.contains(&format!("plan.toml:{line}: rota night is not there")),
        "{log}"
    );
}
