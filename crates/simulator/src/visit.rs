//! One device's clients, one after the other, without end: a function of seed and device, so that whoever needs to know
//! (the device, the station that wipes it, the autoclave) computes the same visits.
//!
//! Staff behaviour modelled here: one sterile cartridge per visit, several zones per session, a setpoint per zone, a
//! stroke rate per session, now and then a battery swap. Rates follow cleared pens (100 to 150 Hz; 7,000 rpm = 117 Hz);
//! the intervals between a client's treatments follow clinic pages (4 to 6 weeks). The rest is assumed.
use std::sync::Arc;

use telemetry::{DeviceKind, SessionEndReason, SkinType, Zone};

use crate::fault::{Fault, FaultKind};
use crate::fleet::{Device, Fleet};
use crate::rng::Rng;
use crate::spec::FleetSpec;
use crate::treatment::{
    DIAL_STEP_UM, IPL_CLIENTS, IPL_ZONES, PEN_CLIENTS, PEN_ZONES, ZoneDepth, dial, fluence, zone_depth,
};

/// From the end of a battery's session to the next one's start.
const BATTERY_SWAP_US: u64 = 4_000_000;
/// Sessions shorter than this have no battery swap.
const SWAP_LEAST_US: u64 = 20_000_000;
/// A zone takes at least this long.
const STEP_LEAST_US: u64 = 5_000_000;
/// Zones in one session at most.
const STEPS_MAX: u64 = 5;
/// How much deeper than the limit a careless operator dials.
const CARELESS_UM: f64 = 300.0;
/// How much more fluence than the limit a careless operator sets.
const CARELESS_FLUENCE: f64 = 0.15;
/// After how many days a client comes back who ought not to.
const TOO_SOON_DAYS: u32 = 5;
/// How much fluence a dial step of an IPL unit is, in mJ/cm².
const FLUENCE_STEP: u64 = 100;
/// A pack that has expired did so this many days ago.
const EXPIRED_DAYS: u32 = 3;

/// One client's visit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visit {
    pub(crate) number: u32,
    pub(crate) id: [u8; 16],
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) skin: SkinType,
    pub(crate) days_since_last: Option<u32>,
    pub(crate) cartridge: String,
    pub(crate) lot: String,
    pub(crate) pack_expiry_day: u32,
    pub(crate) sessions: Vec<Session>,
    /// The cartridge is the previous client's.
    pub(crate) reused: bool,
    /// The cartridge is a client's of another clinic of the chain, and this is another visit: where it was used first.
    pub(crate) travelled: Option<String>,
    /// The cartridge's pack has expired.
    pub(crate) expired: bool,
    /// Nobody wiped the device since the previous client.
    pub(crate) unclean: bool,
    /// The device comes out of a failed cycle.
    pub(crate) from_failed_cycle: bool,
    /// The client comes back too soon.
    pub(crate) too_soon: bool,
    /// The first visit whose last treatment was kept back.
    pub(crate) untold: bool,
}

/// One treatment session within a visit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    pub(crate) id: [u8; 16],
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) reason: SessionEndReason,
    pub(crate) steps: Vec<Step>,
}

/// One zone under one setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) zone: Zone,
    /// Depth in micrometres, or fluence in mJ/cm².
    pub(crate) setting: u32,
    /// Limit in the same unit.
    pub(crate) limit: u32,
    /// Strokes per second in thousandths; 0 for IPL.
    pub(crate) rate_mhz: u32,
}

/// The visits of one device.
#[derive(Debug, Clone)]
pub(crate) struct Visits {
    rng: Rng,
    spec: FleetSpec,
    kind: DeviceKind,
    offset_um: i32,
    sigma_um: u32,
    rate_hz: (u64, u64),
    prefix: String,
    today: u32,
    faults: Vec<Fault>,
    number: u32,
    free_us: u64,
    last: Option<(u64, String)>,
    /// Whether it was told that the last treatment is kept back.
    untold_told: bool,
    /// Which of the faults that happen once have happened.
    done: [bool; 6],
    /// The first visit at another clinic of the chain, whose cartridge travels here.
    elsewhere: Option<Elsewhere>,
}

