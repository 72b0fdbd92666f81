//! Advice goes down to the device that is in the wrong, at once: whoever holds it is the only one who can stop in time.
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alerting::{Advise, Advised};
use telemetry::DeviceKey;

use crate::desk::{Running, hazard, until};

/// How long a device is waited for.
const ADVISORY_TIMEOUT: Duration = Duration::from_secs(5);

/// What was asked of a device, and what became of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Asked {
    begun: usize,
    /// Answered, or given up.
    ended: usize,
}

/// Devices, of which `pen-1` is connected and never answers.
#[derive(Default)]
struct Devices(Mutex<BTreeMap<String, Asked>>);

impl Devices {
    fn of(&self, device: &str) -> Asked {
        self.0.lock().unwrap().get(device).copied().unwrap_or_default()
    }
}

/// Counts the end of an attempt, however it ends.
struct Ends<'d>(&'d Devices, String);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().entry(self.1.clone()).or_default().ended += 1;
    }
}

impl Advise for Devices {
    fn advise(&self, device: DeviceKey, _payload: Vec<u8>) -> Pin<Box<dyn Future<Output = Advised> + Send + '_>> {
        let name = device.device.to_string();
        self.0.lock().unwrap().entry(name.clone()).or_default().begun += 1;
        let ends = Ends(self, name);
        Box::pin(async move {
            let _ends = ends;
            if device.device.as_str() == "pen-1" {
                std::future::pending::<()>().await;
            }
            Ok("acknowledged")
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_answers_holds_up_nobody_elses_advice() {
    let dir = tempfile::tempdir().unwrap();
    let devices = Arc::new(Devices::default());
    let running = Running::start_advising(dir.path(), Arc::clone(&devices) as Arc<dyn Advise>);
    let begun = Instant::now();
    running.append(&[hazard("pen-1", 1).record()]);
    until("the mute device to be asked", || {
        (devices.of("pen-1").begun > 0).then_some(())
    })
    .await;
    for (n, device) in ["pen-2", "pen-3", "pen-4"].into_iter().enumerate() {
        running.append(&[hazard(device, n as u64 + 1).record()]);
        until(device, || (devices.of(device).ended > 0).then_some(())).await;
        // It is still waited for, unless we took longer than anybody is waited for: nobody waited with it.
        let waited_for = devices.of("pen-1").ended == 0 || begun.elapsed() >= ADVISORY_TIMEOUT;
        assert!(waited_for, "{device}");
    }
    until("the receipts of those that answered", || {
        let receipts = crate::receivers::rows(dir.path(), "delivered");
        let theirs = receipts.iter().filter(|row| row["receiver"] == "@device");
        (theirs.count() >= 3).then_some(())
    })
    .await;
    running.stop().await;
}
