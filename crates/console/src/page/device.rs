//! A device: what it is, what it said of itself, what it does now, its hygiene, its alerts and its last treatments.
use alerting::api::Shown;
use alerting::board::ItemStanding;
use ingestor::read::{DeviceFacts, Scope, Session, Span, Trace};
use registry::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{DeviceId, DeviceKey, TenantId};

use super::Page;
use crate::access::{Person, Role};
use crate::answer::Refusal;
use crate::chart::course::course;
use crate::console::Console;
use crate::fleet::{DeviceRow, one};
use crate::known::{Known, in_time, stored};
use crate::render::Svg;
use crate::text::Texts;
use crate::time::clock;

pub(crate) struct Device;

/// What the trace of a device shows.
const TRACE_US: i64 = 5 * 60_000_000;
/// Most treatments of the page.
const MAX_SESSIONS: usize = 20;
/// Most open alerts of the page.
const MAX_ALERTS: usize = 50;
/// How far back they are looked for.
const SESSIONS_US: i64 = 30 * 86_400_000_000;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeviceView")]
pub(crate) struct View {
    /// The device.
    device: DeviceRow,
    /// Name of its clinic.
    clinic_name: String,
    /// Time zone of its clinic, by its IANA name.
    time_zone: String,
    /// Name of its model.
    model_name: String,
    /// Who makes the model.
    maker: String,
    /// It has a connection now.
    connected: bool,
    /// What it said of itself.
    facts: Known<DeviceFacts>,
    /// How much of what wears out is used up.
    life: Life,
    /// Where its hygiene stands; `None`: it is not used on people.
    hygiene: Option<ItemStanding>,
    /// Whoever asks may record what was done to it; nobody may, of what is retired.
    may_record: bool,
    /// Its open alerts, at most 50.
    alerts: Vec<Shown>,
    /// Strokes and pulses of the last five minutes.
    trace: Known<Trace>,
    /// Begin and end of those five minutes, in microseconds since 1970-01-01 UTC.
    span_us: (i64, i64),
    /// Its last treatments within 30 days, newest first, at most 20.
    sessions: Known<Vec<Session>>,
}

/// How much of what wears out is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub(crate) struct Life {
    /// Pulses that the lamp has fired.
    lamp_shots: Option<i64>,
    /// Pulses after which it is to be replaced, by the registry.
    lamp_life_shots: Option<u64>,
    /// What is left, in per cent; 0 at the end and beyond.
    lamp_left_percent: Option<u64>,
    /// The pack of the cartridge in use is good until the end of this day, days since 1970-01-01.
    pack_expiry_day: Option<i64>,
    /// That day is over.
    pack_expired: bool,
}

/// How much is used up, by what the device said and what the registry allows.
fn life(facts: &DeviceFacts, limits: Option<&Limits>, now_us: i64) -> Life {
    let lamp_life_shots = limits.and_then(|limits| limits.light.as_ref()?.lamp_life_shots);
    let shots = facts.lamp_shots.and_then(|shots| u64::try_from(shots).ok());
    let left = shots.zip(lamp_life_shots).filter(|(_, life)| *life > 0);
    let pack_expiry_day = facts.cartridge.as_ref().and_then(|cartridge| cartridge.pack_expiry_day);
    Life {
        lamp_shots: facts.lamp_shots,
        lamp_life_shots,
        lamp_left_percent: left.map(|(shots, life)| life.saturating_sub(shots).saturating_mul(100) / life),
        pack_expiry_day,
        pack_expired: pack_expiry_day.is_some_and(|day| now_us.div_euclid(DAY_US) > day),
    }
}

impl Page for Device {
    const TEMPLATE: &'static str = "device.html";
    const SECTION: &'static str = "fleet";
    type Path = (TenantId, DeviceId);
    type Query = Wanted;
    type View = View;

