//! What a device says of itself: its birth, its last sign of life, the cartridge or lamp of a session.

use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{DeviceKey, SessionId};

use super::Reader;
use super::ask::{Only, Question, Row, Take};
use super::session::{ahead, back};
use crate::schema::{DEVICE_STATE, PULSE};
use crate::store::ReadError;

const BIRTH: &[&str] = &[
    "firmware",
    "told_model",
    "serial",
    "calibration_offset_um",
    "calibration_sigma_um",
    "calibrated_day",
    "cartridge",
    "lamp",
    "lamp_shots",
    "what",
];
const HEARTBEAT: &[&str] = &["in_session", "battery_percent", "queued_frames", "dropped_frames"];
const START: &[&str] = &[
    "session",
    "cartridge",
    "cartridge_lot",
    "pack_expiry_day",
    "lamp",
    "skin_type",
    "what",
];
const SHOTS: &[&str] = &["lamp_shots", "ordinal"];

/// What is known of a device from the store; `None`: never said, or longer ago than is looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default, JsonSchema)]
pub struct DeviceFacts {
    /// Its newest birth.
    pub birth: Option<BirthFacts>,
    /// Its newest heartbeat.
    pub heartbeat: Option<LifeSign>,
    /// What its newest session began with.
    pub cartridge: Option<CartridgeFacts>,
    /// Pulses that the lamp has fired, as the newest of pulse and birth says.
    pub lamp_shots: Option<i64>,
}

/// A birth: what a device says after boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BirthFacts {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Model as the device names it.
    pub told_model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Factory calibration: measured minus set depth, in micrometres.
    pub calibration_offset_um: Option<i64>,
    /// Standard deviation of one reading, in micrometres.
    pub calibration_sigma_um: Option<i64>,
    /// Day of calibration since 1970-01-01.
    pub calibrated_day: Option<i64>,
    /// Serial of the cartridge in it.
    pub cartridge: Option<String>,
    /// Serial of the lamp in it.
    pub lamp: Option<String>,
    /// Pulses that the lamp had fired.
    pub lamp_shots: Option<i64>,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LifeSign {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Whether a session was open.
    pub in_session: Option<bool>,
    /// Battery, 0 to 100.
    pub battery_percent: Option<i64>,
    /// Frames that waited in the device.
    pub queued_frames: Option<i64>,
    /// Frames that the device dropped since boot.
    pub dropped_frames: Option<i64>,
}

/// What a session began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CartridgeFacts {
    /// When, in microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Serial of the cartridge.
    pub cartridge: Option<String>,
    /// Its lot.
    pub lot: Option<String>,
    /// Expiry of its pack, days since 1970-01-01.
    pub pack_expiry_day: Option<i64>,
    /// Serial of the lamp.
    pub lamp: Option<String>,
    /// Fitzpatrick skin type.
    pub skin_type: Option<String>,
}

impl Reader {
    /// What a device said last of each kind.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn device(&self, device: &DeviceKey, now_us: i64) -> Result<DeviceFacts, ReadError> {
        let state = |what: &str, fields| {
            let mut question = newest(device, now_us, fields);
            question.only.push(Only::Is("what", what.to_owned()));
            question.only.extend((what != "heartbeat").then_some(Only::Rare));
            self.ask(question)
        };
        let mut shots = newest(device, now_us, SHOTS);
        shots.measurement = &PULSE;
        let (births, beats, starts, pulses) = tokio::try_join!(
            state("birth", BIRTH),
            state("heartbeat", HEARTBEAT),
            state("session_start", START),
            self.ask(shots)
        )?;
        let birth = births.first().map(birth);
        let pulse = pulses
            .first()
            .and_then(|row| Some((row.time_us(), row.integer("lamp_shots")?)));
        let born = birth.as_ref().and_then(|birth| Some((birth.at_us, birth.lamp_shots?)));
        Ok(DeviceFacts {
            heartbeat: beats.first().map(life_sign),
            cartridge: starts.first().map(cartridge),
            lamp_shots: pulse.max(born).map(|(_, shots)| shots),
            birth,
        })
    }

    /// What a session began with: its cartridge, lot, pack and lamp; `None`: its start was not told or is not kept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn cartridge(
        &self,
        device: &DeviceKey,
        session: SessionId,
        now_us: i64,
    ) -> Result<Option<CartridgeFacts>, ReadError> {
        let mut question = newest(device, now_us, START);
        question.only.extend([
            Only::Is("what", "session_start".to_owned()),
            Only::Rare,
            Only::Is("session", session.to_hex()),
        ]);
        Ok(self.ask(question).await?.first().map(cartridge))
    }
}

fn newest(device: &DeviceKey, now_us: i64, fields: &'static [&'static str]) -> Question {
    Question {
        measurement: &DEVICE_STATE,
        tenant: device.tenant.clone(),
        from_ns: back(now_us),
        to_ns: ahead(now_us),
        only: vec![Only::Is("device", device.device.to_string())],
        take: Take::Rows {
            fields,
            newest_first: true,
            limit: 1,
        },
    }
}

fn birth(row: &Row) -> BirthFacts {
    BirthFacts {
        at_us: row.time_us(),
        firmware: row.text("firmware"),
        told_model: row.text("told_model"),
        serial: row.text("serial"),
        calibration_offset_um: row.integer("calibration_offset_um"),
        calibration_sigma_um: row.integer("calibration_sigma_um"),
        calibrated_day: row.integer("calibrated_day"),
        cartridge: row.text("cartridge"),
        lamp: row.text("lamp"),
        lamp_shots: row.integer("lamp_shots"),
    }
}

fn life_sign(row: &Row) -> LifeSign {
    LifeSign {
        at_us: row.time_us(),
        in_session: row.yes("in_session"),
        battery_percent: row.integer("battery_percent"),
        queued_frames: row.integer("queued_frames"),
        dropped_frames: row.integer("dropped_frames"),
    }
}

fn cartridge(row: &Row) -> CartridgeFacts {
    CartridgeFacts {
        at_us: row.time_us(),
        cartridge: row.text("cartridge"),
        lot: row.text("cartridge_lot"),
        pack_expiry_day: row.integer("pack_expiry_day"),
        lamp: row.text("lamp"),
        skin_type: row.text("skin_type"),
    }
}
