//! A day's worth of trouble for the pages: every device is born and told about, every pen treats several clients and goes too deep in
//! each treatment, and one pen has a treatment of half an hour. All of it comes over MQTT.
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use prost::Message as _;
use service::mqtt::Publisher;
use simulator::{Device, Fleet, FleetSpec, Pace, Simulator, Span, Target};
use telemetry::{DeviceKind, SessionEndReason, UnixMicros, WallTimeSource, Zone, proto};
use tokio::task::JoinSet;

use super::super::{SEED, pager};

/// Devices of a clinic: pens, IPL units, one autoclave, one station.
const CLINIC: u32 = 50;
const IPL: u32 = 2;
/// How long the fleet lives before: births and what was cleaned are told, treatments begin.
const LIFE: Duration = Duration::from_secs(8);
/// A treatment of these: two batches of strokes, the second with a stroke that is too deep.
const BATCH_US: u64 = 200_000;
const STROKES: u64 = 24;
/// Its depth, and that nothing was wiped before it.
const ALERTS_PER_TREATMENT: u32 = 2;
const SETPOINT_UM: u32 = 700;
const TOO_DEEP_UM: u32 = 4_000;
/// Uptime at the first frame of a boot.
const UPTIME_US: u64 = 10_000_000;
/// Length of the long treatment, and the strokes of each of its seconds.
const LONG_S: u64 = 1_800;
const LONG_STROKES: u64 = 120;
/// Messages of the first pen that nobody can read, for the quarantine's part of a page.
const GARBAGE: u64 = 100;
/// Longest wait for the last acknowledgements of a device.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// A fleet of so many devices, over three tenants as far as it is large enough.
pub(super) fn fleet(devices: u32) -> Result<Fleet> {
    let clinics = (devices / CLINIC).max(1);
    let split = [clinics - clinics / 2, clinics / 2 - clinics / 5, clinics / 5];
    let span = |min_s, max_s| Span {
        min: Duration::from_secs(min_s),
        max: Duration::from_secs(max_s),
    };
    let spec = FleetSpec {
        clinics: split.into_iter().filter(|clinics| *clinics > 0).collect(),
        pens_per_clinic: CLINIC - IPL - 2,
        ipl_per_clinic: IPL,
        opening: span(3, 6),
        session: span(5, 20),
        gap: span(4, 20),
        ..FleetSpec::default()
    };
    Ok(Fleet::generate(SEED, &spec)?)
}

/// The pen whose treatment is the long one.
pub(super) fn first_pen(fleet: &Fleet) -> Result<&Arc<Device>> {
    pens(fleet).next().context("the fleet has no pen")
}

fn pens(fleet: &Fleet) -> impl Iterator<Item = &Arc<Device>> {
    fleet.devices().iter().filter(|device| device.kind == DeviceKind::Pen)
}

