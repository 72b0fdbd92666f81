//! The decision over one message: let in, known already, or quarantine. Pure: what is held in the ledger is the caller's to
//! record or to release.
use bytes::Bytes;
use registry::{DeviceState, Registry};
use telemetry::unknown::UnknownCounts;
use telemetry::{
    Actor, Admitted, Body, Channel, ClockQuality, Content, DeviceKey, GatewayId, Origin, RejectReason, Rejected,
    Telemetry, Topic, UnixMicros, decode, decode_status,
};

use crate::ledger::{ClockPolicy, Judged, Ledger, payload_hash};

/// A reading may be dated this much after the frame that carries it, microseconds: room for firmware that reads its clock
/// when it begins a frame. Beyond it the readings would lie in a future that the anchor cannot bound.
pub const READING_AHEAD_MAX_US: u64 = 10 * 1_000_000;

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The topic's text.
    pub topic: &'a str,
    /// The payload, not decoded yet.
    pub payload: &'a Bytes,
    /// Wall clock of the gateway when it came; for a replay, when it first came.
    pub received_at: UnixMicros,
    /// Which way.
    pub origin: Origin,
    /// `tenant/device` as the connection proved it; `None` where whoever delivered has checked (a broker, the local API).
    pub peer: Option<&'a str>,
    /// Delivered as retained.
    pub retained: bool,
    /// Who recorded it, if a person did and is known.
    pub recorded_by: Option<&'a Actor>,
}

/// What the decision rests on besides the message.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The fleet as it should be.
    pub registry: &'a Registry,
    /// Which clocks are believed.
    pub clocks: &'a ClockPolicy,
    /// This gateway.
    pub gateway: &'a GatewayId,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// To be written; its frame is held in the ledger.
    Admit(Box<Entry>),
    /// On disk already.
    Duplicate,
    /// On disk together with the batch.
    DuplicateInBatch,
    /// To be kept aside.
    Quarantine(Rejected),
}

/// A message that is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it goes to the logs.
    pub admitted: Admitted,
    /// The tenant's number.
    pub lane: u32,
    /// What this version did not know of it.
    pub unknown: UnknownCounts,
    /// An anchor was fixed by it, and the device's clock was out of bounds.
    pub skewed: bool,
}

/// Decides over one message. A frame that is let in is held in `ledger`: in-batch copies of it are duplicates.
pub fn admit(context: &Context<'_>, ledger: &mut Ledger, delivery: &Delivery<'_>) -> Admission {
    match try_admit(context, ledger, delivery) {
        Ok(admission) => admission,
        Err(rejected) => Admission::Quarantine(rejected),
    }
}

fn try_admit(context: &Context<'_>, ledger: &mut Ledger, delivery: &Delivery<'_>) -> Result<Admission, Rejected> {
    let topic: Topic = delivery
        .topic
        .parse()
        .map_err(|e: telemetry::TopicError| Rejected::new(RejectReason::Topic, "topic", e.to_string()))?;
    check_peer(&topic, delivery.peer)?;
    let key = topic.key();
    let lane = check_fleet(context.registry, &topic, &key)?;
    let mut entry = entry(context, delivery, &topic, lane);
    match topic.channel {
        Channel::Status => entry.unknown = decode_status(&topic, delivery.payload)?.1,
        Channel::Telemetry => {
            let telemetry = decode(&topic, delivery.payload)?;
            check_times(&telemetry, context.clocks)?;
            let known = place(context, ledger, &key, &telemetry, &mut entry);
            if telemetry.header.wants_ack_up_to {
                let oldest = telemetry.header.oldest_unacknowledged.unwrap_or(0);
                ledger.ask(&key, telemetry.header.boot, oldest);
            }
            if let Some(known) = known {
                return Ok(known);
            }
        }
        Channel::Command => {
            return Err(Rejected::new(
                RejectReason::Topic,
                "topic",
                "commands go to the device, not from it",
            ));
        }
    }
    Ok(Admission::Admit(Box::new(entry)))
}

