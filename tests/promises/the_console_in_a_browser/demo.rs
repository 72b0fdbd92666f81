//! The first minute with Dermatel: the demo, its console in a browser, an alert that comes in while one looks.
use std::process::{Child, Command, Stdio};

use tests::{Browser, Look, SOON, dermatel, free_port, wait_for};

use super::{has_stayed, stays};

/// A running demo; it ends with the test.
struct Demo {
    child: Child,
    _folder: tempfile::TempDir,
    page: String,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = Command::new(dermatel())
            .args(["demo", "--http-port", &port.to_string(), "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            _folder: folder,
            page: format!("http://127.0.0.1:{port}"),
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_shows_an_alert_as_it_comes_in_its_picture_and_what_a_silence_would_hide() {
    // The browser first: what goes wrong in the demo begins after seconds, and is over after some more.
    let browser = Browser::start(Look::Desk);
    let demo = Demo::start();
    wait_for("the console of the demo", SOON, || {
        std::net::TcpStream::connect(demo.page.trim_start_matches("http://"))
    });
    browser.open(&format!("{}/?rule=depth-above-limit", demo.page));
    browser.wait_text("#live", "Live");
    stays(&browser);
    // A pen of the demo goes too deep some seconds after it began.
    browser.wait_text("#inbox li.alert.high", "deep");
    assert!(has_stayed(&browser), "the page was loaded again");
    browser.picture("demo-inbox");
    browser.click("#inbox li.alert.high a.what");
    let (width, height) = wait_for("its picture", SOON, || browser.size("#picture svg"));
    assert!(width > 600.0 && height > 150.0, "{width} x {height}");
    // A spike or a trend: the store has the minutes around it; and the evidence has what was judged, stroke by stroke.
    browser.wait_text("#picture .around figcaption", "In the minute before");
    browser.wait_text("#picture .judged figcaption", "Allowed are");
    browser.picture("demo-alert");
    browser.click("#acknowledge");
    browser.wait_text("#what .state", "Acknowledged");

    browser.click("#act a[href$='/silence']");
    browser.choose("#scope", "device");
    browser.choose("#span", "4h");
    browser.click("main form[method='get'] button");
    browser.wait_text("#preview", "It would hide first pages of 1 device;");
    browser.wait_text("#preview", "4 hours");
    browser.picture("demo-silence");
    browser.write("#reason", "<b>sent</b> to the maker & back");
    browser.click("#preview button.main");
    browser.wait_text("main", "Silenced.");
    browser.open(&format!("{}/silences", demo.page));
    browser.wait_text("main", "Silences that hold");
    assert_eq!(
        browser
            .run("return document.querySelectorAll('main b b').length")
            .unwrap(),
        0
    );
    browser.picture("demo-silences");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
