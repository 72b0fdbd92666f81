//! What is printed for the client file or an inspector is whole: read back from the PDF, as poppler's tools see it.
use std::io::Write;
use std::process::{Command, Stdio};

use telemetry::proto::frame::Body;
use telemetry::proto::{self, Zone};
use tests::{Browser, HAZARD_UM, Look, Mqtt, SETPOINT_UM, Source, Stack, Version, Webhook};

use super::open_console;

/// What a program of poppler's says of a PDF.
fn poppler(program: &str, args: &[&str], pdf: &[u8]) -> String {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|e| {
        panic!("{program} cannot be started: {e}; it is in the Debian package poppler-utils, and `cargo xtask test` installs what is missing")
    });
    child.stdin.take().unwrap().write_all(pdf).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{program}");
    String::from_utf8(out.stdout).unwrap()
}

/// Points of A4; the margin that the page asks for, where what is too wide is cut; and what every printer leaves white at an edge.
/// The browser breaks lines by the screen's hinted widths and poppler draws its boxes by the font's own: a word may be past by less
/// than a letter's width.
const A4: (f64, f64) = (595.3, 841.9);
const MARGIN: f64 = 15.0 / 25.4 * 72.0;
const WHITE: f64 = 14.0;

/// Every number behind `name="` in a line.
fn number(line: &str, name: &str) -> f64 {
    let rest = line.split_once(&format!("{name}=\"")).unwrap().1;
    rest.split('"').next().unwrap().parse().unwrap()
}

/// Each page is A4, each word stands within it, none upon another, and the pages are numbered. Returns how many there are.
fn assert_clean(pdf: &[u8]) -> usize {
    let info = poppler("pdfinfo", &["-"], pdf);
    let pages = info.lines().find_map(|line| line.strip_prefix("Pages:")).unwrap();
    let pages: usize = pages.trim().parse().unwrap();
    let boxes = poppler("pdftotext", &["-bbox", "-", "-"], pdf);
    for page in boxes.lines().filter(|line| line.contains("<page ")) {
        let size = (number(page, "width"), number(page, "height"));
        assert!((size.0 - A4.0).abs() < 1.0 && (size.1 - A4.1).abs() < 1.0, "{page}");
    }
    let words: Vec<&str> = boxes.lines().filter(|line| line.contains("<word ")).collect();
    assert!(words.len() > 50, "{} words", words.len());
    for word in words {
        let (left, right) = (number(word, "xMin"), number(word, "xMax"));
        let (top, bottom) = (number(word, "yMin"), number(word, "yMax"));
        // The number of the page stands below what is cut.
        let side = if top > A4.1 - MARGIN { WHITE } else { MARGIN - 3.0 };
        let within = left >= side && right <= A4.0 - side && top >= WHITE && bottom <= A4.1 - WHITE;
        assert!(within, "cut at the edge: {word}");
    }
    for page in 1..=pages {
        let number = page.to_string();
        let said = poppler("pdftotext", &["-layout", "-f", &number, "-l", &number, "-", "-"], pdf);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let bare: String = last.split_whitespace().collect();
        assert_eq!(bare, format!("{page}/{pages}"), "page {page} has no number: {said}");
    }
    pages
}

/// On paper there is nothing to go to or to press.
const NOT_ON_PAPER: [&str; 9] = [
    "Silences",
    "Pipeline",
    "Skip to",
    "Live",
    "Print",
    "JSON",
    "Acknowledge",
    "Wiped",
    "Go on",
];

fn assert_says(text: &str, parts: &[&str]) {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A line may end after a hyphen.
    let unbroken = |text: &str| text.split_whitespace().collect::<String>();
    for part in parts {
        assert!(unbroken(text).contains(&unbroken(part)), "{part:?} is not in {text}");
    }
    for part in NOT_ON_PAPER {
        assert!(!plain.contains(part), "{part:?} is in {text}");
    }
}

/// A treatment of three zones with a stroke that went too deep in each, told whole.
fn treated(stack: &Stack) -> Source {
    let mut pen = Source::new("pen-1");
    let mut mqtt = Mqtt::connect(&pen.login(stack.mqtt, Version::V5)).unwrap();
    let start = proto::SessionStart {
        cartridge_serial: Some("NC-77-4711".to_owned()),
        cartridge_lot: Some("LOT-2026-A".to_owned()),
        pack_expiry_day: Some(30_000),
        skin_type: Some(proto::SkinType::Ii as i32),
        ..proto::SessionStart::default()
    };
    let mut frames = vec![pen.bytes(Body::SessionStart(start))];
    let cheek = (Zone::Cheek, 367);
    for (zone, strokes) in [cheek, cheek, cheek, (Zone::Forehead, 302), (Zone::Decollete, 43)] {
        let mut depths = vec![SETPOINT_UM; strokes];
        depths[strokes / 2] = HAZARD_UM;
        let mut batch = pen.batch(&depths);
        batch.zone = Some(zone as i32);
        frames.push(pen.bytes(Body::StrokeBatch(batch)));
    }
    frames.push(pen.end(Some(1_446), None));
    for frame in frames {
        assert_eq!(mqtt.put(&pen.topic(), &frame), Some(0));
    }
    stack.wait_number("SELECT count(*) FROM session_summary WHERE complete", 1);
    stack.wait_metric("alerting_alerts", 3.0);
    pen
}

