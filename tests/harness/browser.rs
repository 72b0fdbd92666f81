//! A real browser: Debian's Chromium, headless, driven through its WebDriver (plain HTTP and JSON), with a profile folder of
//! its own and nothing to reach but this machine.
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{SOON, free_port, wait_for};

/// Longest answer of the driver: a page that loads, a picture.
const ANSWERS_WITHIN: Duration = Duration::from_secs(150);
/// Longest run of a script, in milliseconds: a look for all that is known about accessibility, at a slow machine.
const SCRIPTS_WITHIN_MS: u64 = 120_000;
/// How the driver names an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// On what somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// 390 x 844 points, touch.
    Phone,
    /// 1280 x 800 points.
    Desk,
}

impl Look {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Phone, Self::Desk];

    /// For names of files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Desk => "desk",
        }
    }
}

/// A running browser with one window; it ends with the test.
pub struct Browser {
    driver: Child,
    url: String,
    runtime: Runtime,
    client: reqwest::Client,
    look: Look,
    /// Profile, caches, everything that it writes.
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start(look: Look) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            // Chromium's processes are in it: they end together.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let driver = driver.unwrap_or_else(|e| {
            panic!("chromedriver cannot be started: {e}; it is the Debian package chromium-driver, and `cargo xtask test` installs what is missing")
        });
        let mut browser = Self {
            driver,
            url: format!("http://127.0.0.1:{port}"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: reqwest::Client::builder().timeout(ANSWERS_WITHIN).build().unwrap(),
            look,
            _folder: folder,
        };
        wait_for("the driver of the browser", SOON, || {
            browser.ask("GET", "/status", None)
        });
        let profile = browser._folder.path().join("profile");
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": SCRIPTS_WITHIN_MS},
            "goog:chromeOptions": options(look, &profile),
        }}});
        let session = browser.ask("POST", "/session", Some(&wanted)).unwrap();
        let id = session["sessionId"].as_str().unwrap();
        browser.url = format!("{}/session/{id}", browser.url);
        browser
    }

    /// One question to the driver: the value of its answer, or what it says is wrong.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let method = method.parse().map_err(|_| "method".to_owned())?;
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let text = self.runtime.block_on(async { request.send().await?.text().await });
        let text = text.map_err(|e| e.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        match answer["value"].take() {
            wrong if wrong["error"].is_string() => Err(format!("{}: {}", wrong["error"], wrong["message"])),
            value => Ok(value),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask("POST", path, Some(body))
    }

    /// Goes to an address and waits until the page has loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).unwrap();
    }

    /// Reads the page again, as a person does.
    pub fn reload(&self) {
        self.post("/refresh", &json!({})).unwrap();
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.ask("GET", "/url", None).unwrap().as_str().unwrap().to_owned()
    }

    /// Runs a script in the page: what it returns.
    pub fn run(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that calls its last argument with what it found: that.
    pub fn run_until_done(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    fn element(&self, css: &str) -> Result<String, String> {
        let found = self.post("/element", &json!({"using": "css selector", "value": css}))?;
        let id = found[ELEMENT].as_str().map(|id| format!("/element/{id}"));
        id.ok_or_else(|| format!("no element: {found}"))
    }

    /// Clicks what is there and can be seen, once it is: live pages are replaced in parts.
    pub fn click(&self, css: &str) {
        wait_for(&format!("a click on {css}"), SOON, || {
            self.post(&format!("{}/click", self.element(css)?), &json!({}))
        });
    }

    /// Types into a field.
    pub fn write(&self, css: &str, text: &str) {
        wait_for(&format!("{css} to write in"), SOON, || {
            self.post(&format!("{}/value", self.element(css)?), &json!({"text": text}))
        });
    }

    /// Chooses an option of a list by its value.
    pub fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value='{value}']"));
    }

    /// Presses a key, wherever the focus is.
    pub fn press(&self, key: &str) {
        let steps = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": steps}]});
        self.post("/actions", &keyboard).unwrap();
    }

    /// What a person reads in an element.
    pub fn text(&self, css: &str) -> Result<String, String> {
        let text = self.ask("GET", &format!("{}/text", self.element(css)?), None)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a person reads this in an element.
    pub fn wait_text(&self, css: &str, part: &str) -> String {
        wait_for(&format!("{part:?} in {css}"), SOON, || match self.text(css) {
            Ok(text) if text.contains(part) => Ok(text),
            other => Err(other),
        })
    }

    /// Width and height of an element in points, as it is drawn; 0 where it is not.
    pub fn size(&self, css: &str) -> Result<(f64, f64), String> {
        // Not the driver's own way: it knows a size of what is not drawn, too.
        let drawn =
            format!("const r = document.querySelector({css:?}).getBoundingClientRect(); return [r.width, r.height]");
        let drawn = self.run(&drawn)?;
        let number = |at: usize| drawn[at].as_f64().ok_or_else(|| drawn.to_string());
        Ok((number(0)?, number(1)?))
    }

    /// Shows pages as to somebody who wants them dark.
    pub fn go_dark(&self) {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.devtools("Emulation.setEmulatedMedia", &dark);
    }

    /// Shows pages as they look on paper.
    pub fn look_printed(&self) {
        self.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    }

    /// From now on pages are shown as to somebody who lets no scripts run.
    pub fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": params}))
            .unwrap()
    }

    /// Keeps a picture of the whole page for a person to look at: `target/pictures/{name}-{look}.png`. Returns its bytes.
    pub fn picture(&self, name: &str) -> Vec<u8> {
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(taken["data"].as_str().unwrap())
            .unwrap();
        let file = pictures().join(format!("{name}-{}.png", self.look.as_str()));
        std::fs::create_dir_all(pictures()).unwrap();
        std::fs::write(file, &bytes).unwrap();
        bytes
    }

    /// The page as it is printed on A4, with the margins that it asks for: the bytes of a PDF, also kept for a person to look at.
    pub fn print(&self, name: &str) -> Vec<u8> {
        // In inches.
        let a4 = json!({"paperWidth": 210.0 / 25.4, "paperHeight": 297.0 / 25.4, "preferCSSPageSize": true});
        let printed = self.devtools("Page.printToPDF", &a4);
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(printed["data"].as_str().unwrap())
            .unwrap();
        std::fs::create_dir_all(pictures()).unwrap();
        std::fs::write(pictures().join(format!("{name}.pdf")), &bytes).unwrap();
        bytes
    }

    /// What the browser complained of since the last call: errors of scripts, what could not be loaded, what a policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"})).unwrap();
        let lines = log.as_array().unwrap().iter();
        lines
            .map(|line| format!("{}: {}", line["level"], line["message"]))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("-- the browser was at {:?}", self.ask("GET", "/url", None));
            eprintln!("-- it showed {:?}", self.text("body"));
            eprintln!(
                "-- it complained {:?}",
                self.post("/se/log", &json!({"type": "browser"}))
            );
        }
        let _ = self.ask("DELETE", "", None);
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.driver.id())])
            .status();
        let _ = self.driver.wait();
    }
}

fn options(look: Look, profile: &std::path::Path) -> Value {
    let mut args: Vec<String> = [
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--lang=en",
        "--force-color-profile=srgb",
        "--hide-scrollbars",
        "--window-size=1280,800",
        // The console must work without internet: here is none.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]
    .map(str::to_owned)
    .into();
    args.push(format!("--user-data-dir={}", profile.display()));
    // Its sandbox does not work for root, as which tests may run in a container.
    if Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout == b"0\n")
    {
        args.push("--no-sandbox".to_owned());
    }
    match look {
        Look::Desk => json!({"args": args}),
        Look::Phone => json!({"args": args, "mobileEmulation": {
            "deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0, "touch": true, "mobile": true}
        }}),
    }
}

/// Where pictures are kept: beside what was built.
fn pictures() -> PathBuf {
    let built = crate::dermatel();
    let target = built.parent().and_then(std::path::Path::parent);
    target.expect("target/<profile>/dermatel").join("pictures")
}
