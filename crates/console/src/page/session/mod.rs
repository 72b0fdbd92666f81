//! One treatment, for the client file and for an inspector: what was done where, how complete the record of it is, with which
//! cartridge, what alarmed, and what was cleaned before and after.
mod around;
mod zones;

use alerting::api::Shown;
use alerting::engine::Alert;
use ingestor::read::{CartridgeFacts, HygieneAsk, MAX_EVENTS, Reader, Scope, Session, Span, Trace};
use ingestor::store::ReadError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use telemetry::{DeviceId, DeviceKey, Serial, SessionId, TenantId};

use self::around::{Around, around};
use self::zones::{ZoneRow, by_zone};
use super::Page;
use crate::access::Person;
use crate::answer::Refusal;
use crate::chart::course::course;
use crate::console::Console;
use crate::known::{Known, in_time, stored};
use crate::render::Svg;
use crate::text::Texts;
use crate::time::clock;

pub(crate) struct Treatment;

const DAY_US: i64 = 86_400_000_000;
/// How far back the treatment before and what was cleaned before are looked for.
const BEFORE_US: i64 = 30 * DAY_US;
/// How long after it the next treatment and what was cleaned after are looked for.
const AFTER_US: i64 = 7 * DAY_US;
/// An alert belongs to a treatment if it happened in it or this long around it: a missing wipe is told at its beginning.
const SLACK_US: i64 = 60_000_000;

/// What is asked of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {}

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SessionView")]
pub(crate) struct View {
    /// Tenant.
    tenant: String,
    /// Name of the tenant.
    tenant_name: String,
    /// The device.
    device: String,
    /// The number on it.
    serial: String,
    /// Name of its model.
    model_name: String,
    /// Who makes the model.
    maker: String,
    /// Name of the clinic in which it was.
    clinic_name: String,
    /// Time zone of that clinic, by its IANA name.
    time_zone: String,
    /// The treatment; `null`: the store does not answer, and `trouble` says so.
    session: Known<Session>,
    /// What it began with.
    cartridge: Option<CartridgeFacts>,
    /// The treatment by zone.
    zones: Vec<ZoneRow>,
    /// Strokes and pulses of the treatment.
    trace: Option<Trace>,
    /// What was cleaned before and after.
    around: Option<Around>,
    /// Alerts of the treatment, oldest first.
    alerts: Vec<Shown>,
    /// Ends of the trace, in microseconds since 1970-01-01 UTC.
    span_us: Option<(i64, i64)>,
    /// When this page was made, in microseconds since 1970-01-01 UTC.
    made_at_us: i64,
}

/// What the store knows of a treatment.
struct Stored {
    session: Session,
    cartridge: Option<CartridgeFacts>,
    trace: Trace,
    around: Around,
    span: Span,
}

async fn ask(
    store: &Reader,
    key: &DeviceKey,
    serial: &Serial,
    id: SessionId,
    now_us: i64,
) -> Result<Option<Stored>, ReadError> {
    let Some(session) = store.session(key, id, now_us).await? else {
        return Ok(None);
    };
    let until_us = session.until_us.unwrap_or(session.start_us);
    let span = Span {
        from_us: session.start_us,
        to_us: until_us.max(session.start_us) + 1_000_000,
    };
    let scope = Scope {
        tenant: key.tenant.clone(),
        clinic: None,
        device: Some(key.device.clone()),
    };
    let cleaned = HygieneAsk {
        scope: Scope {
            device: None,
            ..scope.clone()
        },
        span: Span {
            from_us: session.start_us - BEFORE_US,
            to_us: until_us + AFTER_US,
        },
        about: Some((key.device.clone(), vec![serial.clone()])),
        what: None,
        newest_first: true,
        limit: MAX_EVENTS,
    };
    let (cartridge, trace, before, after, events) = tokio::try_join!(
        store.cartridge(key, id, now_us),
        store.trace(key, Some(id), span),
        store.sessions(&scope, (session.start_us - BEFORE_US, session.start_us), 1),
        store.sessions(
            &scope,
            (session.start_us + 1, until_us + AFTER_US),
            ingestor::read::MAX_SESSIONS
        ),
        store.hygiene(&cleaned),
    )?;
    Ok(Some(Stored {
        around: around(before.first(), &session, after.last(), &events),
        session,
        cartridge,
        trace,
        span,
    }))
}

/// The alerts of a treatment: raised in it, or about its device around it.
fn of_session(alerts: Vec<Alert>, session: &Session) -> Vec<Shown> {
    let until_us = session.until_us.unwrap_or(session.start_us);
    let span = session.start_us - SLACK_US..=until_us + SLACK_US;
    let belongs = |alert: &Alert| match alert.session {
        Some(id) => id.to_hex() == session.session,
        None => span.contains(&alert.event_time.0),
    };
    let mut alerts: Vec<Shown> = alerts.into_iter().filter(belongs).map(Shown::from).collect();
    alerts.sort_by_key(|alert| alert.event_time);
    alerts
}