#[test]
fn a_printed_treatment_has_all_that_an_inspector_asks_for_on_numbered_pages_and_nothing_is_cut() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let pen = treated(&stack);
    let browser = Browser::start(Look::Desk);
    let session = pen.session_hex();
    browser.open(&format!("http://{}/sessions/acme/pen-1/{session}", stack.http));
    browser.wait_text("article.sheet", "1,446 of 1,446");
    let pdf = browser.print("console-session");
    let pages = assert_clean(&pdf);
    assert!((1..=3).contains(&pages), "{pages} pages");
    let text = poppler("pdftotext", &["-raw", "-", "-"], &pdf);
    assert_says(
        &text,
        &[
            "Treatment",
            "pen-1",
            "LOT-2026-A",
            "NC-77-4711",
            &session,
            "Complete 1,446 of 1,446 strokes",
            "1,101 strokes",
            "302 strokes",
            "43 strokes",
            "0.800 mm",
            "1.900 mm",
            "Disinfection and sterilization",
            "None on record",
            "!!! High",
            "Cheek One stroke 1.900 mm deep, the limit is 1.000 mm",
            "not of tissue",
        ],
    );
    for zone in ["Cheek", "Forehead", "Décolleté"] {
        assert!(text.contains(zone), "{zone} is not in {text}");
    }
}

/// A treatment by light, whose table is the widest there is.
fn lit(stack: &Stack) -> Source {
    let mut ipl = Source::new("ipl-1");
    let mut mqtt = Mqtt::connect(&ipl.login(stack.mqtt, Version::V5)).unwrap();
    let pulse = |ordinal: u32, zone: Zone| proto::Pulse {
        ordinal: Some(ordinal.into()),
        uptime_us: Some(60_000_000 + u64::from(ordinal) * 1_000),
        energy_set_mj: Some(28_800 - ordinal * 100),
        energy_measured_mj: Some(28_810),
        fluence_set_mj_per_cm2: Some(6_000 - ordinal * 20),
        fluence_measured_mj_per_cm2: Some(6_010),
        width_us: Some(15_000 + ordinal * 500),
        filter_cutoff_nm: Some(560),
        spot_area_mm2: Some(480),
        zone: Some(zone as i32),
        skin_type: Some(proto::SkinType::Ii as i32),
        skin_temperature_mdegc: Some(33_100),
        fired: Some(!ordinal.is_multiple_of(5)),
        ..proto::Pulse::default()
    };
    let zones = [Zone::Cheek, Zone::Decollete, Zone::LowerLeg];
    let pulses = proto::PulseBatch {
        pulses: (0..12).map(|n| pulse(n, zones[n as usize / 4])).collect(),
        flush_reason: Some(proto::FlushReason::Period as i32),
    };
    let frames = [
        ipl.start(),
        ipl.bytes(Body::PulseBatch(pulses)),
        ipl.end(None, Some(12)),
    ];
    for frame in frames {
        assert_eq!(mqtt.put(&ipl.topic(), &frame), Some(0));
    }
    stack.wait_number("SELECT count(*) FROM session_summary WHERE complete", 1);
    ipl
}

#[test]
fn a_printed_treatment_by_light_has_energy_width_filter_and_skin_of_each_zone_and_nothing_is_cut() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let ipl = lit(&stack);
    let browser = Browser::start(Look::Desk);
    let session = ipl.session_hex();
    browser.open(&format!("http://{}/sessions/acme/ipl-1/{session}", stack.http));
    browser.wait_text("article.sheet", "12 of 12");
    let pdf = browser.print("console-session-light");
    assert!((1..=3).contains(&assert_clean(&pdf)));
    // Column after column would mix what wraps: words as they stand in the file.
    let text = poppler("pdftotext", &["-raw", "-", "-"], &pdf);
    assert_says(
        &text,
        &[
            "ipl-1",
            &session,
            "12 of 12 pulses",
            "4 pulses, 1 not fired",
            "28.500 – 28.800 J",
            "15.000 – 16.500 ms",
            "560 nm",
            "33.100 °C",
            "Lower leg",
        ],
    );
}

#[test]
fn the_printed_board_has_every_device_and_what_was_in_a_failed_cycle_and_nothing_is_cut() {
    let webhook = Webhook::start();
    let stack = open_console(&webhook);
    let browser = Browser::start(Look::Desk);
    let board = format!("http://{}/sterilization?tenant=acme", stack.http);
    browser.open(&board);
    browser.write("#code", "autoclave-1\u{e007}");
    browser.write("#cycle", "load-7");
    browser.write("#items", "pen-1\nhandle-with-a-name-that-is-rather-long-0123456789");
    browser.click("form.card button[name='outcome'][value='fail']");
    // Where the form leads comes first: else it would come over what is opened here.
    browser.wait_text("main", "The cycle of autoclave-1 is recorded.");
    browser.open(&board);
    browser.wait_text("#failed", "load-7");
    browser.wait_text("#told", "load-7");
    let pdf = browser.print("console-board");
    let pages = assert_clean(&pdf);
    assert!((1..=3).contains(&pages), "{pages} pages");
    let text = poppler("pdftotext", &["-layout", "-", "-"], &pdf);
    assert_says(
        &text,
        &[
            "Sterilization",
            "acme, All clinics",
            "After a failed cycle",
            "load-7",
            "autoclave-1",
            "pen-1",
            "pen-2",
            "ipl-1",
            "handle-with-a-name-that-is-rather-long-0123456789",
            "Do not use these",
            "Told in the last seven days",
            "from the stored record",
        ],
    );
}