/// Lets it all happen; at least `alerts` are raised by it. Gives the long treatment's id.
pub(super) async fn fill(fleet: &Fleet, target: &Target, alerts: u32) -> Result<[u8; 16]> {
    let started = UnixMicros::from(SystemTime::now());
    let pace = Pace {
        duration: Some(LIFE),
        ..Pace::default()
    };
    Simulator::new(fleet.clone().starting_at(started))
        .run(target, pace, pending())
        .await?;
    let long = long_treatment(first_pen(fleet)?, target).await?;
    let pens: Vec<_> = pens(fleet).cloned().collect();
    let raised = u32::try_from(pens.len().max(1))? * ALERTS_PER_TREATMENT;
    let treatments = alerts.div_ceil(raised);
    let mut running = JoinSet::new();
    for pen in pens {
        let target = target.clone();
        running.spawn(async move { hazards(&pen, &target, treatments).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(long)
}

/// A device that publishes, one boot.
struct Boot<'d> {
    device: &'d Device,
    topic: String,
    publisher: Publisher,
    boot: u64,
    sequence: u64,
    started: Instant,
    /// What the device's clock says at the start.
    wall: UnixMicros,
}

impl<'d> Boot<'d> {
    async fn connect(device: &'d Device, target: &Target, ago: Duration) -> Result<Self> {
        let (publisher, acks) = pager::connect(device, target).await?;
        tokio::spawn(acks.ignore());
        let now = UnixMicros::from(SystemTime::now());
        Ok(Self {
            device,
            topic: device.who.topic("telemetry"),
            publisher,
            boot: now.0.unsigned_abs(),
            sequence: 0,
            started: Instant::now(),
            wall: now.minus(ago),
        })
    }

    fn uptime_us(&self) -> u64 {
        UPTIME_US + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(0)
    }

    /// Publishes a frame of a session that began at `since`.
    async fn say(&mut self, (id, since): ([u8; 16], u64), uptime_us: u64, body: proto::frame::Body) -> Result<()> {
        let header = proto::Header {
            schema_version: Some(1),
            device_id: Some(self.device.who.id.to_string()),
            boot_id: Some(self.boot),
            sequence: Some(self.sequence),
            uptime_us: Some(uptime_us),
            wall_time_us: Some(self.wall.plus(Duration::from_micros(uptime_us - UPTIME_US)).0),
            wall_time_source: Some(WallTimeSource::Ntp.to_wire()),
            session_id: Some(id.to_vec()),
            session_start_uptime_us: Some(since),
            visit_id: Some(id.to_vec()),
            ..Default::default()
        };
        let frame = proto::Frame {
            header: Some(header),
            body: Some(body),
        };
        let payload = frame.encode_to_vec().into();
        self.publisher
            .publish(&self.topic, payload, self.sequence, false)
            .await?;
        self.sequence += 1;
        Ok(())
    }

    async fn end(self) -> Result<()> {
        let drained = tokio::time::timeout(DRAIN_WITHIN, self.publisher.drained()).await;
        drained.with_context(|| format!("{} was not acknowledged in time", self.device.who.id))?;
        self.publisher.close().await;
        Ok(())
    }
}

fn start() -> proto::frame::Body {
    proto::frame::Body::SessionStart(proto::SessionStart {
        cartridge_serial: Some("NC-BENCH-00001".to_owned()),
        cartridge_lot: Some("LOT-BENCH-1".to_owned()),
        ..Default::default()
    })
}

fn end(strokes: u64) -> proto::frame::Body {
    proto::frame::Body::SessionEnd(proto::SessionEnd {
        strokes_total: Some(strokes),
        pulses_total: None,
        reason: Some(SessionEndReason::Operator.to_wire()),
    })
}

/// Strokes in a zone around what is set; `deepest` stands in their middle.
fn strokes(zone: Zone, first: (u64, u64), duration_us: u64, strokes: u64, deepest: Option<u32>) -> proto::frame::Body {
    let mut depth_um: Vec<u32> = (0..strokes)
        .map(|n| SETPOINT_UM - 30 + ((n + first.0) * 37 % 61) as u32)
        .collect();
    if let (Some(middle), Some(deepest)) = (depth_um.get_mut(strokes as usize / 2), deepest) {
        *middle = deepest;
    }
    proto::frame::Body::StrokeBatch(proto::StrokeBatch {
        first_ordinal: Some(first.0),
        first_uptime_us: Some(first.1),
        duration_us: Some(duration_us as u32),
        zone: Some(zone.to_wire()),
        depth_setpoint_um: Some(SETPOINT_UM),
        depth_limit_um: Some(1_500),
        depth_um,
        ..Default::default()
    })
}

/// An id that no other treatment has.
fn id(device: &Device, boot: u64, number: u64) -> [u8; 16] {
    let mut id = [0x5b; 16];
    let own = device
        .who
        .id
        .as_str()
        .bytes()
        .fold(boot, |own, byte| own.rotate_left(5) ^ u64::from(byte));
    let parts = own.to_le_bytes().into_iter().chain(number.to_le_bytes());
    id.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    id
}

/// Treatments one after the other, each with a stroke far above every limit of the fleet's registry.
async fn hazards(device: &Device, target: &Target, treatments: u32) -> Result<()> {
    let mut boot = Boot::connect(device, target, Duration::ZERO).await?;
    for number in 0..treatments {
        let since = boot.uptime_us();
        let session = (id(device, boot.boot, u64::from(number)), since);
        boot.say(session, since, start()).await?;
        tokio::time::sleep(Duration::from_micros(2 * BATCH_US)).await;
        let now = boot.uptime_us();
        for (half, deepest) in [(0, None), (1, Some(TOO_DEEP_UM + number))] {
            let first = (half * STROKES, now - (2 - half) * BATCH_US);
            let batch = strokes(Zone::Cheek, first, BATCH_US, STROKES, deepest);
            boot.say(session, first.1 + BATCH_US, batch).await?;
        }
        let over = boot.uptime_us();
        boot.say(session, over, end(2 * STROKES)).await?;
        let drained = tokio::time::timeout(DRAIN_WITHIN, boot.publisher.drained()).await;
        drained.with_context(|| format!("{} was not acknowledged in time", device.who.id))?;
    }
    boot.end().await
}

/// Half an hour of strokes that waited in the device, over several zones; and what nobody can read.
async fn long_treatment(device: &Device, target: &Target) -> Result<[u8; 16]> {
    const ZONES: [Zone; 3] = [Zone::Forehead, Zone::Cheek, Zone::Chin];
    let mut boot = Boot::connect(device, target, Duration::from_secs(LONG_S + 60)).await?;
    let session = (id(device, boot.boot, u64::MAX), UPTIME_US);
    boot.say(session, UPTIME_US, start()).await?;
    for second in 0..LONG_S {
        let zone = ZONES[(second * ZONES.len() as u64 / LONG_S) as usize % ZONES.len()];
        let first = (second * LONG_STROKES, UPTIME_US + second * 1_000_000);
        let batch = strokes(zone, first, 1_000_000, LONG_STROKES, None);
        boot.say(session, first.1 + 1_000_000, batch).await?;
    }
    boot.say(session, UPTIME_US + LONG_S * 1_000_000, end(LONG_S * LONG_STROKES))
        .await?;
    for number in 0..GARBAGE {
        let topic = &boot.topic;
        let published = boot
            .publisher
            .publish(topic, vec![0xff; 64].into(), u64::MAX - number, false);
        published.await?;
    }
    let id = session.0;
    boot.end().await?;
    Ok(id)
}
