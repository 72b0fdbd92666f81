//! A real mosquitto on a free port, with the configuration that is shipped in deploy/mosquitto.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{SOON, free_port, wait_for, workspace_root};

/// A running broker; ends with the test.
pub struct Mosquitto {
    child: Child,
    folder: PathBuf,
    /// Its port on the loopback.
    pub port: u16,
}

impl Mosquitto {
    /// Starts the shipped configuration without its list of users: whoever comes may do anything. It keeps its data below
    /// `folder`.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let open = shipped(folder, port)
            .replace("allow_anonymous false", "allow_anonymous true")
            .lines()
            .filter(|line| !line.starts_with("password_file") && !line.starts_with("acl_file"))
            .map(|line| format!("{line}\n"))
            .collect();
        Self::run(folder, port, open)
    }

    /// Starts the shipped configuration with its access list and these users and passwords.
    pub fn start_with_users(folder: &Path, users: &[(&str, &str)]) -> Self {
        let port = free_port();
        let config = folder.join("mosquitto/config");
        std::fs::create_dir_all(&config).unwrap();
        let passwords: String = users
            .iter()
            .map(|(user, password)| format!("{user}:{password}\n"))
            .collect();
        std::fs::write(config.join("passwords"), passwords).unwrap();
        let hashed = Command::new("mosquitto_passwd")
            .arg("-U")
            .arg(config.join("passwords"))
            .status();
        assert!(hashed.is_ok_and(|status| status.success()), "mosquitto_passwd failed");
        std::fs::copy(workspace_root().join("deploy/mosquitto/acl"), config.join("acl")).unwrap();
        Self::run(folder, port, shipped(folder, port))
    }

    fn run(folder: &Path, port: u16, text: String) -> Self {
        std::fs::create_dir_all(folder.join("mosquitto/data")).unwrap();
        std::fs::write(folder.join("mosquitto/test.conf"), text).unwrap();
        let broker = Self {
            child: spawn(folder),
            folder: folder.to_owned(),
            port,
        };
        broker.wait();
        broker
    }

    /// SIGKILL, and started again with what is on its disk.
    pub fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.start_again();
    }

    /// SIGTERM, and started again.
    pub fn stop_and_start(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.start_again();
    }

    fn start_again(&mut self) {
        self.child.wait().unwrap();
        self.child = spawn(&self.folder);
        self.wait();
    }

    fn wait(&self) {
        wait_for("mosquitto's port", SOON, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port))
        });
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// deploy/mosquitto/mosquitto.conf, in a folder and on a port of the test, and without its listener for TLS.
fn shipped(folder: &Path, port: u16) -> String {
    let file = workspace_root().join("deploy/mosquitto/mosquitto.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let tls = ["listener 8883", "cafile ", "certfile ", "keyfile "];
    let kept = text
        .lines()
        .filter(|line| !tls.iter().any(|start| line.starts_with(start)));
    let here = format!("{}/", folder.join("mosquitto").display());
    let text: String = kept.map(|line| line.replace("/mosquitto/", &here) + "\n").collect();
    assert!(
        text.contains("\nlistener 1883\n"),
        "the plain listener has another name now"
    );
    // `user`: started by root, it would become a user that cannot write here.
    text.replace(
        "\nlistener 1883\n",
        &format!("\nlistener {port} 127.0.0.1\nuser root\n"),
    )
}

fn spawn(folder: &Path) -> Child {
    Command::new(program())
        .arg("-c")
        .arg(folder.join("mosquitto/test.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("mosquitto is missing ({e}): `cargo xtask test` installs it"))
}

fn program() -> PathBuf {
    // Debian puts it where a person's PATH does not look.
    let sbin = PathBuf::from("/usr/sbin/mosquitto");
    if sbin.exists() { sbin } else { "mosquitto".into() }
}
