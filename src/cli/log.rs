//! Log lines on standard error.

use crate::config::{Config, LogFormat};
use std::io::{IsTerminal as _, stderr};
use tracing_subscriber::EnvFilter;

/// What commands other than `serve` log: what went wrong beside what they print.
pub(super) const QUIET: &str = "warn";

/// Starts logging; `RUST_LOG` says otherwise where it is set. A second call changes nothing.
pub(super) fn start(config: &Config, level: Option<&str>) {
    let level = level.unwrap_or(config.log.level.name());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    // Whoever was first has set it up.
    let _ = match config.log.format {
        LogFormat::Human => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
