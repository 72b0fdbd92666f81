//! The independent device: a program in Python that shares no code with ours (tests/device/device.py).
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{wait_for, workspace_root};

/// Longest life of the program: above its own deadline.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// What the device says it sent.
pub type DeviceReport = Value;

/// A running device program; ends with the test.
pub struct IndependentDevice {
    child: Child,
}

impl IndependentDevice {
    /// Starts it; `args` as device.py names them. `scratch` takes protoc's output.
    pub fn start(scratch: &Path, args: &[(&str, String)]) -> Self {
        Self::start_program("device.py", scratch, args)
    }

    /// The same of the program that listens to its command topic; `args` as listening_device.py names them.
    pub fn start_listening(scratch: &Path, args: &[(&str, String)]) -> Self {
        Self::start_program("listening_device.py", scratch, args)
    }

    /// The same of the program that keeps its frames until the far end has them; `args` as keeping_device.py names them.
    pub fn start_keeping(scratch: &Path, args: &[(&str, String)]) -> Self {
        Self::start_program("keeping_device.py", scratch, args)
    }

    fn start_program(program: &str, scratch: &Path, args: &[(&str, String)]) -> Self {
        let classes = compile_schema(scratch);
        let mut command = Command::new(python());
        command
            .arg(workspace_root().join("tests/device").join(program))
            .arg("--proto")
            .arg(classes);
        for (name, value) in args {
            command.arg(format!("--{name}")).arg(value);
        }
        let child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the device program starts");
        Self { child }
    }

    /// Whether it has still something to do.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end (it has a deadline of its own) and gives its report; panics if it kept frames without a PUBACK.
    pub fn report(mut self) -> DeviceReport {
        let status = wait_for("the end of the device program", ENDS_WITHIN, || {
            self.child.try_wait().unwrap().ok_or("still running")
        });
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.child.stdout.take().unwrap(), &mut text).unwrap();
        let report: Value = serde_json::from_str(text.trim()).unwrap_or_else(|e| panic!("device said {text:?}: {e}"));
        assert!(
            status.success(),
            "frames without a PUBACK are left, or nothing came down: {report}"
        );
        report
    }
}

impl Drop for IndependentDevice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compile_schema(scratch: &Path) -> PathBuf {
    let out = scratch.join("python");
    std::fs::create_dir_all(&out).unwrap();
    let root = workspace_root().join("proto");
    let status = Command::new("protoc")
        .arg(format!("--python_out={}", out.display()))
        .arg("-I")
        .arg(&root)
        .args([
            "dermatel/v1/command.proto",
            "dermatel/v1/frame.proto",
            "dermatel/v1/pipeline.proto",
            "dermatel/v1/status.proto",
        ])
        .current_dir(&root)
        .status()
        .unwrap_or_else(|e| panic!("protoc is missing ({e}): `cargo xtask test` installs it"));
    assert!(status.success(), "protoc refused the schema");
    out
}

/// The Python of the tests, with what `cargo xtask test` puts beside it.
pub fn python() -> PathBuf {
    let python = std::env::var_os("DERMATEL_TEST_PYTHON")
        .map_or_else(|| workspace_root().join("target/test-venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: `cargo xtask test` makes it",
        python.display()
    );
    python
}
