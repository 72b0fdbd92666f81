//! The registry changes while alerts are open: they go where their device goes, once told, and nothing ends that needs a person.
use std::sync::Arc;

use alerting::engine::{Transition, Why};
use alerting::lifecycle::State;
use alerting::rules::builtin;
use alerting::{Followed, RegistryFleet};
use proptest::prelude::*;
use registry::{Change, Digest, Files, Step};
use telemetry::{DeviceKey, UnixMicros, proto};

use crate::desk::{Desk, Running, depth_pages, file, hazard, receiver, until};
use crate::support::{Said, T0, World, acknowledge, registry_files, strokes, watermark};

const SECOND: i64 = 1_000_000;

fn key(device: &str) -> DeviceKey {
    registry::parse_name(&format!("acme/{device}")).unwrap()
}

fn change(n: u64, steps: Vec<Step>) -> Change {
    Change {
        n,
        at: UnixMicros(T0),
        by: "ana".into(),
        why: "the other room".into(),
        steps,
        folded: None,
    }
}

fn move_to(device: &str, from: &str, to: &str) -> Step {
    Step::Move {
        device: key(device),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
    }
}

/// What the runner does when a registry of these changes is announced.
fn configure(world: &mut World, at_us: i64, steps: Vec<Step>) -> Vec<Transition> {
    let registry = Files::from_texts(&registry_files())
        .load(&[change(1, steps)])
        .unwrap()
        .registry;
    let version = registry.version().to_string();
    world.engine.configure(
        Arc::new(builtin().unwrap()),
        Arc::new(RegistryFleet(Arc::new(registry))),
    );
    let configured = proto::Configured {
        at_us: T0 + at_us,
        rules_version: String::new(),
        registry_version: version,
    };
    let input = proto::Input {
        input: Some(proto::input::Input::Configured(configured)),
    };
    world.apply(&prost::Message::encode_to_vec(&input))
}

fn deep(world: &mut World, device: &str) -> Vec<Transition> {
    world.say(&Said::new(
        device,
        0,
        SECOND,
        strokes(Some(6), Some(800), 0, SECOND, vec![1_900]),
    ))
}

fn silence(world: &mut World) -> Vec<Transition> {
    world.apply(&watermark("gw-1", 100 * SECOND))
}

#[test]
fn a_moved_device_takes_its_open_alerts_along_with_their_ids_and_pages_nobody_again() {
    let mut world = World::new();
    let raised = deep(&mut world, "pen-4");
    let first = raised.iter().find(|t| t.alert.rule == "depth-above-limit").unwrap();
    assert_eq!(first.alert.clinic, "south");
    let open = world.engine.alerts().count();
    let steps = configure(&mut world, 2 * SECOND, vec![move_to("pen-4", "south", "north")]);
    assert_eq!(steps.len(), open, "each open alert is told once: {steps:#?}");
    for step in &steps {
        assert_eq!((step.why, step.page, step.from == step.to), (Why::Moved, false, true));
        assert_eq!(step.alert.clinic, "north");
    }
    // The same registry again, also after a restart: nothing is left to move.
    world.restart();
    assert_eq!(world.engine.alert(first.alert.id).unwrap().clinic, "north");
    assert!(configure(&mut world, 3 * SECOND, vec![move_to("pen-4", "south", "north")]).is_empty());
    // A frame that was on its way under the old clinic brings nothing back.
    world.say(&Said::new(
        "pen-4",
        1,
        4 * SECOND,
        strokes(Some(6), Some(800), 1, 4 * SECOND, vec![1_900]),
    ));
    assert!(world.engine.alerts().all(|alert| alert.clinic == "north"));
    // What is raised from now on is raised there, although the device said nothing since.
    let silent = silence(&mut world);
    let silent = silent.iter().find(|t| t.alert.rule == "device-silent").unwrap();
    assert_eq!(silent.alert.clinic, "north");
}

#[test]
fn a_retired_device_is_not_missed_any_more_and_what_needs_a_person_still_does() {
    for silent_first in [true, false] {
        let mut world = World::new();
        let raised = deep(&mut world, "pen-4");
        let id = raised
            .iter()
            .find(|t| t.alert.rule == "depth-above-limit")
            .unwrap()
            .alert
            .id;
        if silent_first {
            silence(&mut world);
        }
        let steps = configure(&mut world, 200 * SECOND, vec![Step::Retire { device: key("pen-4") }]);
        let ended: Vec<_> = steps
            .iter()
            .map(|t| (t.alert.rule.as_str(), t.to, t.why, t.page))
            .collect();
        let wanted = [("device-silent", State::Resolved, Why::Retired, false)];
        assert_eq!(ended, wanted[..usize::from(silent_first)]);
        assert!(world.engine.alert(id).unwrap().life.needs_person());
        world.restart();
        let later = world.apply(&watermark("gw-1", 900 * SECOND));
        assert!(later.iter().all(|t| t.alert.rule != "device-silent"), "{later:?}");
        world.apply(&acknowledge(id.0, 1, 901 * SECOND));
        assert!(!world.engine.alert(id).is_some_and(|alert| alert.life.needs_person()));
    }
}

