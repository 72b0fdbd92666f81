//! A real mosquitto on loopback, with its own directory and port, that ends with the test.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the broker may take to answer on its port.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running mosquitto: queues without bound, window 65535, persistent, anonymous unless told otherwise.
#[derive(Debug)]
pub struct Mosquitto {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker.
    ///
    /// # Panics
    /// When mosquitto is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with("allow_anonymous true\n")
    }

    /// Starts a broker with these lines at the end of its configuration (they decide on `allow_anonymous` too).
    ///
    /// # Panics
    /// When mosquitto is not installed or does not start.
    pub fn start_with(lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = super::free_port();
        let config = format!(
            "listener {port} 127.0.0.1\nset_tcp_nodelay true\nmax_inflight_messages 65535\nmax_queued_messages 0\n\
             persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1\nlog_dest stderr\n{lines}",
            dir.path().display()
        );
        std::fs::write(dir.path().join("mosquitto.conf"), config).expect("a configuration");
        let mut broker = Self { dir, port, child: None };
        broker.restart();
        broker
    }

    /// Its port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A directory that lives as long as the broker.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILLs it; what it did not save is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again after [`Mosquitto::kill`] (or kills and starts it), with its saved sessions.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let log = std::fs::File::create(self.dir.path().join("mosquitto.log")).expect("a log file");
        let mut command = Command::new(binary());
        command
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().expect("mosquitto starts"));
        let deadline = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self
                .child
                .as_mut()
                .is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            let log = || std::fs::read_to_string(self.dir.path().join("mosquitto.log")).unwrap_or_default();
            assert!(
                !ended && Instant::now() < deadline,
                "mosquitto does not answer on port {}: {}",
                self.port,
                log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Forgets its saved sessions and messages; for between [`Mosquitto::kill`] and [`Mosquitto::restart`].
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.dir.path().join("mosquitto.db"));
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Debian installs it where an ordinary user's PATH does not look.
fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    let found = places
        .into_iter()
        .map(|place| place.join("mosquitto"))
        .find(|candidate| candidate.is_file());
    found.expect("mosquitto is not installed: `cargo xtask test` installs it, or `apt-get install mosquitto`")
}
