//! The console of the real binary: who may see it, that an alert comes in live and is acknowledged there, and that what is not
//! configured is not served.
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::{Mqtt, SOON, Source, Stack, StackSpec, TOKEN, Version, Webhook, dermatel, wait_for};

const PASSWORD: &str = "correct horse battery";

/// What `dermatel password` prints.
fn hash() -> String {
    let mut child = Command::new(dermatel())
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("{PASSWORD}\n").as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// An answer: status, where it leads or what it sets, and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
    cookie: String,
    pub(crate) body: String,
}

/// Somebody's browser, which follows nothing by itself.
pub(crate) struct Browser {
    base: String,
    cookie: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Browser {
    pub(crate) fn new(stack: &Stack) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            base: format!("http://{}", stack.http),
            cookie: String::new(),
            client,
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn send(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.header("cookie", &self.cookie);
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let said = |name: &str| {
                answer
                    .headers()
                    .get(name)
                    .map_or("", |v| v.to_str().unwrap())
                    .to_owned()
            };
            let (location, cookie) = (said("location"), said("set-cookie"));
            Answer {
                status: answer.status().as_u16(),
                location,
                cookie,
                body: answer.text().await.unwrap(),
            }
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.base));
        self.send(request)
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.client.post(format!("{}{path}", self.base)).form(fields);
        self.send(request)
    }

    pub(crate) fn sign_in(&mut self, name: &str) -> Answer {
        let answer = self.post("/sign-in", &[("name", name), ("password", PASSWORD)]);
        answer.cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
        answer
    }

    /// Begins to listen to what is new.
    fn listen(&self) -> reqwest::Response {
        let request = self
            .client
            .get(format!("{}/console/live", self.base))
            .header("cookie", &self.cookie);
        self.runtime.block_on(async { request.send().await }).unwrap()
    }

    /// What is told next.
    fn told(&self, live: &mut reqwest::Response) -> String {
        let chunk = self
            .runtime
            .block_on(async { live.chunk().await })
            .unwrap()
            .expect("it goes on");
        String::from_utf8(chunk.to_vec()).unwrap()
    }
}

/// What stands between two texts.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"))
        .1;
    rest.split_once(after).unwrap().0
}

pub(crate) fn staffed(webhook: &Webhook) -> StackSpec {
    let person = |name: &str, role: &str, more: &str| {
        format!(
            "[[console.people]]\nname = \"{name}\"\nrole = \"{role}\"\npassword = \"{}\"\n{more}\n",
            hash()
        )
    };
    StackSpec {
        more: person("anna", "responder", "tenant = \"acme\"") + &person("otto", "lead", "tenant = \"other\""),
        ..StackSpec::plain(webhook)
    }
}

#[test]
fn an_alert_comes_in_live_and_is_acknowledged_by_whoever_is_signed_in() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&staffed(&webhook));
    let mut anna = Browser::new(&stack);
    assert_eq!(anna.get("/").location, "/sign-in?next=/");
    assert_eq!(anna.sign_in("anna").status, 303);
    assert!(anna.get("/").body.contains("Nothing needs anybody."));
    let mut live = anna.listen();
    assert!(anna.told(&mut live).starts_with("event: live"));
    let mut pen = Source::new("pen-1");
    let (topic, frame) = (pen.topic(), pen.hazard());
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    assert_eq!(mqtt.put(&topic, &frame), Some(0));
    // Told without asking; then asked.
    assert!(anna.told(&mut live).starts_with("event: changed"));
    let inbox = wait_for("the alert in the inbox", SOON, || {
        let inbox = anna.get("/?rule=depth-above-limit").body;
        if inbox.contains("class=\"what\"") {
            Ok(inbox)
        } else {
            Err(inbox)
        }
    });
    let path = between(&inbox, "class=\"what\" href=\"", "\"").to_owned();
    let page = anna.get(&path).body;
    assert!(
        page.contains("<svg class=\"chart\"") && page.contains("class=\"first\""),
        "{page}"
    );
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
    let done = anna.post(&format!("{path}/acknowledge"), &[("csrf", csrf)]);
    assert_eq!((done.status, done.location), (303, format!("{path}?done=acknowledged")));
    // It is the same alert for the command line, and whoever was paged is told.
    let id = path.trim_start_matches("/alerts/");
    let (fine, said) = stack.command(&["alert", "show", id]);
    assert!(fine && said.contains("anna"), "{said}");
    wait_for("the page that says so", SOON, || {
        let pages = webhook.of_rule("depth-above-limit");
        let told = pages.iter().any(|page| page["state"] != "firing");
        if told { Ok(()) } else { Err(format!("{pages:?}")) }
    });
    // Another tenant's lead sees nothing of it.
    let mut otto = Browser::new(&stack);
    otto.sign_in("otto");
    assert!(otto.get("/").body.contains("Nothing needs anybody."));
    assert_eq!(otto.get(&path).status, 404);
    // A page that is live does not hold up the end.
    assert_eq!(stack.stop(), Some(0));
    assert!(!stack.log().contains("did not finish in time"), "{}", stack.log());
    // Whoever was signed in still is after a restart, and a page from before it still works.
    stack.up();
    assert_eq!(anna.get(&path).status, 200);
    let said = [("csrf", csrf), ("comment", "after the restart")];
    assert_eq!(anna.post(&format!("{path}/comment"), &said).status, 303);
}

