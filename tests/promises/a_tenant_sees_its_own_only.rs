//! Promise 6: a tenant sees its own and nothing else, and a device speaks as itself only, from the topic to the bucket.
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use ingestor::testing::{InfluxDouble, Trouble};
use tests::{
    Login, Mqtt, NOT_AUTHORIZED, NotConnected, SOON, Source, Stack, StackSpec, Store, TOKEN, Version, Webhook, secret,
    wait_for,
};

fn foreign() -> Source {
    Source::of("other", "other-south", "pen-1")
}

#[test]
fn a_device_can_publish_as_itself_only() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let mut victim = Source::new("pen-1");
    let mut own = foreign();
    let reason = "gateway_deliveries_rejected_total{reason=\"not_own_topic\"}";

    let mut new = Mqtt::connect(&own.login(stack.mqtt, Version::V5)).unwrap();
    let forged = victim.hazard();
    assert_eq!(new.put(&victim.topic(), &forged), Some(NOT_AUTHORIZED));
    assert_eq!(new.put(&victim.channel("status"), b""), Some(NOT_AUTHORIZED));
    stack.wait_metric(reason, 2.0);
    let mut old = Mqtt::connect(&own.login(stack.mqtt, Version::V311)).unwrap();
    let forged = victim.hazard();
    assert_eq!(old.put(&victim.topic(), &forged), Some(0), "kept, and in quarantine");
    stack.wait_metric(reason, 3.0);
    stack.wait_metric("gateway_publishes_foreign_topic_total", 3.0);
    // Its own frame is stored, under its own tenant; nothing of the forged ones is, and nobody was paged by them.
    let frame = own.hazard();
    assert_eq!(old.put(&own.topic(), &frame), Some(0));
    stack.wait_number("SELECT count(*) FROM stroke_window WHERE tenant = 'other'", 1);
    wait_for("its own page", SOON, || {
        webhook.of_rule("depth-above-limit").pop().ok_or(())
    });
    assert_eq!(
        stack.number("SELECT count(*) FROM stroke_window WHERE tenant = 'acme'"),
        Ok(0)
    );
    assert!(
        webhook.pages().iter().all(|page| page["tenant"] == "other"),
        "{:?}",
        webhook.pages()
    );
}

#[test]
fn a_device_can_subscribe_to_its_own_commands_only_and_leave_its_own_will_only() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let (victim, own) = (Source::new("pen-1"), foreign());
    for (version, refused) in [(Version::V5, 0x80..=0xff), (Version::V311, 0x80..=0x80)] {
        let mut mqtt = Mqtt::connect(&own.login(stack.mqtt, version)).unwrap();
        let foreign = [
            victim.channel("command"),
            victim.topic(),
            own.topic(),
            "#".to_owned(),
            "dermatel/v1/+/+/+/command".to_owned(),
            "$share/g/dermatel/v1/#".to_owned(),
        ];
        for filter in foreign {
            let code = mqtt.subscribe(&filter);
            assert!(refused.contains(&code), "{filter} was granted: {code:#x}");
        }
        assert_eq!(mqtt.subscribe(&own.channel("command")), 1);
    }
    let mut login = own.login(stack.mqtt, Version::V5);
    login.will = Some((victim.channel("status"), Vec::new()));
    assert!(matches!(
        Mqtt::connect(&login),
        Err(NotConnected::Refused(NOT_AUTHORIZED | 0x90))
    ));
    login.will = Some((own.channel("status"), Vec::new()));
    assert!(Mqtt::connect(&login).is_ok());
}

#[test]
fn nobody_connects_with_another_devices_secret() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    let stolen = secret("other", "pen-1");
    for (name, secret) in [
        ("acme/pen-1", stolen.as_str()),
        ("acme/pen-1", ""),
        ("acme/nobody", stolen.as_str()),
        ("pen-1", stolen.as_str()),
        ("other/pen-1/../../acme/pen-1", stolen.as_str()),
    ] {
        for version in [Version::V5, Version::V311] {
            match Mqtt::connect(&Login::new(stack.mqtt, version, name, secret)) {
                Err(NotConnected::Refused(_)) => {}
                other => panic!("{name} with {secret:?}: {other:?}"),
            }
        }
    }
    stack.wait_metric("gateway_authentications_refused_total", 10.0);
}

