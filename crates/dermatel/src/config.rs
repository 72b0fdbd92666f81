//! The configuration file of the whole process: one section per part, all mistakes told at once.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use service::config::{ByteSize, Problems, Secret, Setting, Sources, Validate, load};
use spool::AtCap;

use crate::follow::Leader;

/// What `dermatel up` reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) http: Http,
    pub(crate) console: console::Config,
    pub(crate) spool: Spools,
    pub(crate) gateway: gateway::RawConfig,
    pub(crate) ingestor: ingestor::RawConfig,
    pub(crate) alerting: alerting::Config,
    pub(crate) uplink: uplink::RawConfig,
}

/// The process itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Node {
    pub(crate) data_dir: PathBuf,
    pub(crate) registry_dir: PathBuf,
    pub(crate) registry_leads: bool,
    pub(crate) registry_from: Option<Leader>,
    #[serde(with = "service::config::duration")]
    pub(crate) grace: Duration,
    pub(crate) log: String,
}

/// Health, metrics and the remote API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) token: Option<Secret>,
}

/// The two logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Spools {
    pub(crate) telemetry: SpoolSection,
    pub(crate) alerting: SpoolSection,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpoolSection {
    pub(crate) cap: ByteSize,
    pub(crate) segment: ByteSize,
    pub(crate) at_cap: AtCapChoice,
    #[serde(with = "service::config::duration")]
    pub(crate) keep: Duration,
}

/// What happens at the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AtCapChoice {
    Refuse,
    Shed,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            data_dir: "dermatel-data".into(),
            registry_dir: "registry".into(),
            registry_leads: false,
            registry_from: None,
            grace: Duration::from_secs(30),
            log: service::logging::DEFAULT_FILTER.to_owned(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))),
            token: None,
        }
    }
}

impl Default for Spools {
    fn default() -> Self {
        Self {
            telemetry: SpoolSection {
                cap: ByteSize::gib(8),
                segment: ByteSize::mib(32),
                at_cap: AtCapChoice::Refuse,
                keep: Duration::from_secs(10 * 60),
            },
            alerting: SpoolSection {
                cap: ByteSize::gib(2),
                segment: ByteSize::mib(32),
                // An alarm log that refuses would stop devices while an alarm is due; one that sheds says what it lost.
                at_cap: AtCapChoice::Shed,
                keep: Duration::from_secs(30 * 60),
            },
        }
    }
}

impl Validate for Config {
    fn validate(&self, at: &mut Problems) {
        at.section("node", |at| {
            at.check(
                "grace",
                !self.node.grace.is_zero(),
                "it is 0, so nothing could be drained; allowed is more",
            );
            let both = self.node.registry_leads && self.node.registry_from.is_some();
            at.check(
                "registry_leads",
                !both,
                "leads and follows registry_from: take one of both out",
            );
            if let Some(leader) = &self.node.registry_from {
                at.section("registry_from", |at| leader.validate(at));
            }
        });
        at.section("spool", |at| {
            at.section("telemetry", |at| self.spool.telemetry.validate(at));
            at.section("alerting", |at| self.spool.alerting.validate(at));
        });
        at.section("console", |at| {
            self.console.validate(at);
            let elsewhere = self.http.listen.filter(|address| !address.ip().is_loopback());
            if let Some(address) = elsewhere.filter(|_| self.console.open) {
                at.problem(
                    "open",
                    format_args!("http.listen is {address}, which others reach: name console.people instead, or listen on a loopback address"),
                );
            }
        });
        at.section("gateway", |at| self.gateway.validate(at));
        at.section("ingestor", |at| self.ingestor.validate(at));
        at.section("alerting", |at| self.alerting.validate(at));
        at.section("uplink", |at| self.uplink.validate(at));
    }
}

impl SpoolSection {
    fn validate(&self, at: &mut Problems) {
        let least = ByteSize::mib(2);
        at.check(
            "segment",
            self.segment >= least,
            "it is below 2MiB, the least that holds a large batch",
        );
        at.check(
            "cap",
            self.cap.as_u64() / 2 >= self.segment.as_u64(),
            "it is below two segments",
        );
    }

    /// The spool's own configuration.
    pub(crate) fn resolve(&self, dir: PathBuf, cursors: &[&str]) -> spool::Config {
        spool::Config {
            segment_bytes: self.segment.as_u64(),
            cap_bytes: self.cap.as_u64(),
            at_cap: match self.at_cap {
                AtCapChoice::Refuse => AtCap::Refuse,
                AtCapChoice::Shed => AtCap::Shed,
            },
            keep: self.keep,
            ..spool::Config::new(dir, cursors)
        }
    }
}

