//! What people do holds, once, and who comes second is told who was first.
use alerting::lifecycle::{Signal, State};
use axum::http::StatusCode;

use crate::support::{World, staffed};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_responder_does_holds_and_stands_on_the_page_with_their_name() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut anna = world.signed_in("anna").await;
    let page = format!("/alerts/{}", alert.id);
    let done = anna.send(&alert, "acknowledge", &[]).await;
    assert_eq!(
        (done.status, done.leads_to()),
        (StatusCode::SEE_OTHER, &*format!("{page}?done=acknowledged"))
    );
    let known = world.handle.alert(alert.id).await.unwrap().unwrap();
    assert_eq!(
        (known.state(), known.acknowledged_by.as_deref()),
        (State::Acknowledged, Some("anna"))
    );
    let done = anna.send(&alert, "assign", &[("assignee", "rob")]).await;
    assert_eq!(done.leads_to(), format!("{page}?done=assigned"));
    let done = anna
        .send(&alert, "comment", &[("comment", "the cartridge was loose")])
        .await;
    assert_eq!(done.leads_to(), format!("{page}?done=commented"));
    let shown = anna.get(&format!("{page}?done=commented")).await.body;
    for part in [
        "The comment is kept.",
        "the cartridge was loose",
        "Taken care of by",
        "rob",
        "Acknowledged by",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let done = anna.send(&alert, "unacknowledge", &[]).await;
    assert_eq!(done.leads_to(), format!("{page}?done=unacknowledged"));
    assert_eq!(
        world.handle.alert(alert.id).await.unwrap().unwrap().state(),
        State::Firing
    );
    // From the inbox one comes back to the same place of it, and to no other.
    let done = anna.send(&alert, "acknowledge", &[("next", "/?state=firing")]).await;
    assert_eq!(done.leads_to(), "/?state=firing&done=acknowledged");
    anna.send(&alert, "unacknowledge", &[]).await;
    let done = anna.send(&alert, "acknowledge", &[("next", "//evil.example")]).await;
    assert_eq!(done.leads_to(), format!("{page}?done=acknowledged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledges_second_is_told_who_did_it_and_when_and_nothing_changes() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let (mut anna, mut rob) = (world.signed_in("anna").await, world.signed_in("rob").await);
    assert_eq!(
        anna.send(&alert, "acknowledge", &[]).await.status,
        StatusCode::SEE_OTHER
    );
    let before = world.handle.alert(alert.id).await.unwrap();
    let late = rob.send(&alert, "acknowledge", &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.body.contains("anna acknowledged this at 20"), "{}", late.body);
    assert_eq!(world.handle.alert(alert.id).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_said_to_be_over_and_takes_a_comment_only() {
    let world = World::start(staffed());
    let mut alert = world.hazard("acme", "pen-1").await;
    let mut rob = world.signed_in("rob").await;
    let csrf = rob.get(&format!("/alerts/{}", alert.id)).await.csrf();
    // Somebody knew, and then it was over, while rob looked at his page.
    for signal in [Signal::Acknowledged, Signal::Cleared] {
        alert.life.step(signal);
    }
    assert_eq!(alert.state(), State::Resolved);
    world.put([alert.clone()]);
    for what in ["acknowledge", "unacknowledge", "assign"] {
        let path = format!("/alerts/{}/{what}", alert.id);
        let late = rob.post(&path, &[("csrf", &csrf), ("assignee", "rob")]).await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{what}");
        assert!(late.body.contains("It is over since 20"), "{}", late.body);
    }
    let page = rob.get(&format!("/alerts/{}", alert.id)).await.body;
    assert!(
        page.contains("/comment\"") && !page.contains("/acknowledge\""),
        "{page}"
    );
    assert!(rob.get("/?state=resolved").await.body.contains(&alert.id.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_the_same_moment_one_acknowledges_and_the_other_is_told() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let (mut anna, mut rob) = (world.signed_in("anna").await, world.signed_in("rob").await);
    let (one, two) = tokio::join!(
        anna.send(&alert, "acknowledge", &[]),
        rob.send(&alert, "acknowledge", &[])
    );
    let mut both = [one.status, two.status];
    both.sort();
    assert_eq!(both, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
    let by = world
        .handle
        .alert(alert.id)
        .await
        .unwrap()
        .unwrap()
        .acknowledged_by
        .unwrap();
    let told = if one.status == StatusCode::CONFLICT {
        one.body
    } else {
        two.body
    };
    assert!(told.contains(&format!("{by} acknowledged this")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acknowledges_what_has_become_far_worse_than_what_they_saw() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut anna = world.signed_in("anna").await;
    let refused = anna.send(&alert, "acknowledge", &[("seen", "1600.000")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains("become worse"), "{}", refused.body);
    assert!(world.handle.alert(alert.id).await.unwrap().unwrap().life.needs_person());
    let done = anna.send(&alert, "acknowledge", &[("seen", "2900.000")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_shown_no_form_and_may_do_nothing() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut vera = world.signed_in("vera").await;
    let page = vera.get(&format!("/alerts/{}", alert.id)).await;
    assert!(!page.body.contains("/acknowledge"), "{}", page.body);
    assert!(!vera.get("/").await.body.contains("/acknowledge"));
    // The one form there is, to sign out, has the token.
    let csrf = page.csrf();
    for what in ["acknowledge", "unacknowledge", "assign", "comment", "silence"] {
        let path = format!("/alerts/{}/{what}", alert.id);
        let refused = vera
            .post(&path, &[("csrf", &csrf), ("comment", "x"), ("reason", "x")])
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{what}");
        assert!(refused.body.contains("Not allowed"), "{}", refused.body);
    }
    assert_eq!(
        vera.get(&format!("/alerts/{}/silence", alert.id)).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(world.handle.silences().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_says_first_what_it_hides_and_only_a_lead_silences_more_than_a_device() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut rob = world.signed_in("rob").await;
    let page = rob.get(&format!("/alerts/{}/silence", alert.id)).await;
    assert!(
        page.body
            .contains("It would hide first pages of 1 device; 0 open alerts fit."),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("more urgent than a silence may hide"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("in the whole clinic"), "{}", page.body);
    for scope in ["clinic", "rule_in_clinic"] {
        let path = format!("/alerts/{}/silence?scope={scope}", alert.id);
        assert_eq!(rob.get(&path).await.status, StatusCode::FORBIDDEN);
        let refused = rob.send(&alert, "silence", &[("scope", scope), ("reason", "x")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let refused = rob
        .send(&alert, "silence", &[("scope", "device"), ("reason", " ")])
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("silence needs a reason"), "{}", refused.body);
    let mut lea = world.signed_in("lea").await;
    let page = lea
        .get(&format!("/alerts/{}/silence?scope=clinic&span=4h", alert.id))
        .await;
    assert!(page.body.contains("first pages of 2 devices"), "{}", page.body);
    let made = rob
        .send(
            &alert,
            "silence",
            &[("scope", "device"), ("span", "1h"), ("reason", "in repair")],
        )
        .await;
    assert_eq!(made.leads_to(), "/silences?done=silenced", "{}", made.body);
    let held = world.handle.silences().await.unwrap();
    let (id, silence) = held.first().unwrap();
    assert_eq!(
        (
            silence.owner.as_str(),
            silence.what.device.as_str(),
            silence.what.rule.as_str()
        ),
        ("rob", "pen-1", "")
    );
    let mut anna = world.signed_in("anna").await;
    let list = anna.get("/silences").await;
    assert!(list.body.contains("pen-1 · acme"), "{}", list.body);
    let ended = anna
        .post(&format!("/silences/{id}/end"), &[("csrf", &list.csrf())])
        .await;
    assert_eq!(ended.leads_to(), "/silences?done=silence_ended", "{}", ended.body);
    assert!(world.handle.silences().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_offered_as_long_as_the_plan_allows_and_the_form_says_why_not_longer() {
    let world = World::start(staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let mut rob = world.signed_in("rob").await;
    let at = format!("/alerts/{}/silence", alert.id);
    let page = rob.get(&at).await.body;
    let json = rob.get(&format!("/v1/console{at}")).await.body;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["spans"], serde_json::json!(["1h", "4h", "8h", "longest"]));
    assert!(
        page.contains("Longer than 12 h is not offered") && page.contains(">12 h, the longest<"),
        "{page}"
    );
    for longer in ["1d", "3d", "7d"] {
        assert!(!page.contains(&format!("value=\"{longer}\"")), "{page}");
        // Refused before anybody types a reason, and not made.
        let typed = rob.get(&format!("{at}?span={longer}")).await;
        let sent = rob
            .send(&alert, "silence", &[("span", longer), ("reason", "in repair")])
            .await;
        for refused in [typed, sent] {
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(refused.body.contains("longer than the plan allows"), "{}", refused.body);
        }
    }
    assert!(world.handle.silences().await.unwrap().is_empty());
    // Whatever is offered is made.
    for span in json["spans"].as_array().unwrap() {
        let fields = [("span", span.as_str().unwrap()), ("reason", "in repair")];
        let made = rob.send(&alert, "silence", &fields).await;
        assert_eq!(made.leads_to(), "/silences?done=silenced", "{span}: {}", made.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_allows_little_or_knows_somebody_not_is_said_before_anybody_types_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join(crate::support::PLAN);
    std::fs::create_dir(&plan).unwrap();
    let text = "[[person]]\nname = \"lea\"\nreceivers = [\"desk\"]\n\
                [[chain]]\nname = \"all\"\nsteps = [{ tell = [\"person:lea\"], wait = \"3m\" }]\nrepeat_every = \"10m\"\n\
                [[route]]\nname = \"all\"\nchain = \"all\"\n\
                [silences]\nlongest = \"30m\"\nmax_priority = \"low\"\n";
    std::fs::write(plan.join("plan.toml"), text).unwrap();
    let world = World::start_in(dir, staffed());
    let alert = world.hazard("acme", "pen-1").await;
    let at = format!("/alerts/{}/silence", alert.id);
    for (name, may) in [("rob", false), ("lea", true)] {
        let page = world.signed_in(name).await.get(&at).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        for said in [
            "Longer than 30 min is not offered",
            ">30 min, the longest<",
            "Low priority at most",
        ] {
            assert!(page.body.contains(said), "{said}: {}", page.body);
        }
        let told = page.body.contains("you are no person of the paging plan");
        assert_eq!(
            (told, page.body.contains("name=\"reason\"")),
            (!may, may),
            "{name}: {}",
            page.body
        );
    }
    let mut lea = world.signed_in("lea").await;
    let made = lea.send(&alert, "silence", &[("reason", "in repair")]).await;
    assert_eq!(made.leads_to(), "/silences?done=silenced", "{}", made.body);
}