#[test]
fn every_point_goes_to_its_own_tenants_bucket_and_a_stuck_tenant_is_stuck_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(InfluxDouble::start()).unwrap();
    store.trouble("b-other", Some(Trouble::Unauthorized));
    let webhook = Webhook::start();
    let mut stack = Stack::prepare(&StackSpec {
        store: Store::Influx {
            url: store.url().to_owned(),
            bucket: "b-{tenant}".to_owned(),
        },
        ..StackSpec::plain(&webhook)
    });
    stack.edit("dermatel.toml", "[ingestor]\n", "[ingestor]\nfatal_retry = \"200ms\"\n");
    stack.up();
    let mut sources = [Source::new("pen-1"), foreign()];
    for source in &mut sources {
        let mut mqtt = Mqtt::connect(&source.login(stack.mqtt, Version::V5)).unwrap();
        let frames = [
            source.start(),
            source.good(50),
            source.hazard(),
            source.end(Some(53), None),
        ];
        for frame in frames {
            assert_eq!(mqtt.put(&source.topic(), &frame), Some(0));
        }
    }
    let windows = |bucket: &str| {
        let lines = store.lines(bucket);
        lines.iter().filter(|line| line.starts_with("stroke_window,")).count()
    };
    wait_for("acme's points", SOON, || match windows("b-acme") {
        2 => Ok(()),
        found => Err(found),
    });
    assert_eq!(windows("b-other"), 0, "its bucket refuses");
    store.trouble("b-other", None);
    wait_for("the other's points", SOON, || match windows("b-other") {
        2 => Ok(()),
        found => Err(found),
    });
    wait_for("summaries and alerts", SOON, || {
        let all = ["session_summary,", "alert_transition,", "device_state,"];
        let missing = all.iter().any(|name| {
            ["b-acme", "b-other"]
                .iter()
                .any(|bucket| !store.lines(bucket).iter().any(|line| line.starts_with(name)))
        });
        if missing { Err(store.lines("b-other")) } else { Ok(()) }
    });
    for tenant in ["acme", "other"] {
        for line in store.lines(&format!("b-{tenant}")) {
            assert!(
                line.contains(&format!(",tenant={tenant}")),
                "in the bucket of {tenant}: {line}"
            );
        }
    }
}

#[test]
fn a_receiver_of_one_tenant_hears_of_that_tenant_only() {
    let (everybodys, others) = (Webhook::start(), Webhook::start());
    let more = format!(
        "[[alerting.receivers]]\nname = \"other\"\ntenants = [\"other\"]\nmin_priority = \"info\"\nwebhook = {{ url = \"{}\" }}\n",
        others.url()
    );
    let stack = Stack::start(&StackSpec {
        more,
        ..StackSpec::plain(&everybodys)
    });
    for mut source in [Source::new("pen-1"), foreign()] {
        let mut mqtt = Mqtt::connect(&source.login(stack.mqtt, Version::V5)).unwrap();
        let hazard = source.hazard();
        assert_eq!(mqtt.put(&source.topic(), &hazard), Some(0));
    }
    for (webhook, wanted) in [(&everybodys, 2), (&others, 1)] {
        wait_for("pages", SOON, || {
            let pages = webhook.of_rule("depth-above-limit");
            if pages.len() == wanted { Ok(()) } else { Err(pages) }
        });
    }
    assert!(
        others.pages().iter().all(|page| page["tenant"] == "other"),
        "{:?}",
        others.pages()
    );
}

#[test]
fn the_api_needs_the_token_or_the_owners_socket() {
    let webhook = Webhook::start();
    let stack = Stack::start(&StackSpec::plain(&webhook));
    // Everything that the API has, also what will be new.
    let document = stack.json("/v1/openapi.json");
    let paths = document["paths"].as_object().unwrap().iter();
    let routes: Vec<String> = paths
        .filter(|(path, _)| path.starts_with("/v1/"))
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {}", method.to_uppercase(), path.replace(['{', '}'], "")))
        })
        .collect();
    assert!(routes.len() > 30, "{routes:?}");
    for route in &routes {
        for token in [None, Some("wrong"), Some(&TOKEN[1..])] {
            assert_eq!(status(&stack, route, token), 401, "{route} with {token:?}");
        }
    }
    assert_eq!(status(&stack, "GET /v1/alerts", Some(TOKEN)), 200);
    assert_eq!(status(&stack, "GET /healthz", None), 200);
    let socket = stack.folder().join("data/dermatel.sock");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the socket is its owner's: {mode:o}");
}

/// A request without any of our own code.
fn status(stack: &Stack, route: &str, token: Option<&str>) -> u16 {
    let mut stream = std::net::TcpStream::connect(stack.http).unwrap();
    let token = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    let length = "content-length: 2\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream, "{route} HTTP/1.1\r\nhost: x\r\n{token}{length}\r\n\r\n{{}}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
