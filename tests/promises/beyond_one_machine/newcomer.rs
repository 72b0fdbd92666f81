//! An alerting instance whose disk was lost stands by for one that pages: it hears what held before it was there, and when that one dies
//! too, nobody is paged for what is silenced, acknowledged or was told, and the silence ends when it should.
use tests::{SOON, Source, Stack, Version, Webhook, deliver_all, now_us, wait_for};

use super::one_broker::broker;
use super::standby::{Group, TAKEN_OVER, group, holds, pages, treat, wait_paged};
use crate::a_silence_hides_what_it_says::time;
use telemetry::proto;
use telemetry::proto::frame::Body;

/// Of low priority: it may be silenced.
const SILENCED: &str = "device-fault";

/// A treatment that goes on, with a hazard, and a fault of the device.
fn treat_with_a_fault(gateway: &Stack) {
    let mut pen = Source::new("pen-2");
    let fault = Body::Fault(proto::Fault {
        code: Some(proto::FaultCode::Battery as i32),
        ..proto::Fault::default()
    });
    let frames = [pen.start(), pen.good(50), pen.hazard(), pen.bytes(fault)];
    deliver_all(&pen.login(gateway.mqtt, Version::V5), &pen.topic(), &frames, |_| {});
}

fn does(stack: &Stack, line: &str) -> String {
    let (done, said) = stack.command(&line.split(' ').collect::<Vec<_>>());
    assert!(done, "{line}: {said}");
    said
}

/// Who knows of an alert, who takes care, what they said; and which silences hold.
fn known(stack: &Stack, alerts: &[String]) -> Vec<String> {
    let mut known: Vec<String> = alerts
        .iter()
        .map(|id| {
            let Ok((200, body)) = stack.get(&format!("/v1/alerts/{id}")) else {
                return format!("{id} is not known");
            };
            let alert: serde_json::Value = serde_json::from_str(&body).unwrap();
            let story = stack.json(&format!("/v1/alerts/{id}/explain")).to_string();
            format!(
                "{id} {} {} {} {}",
                alert["state"],
                alert["acknowledged_by"],
                alert["assigned_to"],
                story.contains("looked-at-it")
            )
        })
        .collect();
    known.push(stack.json("/v1/silences").to_string());
    known
}

#[test]
fn apart_an_instance_that_begins_with_an_empty_disk_hears_what_held_before_and_pages_nobody_for_it_when_it_takes_over()
{
    let (webhook, broker) = (Webhook::start(), broker());
    let Group {
        gateway,
        mut both,
        holder,
        ..
    } = group(&webhook, broker.port());
    let other = 1 - holder;
    let until = time("150 seconds");
    let over_us = now_us() + 150_000_000;
    let silence = format!("silence make --device pen-2 --until {until} --owner ann --reason moving --max-priority low");
    does(&both[holder], &silence);
    treat(&gateway, 2);
    treat_with_a_fault(&gateway);
    wait_paged(&webhook, 3, &both);
    let alerts: Vec<String> = pages(&webhook).into_keys().collect();
    let open = webhook
        .of_rule("depth-above-limit")
        .into_iter()
        .find(|page| page["device"] == "pen-2");
    let open = open.unwrap()["alert_id"].as_str().unwrap().to_owned();
    for id in alerts.iter().filter(|id| **id != open) {
        does(&both[holder], &format!("alert ack {id} --actor ann"));
    }
    for line in [
        format!("alert ack {open} --actor ann"),
        format!("alert unack {open} --actor bo"),
        format!("alert assign {open} --to cy --actor bo"),
        format!("alert annotate {open} --actor cy --comment looked-at-it"),
    ] {
        does(&both[holder], &line);
    }
    let again = || {
        webhook
            .pages()
            .into_iter()
            .filter(|page| page["why"] == "unacknowledged")
            .count()
    };
    wait_for("the page that it needs a person again", SOON, || match again() {
        1 => Ok(()),
        _ => Err(webhook.pages()),
    });
    let faults = |stack: &Stack| {
        stack
            .json("/v1/alerts")
            .as_array()
            .unwrap()
            .iter()
            .filter(|a| a["rule"] == SILENCED)
            .count()
    };
    wait_for("the fault that is silenced", SOON, || match faults(&both[holder]) {
        1 => Ok(()),
        _ => Err(both[holder].log()),
    });

    both[other].kill();
    std::fs::remove_dir_all(both[other].folder().join("data")).unwrap();
    both[other].up();
    wait_for("what held before, at the one that begins anew", SOON, || {
        let (here, there) = (known(&both[holder], &alerts), known(&both[other], &alerts));
        // Nothing waits there that was told here.
        let waiting = both[other].pages_waiting().unwrap_or_else(|error| vec![error]);
        if here == there && faults(&both[other]) == 1 && waiting.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{waiting:#?} wait\n{here:#?}\n{there:#?}\n{}",
                both[other].log()
            ))
        }
    });
    let held = both[other].json("/v1/silences");
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");

    both[holder].kill();
    std::fs::remove_dir_all(both[holder].folder().join("data")).unwrap();
    wait_for("the other one to take over", TAKEN_OVER, || {
        if holds(&both[other]) {
            Ok(())
        } else {
            Err(both[other].log())
        }
    });
    // A hazard pages; what is silenced does not, before the silence is over.
    treat(&gateway, 1);
    wait_paged(&webhook, 4, &both);
    wait_for("the page of what was silenced", 3 * TAKEN_OVER, || {
        let now = now_us();
        let told = webhook.of_rule(SILENCED);
        assert!(now > over_us - 1_000_000 || told.is_empty(), "{told:#?}");
        if told.is_empty() {
            Err(both[other].log())
        } else {
            Ok(())
        }
    });
    assert_eq!(pages(&webhook).into_values().max(), Some(1), "{:#?}", webhook.pages());
    assert_eq!(again(), 1, "{:#?}", webhook.pages());
}
