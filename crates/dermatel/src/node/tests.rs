//! How a node starts and ends; what it does between is the business of the tests of the whole.
#![allow(clippy::unwrap_used)]
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.node.data_dir = dir.join("data");
    config.node.registry_dir = dir.join("registry");
    std::fs::create_dir_all(&config.node.registry_dir).unwrap();
    std::fs::write(config.node.registry_dir.join("registry.toml"), "version = 1\n").unwrap();
    config.http.listen = None;
    config.gateway.endpoint.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.settle(dir);
    config
}

async fn node(config: &Config) -> Result<Node> {
    Node::build(config.clone(), Metrics::detached()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_it_starts_ends_it_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    for _ in 0..2 {
        // A start after such an end finds nothing in its way.
        let shutdown = Shutdown::new();
        shutdown.begin("SIGTERM");
        let node = node(&config).await.unwrap();
        tokio::time::timeout(PATIENCE, node.run(&shutdown))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(shutdown.exit_code(), 0);
        assert!(!config.socket().exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_folder_is_refused_and_takes_nothing_from_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let Node { telemetry, local, .. } = node(&config).await.unwrap();
    // The first one drains: it holds its logs, and its API no longer answers.
    drop(local);
    // A second name keeps the inode from being given to another file.
    std::fs::hard_link(config.socket(), dir.path().join("kept")).unwrap();
    let inode = || std::fs::metadata(config.socket()).unwrap().ino();
    let of_the_first = inode();
    let refused = node(&config).await.map(|_| ()).unwrap_err();
    assert!(format!("{refused:#}").contains("open elsewhere"), "{refused:#}");
    assert_eq!(inode(), of_the_first);
    drop(telemetry);
}