/// A visit at another clinic.
#[derive(Debug, Clone)]
struct Elsewhere {
    clinic: String,
    visit: [u8; 16],
    cartridge: String,
    /// The visit goes on here: the client changes clinics and the cartridge comes along.
    goes_on: bool,
}

impl Elsewhere {
    /// The first visit of the pen in the same place of the next clinic of the chain; `None`: nothing travels.
    fn of(fleet: &Fleet, device: &Device) -> Option<Self> {
        let fault = device.faults.iter().find(|f| f.kind == FaultKind::TravelledCartridge)?;
        let chain: Vec<&Arc<Device>> = fleet
            .devices()
            .iter()
            .filter(|d| d.kind == DeviceKind::Pen && d.who.tenant == device.who.tenant)
            .collect();
        let here = chain.iter().position(|d| d.who.id == device.who.id)?;
        let per_clinic = chain.iter().filter(|d| d.who.clinic == device.who.clinic).count();
        let origin = chain.get((here + per_clinic) % chain.len())?;
        if origin.who.clinic == device.who.clinic {
            return None;
        }
        let healthy = Device {
            faults: Vec::new(),
            ..Device::clone(origin)
        };
        let first = Visits::new(fleet, &healthy).next()?;
        Some(Self {
            clinic: origin.who.clinic.to_string(),
            visit: first.id,
            cartridge: first.cartridge,
            goes_on: fault.strength < 0.0,
        })
    }
}

impl Visits {
    pub(crate) fn new(fleet: &Fleet, device: &Device) -> Self {
        let (tenant, id) = (device.who.tenant.as_str(), device.who.id.as_str());
        let mut rng = Rng::stream(fleet.seed, &["visits", tenant, id]);
        let (low, high) = fleet.spec.opening.micros();
        let free_us = rng.between(low, high);
        Self {
            spec: fleet.spec.clone(),
            kind: device.kind,
            offset_um: device.offset_um,
            sigma_um: device.sigma_um,
            rate_hz: device.rate_hz,
            prefix: format!("{:06x}", rng.bits() & 0xff_ffff),
            today: u32::try_from(fleet.start.0 / 86_400_000_000).unwrap_or(0),
            faults: device.faults.clone(),
            number: 0,
            free_us,
            last: None,
            untold_told: false,
            done: [false; 6],
            elsewhere: Elsewhere::of(fleet, device),
            rng,
        }
    }

    /// A break, or the night.
    fn pause(&mut self) {
        let staff = &self.spec.staff;
        if staff.breaks > 0.0 && self.rng.chance(staff.breaks) {
            let (short, long) = staff.break_length.micros();
            self.free_us += self.rng.between(short, long);
        }
        let (_, longest) = self.spec.session.micros();
        if let Some(closes_us) = staff.closes_us(self.free_us)
            && self.free_us + longest > closes_us
        {
            let (first, last) = self.spec.opening.micros();
            let day_us = crate::spec::micros(crate::spec::DAY);
            self.free_us = (self.free_us / day_us + 1) * day_us + self.rng.between(first, last);
        }
    }

    /// The wipe before a visit is forgotten: from what was drawn for the visit before.
    fn forgets(&mut self) -> bool {
        let share = self.spec.staff.forgotten_wipes;
        share > 0.0 && self.number > 0 && self.rng.chance(share)
    }

    /// A fault that spoils one visit: the first whose predecessor ended after the fault set in.
    fn once(&mut self, kind: FaultKind, slot: usize) -> bool {
        let Some((previous_end_us, _)) = &self.last else {
            return false;
        };
        let due = self
            .faults
            .iter()
            .any(|fault| fault.kind == kind && fault.is_active(*previous_end_us));
        match self.done.get_mut(slot) {
            Some(done) if due && !*done => {
                *done = true;
                true
            }
            _ => false,
        }
    }

