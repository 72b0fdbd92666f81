//! What an operator does with InfluxDB: setup and doctor, and what the running ingestor says of the same troubles.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use ingestor::admin::{Change, Diagnosis, SetupError, Wanted, doctor, setup};
use ingestor::config::Config;
use ingestor::testing::{Influx1, Influx2Double, OPERATOR};
use service::config::Secret;
use telemetry::TenantId;

use crate::influx::config as influx_config;
use crate::support::{Device, Site};

const DAY: u64 = 86_400;

pub(crate) fn config(url: &str, token: &str) -> Config {
    let mut config = Site::new().config;
    config.influx = Some(influx_config(url, "clinics", token));
    config.retention = Some(Duration::from_secs(90 * DAY));
    config.rollups.points_kept = config.retention;
    config
}

pub(crate) fn wanted(config: &Config, tenants: &[&str]) -> Wanted {
    let tenants: Vec<TenantId> = tenants.iter().map(|tenant| tenant.parse().unwrap()).collect();
    Wanted::new(config, &tenants).unwrap()
}

pub(crate) async fn set_up(double: &Influx2Double, tenants: &[&str], dir: &Path) -> Vec<String> {
    let wanted = wanted(&config(double.url(), ""), tenants);
    let changes = setup(&wanted, &Secret::new(OPERATOR), dir, false, false).await.unwrap();
    changes.into_iter().map(|Change(text)| text).collect()
}

pub(crate) fn token(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

async fn look(double: &Influx2Double, dir: &Path, admin: bool) -> Diagnosis {
    let wanted = wanted(&config(double.url(), &token(dir, "ingestor.token")), &["acme", "bravo"]);
    let admin = admin.then(|| Secret::new(OPERATOR));
    doctor(&wanted, admin.as_ref(), true).await.unwrap()
}

pub(crate) fn kinds(told: &Diagnosis) -> Vec<&'static str> {
    let mut kinds: Vec<_> = told.wrong.iter().map(|finding| finding.kind).collect();
    kinds.dedup();
    kinds
}

