//! A device's frames, made from the schema's classes: one boot, one session, and whatever a test wants to say in it.
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use telemetry::proto::frame::Body;
use telemetry::proto::{self, Frame, Header};

use crate::{CLINIC, Login, TENANT, Version, secret};

/// Uptime at which a [`Source`] begins, microseconds: some time has passed since boot.
const BEGAN_US: u64 = 60_000_000;
/// Setpoint of [`Source::strokes`], micrometres.
pub const SETPOINT_UM: u32 = 800;
/// Deeper than any limit of the cheek with its guard band (1,000 + 150 + 6 × 20 µm).
pub const HAZARD_UM: u32 = 1_900;

/// One boot of a device in one session.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its tenant.
    pub tenant: String,
    /// Its clinic.
    pub clinic: String,
    /// Its id.
    pub device: String,
    /// Drawn at random.
    pub boot: u64,
    /// Drawn at random.
    pub session: [u8; 16],
    /// Drawn at random.
    pub visit: [u8; 16],
    /// Of the next frame.
    pub sequence: u64,
    /// Of the next stroke or pulse.
    pub ordinal: u64,
    began: Instant,
}

impl Source {
    /// A device of [`TENANT`].
    pub fn new(device: &str) -> Self {
        Self::of(TENANT, CLINIC, device)
    }

    /// A device of any tenant.
    pub fn of(tenant: &str, clinic: &str, device: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            clinic: clinic.to_owned(),
            device: device.to_owned(),
            boot: random(),
            session: random_id(),
            visit: random_id(),
            sequence: 0,
            ordinal: 0,
            began: Instant::now(),
        }
    }

    /// How it connects.
    pub fn login(&self, to: std::net::SocketAddr, version: Version) -> Login {
        let name = format!("{}/{}", self.tenant, self.device);
        Login::new(to, version, &name, &secret(&self.tenant, &self.device))
    }

    /// Where it publishes what it measures.
    pub fn topic(&self) -> String {
        self.channel("telemetry")
    }

    /// One of its topics.
    pub fn channel(&self, channel: &str) -> String {
        format!("dermatel/v1/{}/{}/{}/{channel}", self.tenant, self.clinic, self.device)
    }

    /// The boot id as the store has it.
    pub fn boot_hex(&self) -> String {
        format!("{:016x}", self.boot)
    }

    /// The session id as the store has it.
    pub fn session_hex(&self) -> String {
        hex(&self.session)
    }

    /// The visit id as the store has it.
    pub fn visit_hex(&self) -> String {
        hex(&self.visit)
    }

    /// A new session and visit of the same boot; ordinals begin again.
    pub fn next_session(&mut self) {
        (self.session, self.visit, self.ordinal) = (random_id(), random_id(), 0);
    }

    /// The header of the next frame; counts it.
    pub fn header(&mut self) -> Header {
        let header = Header {
            schema_version: Some(1),
            device_id: Some(self.device.clone()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(self.uptime_us()),
            wall_time_us: Some(now_us()),
            wall_time_source: Some(proto::WallTimeSource::Ntp as i32),
            session_id: Some(self.session.to_vec()),
            session_start_uptime_us: Some(BEGAN_US),
            visit_id: Some(self.visit.to_vec()),
            ..Header::default()
        };
        self.sequence += 1;
        header
    }

    /// The next frame, with this body.
    pub fn frame(&mut self, body: Body) -> Frame {
        Frame {
            header: Some(self.header()),
            body: Some(body),
        }
    }

    /// The bytes of the next frame, with this body.
    pub fn bytes(&mut self, body: Body) -> Vec<u8> {
        self.frame(body).encode_to_vec()
    }

    /// The session begins, with a cartridge of its own.
    pub fn start(&mut self) -> Vec<u8> {
        let cartridge = format!("C-{}", &self.session_hex()[..12]);
        self.bytes(Body::SessionStart(proto::SessionStart {
            cartridge_serial: Some(cartridge),
            skin_type: Some(proto::SkinType::Ii as i32),
            ..proto::SessionStart::default()
        }))
    }

    /// Strokes on the cheek with these depths, as a body; counts them.
    pub fn batch(&mut self, depths: &[u32]) -> proto::StrokeBatch {
        let first = self.ordinal;
        self.ordinal += depths.len() as u64;
        proto::StrokeBatch {
            first_ordinal: Some(first),
            // A microsecond apart: no two batches begin at the same time, however fast a test makes them.
            first_uptime_us: Some(BEGAN_US + first),
            duration_us: Some(1_000_000),
            zone: Some(proto::Zone::Cheek as i32),
            depth_setpoint_um: Some(SETPOINT_UM),
            depth_um: depths.to_vec(),
            flush_reason: Some(proto::FlushReason::Period as i32),
            ..proto::StrokeBatch::default()
        }
    }

    /// A frame of strokes on the cheek with these depths.
    pub fn strokes(&mut self, depths: &[u32]) -> Vec<u8> {
        let batch = self.batch(depths);
        self.bytes(Body::StrokeBatch(batch))
    }

    /// A frame of so many good strokes.
    pub fn good(&mut self, count: usize) -> Vec<u8> {
        self.strokes(&vec![SETPOINT_UM; count])
    }

    /// A frame with one stroke that is far too deep.
    pub fn hazard(&mut self) -> Vec<u8> {
        self.strokes(&[SETPOINT_UM, HAZARD_UM, SETPOINT_UM])
    }

    /// A frame with one pulse of moderate, correct fluence.
    pub fn pulse(&mut self) -> Vec<u8> {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let pulse = proto::Pulse {
            ordinal: Some(ordinal),
            uptime_us: Some(BEGAN_US + ordinal),
            fluence_set_mj_per_cm2: Some(6_000),
            fluence_measured_mj_per_cm2: Some(6_010),
            spot_area_mm2: Some(480),
            zone: Some(proto::Zone::Cheek as i32),
            skin_type: Some(proto::SkinType::Ii as i32),
            fired: Some(true),
            ..proto::Pulse::default()
        };
        self.bytes(Body::PulseBatch(proto::PulseBatch {
            pulses: vec![pulse],
            flush_reason: Some(proto::FlushReason::Period as i32),
        }))
    }

    /// The session ends; the device says what it made.
    pub fn end(&mut self, strokes: Option<u64>, pulses: Option<u64>) -> Vec<u8> {
        self.bytes(Body::SessionEnd(proto::SessionEnd {
            strokes_total: strokes,
            pulses_total: pulses,
            reason: Some(proto::SessionEndReason::Operator as i32),
        }))
    }

    fn uptime_us(&self) -> u64 {
        BEGAN_US + u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A number that nobody can foresee.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Below `end`.
pub fn random_below(end: u64) -> u64 {
    random() % end
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random().to_be_bytes());
    id[8..].copy_from_slice(&random().to_be_bytes());
    id
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