    fn is_active(&self, kind: FaultKind, at_us: u64) -> bool {
        self.faults.iter().any(|f| f.kind == kind && f.is_active(at_us))
    }

    fn visit(&mut self) -> Visit {
        let clients = if self.kind == DeviceKind::Pen {
            PEN_CLIENTS
        } else {
            IPL_CLIENTS
        };
        let skin = self.rng.weighted(SkinType::III, clients);
        let start_us = self.free_us;
        let (short, long) = self.spec.session.micros();
        let length = self.rng.between(short, long);
        let sessions = self.sessions(start_us, length, skin);
        let end_us = sessions.last().map_or(start_us, |session| session.end_us);
        let reused = self.once(FaultKind::ReusedCartridge, 0);
        let expired = self.once(FaultKind::ExpiredPack, 4);
        let brought = self.once(FaultKind::TravelledCartridge, 5);
        let brought = self.elsewhere.clone().filter(|_| brought);
        let own = format!("NC-{}-{:05}", self.prefix, self.number);
        let cartridge = match (&brought, &self.last) {
            (Some(brought), _) => brought.cartridge.clone(),
            (None, Some((_, cartridge))) if reused => cartridge.clone(),
            _ => own,
        };
        let kept_back = self.is_active(FaultKind::IntervalUntold, start_us);
        let untold = kept_back && !std::mem::replace(&mut self.untold_told, kept_back);
        let days_since_last = self.rng.chance(0.6).then(|| self.rng.between(28, 60) as u32);
        let too_soon = self.once(FaultKind::TreatedTooSoon, 3);
        let days_since_last = if too_soon { Some(TOO_SOON_DAYS) } else { days_since_last };
        let own = self.rng.id();
        Visit {
            number: self.number,
            id: brought
                .as_ref()
                .filter(|from| from.goes_on)
                .map_or(own, |from| from.visit),
            start_us,
            end_us,
            skin,
            days_since_last: days_since_last.filter(|_| !kept_back),
            cartridge,
            lot: format!("LOT-{}", 2_600 + self.rng.between(0, 40)),
            pack_expiry_day: {
                let good_for = self.rng.between(60, 900) as u32;
                if expired {
                    self.today.saturating_sub(EXPIRED_DAYS)
                } else {
                    self.today + good_for
                }
            },
            sessions,
            reused,
            travelled: brought.filter(|from| !from.goes_on).map(|from| from.clinic),
            expired,
            unclean: self.forgets() | self.once(FaultKind::MissedDisinfection, 1),
            from_failed_cycle: self.once(FaultKind::FailedCycle, 2),
            too_soon,
            untold,
        }
    }

    fn sessions(&mut self, start_us: u64, length: u64, skin: SkinType) -> Vec<Session> {
        let swap = self.kind == DeviceKind::Pen && length >= SWAP_LEAST_US && self.rng.chance(self.spec.battery_swaps);
        if !swap {
            return vec![self.session(start_us, length, skin, SessionEndReason::Operator)];
        }
        let second = start_us + length / 2 + BATTERY_SWAP_US;
        vec![
            self.session(start_us, length / 2, skin, SessionEndReason::Battery),
            self.session(second, length / 2, skin, SessionEndReason::Operator),
        ]
    }

    fn session(&mut self, start_us: u64, length: u64, skin: SkinType, reason: SessionEndReason) -> Session {
        let most = (length / STEP_LEAST_US).clamp(1, STEPS_MAX);
        let count = self.rng.between(most.min(2), most);
        let (low, high) = self.rate_hz;
        let rate_mhz = self.rng.between(low, high) as u32 * 1_000;
        let steps = (0..count)
            .map(|n| {
                let (from, to) = (start_us + length * n / count, start_us + length * (n + 1) / count);
                match self.kind {
                    DeviceKind::Pen => self.pen_step(from, to, rate_mhz),
                    _ => self.ipl_step(from, to, skin),
                }
            })
            .collect();
        Session {
            id: self.rng.id(),
            start_us,
            end_us: start_us + length,
            reason,
            steps,
        }
    }

