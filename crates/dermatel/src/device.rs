//! `dermatel device`: the registry in daily life, through the running process. Secrets are drawn here and only their digests are
//! sent, so the process never sees one.
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hyper::Method;
use registry::{Digest, NewDevice};
use serde_json::{Value, json};
use telemetry::{ClinicId, DeviceKey, ModelId, Serial};

use crate::api::devices::{Add, Author, Import, LIST_MAX, Move};
use crate::cli;
use crate::local_client::{Refused, ask};
use crate::secret;
use crate::text::{field, time};

/// Runs one of the subcommands.
pub(crate) async fn run(api: &cli::Api, action: cli::Device) -> Result<()> {
    let socket = crate::socket(api);
    match action {
        cli::Device::Ls { tenant, clinic, state } => {
            ls(&socket, &[("tenant", tenant), ("clinic", clinic), ("state", state)]).await
        }
        cli::Device::Show { device } => {
            let one = ask(&socket, Method::GET, &route(&key(&device)?, ""), None).await?;
            println!("{}", crate::text::json(&one)?);
            Ok(())
        }
        cli::Device::Add(device) => add(&socket, device).await,
        cli::Device::Import {
            file,
            author,
            secrets_out,
        } => import(&socket, &file, author, secrets_out).await,
        cli::Device::Move { device, to, author } => {
            let body = serde_json::to_value(Move {
                actor: author.actor,
                why: author.why,
                to: ClinicId::new(&to)?,
            })?;
            let key = key(&device)?;
            tell(&ask(&socket, Method::POST, &route(&key, "/move"), Some(&body)).await?);
            println!(
                "it must publish under dermatel/v1/{}/{to}/{}/ from now on: until its firmware does, nothing that it says is judged",
                key.tenant, key.device
            );
            Ok(())
        }
        cli::Device::Retire { device, author } => simple(&socket, &device, "/retire", author).await,
        cli::Device::Restore { device, author } => simple(&socket, &device, "/restore", author).await,
        cli::Device::Reload => {
            let done = ask(&socket, Method::POST, "/v1/registry/reload", None).await?;
            println!("registry {} is in force", field(&done, "version"));
            Ok(())
        }
        cli::Device::Fold { actor, why } => {
            let author = actor.zip(why).map(|(actor, why)| Author { actor, why });
            fold(&socket, author).await
        }
    }
}

fn key(name: &str) -> Result<DeviceKey> {
    registry::parse_name(name).with_context(|| format!("{name:?} names no device: write tenant/device"))
}

fn route(key: &DeviceKey, action: &str) -> String {
    format!("/v1/devices/{}/{}{action}", key.tenant, key.device)
}

fn tell(done: &Value) {
    println!(
        "change {} holds: {} device(s), registry {}, {} connection(s) ended",
        field(done, "change"),
        field(done, "count"),
        field(done, "version"),
        field(done, "connections_ended")
    );
}

async fn simple(socket: &Path, device: &str, action: &str, author: cli::Author) -> Result<()> {
    let body = serde_json::to_value(Author::from(author))?;
    tell(&ask(socket, Method::POST, &route(&key(device)?, action), Some(&body)).await?);
    Ok(())
}

async fn ls(socket: &Path, filters: &[(&str, Option<String>)]) -> Result<()> {
    println!(
        "{:<28}  {:<20}  {:<16}  {:<20}  {:<8}  {:<9}  expected since",
        "device", "clinic", "model", "serial", "state", "connected"
    );
    let filters = filters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let filters: String = filters.map(|(name, value)| format!("&{name}={value}")).collect();
    let mut offset = 0;
    loop {
        let path = format!("/v1/devices?limit={LIST_MAX}&offset={offset}{filters}");
        let page = ask(socket, Method::GET, &path, None).await?;
        let devices = page
            .get("devices")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for device in &devices {
            println!(
                "{:<28}  {:<20}  {:<16}  {:<20}  {:<8}  {:<9}  {}",
                format!("{}/{}", field(device, "tenant"), field(device, "device")),
                field(device, "clinic"),
                field(device, "model"),
                field(device, "serial"),
                field(device, "state"),
                field(device, "connected"),
                time(device.get("expected_since_us").and_then(Value::as_i64)),
            );
        }
        offset += devices.len();
        if devices.len() < LIST_MAX {
            println!("{offset} device(s), registry {}", field(&page, "version"));
            return Ok(());
        }
    }
}

