//! Servers that are no InfluxDB 2: each is called by its name, with what to do about it.

use ingestor::admin::{SetupError, doctor, setup};
use ingestor::testing::{Influx1, Influx2Double, VictoriaMetrics};
use service::config::Secret;

use crate::admin::{config, kinds, set_up, token, wanted};

#[tokio::test]
async fn what_is_no_influxdb_2_is_recognised() {
    let nobody = wanted(&config("http://127.0.0.1:1", "t"), &["acme"]);
    assert_eq!(kinds(&doctor(&nobody, None, true).await.unwrap()), ["unreachable"]);

    let one = Influx1::start().await.unwrap();
    let old = wanted(&config(one.server_url(), "t"), &["acme"]);
    let told = doctor(&old, None, true).await.unwrap();
    assert_eq!(kinds(&told), ["no_v2_api"]);
    assert!(told.wrong[0].what.contains("InfluxDB 1.6.7"), "{told:?}");
    let dir = tempfile::tempdir().unwrap();
    let refused = setup(&old, &Secret::new("t"), dir.path(), false, false)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, SetupError::Server(_)) && refused.to_string().contains("1.8"),
        "{refused}"
    );

    let victoria = VictoriaMetrics::start().await.unwrap();
    let other = wanted(&config(victoria.url(), "t"), &["acme"]);
    let told = doctor(&other, None, true).await.unwrap();
    assert!(kinds(&told).contains(&"no_influxql"), "{told:?}");
    assert!(
        told.wrong.iter().any(|finding| finding.fix.contains("rollups = false")),
        "{told:?}"
    );

    let fresh = Influx2Double::start().await.unwrap();
    fresh.state().fresh = true;
    let new = wanted(&config(fresh.url(), "t"), &["acme"]);
    let refused = setup(&new, &Secret::new("t"), dir.path(), false, false)
        .await
        .unwrap_err();
    assert!(matches!(refused, SetupError::Fresh), "{refused}");
}

/// By a double that answers as its documentation says: none of the registries that tests may use has the server.
#[tokio::test]
async fn an_influxdb_3_is_called_by_its_name_takes_points_and_is_left_to_its_own_tools() {
    let double = Influx2Double::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // What its own tools make: databases, a token.
    set_up(&double, &["acme"], dir.path()).await;
    double.state().three = Some("3.4.1".to_owned());
    let three = wanted(&config(double.url(), &token(dir.path(), "ingestor.token")), &["acme"]);
    let told = doctor(&three, None, true).await.unwrap();
    assert_eq!(told.wrong, [], "{told:?}");
    let named = told.unseen.iter().find(|text| text.contains("InfluxDB 3.4.1"));
    let named = named.unwrap_or_else(|| panic!("{told:?}"));
    for part in [
        "/api/v2/write",
        "/query",
        "/api/v3/write_lp",
        "its own tools",
        "docs/influxdb.md",
    ] {
        assert!(named.contains(part), "{named}");
    }
    assert!(
        told.unseen.iter().any(|text| text.starts_with("retention and rights")),
        "{told:?}"
    );
    assert!(
        told.fine.iter().any(|text| text == "bucket dermatel-acme takes points"),
        "{told:?}"
    );
    let before = double.state().changes;
    let refused = setup(&three, &Secret::new("t"), dir.path(), false, false)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, SetupError::Server(_)) && refused.to_string().contains("3.4.1"),
        "{refused}"
    );
    assert_eq!(double.state().changes, before);
    // The bad input of version 2 is told of version 3 alike.
    double.state().disk_full = true;
    assert_eq!(kinds(&doctor(&three, None, true).await.unwrap()), ["disk_full"]);
}
