//! The registry of a fleet that does not exist, as the files that a gateway loads: models, tenants, clinics and devices with
//! digests of their secrets.
//!
//! Written as text here and not by the registry's own renderer, because the simulator stands beside the services and not on
//! them; a test loads the files with the registry.
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use telemetry::{DeviceKind, SkinType};

use crate::fault::FaultKind;
use crate::fleet::{AUTOCLAVE_MODEL, Device, Fleet, IPL_MODEL, PEN_ADJUSTABLE, PEN_FIXED, STATION_MODEL};
use crate::noise::SCALE_TOLERANCE_UM;
use crate::treatment::{PEN_MAX_DEPTH_UM, PEN_RATE_HZ, PEN_ZONES, fluence};

/// What a device logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name: `tenant/device`.
    pub username: String,
    /// The secret.
    pub secret: String,
}

impl Fleet {
    /// The registry's files: path below its folder, and text.
    pub fn registry_files(&self) -> Vec<(String, String)> {
        let mut files = vec![
            ("registry.toml".to_owned(), "version = 1\n".to_owned()),
            model(
                PEN_ADJUSTABLE,
                "pen",
                "Quill 2, a pen of adjustable rate",
                &pen_limits(30),
                &pen_policy(self.spec.staff.one_autoclave),
            ),
            model(
                PEN_FIXED,
                "pen",
                "Stylo 117, a pen of fixed rate",
                &pen_limits(40),
                &pen_policy(self.spec.staff.one_autoclave),
            ),
            model(
                IPL_MODEL,
                "ipl",
                "Lumen 480",
                &ipl_limits(self.spec.noise.pulse_sigma),
                IPL_POLICY,
            ),
            model(AUTOCLAVE_MODEL, "autoclave", "Steri B 18", "", AUTOCLAVE_POLICY),
            model(STATION_MODEL, "disinfection-station", "Wipe 1", "", STATION_POLICY),
        ];
        let mut tenants: Vec<&str> = self.devices().iter().map(|d| d.who.tenant.as_str()).collect();
        tenants.dedup();
        for (n, tenant) in tenants.into_iter().enumerate() {
            files.push((format!("tenants/{tenant}/tenant.toml"), self.tenant_text(n + 1, tenant)));
            files.push((format!("tenants/{tenant}/devices.toml"), self.device_rows(tenant)));
        }
        files
    }

    fn tenant_text(&self, number: usize, tenant: &str) -> String {
        let mut text = format!("number = {number}\nname = \"{} (simulated)\"\n", capital(tenant));
        let mut clinics: Vec<&str> = self
            .devices()
            .iter()
            .filter(|d| d.who.tenant.as_str() == tenant)
            .map(|d| d.who.clinic.as_str())
            .collect();
        clinics.dedup();
        for clinic in clinics {
            let name = clinic.split('-').map(capital).collect::<Vec<_>>().join(" ");
            let _ = write!(
                text,
                "\n[[clinic]]\nid = \"{clinic}\"\nname = \"{name}\"\ntime_zone = \"Europe/Berlin\"\n"
            );
        }
        text
    }