/// The message as it will be let in, but for what its payload says.
fn entry(context: &Context<'_>, delivery: &Delivery<'_>, topic: &Topic, lane: u32) -> Entry {
    Entry {
        admitted: Admitted {
            content: Content::Status,
            payload: delivery.payload.clone(),
            received_at: delivery.received_at,
            anchor: None,
            clock: ClockQuality::Received,
            origin: delivery.origin,
            sequence_reused: false,
            maybe_seen_before: false,
            gateway: context.gateway.clone(),
            retained: delivery.retained,
            recorded_by: delivery.recorded_by.cloned(),
            tenant: topic.tenant.clone(),
            clinic: topic.clinic.clone(),
            device: topic.device.clone(),
        },
        lane,
        unknown: UnknownCounts::default(),
        skewed: false,
    }
}

/// Gives the frame its anchor and holds it; or says that it is known.
fn place(
    context: &Context<'_>,
    ledger: &mut Ledger,
    key: &DeviceKey,
    telemetry: &Telemetry,
    entry: &mut Entry,
) -> Option<Admission> {
    let header = &telemetry.header;
    let hash = payload_hash(&entry.admitted.payload);
    match ledger.judge(key, header, hash, entry.admitted.received_at, context.clocks) {
        Judged::Duplicate => Some(Admission::Duplicate),
        Judged::DuplicateInBatch => Some(Admission::DuplicateInBatch),
        Judged::New {
            sequence_reused,
            maybe_seen_before,
            placed,
        } => {
            ledger.hold(key, header, hash, placed, entry.admitted.origin == Origin::Recorded);
            entry.admitted.content = Content::Telemetry;
            entry.admitted.anchor = Some(placed.anchor);
            entry.admitted.clock = placed.clock;
            entry.admitted.sequence_reused = sequence_reused;
            entry.admitted.maybe_seen_before = maybe_seen_before;
            entry.unknown = telemetry.unknown;
            entry.skewed = placed.fixed_now && placed.clock == ClockQuality::Skewed;
            None
        }
    }
}

fn check_peer(topic: &Topic, peer: Option<&str>) -> Result<(), Rejected> {
    let own = peer.is_none_or(|peer| peer.split_once('/') == Some((topic.tenant.as_str(), topic.device.as_str())));
    if own {
        return Ok(());
    }
    let text = "the connection is another device's: publish each device on a connection of its own";
    Err(Rejected::new(RejectReason::NotOwnTopic, "topic", text))
}

/// Checks the device against the registry; gives its tenant's number.
fn check_fleet(registry: &Registry, topic: &Topic, key: &DeviceKey) -> Result<u32, Rejected> {
    let unknown = || {
        let text = "the registry does not know the device: enter it, then replay from quarantine";
        Rejected::new(RejectReason::UnknownDevice, "topic", text)
    };
    let device = registry.device(key).ok_or_else(unknown)?;
    if device.state == DeviceState::Retired {
        let text = "the device is retired: enter it as active if it is in use again";
        return Err(Rejected::new(RejectReason::Retired, "topic", text));
    }
    if device.clinic != topic.clinic {
        let text = format!(
            "the device is registered at clinic {}: correct its topic or the registry",
            device.clinic
        );
        return Err(Rejected::new(RejectReason::WrongClinic, "topic", text));
    }
    registry
        .tenant(&topic.tenant)
        .map(|tenant| tenant.number)
        .ok_or_else(unknown)
}

/// The anchor bounds the frame's own time; its readings must lie near it for theirs to be bounded as well.
fn check_times(telemetry: &Telemetry, clocks: &ClockPolicy) -> Result<(), Rejected> {
    let made = telemetry.header.uptime.micros();
    let latest = made.saturating_add(READING_AHEAD_MAX_US);
    let oldest = made.saturating_sub(u64::try_from(clocks.max_backlog.as_micros()).unwrap_or(u64::MAX));
    let check = |uptime: telemetry::Uptime, field| {
        let at = uptime.micros();
        if (oldest..=latest).contains(&at) {
            return Ok(());
        }
        let text = format!("uptime {at} µs does not fit to header.uptime_us {made}: all uptimes are of one clock");
        Err(Rejected::new(RejectReason::OutOfRange, field, text))
    };
    if let Some(started) = telemetry.header.session.and_then(|session| session.started) {
        check(started, "header.session_start_uptime_us")?;
    }
    match &telemetry.body {
        Body::Strokes(batch) => check(batch.first_uptime, "stroke_batch.first_uptime_us"),
        Body::Pulses(batch) => batch
            .pulses
            .iter()
            .try_for_each(|pulse| check(pulse.uptime, "pulse.uptime_us")),
        _ => Ok(()),
    }
}
