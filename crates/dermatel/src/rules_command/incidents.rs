//! Labelled incidents: what really happened, by people who know. Rules must not stop finding one.
use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::DateTime;
use serde::Deserialize;
use telemetry::UnixMicros;

use super::load::Page;

/// One incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incident {
    pub(super) tenant: Option<String>,
    pub(super) device: String,
    pub(super) from: UnixMicros,
    pub(super) to: UnixMicros,
    pub(super) what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    incident: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    tenant: Option<String>,
    device: String,
    from: String,
    to: String,
    what: String,
}

/// Reads a list: `[[incident]]` with device, from and to (RFC 3339), what, and perhaps tenant.
pub(super) fn read(file: &Path) -> Result<Vec<Incident>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let raw: File = toml::from_str(&text).with_context(|| format!("{name} is no list of incidents"))?;
    raw.incident
        .into_iter()
        .map(|raw| {
            let time = |text: &str| {
                let time = DateTime::parse_from_rfc3339(text);
                time.map(|time| UnixMicros(time.timestamp_micros()))
                    .with_context(|| format!("{name}: {text:?} is no time as 2026-05-04T13:00:00+02:00"))
            };
            let (from, to) = (time(&raw.from)?, time(&raw.to)?);
            if from > to {
                bail!("{name}: {}: from is after to", raw.what);
            }
            Ok(Incident {
                tenant: raw.tenant,
                device: raw.device,
                from,
                to,
                what: raw.what,
            })
        })
        .collect()
}

impl Incident {
    /// Whether somebody was paged about its device while it lasted.
    pub(super) fn is_found(&self, pages: &[Page]) -> bool {
        pages.iter().any(|page| {
            page.device == self.device
                && self.tenant.as_ref().is_none_or(|tenant| *tenant == page.tenant)
                && (self.from..=self.to).contains(&page.at)
        })
    }
}
