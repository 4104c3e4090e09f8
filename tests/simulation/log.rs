//! What happened in a run, by simulated time.

use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// Lines of everything that clients said and heard. Two runs of one seed give the same.
#[derive(Clone)]
pub struct Log {
    start: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Lines shown of a run that failed.
const TAIL: usize = 60;
/// Characters shown of one line.
const WIDTH: usize = 400;

impl Log {
    pub fn new() -> Self {
        Self { start: Instant::now(), lines: Arc::default() }
    }

    /// Adds a line.
    pub fn say(&self, who: &str, what: impl AsRef<str>) {
        let millis = self.start.elapsed().as_millis();
        let what: String = what.as_ref().trim_end().chars().take(WIDTH).collect();
        self.lines.lock().unwrap().push(format!("{millis:>9} {who:<10} {what}"));
    }

    /// A hash of all lines.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for line in self.lines.lock().unwrap().iter() {
            hasher.update(line.as_bytes()).update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}
