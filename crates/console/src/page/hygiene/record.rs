//! Recording a cycle, a wipe or an indicator result: a form becomes the same record as of the API, and goes the same way.
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gateway::{Event, Record, Verdict};
use serde::Deserialize;
use telemetry::{ClinicId, DeviceId, DeviceKey, DisinfectionLevel, IndicatorKind, Outcome, TenantId, UnixMicros};

use crate::access::{Person, Role, Sent};
use crate::answer::Refusal;
use crate::console::Console;

/// Most minutes that something may have been done before it is recorded here: a week. Older things are for the command line.
const MAX_MINUTES_AGO: i64 = 7 * 24 * 60;
/// Most items of a load, as on the wire.
const MAX_ITEMS: usize = 256;

/// The form. Every field is a text: what is not filled in is empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Form {
    request: String,
    tenant: String,
    what: String,
    /// The device that was wiped, or the sterilizer.
    device: String,
    level: String,
    contact_time_s: String,
    cycle: String,
    /// One name a line, or apart by blanks or commas: as a scanner or a person types them.
    items: String,
    outcome: String,
    kind: String,
    minutes_ago: String,
}

/// Why a form is no record: the key of what to say.
type Fault = &'static str;

fn parsed<T: std::str::FromStr>(text: &str, fault: Fault) -> Result<T, Fault> {
    text.trim().parse().map_err(|_| fault)
}

fn optional<T: std::str::FromStr>(text: &str, fault: Fault) -> Result<Option<T>, Fault> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| fault),
    }
}

/// The record that a form asks for. `clinic_of` says where a device stands; `None`: there is no such device for this person.
fn record(form: &Form, now: UnixMicros, clinic_of: impl Fn(&DeviceKey) -> Option<ClinicId>) -> Result<Record, Fault> {
    let tenant: TenantId = parsed(&form.tenant, "record.fault.device")?;
    let device: DeviceId = parsed(&form.device, "record.fault.device")?;
    let key = DeviceKey {
        tenant: tenant.clone(),
        device: device.clone(),
    };
    let clinic = clinic_of(&key).ok_or("record.fault.device")?;
    let minutes: Option<i64> = optional(&form.minutes_ago, "record.fault.time")?;
    if minutes.is_some_and(|minutes| !(0..=MAX_MINUTES_AGO).contains(&minutes)) {
        return Err("record.fault.time");
    }
    // On the minute: nobody knows it better, and a form that is sent twice says the same.
    let ago = |minutes: i64| (now.0 - minutes * 60_000_000).div_euclid(60_000_000) * 60_000_000;
    let at = minutes.filter(|minutes| *minutes > 0).map(ago);
    let outcome = || parsed::<Outcome>(&form.outcome, "record.fault.outcome");
    let cycle = || optional::<telemetry::CycleId>(&form.cycle, "record.fault.cycle");
    let event = match form.what.as_str() {
        "wipe" => Event::Wipe {
            device,
            level: parsed::<DisinfectionLevel>(&form.level, "record.fault.level")?,
            contact_time_s: optional(&form.contact_time_s, "record.fault.contact")?,
            performed_at_us: at,
        },
        "cycle" => Event::Cycle {
            sterilizer: device,
            cycle: cycle()?.ok_or("record.fault.cycle")?.to_string(),
            items: items(&form.items)?,
            outcome: outcome()?,
            ended_at_us: at,
        },
        "indicator" => Event::Indicator {
            sterilizer: device,
            kind: parsed::<IndicatorKind>(&form.kind, "record.fault.kind")?,
            outcome: outcome()?,
            cycle: cycle()?.map(|cycle| cycle.to_string()),
            cycle_ended_at_us: at,
        },
        _ => return Err("record.fault.what"),
    };
    let drawn: u64 = parsed(&form.request, "record.fault.what")?;
    Ok(Record {
        request: request(drawn, &event),
        tenant,
        clinic,
        actor: None,
        event,
    })
}

/// All forms of a page carry the same number: what is said by one of them is one record, however often it is sent.
fn request(drawn: u64, event: &Event) -> u64 {
    let said = serde_json::to_vec(event).unwrap_or_default();
    let digest = registry::sha256(&[drawn.to_le_bytes().as_slice(), &said].concat());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn items(text: &str) -> Result<Vec<String>, Fault> {
    let names = text
        .split(|c: char| c.is_whitespace() || c == ',' || c == ';')
        .filter(|name| !name.is_empty());
    let mut items: Vec<String> = Vec::new();
    for name in names {
        let name = parsed::<telemetry::Serial>(name, "record.fault.items")?.to_string();
        // A scanner reads twice what a person shows it twice.
        if !items.contains(&name) {
            items.push(name);
        }
    }
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err("record.fault.items");
    }
    Ok(items)
}

fn refused(status: StatusCode, key: &'static str, more: String) -> Refusal {
    Refusal::Not {
        status,
        key,
        more,
        back: "/sterilization".to_owned(),
    }
}

/// Takes a form.
pub(crate) async fn take(State(console): State<Console>, sent: Sent<Form>) -> Response {
    let who = sent.who;
    match submit(&console, &who, &sent.said).await {
        Ok(back) => Redirect::to(&back).into_response(),
        Err(refusal) => refusal.page(&console, Some(&who)),
    }
}

