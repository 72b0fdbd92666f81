//! Three nats-server nodes with JetStream as one MQTT broker, and what stands before such a cluster: something that connects a
//! client to a node that is there.
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::{free_port, wait_for};

/// Nodes of the cluster: one may die.
const NODES: usize = 3;
/// How long the nodes may take to find one another and to choose who leads.
const FORMED_WITHIN: Duration = Duration::from_secs(60);

/// A running cluster; ends with the test.
pub struct NatsCluster {
    folder: tempfile::TempDir,
    nodes: Vec<Option<Child>>,
    mqtt: Vec<u16>,
    /// Where clients connect, whichever node is there.
    pub port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl NatsCluster {
    /// Starts three nodes and waits until each takes MQTT clients.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = |_| free_port();
        let routes: Vec<u16> = (0..NODES).map(ports).collect();
        let mqtt: Vec<u16> = (0..NODES).map(ports).collect();
        let all: Vec<String> = routes
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        for node in 0..NODES {
            let text = format!(
                "server_name: n{node}\nlisten: 127.0.0.1:{}\nhttp: 127.0.0.1:{}\n\
                 jetstream {{ store_dir: \"{}\" }}\n\
                 mqtt {{ listen: \"127.0.0.1:{}\", ack_wait: \"10s\", max_ack_pending: 1000 }}\n\
                 cluster {{ name: dermatel, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                free_port(),
                free_port(),
                folder.path().join(format!("n{node}")).display(),
                mqtt[node],
                routes[node],
                all.join(", "),
            );
            std::fs::write(folder.path().join(format!("n{node}.conf")), text).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let port = runtime.block_on(balance(&mqtt));
        let mut cluster = Self {
            folder,
            nodes: (0..NODES).map(|_| None).collect(),
            mqtt,
            port,
            _runtime: runtime,
        };
        for node in 0..NODES {
            cluster.spawn(node);
        }
        for node in 0..NODES {
            cluster.wait(node);
        }
        cluster
    }

    fn spawn(&mut self, node: usize) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file(node))
            .unwrap();
        let child = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join(format!("n{node}.conf")))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("nats-server is missing ({e}): `cargo xtask test` installs it"));
        self.nodes[node] = Some(child);
    }

    /// Waits until a client is let in there, which needs a leader of the cluster's store.
    fn wait(&self, node: usize) {
        wait_for("a node of the cluster", FORMED_WITHIN, || {
            accepts(self.mqtt[node]).map_err(|why| format!("{why}: {}", self.log(node)))
        });
    }

    /// SIGKILLs a node.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again and waits until it takes clients.
    pub fn restart(&mut self, node: usize) {
        self.spawn(node);
        self.wait(node);
    }

    fn log_file(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("n{node}.log"))
    }

    fn log(&self, node: usize) -> String {
        let text = std::fs::read_to_string(self.log_file(node)).unwrap_or_default();
        text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for node in 0..NODES {
            self.kill(node);
        }
    }
}

/// Connects as an MQTT 3.1.1 client with a clean session and waits for the answer.
fn accepts(port: u16) -> Result<(), String> {
    use std::io::{Read as _, Write as _};
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1)).map_err(|e| e.to_string())?;
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .map_err(|e| e.to_string())?;
    let id = b"looks";
    let mut connect = vec![0x10, 12 + id.len() as u8, 0, 4];
    connect.extend(b"MQTT");
    connect.extend([4, 2, 0, 60, 0, id.len() as u8]);
    connect.extend(id);
    stream.write_all(&connect).map_err(|e| e.to_string())?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).map_err(|e| e.to_string())?;
    match answer {
        [0x20, 2, _, 0] => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A port at which each connection goes to the next node that takes it.
async fn balance(nodes: &[u16]) -> u16 {
    let nodes: Arc<[u16]> = nodes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            turn += 1;
            let (nodes, first) = (Arc::clone(&nodes), turn);
            tokio::spawn(async move {
                for at in 0..nodes.len() {
                    let to = ("127.0.0.1", nodes[(first + at) % nodes.len()]);
                    if let Ok(mut node) = tokio::net::TcpStream::connect(to).await {
                        let _ = (client.set_nodelay(true), node.set_nodelay(true));
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
                        return;
                    }
                }
            });
        }
    });
    port
}

fn program() -> PathBuf {
    let sbin = Path::new("/usr/sbin/nats-server");
    if sbin.exists() {
        sbin.to_owned()
    } else {
        "nats-server".into()
    }
}
