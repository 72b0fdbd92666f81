//! The system under test: `dermatel up`, or one of the processes apart, from a configuration that is written for it.
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ingestor::store::SqliteStore;
use simulator::Target;

use super::process;

/// Longest wait for the process to listen.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How often a condition is looked at: answering costs the process CPU, which is measured.
const POLL: Duration = Duration::from_millis(200);
/// How often a port is tried that should open at once.
const POLL_PORT: Duration = Duration::from_millis(1);

/// Ports that are tried: Linux gives outgoing connections those from 32768 on.
const PORTS: (u16, u16) = (20_000, 32_000);

/// Which process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything in one.
    #[default]
    Up,
    Gateway,
    Ingestor,
    Alerting,
}

impl Part {
    /// The subcommand, and the folder of a process apart.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Gateway => "gateway",
            Self::Ingestor => "ingestor",
            Self::Alerting => "alerting",
        }
    }
}

/// How the process is set up.
#[derive(Debug, Default, Clone)]
pub(super) struct Setup {
    /// Which it is.
    pub(super) part: Part,
    /// Port of the broker between processes apart.
    pub(super) broker: Option<u16>,
    /// Where pages go.
    pub(super) webhook: Option<String>,
    /// InfluxDB instead of the embedded store.
    pub(super) influx: Option<String>,
    /// Devices on TLS.
    pub(super) tls: bool,
    /// The console, and the API with [`CONSOLE_TOKEN`].
    pub(super) console: bool,
}

/// What the API is asked with.
pub(super) const CONSOLE_TOKEN: &str = "bench";

/// A running process. It is killed when this goes.
pub(super) struct Server {
    child: Child,
    part: Part,
    dir: PathBuf,
    mqtt: u16,
    http: u16,
    tls: bool,
}