    async fn view(
        console: &Console,
        who: &Person,
        (tenant, device): (TenantId, DeviceId),
        _wanted: Wanted,
    ) -> Result<View, Refusal> {
        let key = DeviceKey { tenant, device };
        let registry = console.registry.current();
        let known = registry.device(&key).filter(|_| who.sees(key.tenant.as_str()));
        let known = known.ok_or(Refusal::NotFound)?;
        console.own(&key.tenant, &known.clinic)?;
        let wanted = alerting::store::Wanted {
            tenant: Some(key.tenant.to_string()),
            device: Some(key.device.to_string()),
            ..alerting::store::Wanted::default()
        };
        let alerts = in_time("the alerts of the device", console.alerts.list(wanted, 0, MAX_ALERTS)).await?;
        let row = one(console, known, &alerts.counts).await?;
        let hygiene = in_time("the hygiene of the device", console.alerts.hygiene_of(key.clone())).await?;
        let now_us = console.now().0;
        let span = Span {
            from_us: now_us - TRACE_US,
            to_us: now_us,
        };
        let scope = Scope {
            tenant: key.tenant.clone(),
            clinic: None,
            device: Some(key.device.clone()),
        };
        let month = (now_us - SESSIONS_US, now_us + DAY_US);
        let (of, scope) = (&key, &scope);
        let (facts, trace, sessions) = tokio::join!(
            stored(console, |store| async move { store.device(of, now_us).await }),
            stored(console, |store| async move { store.trace(of, None, span).await }),
            stored(console, |store| async move {
                store.sessions(scope, month, MAX_SESSIONS).await
            }),
        );
        let limits = registry.limits(&key);
        let model = registry.model(&known.model);
        let clinic = registry.clinic(&key.tenant, &known.clinic);
        let time_zone = clinic.map_or_else(|| "UTC".to_owned(), |clinic| clinic.time_zone.clone());
        Ok(View {
            may_record: who.may(Role::Responder) && console.gateway.is_some() && !row.retired,
            device: row,
            clinic_name: clinic.map_or_else(|| known.clinic.to_string(), |clinic| clinic.name.clone()),
            span_us: (span.from_us, span.to_us),
            trace,
            model_name: model.map_or_else(|| known.model.to_string(), |model| model.name.clone()),
            maker: model.map_or_else(String::new, |model| model.maker.clone()),
            connected: console.is_connected(&key),
            life: facts
                .value
                .as_ref()
                .map(|facts| life(facts, limits.as_deref(), now_us))
                .unwrap_or_default(),
            facts,
            hygiene: hygiene.filter(|_| matches!(known.kind.as_str(), "pen" | "ipl")),
            alerts: alerts.alerts.into_iter().map(Shown::from).collect(),
            sessions,
            time_zone,
        })
    }

    fn pictures(view: &View, texts: &Texts) -> Vec<(&'static str, Svg)> {
        let (from_us, to_us) = view.span_us;
        let time = |at| clock(at, &view.time_zone);
        let trace = view.trace.value.as_ref();
        let drawn = trace.and_then(|trace| course(trace, Span { from_us, to_us }, texts, time));
        drawn.map(|svg| ("course", svg)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use ingestor::read::CartridgeFacts;

    use super::*;

    #[test]
    fn a_lamp_has_left_what_the_registry_allows_less_what_it_fired_and_a_pack_is_good_to_the_end_of_its_day() {
        let facts = |shots| DeviceFacts {
            lamp_shots: Some(shots),
            cartridge: Some(CartridgeFacts {
                at_us: 0,
                cartridge: None,
                lot: None,
                pack_expiry_day: Some(10),
                lamp: None,
                skin_type: None,
            }),
            ..DeviceFacts::default()
        };
        // Without a limit of the registry nothing is said about what is left.
        assert_eq!(life(&facts(7), None, 0).lamp_left_percent, None);
        let end_of_day_10 = 11 * DAY_US - 1;
        assert!(!life(&facts(7), None, end_of_day_10).pack_expired);
        assert!(life(&facts(7), None, end_of_day_10 + 1).pack_expired);
    }
}