impl Config {
    /// Reads the file and the environment (`DERMATEL__SECTION__KEY`). Paths in the file are relative to its folder, those of
    /// data to the data folder.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let sources = Sources::new()
            .file(file.display().to_string(), text)
            .env(std::env::vars());
        let mut config: Self = load(&sources)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        config.node.data_dir = folder.join(&config.node.data_dir);
        config.node.registry_dir = folder.join(&config.node.registry_dir);
        config.settle(folder);
        Ok(config)
    }

    /// Makes the parts' paths absolute: what they read lies beside the file, what they write below the data folder.
    pub(crate) fn settle(&mut self, folder: &Path) {
        let data = self.node.data_dir.clone();
        self.gateway.dir = data.join(&self.gateway.dir);
        for file in [
            &mut self.gateway.endpoint.tls_certificate,
            &mut self.gateway.endpoint.tls_key,
            &mut self.gateway.endpoint.tls_client_ca,
            &mut self.gateway.broker.ca,
            &mut self.uplink.ca,
        ] {
            *file = file.as_ref().map(|path| folder.join(path));
        }
        self.ingestor.dir = data.join(&self.ingestor.dir);
        if let Some(influx) = &mut self.ingestor.influx {
            influx.ca = influx.ca.as_ref().map(|path| folder.join(path));
        }
        self.alerting.file = data.join(&self.alerting.file);
        self.alerting.rules = self.alerting.rules.as_ref().map(|path| folder.join(path));
        self.alerting.paging = self.alerting.paging.as_ref().map(|path| folder.join(path));
        for receiver in &mut self.alerting.receivers {
            receiver.resolve(folder, &data);
        }
    }

    /// The local API's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.node.data_dir.join(SOCKET)
    }
}

/// The local API's socket within the data folder.
pub(crate) const SOCKET: &str = "dermatel.sock";

/// Every setting of this file's own sections.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting::new(
        "node.data_dir",
        "\"dermatel-data\"",
        "Folder of everything that is written: logs, store, state, socket.",
    ),
    Setting::new(
        "node.registry_dir",
        "\"registry\"",
        "Folder of the registry: tenants, clinics, models, devices.",
    ),
    Setting::new(
        "node.registry_leads",
        "false",
        "Of processes apart: this alerting instance takes changes of the registry by command, and the others follow it.",
    ),
    Setting::new(
        "node.registry_from",
        "# { url = \"https://…/v1/registry/lines\", authorization = { file = \"leader-token\" } }",
        "Of processes apart: the one that leads, whose changes of the registry by command hold here too.",
    ),
    Setting::new(
        "node.grace",
        "\"30s\"",
        "Time at shutdown for what was accepted to be finished.",
    ),
    Setting::new(
        "node.log",
        "\"info\"",
        "What is logged: error, warn, info, debug, or a filter as spool=debug,info.",
    ),
    Setting::new(
        "http.listen",
        "\"127.0.0.1:9464\"",
        "Address of the console, /metrics, /healthz, /readyz and the API.",
    ),
    Setting::new(
        "http.token",
        "# { file = \"token\" }",
        "Bearer token of the API on this address; without one only health and metrics are served there.",
    ),
    Setting::new(
        "spool.telemetry.cap",
        "\"8GiB\"",
        "Most bytes of the telemetry log: the outage of the store that it bridges.",
    ),
    Setting::new("spool.telemetry.segment", "\"32MiB\"", "Size of one file of it."),
    Setting::new(
        "spool.telemetry.at_cap",
        "\"refuse\"",
        "At the cap: refuse (devices keep their data and send again) or shed (the oldest goes, as a named gap).",
    ),
    Setting::new(
        "spool.telemetry.keep",
        "\"10m\"",
        "How much longer consumed files stay.",
    ),
    Setting::new("spool.alerting.cap", "\"2GiB\"", "Most bytes of alerting's log."),
    Setting::new("spool.alerting.segment", "\"32MiB\"", "Size of one file of it."),
    Setting::new(
        "spool.alerting.at_cap",
        "\"shed\"",
        "At the cap; see docs/guarantees.md before you choose refuse.",
    ),
    Setting::new(
        "spool.alerting.keep",
        "\"30m\"",
        "How much longer consumed files stay, for evidence.",
    ),
];