#[tokio::test]
async fn setup_makes_what_is_missing_and_a_second_run_changes_nothing() {
    for hashes_tokens in [false, true] {
        let double = Influx2Double::start().await.unwrap();
        double.state().hashes_tokens = hashes_tokens;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tokens");
        let wanted = wanted(&config(double.url(), ""), &["acme", "bravo"]);
        let planned = setup(&wanted, &Secret::new(OPERATOR), &dir, true, false).await.unwrap();
        assert_eq!(double.state().changes, 0, "a dry run changed something");
        assert!(!dir.exists());
        let done = set_up(&double, &["acme", "bravo"], &dir).await;
        assert_eq!(planned.into_iter().map(|c| c.0).collect::<Vec<_>>(), done);
        // An organization, four buckets, four mappings, three tokens.
        assert_eq!((done.len(), double.state().changes), (12, 12));
        assert_eq!(double.state().bucket("dermatel-acme").unwrap().keep_s, 90 * DAY);
        assert_eq!(double.state().bucket("dermatel-acme-rollup").unwrap().keep_s, 0);
        for name in ["ingestor.token", "grafana-acme.token", "grafana-bravo.token"] {
            let mode = std::fs::metadata(dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            assert!(
                done.iter().all(|text| !text.contains(&token(&dir, name))),
                "a token was told"
            );
        }
        assert_eq!(set_up(&double, &["acme", "bravo"], &dir).await, Vec::<String>::new());
        assert_eq!(double.state().changes, 12);
        let told = look(&double, &dir, true).await;
        assert_eq!(told.wrong, [], "{told:?}");
        assert_eq!(told.unseen, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_changed_retention_a_new_tenant_and_a_lost_file_are_put_right_and_nothing_else() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme"], dir.path()).await;
    let before = token(dir.path(), "grafana-acme.token");

    double.state().bucket("dermatel-acme").unwrap().keep_s = DAY;
    assert_eq!(
        set_up(&double, &["acme"], dir.path()).await,
        ["keep bucket dermatel-acme 90 d and not 1 d"]
    );
    assert_eq!(double.state().bucket("dermatel-acme").unwrap().keep_s, 90 * DAY);

    // The ingestor needs a token for more buckets; acme's dashboards do not.
    let done = set_up(&double, &["acme", "bravo"], dir.path()).await;
    assert_eq!(done.len(), 2 + 2 + 2, "{done:?}");
    assert_eq!(token(dir.path(), "grafana-acme.token"), before);
    // Whoever still holds the old one is not cut off, but it is not left for ever.
    assert_eq!(kinds(&look(&double, dir.path(), true).await), ["old_token"]);
    assert_eq!(
        set_up(&double, &["acme", "bravo"], dir.path()).await,
        Vec::<String>::new()
    );
    let wanted = wanted(&config(double.url(), ""), &["acme", "bravo"]);
    let pruned = setup(&wanted, &Secret::new(OPERATOR), dir.path(), false, true)
        .await
        .unwrap();
    assert_eq!(pruned.len(), 1, "{pruned:?}");
    assert_eq!(kinds(&look(&double, dir.path(), true).await), Vec::<&str>::new());

    std::fs::remove_file(dir.path().join("grafana-acme.token")).unwrap();
    assert_eq!(set_up(&double, &["acme", "bravo"], dir.path()).await.len(), 1);
    assert_ne!(token(dir.path(), "grafana-acme.token"), before);
}

#[tokio::test]
async fn a_tenants_token_reads_its_own_buckets_and_nothing_else() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme", "bravo"], dir.path()).await;
    let client = reqwest_like(&double, &token(dir.path(), "grafana-acme.token"));
    for (database, policy, status) in [
        ("dermatel-acme", None, 200),
        ("dermatel-acme", Some("rollup"), 200),
        ("dermatel-bravo", None, 403),
        ("dermatel-bravo", Some("rollup"), 403),
    ] {
        assert_eq!(client.query(database, policy).await, status, "{database} {policy:?}");
    }
    for bucket in ["dermatel-acme", "dermatel-acme-rollup", "dermatel-bravo"] {
        assert_eq!(client.write(bucket).await, 403, "{bucket}");
    }
}

/// Somebody with a token.
struct Somebody {
    url: String,
    token: String,
}

fn reqwest_like(double: &Influx2Double, token: &str) -> Somebody {
    Somebody {
        url: double.url().to_owned(),
        token: format!("Token {token}"),
    }
}

impl Somebody {
    async fn post(&self, path: String, body: &str) -> u16 {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url));
        let request = request.header("authorization", &self.token).body(body.to_owned());
        request.send().await.unwrap().status().as_u16()
    }

    async fn query(&self, database: &str, policy: Option<&str>) -> u16 {
        let policy = policy.map_or(String::new(), |policy| format!("&rp={policy}"));
        self.post(format!("/query?db={database}{policy}"), "q=SELECT 1").await
    }

    async fn write(&self, bucket: &str) -> u16 {
        let path = format!("/api/v2/write?org=clinics&bucket={bucket}&precision=ns");
        self.post(path, "m f=1 1").await
    }
}

#[tokio::test]
async fn doctor_names_each_trouble_with_a_fix() {
    type Meddle = fn(&mut ingestor::testing::Influx2State);
    let troubles: [(&str, Meddle); 9] = [
        ("wrong_token", |s| s.tokens.clear()),
        ("wrong_organization", |s| s.orgs.clear()),
        ("missing_bucket", |s| {
            s.buckets.retain(|b| b.name != "dermatel-bravo-rollup")
        }),
        ("missing_permission", |s| {
            for (_, _, permissions, _) in &mut s.tokens {
                permissions.as_array_mut().unwrap().retain(|p| p["action"] == "read");
            }
        }),
        ("disk_full", |s| s.disk_full = true),
        ("clock_skew", |s| {
            s.date = Some("Sun, 22 Nov 2020 12:00:00 GMT".to_owned())
        }),
        ("short_retention", |s| s.bucket("dermatel-acme").unwrap().keep_s = DAY),
        ("missing_mapping", |s| {
            s.mappings.retain(|m| m["retention_policy"] != "rollup")
        }),
        ("too_many_rights", |s| {
            let mine = s.tokens.iter_mut().find(|t| t.1 == "dermatel ingestor").unwrap();
            mine.2 = serde_json::json!([
                {"action": "read", "resource": {"type": "buckets"}}, {"action": "write", "resource": {"type": "buckets"}}
            ]);
            s.add_bucket("payroll", 0);
        }),
    ];
    for (kind, meddle) in troubles {
        let double = Influx2Double::start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        set_up(&double, &["acme", "bravo"], dir.path()).await;
        meddle(&mut double.state());
        let told = look(&double, dir.path(), false).await;
        assert_eq!(kinds(&told), [kind], "{told:?}");
        assert!(told.wrong.iter().all(|finding| finding.fix.len() > 10));
    }
}

