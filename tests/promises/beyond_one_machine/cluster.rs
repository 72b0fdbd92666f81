//! Two of each service over a cluster of three broker nodes; one node and one of each service killed under load.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tests::{CLINIC, NatsCluster, SOON, Source, Stack, StackSpec, TENANT, Treating, Webhook, uplink, wait_for};

/// The clinic of the other tenant of the test registry.
const OTHER: (&str, &str) = ("other", "other-south");

fn shard(tenant: &str, clinic: &str) -> u16 {
    telemetry::shard(&tenant.parse().unwrap(), &clinic.parse().unwrap())
}

/// Two sets of shards, one clinic in each. Few: to this broker each filter is a replicated consumer that takes its time to make.
fn halves() -> [String; 2] {
    let shards = [shard(TENANT, CLINIC), shard(OTHER.0, OTHER.1)];
    assert_ne!(shards[0], shards[1], "the test registry's clinics share a shard");
    shards.map(|shard| shard.to_string())
}

fn part(webhook: &Webhook, port: u16, part: &'static str, name: &str, shards: &str) -> Stack {
    let more = format!("[gateway]\nid = \"gw-{name}\"\n{}", uplink(port, name, shards));
    let spec = StackSpec {
        more,
        ..StackSpec::plain(webhook)
    };
    Stack::prepare_part(&spec, part)
}

#[test]
fn apart_over_a_cluster_nothing_is_lost_and_no_page_is_missing_when_one_of_everything_is_killed() {
    let webhook = Webhook::start();
    let mut cluster = NatsCluster::start();
    let [ours, others] = halves();
    let of = |kind, name: &str, shards: &str| part(&webhook, cluster.port, kind, name, shards);
    let mut gateways = [of("gateway", "a", "0-63"), of("gateway", "b", "0-63")];
    let mut ingestors = [of("ingestor", "a", &ours), of("ingestor", "b", &others)];
    let mut alertings = [of("alerting", "a", &ours), of("alerting", "b", &others)];
    gateways.iter_mut().for_each(Stack::spawn);
    ingestors.iter_mut().chain(&mut alertings).for_each(Stack::up);
    gateways.iter_mut().for_each(Stack::wait_ready);

    let began = Instant::now();
    let devices = Treating::start([
        (Source::new("pen-1"), gateways[0].mqtt),
        (Source::new("pen-2"), gateways[1].mqtt),
        (Source::of(OTHER.0, OTHER.1, "pen-1"), gateways[1].mqtt),
    ]);
    let stored = |ingestors: &[Stack; 2]| -> Result<i64, String> {
        let sum = "SELECT coalesce(sum(count), 0) FROM stroke_window";
        Ok(ingestors[0].number(sum)? + ingestors[1].number(sum)?)
    };
    wait_for("strokes on their way", SOON, || match stored(&ingestors)? {
        some if some > 500 => Ok(()),
        few => Err(few.to_string()),
    });
    let hold = || std::thread::sleep(Duration::from_millis(700));
    cluster.kill(0);
    hold();
    ingestors[0].kill();
    alertings[1].kill();
    hold();
    ingestors[0].up();
    alertings[1].up();
    gateways[1].kill();
    hold();
    gateways[1].up();
    cluster.restart(0);
    let sent = devices.finish();
    let delivered = began.elapsed();

    let (hazards, strokes) = (sent.treatments, sent.strokes);
    wait_for(
        "every stroke in one of the two stores",
        Duration::from_secs(60),
        || match stored(&ingestors)? {
            all if all == strokes => Ok(()),
            other => Err(format!("{other} of {strokes}")),
        },
    );
    let told = || -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for page in webhook.of_rule("depth-above-limit") {
            *told.entry(page["alert_id"].to_string()).or_default() += 1;
        }
        told
    };
    wait_for("a page of each hazard", Duration::from_secs(60), || {
        if told().len() == hazards {
            Ok(())
        } else {
            Err(format!("{:#?}", told()))
        }
    });
    let firing = "SELECT DISTINCT tenant, alert_id FROM alert_transition WHERE rule = 'depth-above-limit' AND to_state = 'firing'";
    wait_for("each alert in the store of its shard", Duration::from_secs(60), || {
        let alerts = [ingestors[0].rows(firing)?, ingestors[1].rows(firing)?];
        let tenants = alerts.map(|rows| rows.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>());
        let right = tenants[0].iter().all(|t| t == TENANT) && tenants[1].iter().all(|t| t == OTHER.0);
        if right && tenants[0].len() + tenants[1].len() == hazards {
            Ok(())
        } else {
            Err(format!("{tenants:?}"))
        }
    });
    let silent: BTreeSet<String> = webhook.pages().iter().map(|page| page["rule"].to_string()).collect();
    println!(
        "{} messages, {strokes} strokes in {:.1} s, stored {:.1} s after the first; slowest PUBACK {:?}; {hazards} hazards, \
         pages of each: {:?}; rules that paged: {silent:?}",
        sent.frames,
        delivered.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        sent.slowest,
        told().values().collect::<Vec<_>>(),
    );
}
