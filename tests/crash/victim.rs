//! The process that ends: this test binary, started as one of its own ignored tests.

use super::{journal::Journal, shim};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

const FOLDER: &str = "POSTERN_CRASH_FOLDER";
const SEED: &str = "POSTERN_CRASH_SEED";

/// How many seeds each way of ending is tried with.
pub fn seeds(few: u64) -> u64 {
    std::env::var("POSTERN_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

/// Whether only a few seeds are tried.
pub fn is_short() -> bool {
    std::env::var_os("POSTERN_CRASH_SEEDS").is_none()
}

/// A folder for a victim or an image: in memory where the machine has room there, since none of it has to outlive
/// the test.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |statistics| statistics.f_bavail * statistics.f_frsize);
    if room > 1 << 30 { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// What goes wrong with the disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Full after so many octets, until [`Start::freed`] is there.
    pub full_after: Option<u64>,
    /// The number of the fsync that fails.
    pub sync_fails: Option<u64>,
}

/// How a victim is started.
pub struct Start<'a> {
    test: &'a str,
    folder: &'a Path,
    seed: u64,
    failpoint: Option<String>,
    watched: bool,
    faults: Faults,
}

impl<'a> Start<'a> {
    /// The test that plays the victim, with its folder and seed.
    pub fn new(test: &'a str, folder: &'a Path, seed: u64) -> Self {
        Self { test, folder, seed, failpoint: None, watched: false, faults: Faults::default() }
    }

    /// It ends at a failpoint: `name` or `name:passage`.
    pub fn ending_at(mut self, failpoint: Option<String>) -> Self {
        self.failpoint = failpoint;
        self
    }

    /// The shim writes a journal of it.
    pub fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    /// With a disk that fails.
    pub fn with(self, faults: Faults) -> Self {
        Self { faults, ..self.watched() }
    }

    /// The file whose presence means that space was freed.
    pub fn freed(&self) -> PathBuf {
        self.folder.with_extension("freed")
    }

    fn journal(&self) -> PathBuf {
        self.folder.with_extension("journal")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", self.test, "--ignored", "--nocapture", "--test-threads", "1"]);
        command.env(FOLDER, self.folder).env(SEED, self.seed.to_string()).env_remove("POSTERN_FAILPOINT");
        command.envs(self.failpoint.as_ref().map(|failpoint| ("POSTERN_FAILPOINT", failpoint)));
        if self.watched {
            command.env("LD_PRELOAD", shim::library());
            command.env("POSTERN_SHIM_FOLDER", self.folder).env("POSTERN_SHIM_JOURNAL", self.journal());
            command.env("POSTERN_SHIM_FREED", self.freed());
        }
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        command.envs(number(self.faults.full_after).map(|octets| ("POSTERN_SHIM_ENOSPC_AFTER", octets)));
        command.envs(number(self.faults.sync_fails).map(|sync| ("POSTERN_SHIM_FSYNC_FAILS", sync)));
        command
    }
}

/// A running victim. What it prints behind `- ` is what its caller was told.
pub struct Victim {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    journal: PathBuf,
    freed: PathBuf,
    errors: File,
}

impl Victim {
    pub fn start(start: &Start<'_>) -> Self {
        let errors = tempfile::tempfile().unwrap();
        let stderr = errors.try_clone().unwrap();
        let mut child = start.command().stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, journal: start.journal(), freed: start.freed(), errors }
    }

    /// The next thing that its caller was told; `None` once it has ended.
    pub fn told(&mut self) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| told_in(&line).map(str::to_owned))
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end, and returns what it told until then. A victim that fails by itself fails the test.
    pub fn rest(&mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.told()).collect();
        let status = self.child.wait().unwrap();
        assert!(status.code().is_none_or(|code| code == 0), "the victim failed: {}", self.errors());
        told
    }

    /// What it wrote to its standard error.
    fn errors(&mut self) -> String {
        let mut errors = String::new();
        self.errors.rewind().and_then(|()| self.errors.read_to_string(&mut errors)).unwrap();
        errors
    }

    /// The same, and what the shim saw.
    pub fn rest_with_journal(mut self) -> (Vec<String>, Journal) {
        (self.rest(), Journal::read(&self.journal))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have ended, and have written neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.journal);
        let _ = std::fs::remove_file(&self.freed);
    }
}

/// The last line may be cut short by the end of the process; then nobody was told.
fn told_in(line: &str) -> Option<&str> {
    line.strip_prefix("- ")?.strip_suffix('.')
}

/// What a victim with this output told.
pub fn lines_told(output: &str) -> Vec<String> {
    output.lines().filter_map(told_in).map(str::to_owned).collect()
}

/// Says something as the victim. The test runner may have begun a line before.
pub fn tell(text: &str) {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "\n- {text}.\n").and_then(|()| stdout.flush()).unwrap();
}

/// The file whose presence means that the victim's disk has space again.
pub fn freed() -> PathBuf {
    std::env::var_os("POSTERN_SHIM_FREED").unwrap_or_default().into()
}

/// Folder and seed of the victim, where this process is one.
pub fn victim() -> Option<(PathBuf, u64)> {
    Some((std::env::var_os(FOLDER)?.into(), std::env::var(SEED).ok()?.parse().ok()?))
}