impl Page for Treatment {
    const TEMPLATE: &'static str = "session.html";
    const SECTION: &'static str = "fleet";
    type Path = (TenantId, DeviceId, String);
    type Query = Wanted;
    type View = View;

    async fn view(
        console: &Console,
        who: &Person,
        (tenant, device, id): (TenantId, DeviceId, String),
        _wanted: Wanted,
    ) -> Result<View, Refusal> {
        let id = ingestor::read::session_of_hex(&id).ok_or(Refusal::NotFound)?;
        let key = DeviceKey { tenant, device };
        let registry = console.registry.current();
        let known = registry.device(&key).filter(|_| who.sees(key.tenant.as_str()));
        let known = known.ok_or(Refusal::NotFound)?;
        console.own(&key.tenant, &known.clinic)?;
        let now_us = console.now().0;
        let (of, serial) = (&key, &known.serial);
        let asked = stored(
            console,
            |store| async move { ask(&store, of, serial, id, now_us).await },
        );
        let asked = asked.await;
        if matches!(asked.value, Some(None)) {
            return Err(Refusal::NotFound);
        }
        let stored = Known {
            value: asked.value.flatten(),
            trouble: asked.trouble,
        };
        let clinic = stored
            .value
            .as_ref()
            .and_then(|stored| registry.clinic(&key.tenant, &stored.session.clinic.parse().ok()?))
            .or_else(|| registry.clinic(&key.tenant, &known.clinic));
        let time_zone = clinic.map_or_else(|| "UTC".to_owned(), |clinic| clinic.time_zone.clone());
        let alerts = match &stored.value {
            Some(stored) => {
                let until_us = stored.session.until_us.unwrap_or(stored.session.start_us);
                let span = (stored.session.start_us - SLACK_US, until_us + AFTER_US);
                let asked = console.alerts.alerts_of(key.clone(), span);
                of_session(in_time("the alerts of the treatment", asked).await?, &stored.session)
            }
            None => Vec::new(),
        };
        let model = registry.model(&known.model);
        let span_us = stored
            .value
            .as_ref()
            .map(|stored| (stored.span.from_us, stored.span.to_us));
        let (trouble, stored) = (stored.trouble, stored.value);
        let (session, rest) = match stored {
            Some(stored) => (
                Some(stored.session),
                Some((stored.cartridge, stored.trace, stored.around)),
            ),
            None => (None, None),
        };
        let (cartridge, trace, around) = match rest {
            Some((cartridge, trace, around)) => (cartridge, Some(trace), Some(around)),
            None => (None, None, None),
        };
        Ok(View {
            tenant_name: registry
                .tenant(&key.tenant)
                .map_or_else(String::new, |tenant| tenant.name.clone()),
            tenant: key.tenant.to_string(),
            device: key.device.to_string(),
            serial: known.serial.to_string(),
            model_name: model.map_or_else(|| known.model.to_string(), |model| model.name.clone()),
            maker: model.map_or_else(String::new, |model| model.maker.clone()),
            clinic_name: clinic.map_or_else(|| known.clinic.to_string(), |clinic| clinic.name.clone()),
            time_zone,
            session: Known {
                value: session,
                trouble,
            },
            cartridge,
            zones: trace.as_ref().map(by_zone).unwrap_or_default(),
            trace,
            around,
            alerts,
            span_us,
            made_at_us: now_us,
        })
    }

    fn pictures(view: &View, texts: &Texts) -> Vec<(&'static str, Svg)> {
        let time = |at| clock(at, &view.time_zone);
        let drawn = view
            .trace
            .as_ref()
            .zip(view.span_us)
            .and_then(|(trace, (from_us, to_us))| course(trace, Span { from_us, to_us }, texts, time));
        drawn.map(|svg| ("course", svg)).into_iter().collect()
    }
}

/// What the store said of what was cleaned, for the tests of the parts.
#[cfg(test)]
pub(crate) fn cleaned(at_us: i64, what: &str, outcome: Option<&str>) -> ingestor::read::HygieneEvent {
    ingestor::read::HygieneEvent {
        at_us,
        what: what.to_owned(),
        device: "station-1".to_owned(),
        clinic: "north".to_owned(),
        outcome: outcome.map(str::to_owned),
        cycle: None,
        sterilizer: None,
        hold_temperature_mdegc: None,
        hold_time_s: None,
        level: Some("intermediate".to_owned()),
        contact_time_s: Some(60),
        indicator: None,
        items: vec!["pen-1".to_owned()],
        recorded: false,
        recorded_by: None,
    }
}
