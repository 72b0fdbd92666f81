//! One treatment of the independent device, and what has to come out of it.
use std::path::Path;
use std::time::Duration;

use ingestor::store::SqliteStore;
use ingestor::store::queries::SessionRow;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use telemetry::{SessionId, TenantId};
use tests::{CLINIC, IndependentDevice, Page, Stack, StackSpec, Store, TENANT, Webhook, secret, wait_for};

/// Longest wait for points and pages after the device had its last PUBACK.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// The embedded store, pages to `webhook`, no broker.
pub(crate) fn spec(webhook: &Webhook) -> StackSpec {
    StackSpec {
        store: Store::Sqlite,
        webhook: webhook.url(),
        broker: None,
        more: String::new(),
    }
}

/// A pen and an IPL unit that treat, publishing to `port`; `more` overrides what stands here.
pub(crate) fn device(folder: &Path, port: u16, more: &[(&'static str, &str)]) -> IndependentDevice {
    let mut args = vec![
        ("port", port.to_string()),
        ("tenant", TENANT.to_owned()),
        ("clinic", CLINIC.to_owned()),
        ("pen", "pen-1".to_owned()),
        ("pen-secret", secret(TENANT, "pen-1")),
        ("ipl", "ipl-1".to_owned()),
        ("ipl-secret", secret(TENANT, "ipl-1")),
    ];
    // The last one counts.
    args.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    IndependentDevice::start(folder, &args)
}

/// A number of the report.
pub(crate) fn number(report: &Value, device: &str, name: &str) -> i64 {
    report[device][name]
        .as_i64()
        .unwrap_or_else(|| panic!("{device}.{name} is no number in {report}"))
}

/// Waits until the store says of both sessions that they are over and whole.
pub(crate) fn wait_until_complete(stack: &Stack, report: &Value) {
    for device in ["pen", "ipl"] {
        wait_for(
            &format!("the whole session of the {device}"),
            WITHIN,
            || match session(stack, report, device) {
                Some(row) if row.closed && row.complete == Some(true) => Ok(()),
                seen => Err(format!("{seen:?}")),
            },
        );
    }
}

fn session(stack: &Stack, report: &Value, device: &str) -> Option<SessionRow> {
    let id = report[device]["session"].as_str().unwrap();
    let bytes: Vec<u8> = (0..id.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap())
        .collect();
    let store = SqliteStore::open_read_only(&stack.store_file()).ok()?;
    let tenant: TenantId = TENANT.parse().unwrap();
    store.session(&tenant, SessionId::new(&bytes).unwrap()).ok()?
}

/// Every stroke and pulse of the report is in the embedded store, once, with its value and its time.
pub(crate) fn assert_stored(stack: &Stack, report: &Value) {
    let row = session(stack, report, "pen").expect("the pen's session has a summary");
    let strokes = number(report, "pen", "strokes");
    assert!(row.closed && row.complete == Some(true), "{row:?}");
    assert_eq!(
        row.text,
        format!("{0} of {0} strokes stored", thousands(strokes)),
        "{row:?}"
    );
    assert_eq!((row.tenant.as_str(), row.clinic.as_str()), (TENANT, CLINIC));
    let row = session(stack, report, "ipl").expect("the IPL unit's session has a summary");
    let pulses = number(report, "ipl", "pulses");
    assert!(row.closed && row.complete == Some(true), "{row:?}");
    assert_eq!(
        row.text,
        format!("{0} of {0} pulses stored", thousands(pulses)),
        "{row:?}"
    );
    let of = |device: &str, sql: &str| -> Vec<i64> { numbers(stack, sql, report[device]["session"].as_str().unwrap()) };
    assert_eq!(
        of(
            "pen",
            "SELECT sum(count), count(*), max(depth_max_um), sum(depth_sum_um), count(DISTINCT first_ordinal) \
             FROM stroke_window WHERE session = ?1"
        ),
        [
            strokes,
            number(report, "pen", "windows"),
            number(report, "pen", "deepest_um"),
            number(report, "pen", "depth_sum_um"),
            number(report, "pen", "windows"),
        ],
        "{report}"
    );
    assert_eq!(
        of(
            "ipl",
            "SELECT count(*), count(DISTINCT ordinal), max(fluence_measured_mj_per_cm2), \
             sum(fluence_measured_mj_per_cm2) FROM pulse WHERE session = ?1"
        ),
        [
            pulses,
            pulses,
            number(report, "ipl", "strongest_mj_per_cm2"),
            number(report, "ipl", "fluence_sum"),
        ],
        "{report}"
    );
    let strongest =
        "SELECT time_ns / 1000 FROM pulse WHERE session = ?1 ORDER BY fluence_measured_mj_per_cm2 DESC LIMIT 1";
    assert_eq!(of("ipl", strongest), [number(report, "ipl", "strong_at_us")]);
}

/// The first row of a query over the embedded store, all integers.
pub(crate) fn numbers(stack: &Stack, sql: &str, param: &str) -> Vec<i64> {
    let db = Connection::open_with_flags(stack.store_file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_row([param], |row| (0..columns).map(|at| row.get(at)).collect())
        .unwrap()
}

/// The rule that pages a strong pulse, and the limit that it says: 12,000 mJ/cm² were set, and the model lumen-6 is trusted
/// within 200 ‰.
const ABOVE_SET: (&str, f64) = ("pulse-above-set", 14_400.0);

/// Waits until both hazards were paged.
pub(crate) fn wait_until_paged(webhook: &Webhook) {
    wait_until_paged_by(webhook, ABOVE_SET.0);
}

/// Waits until the deep stroke was paged, and the strong pulse by this rule.
pub(crate) fn wait_until_paged_by(webhook: &Webhook, pulse: &str) {
    for rule in ["depth-above-limit", pulse] {
        wait_for(&format!("a page of {rule}"), WITHIN, || {
            if webhook.of_rule(rule).is_empty() {
                Err(webhook.pages())
            } else {
                Ok(())
            }
        });
    }
}

/// Exactly one high priority page for the deep stroke and one for the strong pulse, and what they say.
pub(crate) fn assert_paged_once(webhook: &Webhook, report: &Value) {
    let high = high(webhook);
    let rules: Vec<&str> = high.iter().map(|page| page["rule"].as_str().unwrap()).collect();
    assert_eq!(high.len(), 2, "{rules:?}: {high:#?}");
    assert_hazards(webhook, report);
    assert!(high.iter().all(|page| page["possible_repeat"] == false), "{high:#?}");
}

/// Pages of high priority.
pub(crate) fn high(webhook: &Webhook) -> Vec<Page> {
    let mut pages = webhook.pages();
    pages.retain(|page| page["priority"] == "high");
    pages
}

/// What the pages of the two hazards say, and what no page may say.
pub(crate) fn assert_hazards(webhook: &Webhook, report: &Value) {
    assert_hazards_by(webhook, report, ABOVE_SET);
}

/// The same where the strong pulse is paged by this rule and limit.
pub(crate) fn assert_hazards_by(webhook: &Webhook, report: &Value, (rule, limit): (&str, f64)) {
    let depth = &webhook.of_rule("depth-above-limit")[0];
    let deepest = number(report, "pen", "deepest_um") as f64;
    // 1,000 µm: the cheek's limit of the model np-25.
    assert_says(depth, ("pen-1", "cheek"), (deepest, 1_000.0, "µm"));
    let pulse = &webhook.of_rule(rule)[0];
    let strongest = number(report, "ipl", "strongest_mj_per_cm2") as f64;
    assert_says(pulse, ("ipl-1", "cheek"), (strongest, limit, "mJ/cm²"));
    for page in webhook.pages() {
        let text = page.to_string();
        for secret in [
            &report["pen"]["session"],
            &report["pen"]["visit"],
            &report["ipl"]["session"],
            &report["ipl"]["visit"],
        ] {
            assert!(!text.contains(secret.as_str().unwrap()), "a page names it: {text}");
        }
    }
}

fn assert_says(page: &Page, (device, zone): (&str, &str), (value, limit, unit): (f64, f64, &str)) {
    assert_eq!(page["priority"], "high", "{page:#}");
    assert_eq!(page["tenant"], TENANT, "{page:#}");
    assert_eq!(page["clinic"], CLINIC, "{page:#}");
    assert_eq!(page["device"], device, "{page:#}");
    assert_eq!(page["zone"], zone, "{page:#}");
    assert_eq!(page["value"].as_f64(), Some(value), "{page:#}");
    assert_eq!(page["limit"].as_f64(), Some(limit), "{page:#}");
    assert_eq!(page["unit"], unit, "{page:#}");
    assert!(!page["what_to_do"].as_str().unwrap().is_empty(), "{page:#}");
}

/// 2400 as 2,400.
fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A runtime with a thread of its own, for servers that run beside a blocking test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