#[test]
fn who_recorded_a_wipe_stands_on_the_board_and_nobody_records_in_anothers_name() {
    let webhook = Webhook::start();
    let stack = Stack::start(&staffed(&webhook));
    let mut anna = Browser::new(&stack);
    anna.sign_in("anna");
    let page = anna.get("/sterilization/scan?code=pen-1").body;
    let wipe = [
        ("csrf", between(&page, "name=\"csrf\" value=\"", "\"")),
        ("request", between(&page, "name=\"request\" value=\"", "\"")),
        ("tenant", "acme"),
        ("what", "wipe"),
        ("device", "pen-1"),
        ("level", "intermediate"),
        // The name comes from who is signed in.
        ("actor", "otto"),
        ("recorded_by", "otto"),
    ];
    assert_eq!(anna.post("/sterilization/record", &wipe).status, 303);
    let by_command = [
        "record",
        "wipe",
        "--tenant",
        "acme",
        "--clinic",
        "acme-north",
        "--device",
        "pen-2",
    ];
    let (done, said) = stack.command(&[&by_command[..], &["--level", "low"]].concat());
    assert!(!done && said.contains("--actor"), "{said}");
    let (done, said) = stack.command(&[&by_command[..], &["--level", "low", "--actor", "Zoë <b>"]].concat());
    assert!(done, "{said}");
    wait_for("both names on the board", SOON, || {
        let board = anna.get("/sterilization").body;
        if board.contains("recorded by anna") && board.contains("recorded by Zoë &lt;b&gt;") {
            assert!(!board.contains("otto"), "{board}");
            Ok(())
        } else {
            Err(board)
        }
    });
}

#[test]
fn without_people_there_is_no_console_and_the_log_says_how_to_get_one() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    assert_eq!(stack.get("/").unwrap().0, 404);
    assert_eq!(stack.get("/sign-in").unwrap().0, 404);
    assert!(stack.log().contains("the console is not served"), "{}", stack.log());
    // Its JSON is a part of the API, behind the token.
    assert_eq!(stack.json("/v1/console/inbox")["total"], 0);
}

/// The same without a token before the API.
fn without_token(spec: &StackSpec) -> Stack {
    let mut stack = Stack::prepare(spec);
    stack.edit("dermatel.toml", &format!("token = \"{TOKEN}\"\n"), "");
    stack.up();
    stack
}

#[test]
fn without_a_token_the_pages_are_json_for_whoever_may_see_them_and_nothing_can_be_done_there() {
    let webhook = Webhook::start();
    let stack = without_token(&staffed(&webhook));
    let mut anna = Browser::new(&stack);
    let (fleet, inbox) = ("/v1/console/fleet", "/v1/console/inbox");
    let refused = anna.get(fleet);
    assert!(
        refused.status == 401 && refused.body.contains("\"error\""),
        "{}",
        refused.body
    );
    anna.sign_in("anna");
    let seen = anna.get(fleet);
    assert!(seen.status == 200 && seen.body.contains("acme-north"), "{}", seen.body);
    // Another tenant's is not there, whatever is asked.
    for path in [
        "/v1/console/fleet?tenant=other",
        "/v1/console/devices/other/pen-1",
        "/v1/console/clinics/other/other-south",
    ] {
        let answer = anna.get(path);
        assert!(!answer.body.contains("other-south"), "{path}: {}", answer.body);
    }
    // It is for looking: no other route of the API is there, and these take no form.
    for path in ["/v1/alerts", "/v1/devices", "/v1/quarantine", "/v1/openapi.json"] {
        assert_eq!(anna.get(path).status, 404, "{path}");
    }
    for path in [fleet, inbox, "/v1/console/pipeline"] {
        assert_eq!(anna.post(path, &[("actor", "anna")]).status, 405, "{path}");
    }
    assert_eq!(anna.post("/v1/alerts/1/acknowledge", &[("actor", "anna")]).status, 404);
    // Where nobody signs in, a name from elsewhere that leads here gets nothing.
    let stack = without_token(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..StackSpec::plain(&webhook)
    });
    let mut somebody = Browser::new(&stack);
    assert!(somebody.get(inbox).body.contains("\"total\":0"));
    for host in ["evil.example", "127.0.0.1.evil.example"] {
        let request = somebody
            .client
            .get(format!("{}{inbox}", somebody.base))
            .header("host", host);
        let answer = somebody.send(request);
        assert!(
            answer.status == 403 && !answer.body.contains("total"),
            "{host}: {}",
            answer.body
        );
    }
}

