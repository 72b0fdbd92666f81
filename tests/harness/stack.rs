//! The real binary as a child process: `dermatel up` with a registry, a webhook and a store, killed and started at will.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use registry::render::{ClinicText, DeviceText, Fleet, TenantText};
use serde_json::Value;

use crate::{SOON, dermatel, free_port, wait_for};

/// Longest wait for an answer: longer than the process itself takes before it says that it is late.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Where points go.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded store.
    Sqlite,
    /// Anything that takes `/api/v2/write`.
    Influx {
        /// Its base URL.
        url: String,
        /// The bucket, with `{tenant}` in it.
        bucket: String,
    },
}

/// What to run.
#[derive(Debug, Clone)]
pub struct StackSpec {
    /// Where points go.
    pub store: Store,
    /// Where pages go.
    pub webhook: String,
    /// A broker on the loopback to subscribe at, beside the endpoint.
    pub broker: Option<u16>,
    /// More lines of configuration, for example `[spool.telemetry]` sections. Sections that are written here already cannot
    /// be opened twice: `node`, `http`, `gateway.endpoint`, `gateway.broker`, `ingestor`, `alerting`.
    pub more: String,
}

/// The tenant and clinic of [`Stack`]'s registry; the devices are `pen-1`, `pen-2`, `ipl-1`, `autoclave-1`, with the
/// secret [`secret`]. The tenant `other` has `pen-1` too.
pub const TENANT: &str = "acme";
/// See [`TENANT`].
pub const CLINIC: &str = "acme-north";

/// The secret of a device of the test registry.
pub fn secret(tenant: &str, device: &str) -> String {
    format!("secret-of-{tenant}-{device}-0123456789abcdef")
}

/// A folder with configuration and data, and the process while it runs.
pub struct Stack {
    folder: tempfile::TempDir,
    part: &'static str,
    pub(crate) child: Option<Child>,
    /// Where devices connect.
    pub mqtt: SocketAddr,
    /// Where health, metrics and the API (with [`TOKEN`]) are.
    pub http: SocketAddr,
}

/// The bearer token of the HTTP API.
pub const TOKEN: &str = "test-token-0123456789abcdef";

const FORM: &str = "application/x-www-form-urlencoded";

/// Longest wait for readiness.
const READY_WITHIN: Duration = Duration::from_secs(120);

impl Stack {
    /// Writes registry and configuration, starts the process and waits until it is ready.
    pub fn start(spec: &StackSpec) -> Self {
        let mut stack = Self::prepare(spec);
        stack.up();
        stack
    }

    /// Writes registry and configuration and starts nothing, so that a test can change them.
    pub fn prepare(spec: &StackSpec) -> Self {
        Self::prepare_part(spec, "up")
    }

    /// The same of a part that runs apart: `gateway`, `ingestor` or `alerting`.
    pub fn prepare_part(spec: &StackSpec, part: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (mqtt, http) = (loopback(free_port()), loopback(free_port()));
        registry().write(&folder.path().join("registry")).unwrap();
        std::fs::write(folder.path().join("dermatel.toml"), config(spec, mqtt, http)).unwrap();
        Self {
            folder,
            part,
            child: None,
            mqtt,
            http,
        }
    }

    /// Starts the process and waits until it is ready.
    pub fn up(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) {
        wait_for("readiness", READY_WITHIN, || {
            assert!(self.is_running(), "dermatel ended: {}", self.log());
            let (status, body) = self.get("/readyz")?;
            if status == 200 { Ok(()) } else { Err(body) }
        });
    }

    /// Waits until devices can connect and it answers, whatever it says of its readiness.
    pub fn wait_listening(&mut self) {
        wait_for("the endpoint", READY_WITHIN, || {
            assert!(self.is_running(), "dermatel ended: {}", self.log());
            std::net::TcpStream::connect(self.mqtt).map_err(|e| e.to_string())?;
            self.get("/healthz").map(drop)
        });
    }

    /// Starts the process and does not wait.
    pub fn spawn(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = Command::new(dermatel())
            .args([self.part, "--config"])
            .arg(self.folder.path().join("dermatel.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// SIGKILL, at this very moment.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; waits for the end and gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait_for("the end after SIGTERM", Duration::from_secs(40), || {
            match child.try_wait().unwrap() {
                Some(status) => Ok(status.code()),
                None => Err("still running"),
            }
        })
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder of configuration, registry and data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The embedded store's file.
    pub fn store_file(&self) -> PathBuf {
        self.folder.path().join("data/ingestor/store.sqlite")
    }

    /// GET with the token: status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        http("GET", self.http, path, None)
    }

    /// POST of JSON with the token.
    pub fn post(&self, path: &str, body: &Value) -> Result<(u16, String), String> {
        http("POST", self.http, path, Some(("application/json", body.to_string())))
    }

