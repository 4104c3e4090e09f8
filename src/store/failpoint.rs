//! Named points at which a crash test ends the process.
//!
//! `POSTERN_FAILPOINT=name` or `name:n` aborts at the n-th passage of the point. Compiled only with
//! debug assertions; a release has none.

#[cfg(debug_assertions)]
pub(super) fn reach(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let setting = std::env::var("POSTERN_FAILPOINT").ok()?;
        let (name, passages) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((name.to_owned(), AtomicU64::new(passages.parse().ok()?)))
    });
    if let Some((armed, left)) = armed
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn reach(_name: &str) {}
