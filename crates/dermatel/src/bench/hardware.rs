//! What the figures were measured on.
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Appends that are timed to tell what a sync costs on the disk.
const SYNCS: usize = 200;

/// Processor, memory, kernel, file system of `dir`, version, load of the machine.
pub(super) fn describe(dir: &Path, markdown: bool) -> String {
    let (disk, kind) = file_system(dir);
    let lines = [
        ("processor", format!("{}, {} cores", processor(), cores())),
        ("memory", field("/proc/meminfo", "MemTotal:").unwrap_or_else(unknown)),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("data folder", format!("{} on {disk} ({kind})", dir.display())),
        (
            "4 KiB appended and synced there",
            sync(dir).unwrap_or_else(|_| unknown()),
        ),
        ("load average at the end", read("/proc/loadavg")),
        (
            "version",
            format!(
                "{} {}, {} build",
                env!("CARGO_PKG_VERSION"),
                option_env!("DERMATEL_REVISION").unwrap_or(""),
                if cfg!(debug_assertions) { "debug" } else { "release" }
            ),
        ),
        ("command", std::env::args().collect::<Vec<_>>().join(" ")),
    ];
    let mut out = String::new();
    for (what, value) in lines {
        let _ = writeln!(out, "{}{what}: {value}", if markdown { "- " } else { "" });
    }
    out
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.get(name.len()..)?.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn processor() -> String {
    field("/proc/cpuinfo", "model name").unwrap_or_else(unknown)
}

/// What an append with its sync takes now, beside whatever else the machine does.
fn sync(dir: &Path) -> std::io::Result<String> {
    let path = dir.join("sync-probe");
    let mut file = std::fs::File::create(&path)?;
    let mut micros = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        micros.push(started.elapsed().as_micros());
    }
    std::fs::remove_file(path)?;
    micros.sort_unstable();
    let at = |share: usize| micros.get(SYNCS * share / 100).copied().unwrap_or(0);
    Ok(format!("median {} µs, p99 {} µs", at(50), at(99)))
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Device and type of the file system that a folder is on: the longest mount point that is a prefix of its path.
fn file_system(dir: &Path) -> (String, String) {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = read("/proc/self/mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    mounts
        .filter(|(_, at, _)| dir.starts_with(at))
        .max_by_key(|(_, at, _)| at.len())
        .map_or_else(
            || (unknown(), unknown()),
            |(disk, _, kind)| (disk.to_owned(), kind.to_owned()),
        )
}