    /// POST of a form, as a browser sends it from a page of ours; goes where it is sent on to.
    pub fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<(u16, String), String> {
        let encoded = reqwest::Url::parse_with_params("http://form/", fields).map_err(|e| e.to_string())?;
        let body = encoded.query().unwrap_or_default().to_owned();
        http("POST", self.http, path, Some((FORM, body)))
    }

    /// GET as JSON; panics unless it is answered well.
    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until a receiver has taken a page of this alert, and its receipt is durable.
    pub fn wait_delivered(&self, alert: &str, receiver: &str) {
        wait_for("the receipt", SOON, || {
            let told = self.json(&format!("/v1/alerts/{alert}/explain"))["told"].clone();
            let taken = |page: &&Value| page["receiver"] == receiver && page["outcome"] == "delivered";
            match told.as_array().into_iter().flatten().find(taken) {
                Some(_) => Ok(()),
                None => Err(told),
            }
        });
    }

    /// Sum of a metric over its labels; 0 if it is not there. `name` may end with labels, as `x_total{reason="y"}`.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").unwrap();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            if !rest.starts_with(['{', ' ']) {
                return None;
            }
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        values.sum()
    }

    /// Runs a subcommand of the binary against this stack's socket: success and output.
    pub fn command(&self, args: &[&str]) -> (bool, String) {
        let out = Command::new(dermatel())
            .args(args)
            .env("DERMATEL_SOCKET", self.folder.path().join("data/dermatel.sock"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.success(), text)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("-- log of dermatel\n{}", self.log());
        }
    }
}

/// One blocking HTTP/1.1 exchange.
fn http(method: &str, to: SocketAddr, path: &str, body: Option<(&str, String)>) -> Result<(u16, String), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .timeout(ANSWERS_WITHIN)
            .build()
            .map_err(|e| e.to_string())?;
        let method = method.parse().map_err(|_| "method".to_owned())?;
        let mut request = client.request(method, format!("http://{to}{path}")).bearer_auth(TOKEN);
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await.map_err(|e| e.to_string())?;
        Ok((
            answer.status().as_u16(),
            answer.text().await.map_err(|e| e.to_string())?,
        ))
    })
}

fn registry() -> Fleet {
    let clinic = |id: &str| ClinicText {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        more: String::new(),
    };
    let tenant = |id: &str, number, clinics| TenantText {
        id: id.parse().unwrap(),
        number,
        name: id.to_owned(),
        clinics,
        more: String::new(),
    };
    let mut fleet = Fleet::with_shipped_models(1);
    // A test that is held up for half a minute in the middle of a treatment is not a device that fell silent. Those that are about
    // silence ask for less of it.
    for (_, model) in &mut fleet.models {
        *model = model.replace("\n[policy]\n", "\n[policy]\nsilent_in_session_after_s = 600\n");
    }
    fleet.tenants = vec![
        tenant(TENANT, 1, vec![clinic(CLINIC)]),
        tenant("other", 2, vec![clinic("other-south")]),
    ];
    fleet.devices = vec![
        device(TENANT, CLINIC, "pen-1", "np-25"),
        device(TENANT, CLINIC, "pen-2", "np-25"),
        device(TENANT, CLINIC, "ipl-1", "lumen-6"),
        device(TENANT, CLINIC, "autoclave-1", "steam-b"),
        device("other", "other-south", "pen-1", "np-25"),
    ];
    fleet
}

fn device(tenant: &str, clinic: &str, id: &str, model: &str) -> DeviceText {
    DeviceText {
        key: registry::parse_name(&format!("{tenant}/{id}")).unwrap(),
        clinic: clinic.parse().unwrap(),
        model: model.parse().unwrap(),
        serial: format!("{tenant}-{id}").parse().unwrap(),
        secret_sha256: Some(registry::sha256(secret(tenant, id).as_bytes())),
        certificate_by_name: false,
        expected_since: None,
    }
}

fn config(spec: &StackSpec, mqtt: SocketAddr, http: SocketAddr) -> String {
    let influx = match &spec.store {
        Store::Sqlite => String::new(),
        Store::Influx { url, bucket } => {
            format!("influx = {{ url = \"{url}\", org = \"clinics\", token = \"t\", bucket = \"{bucket}\" }}\n")
        }
    };
    let broker = spec.broker.map_or(String::new(), |port| {
        format!("[gateway.broker]\nhost = \"127.0.0.1\"\nport = {port}\n")
    });
    format!(
        "[node]\ndata_dir = \"data\"\nregistry_dir = \"registry\"\n\
         [http]\nlisten = \"{http}\"\ntoken = \"{TOKEN}\"\n\
         [gateway.endpoint]\nlisten = [\"{mqtt}\"]\n{broker}\
         [ingestor]\nsummary_every = \"500ms\"\n{influx}\
         [[alerting.receivers]]\nname = \"hook\"\nmin_priority = \"info\"\nwebhook = {{ url = \"{}\", timeout = \"30s\" }}\n{}\n",
        spec.webhook, spec.more
    )
}
