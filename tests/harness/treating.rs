//! Devices that treat for as long as a test's story lasts: however slow the machine, what happens happens in the middle.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Source, Version, deliver_all};

/// Batches of a treatment, strokes in each but the one with the hazard, which is in the middle.
const BATCHES: usize = 50;
const STROKES: usize = 50;
/// Pause between batches.
const PACE: Duration = Duration::from_millis(70);
/// Most treatments of a device: a story that does not go on ends by itself.
const AT_MOST: usize = 40;

/// Devices at work, each on a thread of its own.
pub struct Treating {
    over: Arc<AtomicBool>,
    devices: Vec<JoinHandle<Treated>>,
}

/// What the devices did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Treated {
    /// Treatments, a boot and a hazard each, so that each is an alert of its own.
    pub treatments: usize,
    /// Strokes in all of them.
    pub strokes: i64,
    /// Frames in all of them.
    pub frames: usize,
    /// The longest time from a frame's first publish to its PUBACK.
    pub slowest: Duration,
}

impl Treating {
    /// These devices begin, each at its gateway. Treatment follows treatment until [`Treating::finish`].
    pub fn start(devices: impl IntoIterator<Item = (Source, SocketAddr)>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let devices = devices
            .into_iter()
            .map(|(source, to)| {
                let over = over.clone();
                std::thread::spawn(move || treat(&source, to, &over))
            })
            .collect();
        Self { over, devices }
    }

    /// Each device ends the treatment that it is in, does one more, and is done: also after what happened there is a whole one.
    pub fn finish(self) -> Treated {
        self.over.store(true, Ordering::Relaxed);
        let all = self.devices.into_iter().map(|device| device.join().unwrap());
        all.fold(Treated::default(), |sum, one| Treated {
            treatments: sum.treatments + one.treatments,
            strokes: sum.strokes + one.strokes,
            frames: sum.frames + one.frames,
            slowest: sum.slowest.max(one.slowest),
        })
    }
}

fn treat(source: &Source, to: SocketAddr, over: &AtomicBool) -> Treated {
    let mut done = Treated::default();
    for at in 0..AT_MOST {
        let last = over.load(Ordering::Relaxed);
        assert!(
            last || at + 1 < AT_MOST,
            "{AT_MOST} treatments, and the story is not over"
        );
        let mut pen = Source::of(&source.tenant, &source.clinic, &source.device);
        let login = pen.login(to, Version::V5);
        for frame in treatment(&mut pen) {
            let began = Instant::now();
            deliver_all(&login, &pen.topic(), &[frame], |_| {});
            done.slowest = done.slowest.max(began.elapsed());
            done.frames += 1;
            std::thread::sleep(PACE);
        }
        done.treatments += 1;
        done.strokes += pen.ordinal as i64;
        if last {
            break;
        }
    }
    done
}

fn treatment(pen: &mut Source) -> Vec<Vec<u8>> {
    let mut frames = vec![pen.start()];
    frames.extend((0..BATCHES).map(|at| {
        if at == BATCHES / 2 {
            pen.hazard()
        } else {
            pen.good(STROKES)
        }
    }));
    frames.push(pen.end(Some(pen.ordinal), None));
    frames
}