async fn submit(console: &Console, who: &Person, form: &Form) -> Result<String, Refusal> {
    if !who.may(Role::Responder) {
        return Err(Refusal::NotAllowed);
    }
    let elsewhere = || Refusal::elsewhere("record.elsewhere", "/sterilization");
    let gateway = console.gateway.as_ref().ok_or_else(elsewhere)?;
    let registry = console.registry.current();
    let clinic_of = |key: &DeviceKey| {
        let device = registry.device(key).filter(|_| who.sees(key.tenant.as_str()))?;
        Some(device.clinic.clone())
    };
    let record = record(form, console.now(), clinic_of);
    let texts = console.templates.texts();
    let mut record = record.map_err(|fault| {
        refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "record.refused",
            texts.get(fault).to_owned(),
        )
    })?;
    // Where nobody signs in nobody knows who it was.
    record.actor = Some(who)
        .filter(|who| who.signed_in)
        .and_then(|who| who.name.parse().ok());
    let done = format!(
        "/sterilization?tenant={}&clinic={}&done={}&recorded={}",
        record.tenant,
        record.clinic,
        form.what,
        form.device.trim()
    );
    tracing::info!(actor = %who.name, what = %form.what, device = %form.device.trim(), "recorded on the console");
    match gateway.submit(record.submission()).await {
        Verdict::Stored | Verdict::Duplicate => Ok(done),
        Verdict::Quarantined(why) => Err(refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "record.refused",
            why.to_string(),
        )),
        Verdict::QuotaExceeded | Verdict::Busy => Err(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "record.not_now",
            String::new(),
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn form(what: &str) -> Form {
        Form {
            request: "7".to_owned(),
            tenant: "acme".to_owned(),
            what: what.to_owned(),
            device: " pen-1 ".to_owned(),
            level: "intermediate".to_owned(),
            outcome: "pass".to_owned(),
            kind: "biological".to_owned(),
            cycle: "c-17".to_owned(),
            ..Form::default()
        }
    }

    fn told(form: &Form) -> Result<Event, Fault> {
        let north = |key: &DeviceKey| (key.device.as_str() == "pen-1").then(|| "north".parse().unwrap());
        record(form, UnixMicros(1_000_000_000), north).map(|record| record.event)
    }

    #[test]
    fn a_form_becomes_the_record_that_the_api_takes() {
        let mut wipe = form("wipe");
        wipe.minutes_ago = "5".to_owned();
        let json = serde_json::to_value(told(&wipe).unwrap()).unwrap();
        let expected = serde_json::json!({"what": "wipe", "device": "pen-1", "level": "intermediate",
            "contact_time_s": null, "performed_at_us": 660_000_000});
        assert_eq!(json, expected);
        let number =
            |form: &Form, now| record(form, UnixMicros(now), |_| "north".parse().ok()).map(|record| record.request);
        // Sent twice it is one record; another form of the same page is another.
        assert_eq!(number(&wipe, 1_000_000_000), number(&wipe, 1_019_999_999));
        let mut higher = wipe.clone();
        higher.level = "high".to_owned();
        assert_ne!(number(&wipe, 1_000_000_000), number(&higher, 1_000_000_000));
        let mut cycle = form("cycle");
        cycle.items = "pen-1\r\nTIP.3, pen-1;SN:9\n".to_owned();
        match told(&cycle).unwrap() {
            Event::Cycle {
                items,
                cycle,
                ended_at_us,
                ..
            } => {
                assert_eq!(
                    (items.join("+"), cycle.as_str(), ended_at_us),
                    ("pen-1+TIP.3+SN:9".to_owned(), "c-17", None)
                );
            }
            other => panic!("{other:?}"),
        }
        let mut indicator = form("indicator");
        indicator.cycle.clear();
        assert!(matches!(told(&indicator), Ok(Event::Indicator { cycle: None, .. })));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_name_and_nothing_is_guessed() {
        let with = |change: fn(&mut Form)| {
            let mut form = form("cycle");
            form.items = "pen-1".to_owned();
            change(&mut form);
            told(&form).unwrap_err()
        };
        assert_eq!(with(|f| f.device = "pen-2".to_owned()), "record.fault.device");
        assert_eq!(with(|f| f.items = " , ".to_owned()), "record.fault.items");
        assert_eq!(with(|f| f.items = "a<b".to_owned()), "record.fault.items");
        assert_eq!(with(|f| f.outcome = "good".to_owned()), "record.fault.outcome");
        assert_eq!(with(|f| f.cycle.clear()), "record.fault.cycle");
        assert_eq!(with(|f| f.minutes_ago = "-1".to_owned()), "record.fault.time");
        assert_eq!(with(|f| f.what = "drop".to_owned()), "record.fault.what");
        assert_eq!(with(|f| f.request = "x".to_owned()), "record.fault.what");
        let mut wipe = form("wipe");
        wipe.level = String::new();
        assert_eq!(told(&wipe).unwrap_err(), "record.fault.level");
    }
}