async fn add(socket: &Path, device: cli::AddDevice) -> Result<()> {
    let key = key(&device.device)?;
    let mut new = NewDevice {
        tenant: key.tenant.clone(),
        id: key.device.clone(),
        clinic: ClinicId::new(&device.clinic)?,
        model: ModelId::new(&device.model)?,
        serial: Serial::new(&device.serial)?,
        expected_since: parsed("--expected-since", device.expected_since.as_deref())?,
        secret_sha256: parsed("--secret-sha256", device.secret_sha256.as_deref())?,
        certificate_sha256: parsed("--certificate-sha256", device.certificate_sha256.as_deref())?,
        certificate_by_name: device.certificate_by_name,
    };
    let mut secrets = Vec::new();
    if !new.has_credential() {
        let (secret, digest) = secret::draw();
        new.secret_sha256 = Some(digest);
        secrets.push((key, secret));
    }
    let body = serde_json::to_value(Add {
        actor: device.author.actor,
        why: device.author.why,
        device: new,
    })?;
    send(socket, "/v1/devices", &body, &secrets, device.secrets_out).await
}

fn parsed<T: std::str::FromStr<Err = String>>(option: &str, text: Option<&str>) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|e| anyhow::anyhow!("{option} {e}")))
        .transpose()
}

async fn import(socket: &Path, file: &Path, author: cli::Author, secrets_out: Option<PathBuf>) -> Result<()> {
    let csv = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let list = file
        .file_name()
        .unwrap_or(file.as_os_str())
        .to_string_lossy()
        .into_owned();
    let rows = registry::import::read_csv(&list, &csv)?;
    let mut secrets = Vec::new();
    let mut secret_sha256: BTreeMap<String, Digest> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.device.has_credential()) {
        let (secret, digest) = secret::draw();
        let key = row.device.key();
        secret_sha256.insert(key.to_string(), digest);
        secrets.push((key, secret));
    }
    let body = serde_json::to_value(Import {
        actor: author.actor,
        why: author.why,
        list,
        csv,
        secret_sha256,
    })?;
    send(socket, "/v1/devices/import", &body, &secrets, secrets_out).await
}

/// Sends what enters devices. Secrets that were drawn are on disk before, where a file was named: an answer that is lost must not
/// lose them.
async fn send(
    socket: &Path,
    path: &str,
    body: &Value,
    secrets: &[(DeviceKey, String)],
    out: Option<PathBuf>,
) -> Result<()> {
    let text: String = secrets
        .iter()
        .map(|(key, secret)| format!("{},{},{secret}\n", key.tenant, key.device))
        .collect();
    let text = format!("tenant,id,secret\n{text}");
    let out = out.filter(|_| !secrets.is_empty());
    if let Some(out) = &out {
        keep(out, &text)?;
    }
    match ask(socket, Method::POST, path, Some(body)).await {
        Ok(done) => tell(&done),
        Err(error) => {
            if let Some(out) = &out {
                if !error.is::<Refused>() {
                    bail!(
                        "{error:#}; if the devices are there (`dermatel device ls`), {} has their secrets",
                        out.display()
                    );
                }
                std::fs::remove_file(out).with_context(|| format!("cannot remove {}", out.display()))?;
            }
            return Err(error);
        }
    }
    match out {
        Some(out) => println!("their secrets are in {} and nowhere else", out.display()),
        None if secrets.is_empty() => {}
        None => print!("their secrets, which are kept nowhere:\n{text}"),
    }
    Ok(())
}

/// A new file that only its owner may read.
fn keep(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| {
            format!(
                "cannot make {} for the secrets, name a file that is not there yet",
                path.display()
            )
        })?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

async fn fold(socket: &Path, author: Option<Author>) -> Result<()> {
    let left = match author {
        None => {
            let state = ask(socket, Method::GET, "/v1/registry", None).await?;
            state.get("by_command").cloned().unwrap_or_default()
        }
        Some(author) => {
            let body = serde_json::to_value(author)?;
            let done = ask(socket, Method::POST, "/v1/registry/fold", Some(&body)).await?;
            let folded = done.get("folded").and_then(Value::as_array).map_or(0, Vec::len);
            println!("the journal was emptied of {folded} device(s) that the files say too");
            done.get("left").cloned().unwrap_or_else(|| json!([]))
        }
    };
    for one in left.as_array().into_iter().flatten() {
        match one.get("in_files") {
            Some(Value::Bool(true)) => println!("{}: in the files", field(one, "device")),
            _ => println!(
                "{}: write to {}\n  {}",
                field(one, "device"),
                field(one, "place"),
                field(one, "write")
            ),
        }
    }
    Ok(())
}

impl From<cli::Author> for Author {
    fn from(author: cli::Author) -> Self {
        Self {
            actor: author.actor,
            why: author.why,
        }
    }
}