#[tokio::test]
async fn doctor_sees_roll_ups_that_go_before_their_points_and_an_operators_token() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme", "bravo"], dir.path()).await;
    double.state().bucket("dermatel-acme-rollup").unwrap().keep_s = DAY;
    let told = look(&double, dir.path(), false).await;
    assert_eq!(kinds(&told), ["rollup_shorter_than_detail"]);
    double.state().bucket("dermatel-acme-rollup").unwrap().keep_s = 0;

    let wanted = wanted(&config(double.url(), OPERATOR), &["acme", "bravo"]);
    let told = doctor(&wanted, None, true).await.unwrap();
    assert_eq!(kinds(&told), ["too_many_rights"]);
}

#[tokio::test]
async fn doctor_with_an_operators_token_names_each_token_that_is_missing_or_has_other_rights() {
    type Meddle = fn(&mut ingestor::testing::Influx2State);
    let troubles: [(&str, Meddle); 2] = [
        ("dermatel grafana bravo", |s| {
            s.tokens.retain(|t| t.1 != "dermatel grafana bravo")
        }),
        ("dermatel grafana acme", |s| {
            let acme = s.tokens.iter_mut().find(|t| t.1 == "dermatel grafana acme").unwrap();
            acme.2.as_array_mut().unwrap().pop();
        }),
    ];
    for (description, meddle) in troubles {
        let double = Influx2Double::start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        set_up(&double, &["acme", "bravo"], dir.path()).await;
        meddle(&mut double.state());
        // The ingestor's own token sees no tokens: nobody is accused.
        assert_eq!(look(&double, dir.path(), false).await.wrong, []);
        let told = look(&double, dir.path(), true).await;
        assert_eq!(kinds(&told), ["missing_token"], "{told:?}");
        assert_eq!(told.wrong.len(), 1, "{told:?}");
        let finding = &told.wrong[0];
        assert!(finding.what.contains(&format!("'{description}'")), "{finding:?}");
        assert!(finding.fix.contains("dermatel influx setup"), "{finding:?}");
        // The fix repairs it.
        set_up(&double, &["acme", "bravo"], dir.path()).await;
        assert!(!kinds(&look(&double, dir.path(), true).await).contains(&"missing_token"));
    }
}

#[tokio::test]
async fn a_retention_that_the_configuration_leaves_to_the_bucket_is_left_and_told() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme"], dir.path()).await;
    let mut config = config(double.url(), &token(dir.path(), "ingestor.token"));
    config.retention = None;
    let wanted = wanted(&config, &["acme"]);
    let changes = setup(&wanted, &Secret::new(OPERATOR), dir.path(), false, false)
        .await
        .unwrap();
    assert_eq!(changes, []);
    let told = doctor(&wanted, None, true).await.unwrap();
    assert_eq!(kinds(&told), ["short_retention"]);
    assert!(told.wrong[0].fix.contains("ingestor.retention = \"90d\""), "{told:?}");
}

#[tokio::test]
async fn a_mapping_that_a_person_made_is_not_taken_from_them() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme"], dir.path()).await;
    let theirs = double.state().add_bucket("theirs", 0);
    for mapping in &mut double.state().mappings {
        mapping["bucketID"] = serde_json::json!(theirs);
    }
    let wanted = wanted(&config(double.url(), ""), &["acme"]);
    let refused = setup(&wanted, &Secret::new(OPERATOR), dir.path(), false, false)
        .await
        .unwrap_err();
    assert!(matches!(refused, SetupError::Mapped { .. }), "{refused}");
}

#[tokio::test]
async fn one_bucket_for_points_and_roll_ups_is_set_up_as_one() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(double.url(), "");
    let influx = config.influx.as_mut().unwrap();
    influx.rollup_bucket = influx.bucket.clone();
    let both = wanted(&config, &["acme"]);
    for changes in [1 + 1 + 2 + 2, 0] {
        let done = setup(&both, &Secret::new(OPERATOR), dir.path(), false, false)
            .await
            .unwrap();
        assert_eq!(done.len(), changes, "{done:?}");
    }
    config.influx.as_mut().unwrap().token = Secret::new(token(dir.path(), "ingestor.token"));
    let told = doctor(&wanted(&config, &["acme"]), Some(&Secret::new(OPERATOR)), true)
        .await
        .unwrap();
    assert_eq!(told.wrong, [], "{told:?}");
}