impl Server {
    /// Writes the configuration into `dir`, which holds the registry already, and starts.
    pub(super) fn start(dir: &Path, setup: &Setup) -> Result<Self> {
        let (mqtt, http) = (free_port()?, free_port()?);
        if setup.tls {
            certificates(dir)?;
        }
        let text = configuration(setup, mqtt, http);
        std::fs::write(dir.join("dermatel.toml"), text).context("cannot write the configuration")?;
        let mut server = Self {
            child: spawn(dir, setup.part)?,
            part: setup.part,
            dir: dir.to_owned(),
            mqtt,
            http,
            tls: setup.tls,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while self.get("/healthz").is_err() {
            let ended = self.child.try_wait().ok().flatten().is_some();
            if ended || started.elapsed() > START_WITHIN {
                bail!("the process did not start; look at {}", self.dir.join("log").display());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Kills it and starts it again with the same data; gives when the start began, and waits for the port only.
    pub(super) fn kill_and_start(&mut self) -> Result<Instant> {
        self.child.kill().context("cannot kill the process")?;
        self.child.wait().context("cannot wait for the process")?;
        let started = Instant::now();
        self.child = spawn(&self.dir, self.part)?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.mqtt));
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if started.elapsed() > START_WITHIN {
                bail!(
                    "the process did not start again; look at {}",
                    self.dir.join("log").display()
                );
            }
            std::thread::sleep(POLL_PORT);
        }
        Ok(started)
    }

    pub(super) fn target(&self) -> Result<Target> {
        let mut target = Target::new(if self.tls { "localhost" } else { "127.0.0.1" }, self.mqtt);
        if self.tls {
            target.tls = Some(service::tls::client_config(&self.dir.join("ca.pem"), None)?);
        }
        Ok(target)
    }

    /// Where pages, metrics and the API are.
    pub(super) fn http_port(&self) -> u16 {
        self.http
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.pid())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: bench\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Sum of a metric over those of its labels that contain `label`.
    pub(super) fn metric(&self, name: &str, label: &str) -> Result<u64> {
        let answer = self.get("/metrics")?;
        let values = answer.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let ours = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
            ours.then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(values.sum::<f64>().max(0.0) as u64)
    }

    /// Whether everything that was let in is stored and judged; asked again until it is, or the time is over.
    pub(super) async fn settled(&self, within: Duration) -> Result<bool> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            let admitted = self.metric(gateway::metrics::DELIVERIES_ADMITTED, "")?;
            let judged = self.metric(alerting::metrics::INPUTS, "kind=\"frame\"")?;
            let behind = self.metric(ingestor::metrics::BACKLOG_RECORDS, "")?
                + self.metric(ingestor::metrics::RECORDS_HELD, "")?;
            if judged >= admitted && behind == 0 {
                return Ok(true);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(false)
    }

    /// Waits until so many messages were let in.
    pub(super) async fn admitted(&self, messages: u64, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        while self.metric(gateway::metrics::DELIVERIES_ADMITTED, "")? < messages {
            ensure!(Instant::now() < until, "fewer than {messages} messages came in");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Windows in the embedded store: one for each stroke message.
    pub(super) fn stored_windows(&self) -> Result<u64> {
        let file = self.dir.join("data/ingestor").join(ingestor::STORE_FILE);
        let store = SqliteStore::open_read_only(&file)?;
        Ok(store.counts()?.iter().map(|tenant| tenant.windows).sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, part: Part) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .context("cannot write the log")?;
    Command::new(std::env::current_exe().context("cannot find this program")?)
        .args([part.as_str(), "--config"])
        .arg(dir.join("dermatel.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot write the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start `dermatel {}`", part.as_str()))
}

/// A port that was free a moment ago, below those that the system gives to outgoing connections: the load makes many of them,
/// and one of theirs would be taken by the time the process listens.
pub(super) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(PORTS.1 - PORTS.0)).unwrap_or(0);
    for _ in PORTS.0..PORTS.1 {
        let at = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.1 - PORTS.0);
        if TcpListener::bind(("127.0.0.1", PORTS.0 + at)).is_ok() {
            return Ok(PORTS.0 + at);
        }
    }
    bail!("there is no free port between {} and {}", PORTS.0, PORTS.1)
}

fn configuration(setup: &Setup, mqtt: u16, http: u16) -> String {
    let endpoint = if setup.tls {
        format!("tls_listen = [\"127.0.0.1:{mqtt}\"]\ntls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n")
    } else {
        format!("listen = [\"127.0.0.1:{mqtt}\"]\n")
    };
    // Processes apart have folders of their own beside the one of the registry.
    let registry = if setup.part == Part::Up {
        "registry"
    } else {
        "../registry"
    };
    let mut text = format!(
        "[node]\ndata_dir = \"data\"\nregistry_dir = \"{registry}\"\nlog = \"warn\"\n\n[http]\nlisten = \"127.0.0.1:{http}\"\n\n\
         [gateway.endpoint]\n{endpoint}\n"
    );
    if setup.console {
        text = text.replacen("[http]\n", &format!("[http]\ntoken = \"{CONSOLE_TOKEN}\"\n"), 1);
        text += "[console]\nopen = true\n\n";
    }
    if let Some(port) = setup.broker {
        text += &format!("[uplink]\nhost = \"127.0.0.1\"\nport = {port}\ninstance = \"one\"\nshards = \"0-63\"\n\n");
    }
    if let Some(url) = &setup.influx {
        // The pause between two tries would be most of what is measured.
        text += "[ingestor]\nretry_cap = \"500ms\"\n\n";
        text += &format!("[ingestor.influx]\nurl = \"{url}\"\norg = \"bench\"\ntoken = \"bench\"\n\n");
    }
    if let Some(url) = &setup.webhook {
        text += &format!(
            "[[alerting.receivers]]\nname = \"bench\"\nmin_priority = \"low\"\nwebhook = {{ url = \"{url}\" }}\n"
        );
    }
    text
}

/// A certificate authority for this run, and the endpoint's certificate.
fn certificates(dir: &Path) -> Result<()> {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let root = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    for (file, text) in [
        ("ca.pem", root.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

/// What shares the machine with the system under test.
pub(super) fn generator_cpu() -> Result<f64> {
    process::cpu_seconds(std::process::id())
}
