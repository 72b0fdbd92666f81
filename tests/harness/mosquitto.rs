//! A real mosquitto on a free port, with the configuration that docs/guarantees.md asks for.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{free_port, wait_for};

/// A running broker; ends with the test.
pub struct Mosquitto {
    child: Child,
    /// Its port on the loopback.
    pub port: u16,
}

impl Mosquitto {
    /// Starts a broker that keeps its data below `folder`.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let data = folder.join("mosquitto");
        std::fs::create_dir_all(&data).unwrap();
        let config = data.join("mosquitto.conf");
        std::fs::write(
            &config,
            format!(
                "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_inflight_messages 65535\n\
                 max_queued_messages 0\npersistence true\npersistence_location {}/\nautosave_on_changes true\n\
                 autosave_interval 1000\n",
                data.display()
            ),
        )
        .unwrap();
        let child = Command::new(program())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("mosquitto is missing ({e}): `cargo xtask test` installs it"));
        let broker = Self { child, port };
        wait_for("mosquitto's port", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port))
        });
        broker
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    // Debian puts it where a person's PATH does not look.
    let sbin = PathBuf::from("/usr/sbin/mosquitto");
    if sbin.exists() { sbin } else { "mosquitto".into() }
}