fn why(site: &Site, name: &str) -> String {
    let report = site.health.report();
    let red = report.into_iter().find(|c| c.name == name && !c.green);
    red.map(|c| c.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_ingestor_says_the_same_in_words_keeps_everything_and_goes_on_by_itself() {
    type Meddle = fn(&mut ingestor::testing::Influx2State);
    let troubles: [(&str, Meddle); 5] = [
        ("the token is wrong", |s| {
            s.tokens.iter_mut().for_each(|t| t.3.insert(0, 'x'));
        }),
        ("the organization is wrong", |s| s.orgs[0].1 = "other".to_owned()),
        ("the bucket is missing", |s| {
            s.bucket("dermatel-acme").unwrap().name = "renamed".to_owned()
        }),
        ("the token may not write", |s| {
            s.tokens.iter_mut().for_each(|t| t.2 = serde_json::json!([]));
        }),
        ("the disk of InfluxDB is full", |s| s.disk_full = true),
    ];
    for (words, meddle) in troubles {
        let double = Influx2Double::start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        set_up(&double, &["acme"], dir.path()).await;
        let mut site = Site::new();
        site.config.influx = Some(influx_config(
            double.url(),
            "clinics",
            &token(dir.path(), "ingestor.token"),
        ));
        // One after the other: each holds the state until its statement ends.
        let tokens = double.state().tokens.clone();
        let orgs = double.state().orgs.clone();
        meddle(&mut double.state());
        site.append(&[Device::new("acme", "pen-1", 1).range(0, 20)]);
        site.run_refused_until(|| why(&site, "store").contains(words)).await;
        assert!(why(&site, "store").contains("tenant acme"), "{}", why(&site, "store"));
        assert!(!site.caught_up(), "{words}");
        {
            let mut state = double.state();
            (state.tokens, state.orgs, state.disk_full) = (tokens, orgs, false);
            if let Some(bucket) = state.bucket("renamed") {
                bucket.name = "dermatel-acme".to_owned();
            }
        }
        site.run().await;
        let lines = double.state().bucket("dermatel-acme").unwrap().lines.clone();
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("stroke_window")).count(),
            1,
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_influxdb_without_the_v2_api_is_told_by_the_running_ingestor() {
    let one = Influx1::start().await.unwrap();
    let mut site = Site::new();
    site.config.influx = Some(influx_config(one.server_url(), "clinics", "secret"));
    site.append(&[Device::new("acme", "pen-1", 1).range(0, 20)]);
    site.run_refused_until(|| why(&site, "store").contains("has no v2 API"))
        .await;
    assert!(!site.caught_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_that_is_missing_is_told_by_the_running_ingestor_and_points_are_stored() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme"], dir.path()).await;
    // Mapped under another name, so that the server makes none by itself.
    double
        .state()
        .mappings
        .iter_mut()
        .for_each(|m| m["database"] = serde_json::json!("elsewhere"));
    let mut site = Site::new();
    site.config.influx = Some(influx_config(
        double.url(),
        "clinics",
        &token(dir.path(), "ingestor.token"),
    ));
    site.config.rollups.after = Duration::ZERO;
    site.config.flow.rollup_every = Duration::from_millis(5);
    site.append(&[Device::new("acme", "pen-1", 1).range(0, 20)]);
    site.run_until(|| why(&site, "roll-ups").contains("dermatel influx setup") && site.caught_up())
        .await;
    assert!(why(&site, "store").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_has_answered_and_does_not_for_a_while_is_in_trouble_and_no_other_kind_of_store() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    set_up(&double, &["acme"], dir.path()).await;
    let mut site = Site::new();
    site.config.influx = Some(influx_config(
        double.url(),
        "clinics",
        &token(dir.path(), "ingestor.token"),
    ));
    site.config.rollups.after = Duration::ZERO;
    site.config.flow.rollup_every = Duration::from_millis(5);
    let mut pen = Device::new("acme", "pen-1", 1);
    site.append(&[pen.range(0, 20)]);
    let (stage, asked) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    site.run_until(|| match stage.get() {
        // A minute and its hour are answered; then something stands in between that has only a page to say.
        0 if site.caught_up() && double.state().questions >= 2 => {
            double.state().no_influxql = true;
            site.append(&[pen.clone().range(100, 120)]);
            stage.set(1);
            false
        }
        1 if why(&site, "roll-ups").contains("rollups = false") => {
            let mut state = double.state();
            state.no_influxql = false;
            asked.set(state.questions);
            stage.set(2);
            false
        }
        2 => why(&site, "roll-ups").is_empty() && double.state().questions > asked.get(),
        _ => false,
    })
    .await;
}