#[test]
fn a_device_that_is_gone_from_the_files_ends_no_alert() {
    let mut world = World::new();
    deep(&mut world, "pen-4");
    silence(&mut world);
    let before = world.engine.alerts().count();
    let mut files = registry_files();
    let devices = files
        .iter_mut()
        .find(|(name, _)| *name == "tenants/acme/devices.toml")
        .unwrap();
    devices.1 = "device = []\n".to_owned();
    let registry = registry::Registry::from_sources(&files).unwrap();
    let rules = Arc::new(builtin().unwrap());
    world
        .engine
        .configure(rules, Arc::new(RegistryFleet(Arc::new(registry))));
    let input = proto::Input {
        input: Some(proto::input::Input::Configured(proto::Configured {
            at_us: T0 + 200 * SECOND,
            ..Default::default()
        })),
    };
    assert!(world.apply(&prost::Message::encode_to_vec(&input)).is_empty());
    assert_eq!(world.engine.alerts().count(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn wherever_devices_are_moved_no_alert_is_lost_raised_or_paged_and_each_stands_where_its_device_does(
        moves in proptest::collection::vec((1..=6u32, any::<bool>()), 0..12), restart in any::<bool>(),
    ) {
        let mut world = World::new();
        for n in 1..=6 {
            deep(&mut world, &format!("pen-{n}"));
        }
        let ids = |world: &World| {
            let mut ids: Vec<_> = world.engine.alerts().map(|a| (a.id, a.state(), a.device.clone())).collect();
            ids.sort();
            ids
        };
        let before = ids(&world);
        let mut at = ["north", "north", "north", "south", "south", "south"];
        let mut steps = Vec::new();
        for (round, (n, north)) in moves.into_iter().enumerate() {
            let to = if north { "north" } else { "south" };
            let from = std::mem::replace(&mut at[n as usize - 1], to);
            if from != to {
                steps.push(move_to(&format!("pen-{n}"), from, to));
            }
            let told = configure(&mut world, (2 + round as i64) * SECOND, steps.clone());
            prop_assert!(told.iter().all(|t| !t.page && t.why == Why::Moved));
            if restart {
                world.restart();
            }
        }
        prop_assert_eq!(ids(&world), before);
        for alert in world.engine.alerts() {
            let n: usize = alert.device.strip_prefix("pen-").unwrap().parse().unwrap();
            prop_assert_eq!(&alert.clinic, at[n - 1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_stands_in_the_journal_once_with_before_and_after_who_and_why_and_a_cut_registry_journal_shows() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let running = Running::start(dir.path(), vec![receiver(desk.listen().await)]);
    running.append(&[hazard("pen-1", 1).record()]);
    until("a page", || depth_pages(&desk).pop()).await;
    let lines: Vec<(Change, Digest)> = [("north", "south"), ("south", "north")]
        .into_iter()
        .zip(1u8..)
        .map(|((from, to), n)| (change(n.into(), vec![move_to("pen-1", from, to)]), Digest([n; 32])))
        .collect();
    let follow = |lines: &[(Change, Digest)], whole| running.handle.journal_registry(lines.to_vec(), whole);
    let followed = |added, broken| Followed { added, broken };
    assert_eq!(follow(&lines[..1], false).await.unwrap(), followed(1, false));
    assert_eq!(
        follow(&lines, true).await.unwrap(),
        followed(1, false),
        "as after a restart"
    );
    assert_eq!(follow(&lines, true).await.unwrap(), followed(0, false));
    // The last line is not there any more.
    assert_eq!(follow(&lines[..1], true).await.unwrap(), followed(1, true));
    assert!(running.handle.verify_journal().await.unwrap().broken_at.is_none());
    running.stop().await;
    let db = rusqlite::Connection::open(file(dir.path())).unwrap();
    let mut statement = db
        .prepare("SELECT body FROM journal WHERE kind = 'registry' ORDER BY n")
        .unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let rows: Vec<serde_json::Value> = rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect();
    assert_eq!(rows[0]["actor"], "ana");
    assert_eq!(rows[0]["changes"][0]["before"]["clinic"], "north");
    assert_eq!(rows[0]["changes"][0]["after"]["clinic"], "south");
    assert_eq!(rows[2]["lost_after"], 1);
    let why: String = db
        .query_row(
            "SELECT text FROM free_text WHERE digest = unhex(?1)",
            [rows[0]["comment_digest"].as_str()],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(why, "the other room");
}
