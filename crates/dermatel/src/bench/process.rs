//! CPU and memory of a process, from /proc.
use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// CPU seconds of a process, user and system, ended threads included.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may hold anything, also brackets and blanks: fields are counted behind its last bracket.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok((ticks(11) + ticks(12)) as f64 / per_second as f64)
}

/// CPU seconds of a process's living threads by name.
pub(super) fn thread_seconds(pid: u32) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return out;
    };
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos: f64 = stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
        *out.entry(name.trim().to_owned()).or_default() += nanos / 1e9;
    }
    out
}

/// What threads used between two looks, the busiest first: "committer 2.1 s, ...".
pub(super) fn spent(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> String {
    let mut spent: Vec<(f64, &str)> = after
        .iter()
        .map(|(name, seconds)| (seconds - before.get(name).copied().unwrap_or(0.0), name.as_str()))
        .filter(|(seconds, _)| *seconds >= 0.05)
        .collect();
    spent.sort_by(|a, b| b.0.total_cmp(&a.0));
    let texts: Vec<String> = spent.iter().map(|(s, name)| format!("{name} {s:.2} s")).collect();
    texts.join(", ")
}

/// Resident memory in MiB: now, and the most so far.
pub(super) fn resident_mib(pid: u32) -> Result<(f64, f64)> {
    Ok((status_mib(pid, "VmRSS:")?, status_mib(pid, "VmHWM:")?))
}

/// How much of its resident memory is pages of files, in MiB: the program itself, which the system can drop and read again, and which
/// another process of the same program shares.
pub(super) fn of_files_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "RssFile:")
}

fn status_mib(pid: u32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.unwrap_or(0.0) / 1024.0)
}