    fn device_rows(&self, tenant: &str) -> String {
        let mut rows = String::from("device = [\n");
        for device in self.devices().iter().filter(|d| d.who.tenant.as_str() == tenant) {
            let digest: String = Sha256::digest(device.secret.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let (id, clinic) = (&device.who.id, &device.who.clinic);
            let (model, serial) = (&device.model, &device.serial);
            let expected = expected_since(device);
            let _ = writeln!(
                rows,
                "  {{ id = \"{id}\", clinic = \"{clinic}\", model = \"{model}\", serial = \"{serial}\", \
                 secret_sha256 = \"{digest}\"{expected} }},"
            );
        }
        rows.push_str("]\n");
        rows
    }

    /// What the device of an index in [`Fleet::devices`] logs in with.
    pub fn credential(&self, device: usize) -> Option<Credential> {
        let device = self.devices().get(device)?;
        Some(Credential {
            username: device.who.key().to_string(),
            secret: device.secret.clone(),
        })
    }
}

/// One that never speaks should have been there for years: no fleet starts before this day.
fn expected_since(device: &Device) -> &'static str {
    let missed = device.faults.iter().any(|fault| fault.kind == FaultKind::NeverSpeaks);
    if missed { ", expected_since = 2020-01-01" } else { "" }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn model(id: &str, kind: &str, name: &str, limits: &str, policy: &str) -> (String, String) {
    let text = format!(
        "# Of a simulated fleet. No number here is a clinical recommendation.\nkind = \"{kind}\"\nname = \"{name}\"\n\
         maker = \"Simulated Devices\"\n\n{limits}\n[policy]\n{policy}"
    );
    (format!("models/{id}.toml"), text)
}

/// Hours after which a pen's reusable parts must have been sterilized again; an assumption.
pub(crate) const STERILIZATION_EVERY_H: u32 = 168;

/// Evidence of a clinic's devices is here within seconds, so the wait for it is short; a device in a session speaks at least
/// every 8 s, one outside every minute, so two hours of silence are worth a look.
const PEN_POLICY: &str = "disinfection_between_visits = true\ndisinfection_level = \"intermediate\"\n\
    evidence_grace_s = 5\ncartridge_single_use = true\npack_expiry_checked = true\n\
    silent_in_session_after_s = 15\nsilent_after_h = 2\ntreatment_interval_min_days = 21\n";
const IPL_POLICY: &str = "disinfection_between_visits = true\ndisinfection_level = \"low\"\nevidence_grace_s = 5\n\
    silent_in_session_after_s = 15\nsilent_after_h = 2\ntreatment_interval_min_days = 14\n";
const AUTOCLAVE_POLICY: &str = "biological_indicator_every_days = 7\nindicator_each_load = true\n\
    disinfection_between_visits = false\n";
const STATION_POLICY: &str = "disinfection_between_visits = false\n";

/// `one_autoclave`: a chain that cleans for all its clinics in one of them lets that count.
fn pen_policy(one_autoclave: bool) -> String {
    format!(
        "{PEN_POLICY}sterilization_every_h = {STERILIZATION_EVERY_H}\nevidence_from_other_clinics = {one_autoclave}\n"
    )
}

fn pen_limits(sigma_um: u32) -> String {
    let (rate_min_hz, rate_max_hz) = PEN_RATE_HZ;
    let mut text = format!(
        "[limits]\ndepth_max_um = {PEN_MAX_DEPTH_UM}\ndepth_tolerance_um = {SCALE_TOLERANCE_UM}\n\
         depth_sigma_um = {sigma_um}\nstroke_rate_min_hz = {rate_min_hz}\nstroke_rate_max_hz = {rate_max_hz}\n\n\
         [limits.zone_depth_max_um]\n"
    );
    for row in PEN_ZONES {
        let _ = writeln!(text, "{} = {}", row.zone, row.limit_um);
    }
    text
}

/// Of units whose meters are off by 2 % at most (see the device).
fn ipl_limits(pulse_sigma: f64) -> String {
    let sigma = (pulse_sigma * 1_000.0).ceil().max(1.0);
    let mut text = format!(
        "[limits]\nfluence_max_mj_per_cm2 = 14000\nfluence_tolerance_permille = 200\nenergy_sigma_permille = {sigma}\n\
         energy_meter_tolerance_permille = 20\nenergy_max_mj = 72000\n\
         spot_area_min_mm2 = 400\npulse_interval_min_us = 800000\nskin_temperature_max_mdegc = 44000\n\
         tip_temperature_min_mdegc = 0\ntip_temperature_max_mdegc = 20000\nlamp_life_shots = 300000\n\n\
         [limits.skin_fluence_max_mj_per_cm2]\n",
    );
    for &skin in SkinType::ALL {
        let _ = writeln!(text, "{skin} = {}", fluence(skin).2);
    }
    text.push_str("\n[limits.skin_filter_cutoff_min_nm]\nI = 515\nII = 515\nIII = 530\nIV = 560\nV = 590\nVI = 695\n");
    text
}

/// Whether a kind treats clients.
pub(crate) const fn treats(kind: DeviceKind) -> bool {
    matches!(kind, DeviceKind::Pen | DeviceKind::Ipl)
}