#[test]
fn with_a_token_too_each_page_leads_to_its_own_json_for_whoever_is_signed_in_and_to_nothing_of_another_tenant() {
    let webhook = Webhook::start();
    let stack = Stack::start(&staffed(&webhook));
    for (tenant, clinic) in [("acme", "acme-north"), ("other", "other-south")] {
        let mut pen = Source::of(tenant, clinic, "pen-1");
        let (topic, frame) = (pen.topic(), pen.hazard());
        let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
        assert_eq!(mqtt.put(&topic, &frame), Some(0));
    }
    stack.wait_number("SELECT count(*) FROM stroke_window", 2);
    let of = |tenant: &str| {
        wait_for("an alert of each tenant", SOON, || {
            let inbox = stack.json("/v1/console/inbox?rule=depth-above-limit");
            let own = inbox["alerts"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|alert| alert["tenant"] == tenant);
            own.and_then(|alert| alert["id"].as_str())
                .map(str::to_owned)
                .ok_or(inbox)
        })
    };
    let (own, foreign) = (of("acme"), of("other"));
    let mut nobody = Browser::new(&stack);
    let refused = nobody.get("/v1/console/fleet");
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .body
            .contains("Nobody is signed in here. Sign in to the console"),
        "{}",
        refused.body
    );
    let mut anna = Browser::new(&stack);
    anna.sign_in("anna");
    for path in [
        "/".to_owned(),
        "/?state=firing&clinic=acme-north".to_owned(),
        format!("/alerts/{own}"),
        format!("/alerts/{own}/silence"),
        "/silences".to_owned(),
        "/fleet".to_owned(),
        "/clinics/acme/acme-north".to_owned(),
        "/devices/acme/pen-1".to_owned(),
        "/sterilization?clinic=acme-north".to_owned(),
        "/pipeline".to_owned(),
    ] {
        let page = anna.get(&path).body;
        let foot = between(&page, "<footer", "</footer>");
        let json = between(foot, "href=\"", "\"")
            .replace("&#x2f;", "/")
            .replace("&amp;", "&");
        let answer = anna.get(&json);
        assert_eq!(answer.status, 200, "{path} leads to {json}: {}", answer.body);
        let view: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert!(
            view.is_object() && !answer.body.contains("other-south"),
            "{json}: {view}"
        );
        if path == "/" {
            assert!(view["groups_total"].as_u64().is_some_and(|groups| groups > 0), "{view}");
        }
    }
    // Of another tenant there is nothing, whatever is asked; and nothing but pages, and nothing is done there.
    for path in [
        format!("/v1/console/alerts/{foreign}"),
        "/v1/console/devices/other/pen-1".to_owned(),
    ] {
        assert_eq!(anna.get(&path).status, 404, "{path}");
    }
    for path in [
        "/v1/console/inbox?tenant=other",
        "/v1/console/inbox?by=device&tenant=other",
        "/v1/console/fleet?tenant=other",
    ] {
        let answer = anna.get(path);
        assert!(
            !answer.body.contains(&foreign) && !answer.body.contains("other-south"),
            "{path}: {}",
            answer.body
        );
    }
    for path in ["/v1/alerts", "/v1/devices", "/v1/quarantine", "/v1/openapi.json"] {
        assert_eq!(anna.get(path).status, 401, "{path}");
    }
    assert_eq!(anna.post("/v1/console/inbox", &[("actor", "anna")]).status, 405);
    assert_eq!(
        anna.post(&format!("/v1/alerts/{own}/acknowledge"), &[("actor", "anna")])
            .status,
        401
    );
    // Who comes with a token is not taken for the one who is signed in.
    let wrong = anna
        .client
        .get(format!("{}/v1/console/fleet", anna.base))
        .bearer_auth("wrong");
    assert_eq!(anna.send(wrong).status, 401);
    let right = nobody
        .client
        .get(format!("{}/v1/console/fleet", nobody.base))
        .bearer_auth(TOKEN);
    assert!(nobody.send(right).body.contains("other-south"));
}

#[test]
fn a_console_without_sign_in_is_refused_where_others_could_reach_it() {
    let webhook = Webhook::start();
    let stack = Stack::prepare(&StackSpec {
        more: "[console]\nopen = true\n".to_owned(),
        ..StackSpec::plain(&webhook)
    });
    let check = || {
        let file = stack.folder().join("dermatel.toml");
        stack.command(&["config", "check", file.to_str().unwrap()])
    };
    assert!(check().0, "{}", check().1);
    stack.edit(
        "dermatel.toml",
        &format!("listen = \"{}\"", stack.http),
        "listen = \"0.0.0.0:19464\"",
    );
    let (fine, said) = check();
    assert!(
        !fine && said.contains("console.open") && said.contains("0.0.0.0:19464"),
        "{said}"
    );
}
