//! The figures come from a run that anybody can make: a small one works, and its rows say what was really there.
use std::process::Command;

use tests::dermatel;

/// Pages whose server time is a row.
const PAGES: [&str; 14] = [
    "inbox",
    "inbox of one clinic, state and priority",
    "inbox, second page",
    "inbox by device, last page",
    "inbox one by one, last page",
    "one alert with its picture",
    "preview of a silence of a clinic",
    "silences",
    "fleet",
    "clinic",
    "device",
    "treatment of half an hour",
    "sterilization board of a tenant",
    "pipeline",
];

#[test]
fn the_server_time_of_each_page_is_a_row_that_says_how_many_alerts_and_devices_there_were() {
    let dir = tempfile::tempdir().unwrap();
    let out = Command::new(dermatel())
        .args([
            "bench",
            "--only",
            "pages",
            "--console-devices",
            "50",
            "--fetches",
            "1",
            "--live-rate",
            "100",
            "--markdown",
        ])
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    let (table, log) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{log}");
    let row = |what: &str| {
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with(what)).collect();
        assert_eq!(rows.len(), 1, "{what}: {table}");
        rows[0].to_owned()
    };
    let there = row("| what is there for the pages");
    assert!(
        there.contains("50 devices heard of 50 in 1 clinics") && there.ends_with("| met |"),
        "{there}"
    );
    let alerts = there
        .split_once("alerts |")
        .unwrap()
        .1
        .split_once(" open")
        .unwrap()
        .0
        .trim();
    for page in PAGES {
        // How fast it was is this machine's business.
        let row = row(&format!(
            "| page of the console (p99): {page} (50 devices, {alerts} open alerts) | ≤ 200 ms |"
        ));
        assert!(
            row.contains("alone p50") && row.contains("beside 100 messages/s p50"),
            "{row}"
        );
    }
}