    fn pen_step(&mut self, start_us: u64, end_us: u64, rate_mhz: u32) -> Step {
        let drawn = self.rng.between(0, PEN_ZONES.len() as u64 - 1) as usize;
        let wanted = self.rng.uniform(0.0, 1.0);
        let active = |kind| {
            self.faults
                .iter()
                .find(move |f| f.kind == kind && f.is_active(start_us))
        };
        let row = match (active(FaultKind::DepthOvershootEye), PEN_ZONES.get(drawn)) {
            (None, Some(row)) => *row,
            _ => zone_depth(Zone::Periorbital),
        };
        let setting = match active(FaultKind::SetpointAboveLimit) {
            Some(fault) => {
                let beyond = (CARELESS_UM * fault.strength) as u32 / DIAL_STEP_UM * DIAL_STEP_UM;
                row.limit_um + beyond.max(DIAL_STEP_UM)
            }
            None => self.dialled(row, wanted),
        };
        Step {
            start_us,
            end_us,
            zone: row.zone,
            setting,
            limit: row.limit_um,
            rate_mhz,
        }
    }

    fn dialled(&self, row: ZoneDepth, wanted: f64) -> u32 {
        let (low, high) = row.setpoint_um;
        let wanted = low + (f64::from(high - low) * wanted) as u32;
        dial(wanted, row.limit_um, self.offset_um, self.sigma_um)
    }

    fn ipl_step(&mut self, start_us: u64, end_us: u64, skin: SkinType) -> Step {
        let drawn = self.rng.between(0, IPL_ZONES.len() as u64 - 1) as usize;
        let (low, high, limit) = fluence(skin);
        let usual = self.rng.between(u64::from(low), u64::from(high)) / FLUENCE_STEP * FLUENCE_STEP;
        let careless = self
            .faults
            .iter()
            .find(|f| f.kind == FaultKind::FluenceAboveLimit && f.is_active(start_us))
            .map(|fault| (f64::from(limit) * (1.0 + CARELESS_FLUENCE * fault.strength)) as u64);
        let setting = careless.unwrap_or(usual);
        Step {
            start_us,
            end_us,
            zone: IPL_ZONES.get(drawn).copied().unwrap_or(Zone::Cheek),
            setting: setting as u32,
            limit,
            rate_mhz: 0,
        }
    }
}

impl Iterator for Visits {
    type Item = Visit;

    /// Never ends.
    fn next(&mut self) -> Option<Visit> {
        let visit = self.visit();
        let (short, long) = self.spec.gap.micros();
        self.free_us = visit.end_us + self.rng.between(short, long);
        self.pause();
        self.number += 1;
        self.last = Some((visit.end_us, visit.cartridge.clone()));
        Some(visit)
    }
}

impl Visit {
    /// What its start shows beside what a cartridge or a cycle does, with a word on it.
    pub(crate) fn offences(&self) -> Vec<(FaultKind, &'static str)> {
        [
            (
                self.unclean,
                FaultKind::MissedDisinfection,
                "not wiped since the previous visit",
            ),
            (
                self.too_soon,
                FaultKind::TreatedTooSoon,
                "five days after the last treatment",
            ),
            (
                self.untold,
                FaultKind::IntervalUntold,
                "not told when the client was last treated",
            ),
        ]
        .into_iter()
        .filter(|(is, ..)| *is)
        .map(|(_, kind, detail)| (kind, detail))
        .collect()
    }
}

/// Between two visits, a share of the gap (0 to 1) after the first.
pub(crate) fn between(before: &Visit, after: &Visit, share: f64) -> u64 {
    before.end_us + ((after.start_us - before.end_us) as f64 * share) as u64
}
