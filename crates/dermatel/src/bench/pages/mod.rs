//! Server time of the console's pages with a thousand devices and ten thousand open alerts: each page and its JSON, asked for over
//! HTTP, alone and beside live traffic.
mod ask;
mod fill;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use simulator::load::{self, LoadReport, LoadSpec};
use simulator::{Fleet, Target};
use telemetry::DeviceKind;

use self::ask::{Answers, Door};
use super::server::{CONSOLE_TOKEN, Server, Setup};
use super::table::Table;
use super::{Bench, tell};
use crate::sim::write_registry;
use crate::text::grouped;

/// Open alerts for each device: ten thousand with the thousand devices of the default.
const ALERTS_PER_DEVICE: u32 = 10;
/// Silences that hold while pages are asked for.
const SILENCES: usize = 50;
/// Longest time that the live traffic goes on.
const LIVE_AT_MOST: Duration = Duration::from_secs(900);
/// Longest wait until everything is stored and judged, and until live traffic comes in.
const SETTLE: Duration = Duration::from_secs(300);
/// Time between two looks at what is there.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What a page may take (p99).
const BUDGET_US: u64 = 200_000;

/// A page: what it is called, where it is, where its JSON is.
type Asked = (&'static str, String, String);

/// A page's answers.
struct Measured {
    page: Answers,
    json: Answers,
}

/// Measures.
pub(super) async fn run(bench: &Bench, table: &mut Table) -> Result<()> {
    tell("the console's pages with many devices and alerts");
    let dir = bench.dir.join("pages");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let fleet = fill::fleet(bench.console_devices)?;
    write_registry(&fleet, &dir.join("registry"))?;
    let setup = Setup {
        console: true,
        ..Setup::default()
    };
    let server = Server::start(&dir, &setup)?;
    let target = server.target()?;
    let devices = u32::try_from(fleet.devices().len())?;
    let long = fill::fill(&fleet, &target, devices * ALERTS_PER_DEVICE).await?;
    ensure!(
        server.settled(SETTLE).await?,
        "what was published is not stored and judged in time"
    );
    let door = Door {
        port: server.http_port(),
        token: CONSOLE_TOKEN,
    };
    let pages = pages(&door, &fleet, &long)?;
    let what = there(&door, devices, table).await?;
    let fetches = bench.fetches;
    tell("each page alone");
    let alone = on_a_thread(&door, &pages, fetches).await?;
    tell("each page beside live traffic");
    let (live, load) = beside(&server, &fleet, &target, bench.live_rate, || {
        on_a_thread(&door, &pages, fetches)
    })
    .await?;
    drop(server);
    bench.clear(&dir);
    for (((name, ..), alone), live) in pages.iter().zip(&alone).zip(&live) {
        row(table, &format!("{name} ({what})"), alone, live, bench.live_rate);
    }
    table.note(format!(
        "pages: each asked for {fetches} times, one after the other, over a connection of its own; live traffic meanwhile: {} stroke messages/s acknowledged (p99 of PUBACKs {})",
        grouped(load.rate() as u64),
        super::throughput::millis(load.latency_us.value_at_quantile(0.99))
    ));
    Ok(())
}

fn row(table: &mut Table, what: &str, alone: &Measured, live: &Measured, live_rate: u32) {
    let all = [&alone.page, &alone.json, &live.page, &live.json];
    table.row(
        format!("page of the console (p99): {what}"),
        "≤ 200 ms",
        format!(
            "alone {}, {}; JSON {}, {}; beside {} messages/s {}; JSON {}",
            alone.page.times(),
            alone.page.size(),
            alone.json.times(),
            alone.json.size(),
            grouped(live_rate.into()),
            live.page.times(),
            live.json.times()
        ),
        all.iter().all(|answers| answers.p99_us() <= BUDGET_US),
    );
}

fn number(value: &Value, at: &str) -> u64 {
    value.pointer(at).and_then(Value::as_u64).unwrap_or(0)
}

/// How many alerts are open and devices were heard, as the API says, and a row about it.
async fn there(door: &Door, wanted: u32, table: &mut Table) -> Result<String> {
    let least = u64::from(wanted * ALERTS_PER_DEVICE);
    let until = Instant::now() + SETTLE;
    // An input is counted when it is applied, and shown when its transaction is over.
    let (alerts, devices, heard, clinics) = loop {
        let alerts = number(&door.json("/v1/console/inbox")?, "/total");
        let fleet = door.json("/v1/console/fleet")?;
        let devices = number(&fleet, "/total/devices");
        let heard = devices - number(&fleet, "/total/never_seen");
        if (alerts >= least && heard == devices) || Instant::now() > until {
            let clinics = fleet.pointer("/clinics").and_then(Value::as_array).map_or(0, Vec::len);
            break (alerts, devices, heard, clinics);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    table.row(
        "what is there for the pages, as the API says",
        &format!("≥ {} alerts", grouped(least)),
        format!(
            "{} open alerts, {} devices heard of {} in {clinics} clinics",
            grouped(alerts),
            grouped(heard),
            grouped(devices)
        ),
        alerts >= least && heard == devices,
    );
    Ok(format!("{} devices, {} open alerts", grouped(heard), grouped(alerts)))
}

/// The pages that are asked for, with what really is there in their addresses.
fn pages(door: &Door, fleet: &Fleet, long: &[u8; 16]) -> Result<Vec<Asked>> {
    let pen = fill::first_pen(fleet)?;
    let (tenant, clinic, device) = (&pen.who.tenant, &pen.who.clinic, &pen.who.id);
    let inbox = door.json("/v1/console/inbox")?;
    let alert = inbox
        .pointer("/alerts/0/id")
        .and_then(Value::as_str)
        .context("there is no alert")?;
    silence(door, fleet)?;
    let last = number(&inbox, "/pages");
    let last_of_devices = number(&door.json("/v1/console/inbox?by=device")?, "/pages");
    let session: String = long.iter().map(|byte| format!("{byte:02x}")).collect();
    let page = |name, path: String| {
        let at = if path == "/" || path.starts_with("/?") {
            format!("/v1/console/inbox{}", path.trim_start_matches('/'))
        } else {
            format!("/v1/console{path}")
        };
        (name, path, at)
    };
    let filter = format!("tenant={tenant}&clinic={clinic}&state=latched&priority=high");
    Ok(vec![
        page("inbox", "/".to_owned()),
        page("inbox of one clinic, state and priority", format!("/?{filter}")),
        page("inbox, second page", "/?page=2".to_owned()),
        page(
            "inbox by device, last page",
            format!("/?by=device&page={last_of_devices}"),
        ),
        page("inbox one by one, last page", format!("/?by=alert&page={last}")),
        page("one alert with its picture", format!("/alerts/{alert}")),
        page(
            "preview of a silence of a clinic",
            format!("/alerts/{alert}/silence?scope=clinic"),
        ),
        page("silences", "/silences".to_owned()),
        page("fleet", "/fleet".to_owned()),
        page("clinic", format!("/clinics/{tenant}/{clinic}")),
        page("device", format!("/devices/{tenant}/{device}")),
        page(
            "treatment of half an hour",
            format!("/sessions/{tenant}/{device}/{session}"),
        ),
        page(
            "sterilization board of a tenant",
            format!("/sterilization?tenant={tenant}"),
        ),
        page("pipeline", "/pipeline".to_owned()),
    ])
}

/// Silences single devices, so that there is something to show.
fn silence(door: &Door, fleet: &Fleet) -> Result<()> {
    let until = chrono::Utc::now() + Duration::from_secs(4 * 3_600);
    for device in fleet.devices().iter().take(SILENCES) {
        let wanted = json!({
            "tenant": device.who.tenant, "device": device.who.id, "rule": "battery-low", "until": until.to_rfc3339(),
            "owner": "bench", "reason": "so that there is a list",
        });
        door.request("POST", "/v1/silences", &wanted.to_string())?;
    }
    Ok(())
}

/// Asks on a thread of its own, so that the load generator's tasks do not stand between an answer and its time.
async fn on_a_thread(door: &Door, pages: &[Asked], fetches: u32) -> Result<Vec<Measured>> {
    let (door, pages) = (door.clone(), pages.to_vec());
    let asking = tokio::task::spawn_blocking(move || {
        let ask = |(name, page, json): &Asked| {
            let measured = Measured {
                page: door.ask(page, fetches)?,
                json: door.ask(json, fetches)?,
            };
            eprintln!("  {name}: {}; JSON {}", measured.page.times(), measured.json.times());
            Ok(measured)
        };
        pages.iter().map(ask).collect()
    });
    asking.await?
}

/// Does something while devices publish.
async fn beside<T, F>(
    server: &Server,
    fleet: &Fleet,
    target: &Target,
    rate: u32,
    what: impl FnOnce() -> F,
) -> Result<(T, LoadReport)>
where
    F: Future<Output = Result<T>>,
{
    let pens = fleet
        .devices()
        .iter()
        .filter(|device| device.kind == DeviceKind::Pen)
        .count();
    let spec = LoadSpec {
        connections: u32::try_from(pens)?,
        rate: Some(rate.into()),
        duration: LIVE_AT_MOST,
        ..LoadSpec::default()
    };
    let before = server.metric(gateway::metrics::DELIVERIES_ADMITTED, "")?;
    let (over, ended) = tokio::sync::oneshot::channel::<()>();
    let load = tokio::spawn({
        let (fleet, target) = (fleet.clone(), target.clone());
        async move {
            let over = async {
                let _ = ended.await;
            };
            load::run(&fleet, &target, spec, over).await
        }
    });
    server
        .admitted(before + 3 * pens as u64, SETTLE)
        .await
        .context("no live traffic comes in")?;
    let done = what().await;
    let _ = over.send(());
    let load = load.await??;
    Ok((done?, load))
}
