//! What a server makes the disk do: octets written, from the kernel's accounts of its processes, and calls of
//! fsync and fdatasync, counted by `perf` where it is installed and may. That count is the whole machine's, since the
//! processes that a rival starts for each delivery are not followed otherwise.

use crate::measure::descends;
use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

/// Calls that wait for stable storage.
const CALLS: &str = "syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync,syscalls:sys_enter_msync";

/// A count under way.
pub struct Meter {
    roots: Vec<u32>,
    written: u64,
    perf: Option<Child>,
}

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub struct Io {
    pub written: u64,
    /// `None` where there is no `perf`, or it may not count.
    pub syncs: Option<u64>,
}

impl Meter {
    /// Starts counting for these processes and all below them.
    pub fn start(roots: &[u32]) -> Self {
        let ids = below(roots);
        let perf = Command::new("perf")
            .args(["stat", "-x", ";", "-e", CALLS, "-a"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Self { roots: roots.to_vec(), written: written(&ids), perf: perf.ok() }
    }

    /// Ends the count.
    pub fn stop(self) -> Io {
        let written = written(&below(&self.roots)).saturating_sub(self.written);
        Io { written, syncs: self.perf.and_then(calls) }
    }
}

fn calls(mut perf: Child) -> Option<u64> {
    // SIGINT is how perf is told to print what it has.
    let interrupted = Command::new("kill").args(["-INT", &perf.id().to_string()]).status();
    interrupted.ok().filter(std::process::ExitStatus::success)?;
    let mut printed = String::new();
    perf.stderr.take()?.read_to_string(&mut printed).ok()?;
    perf.wait().ok()?;
    let counts =
        printed.lines().filter(|line| line.contains("sys_enter_")).map(|line| line.split(';').next()?.parse().ok());
    counts.collect::<Option<Vec<u64>>>().filter(|counts| !counts.is_empty()).map(|counts| counts.iter().sum())
}

fn below(roots: &[u32]) -> Vec<u32> {
    let ids = std::fs::read_dir("/proc").unwrap().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|id| descends(*id, roots)).collect()
}

fn written(ids: &[u32]) -> u64 {
    let of = |id: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{id}/io")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok())
    };
    ids.iter().filter_map(of).sum()
}
