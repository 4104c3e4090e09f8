//! What the tests share.
#![allow(dead_code)]

pub mod archive;
pub mod dialogue;

use std::path::PathBuf;

/// The folder of mail corpora: `POSTERN_CORPORA`, or `shared/corpora` beside the checkout. Prints why
/// the test is skipped where there is none.
pub fn corpora() -> Option<PathBuf> {
    let folder = std::env::var_os("POSTERN_CORPORA")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no mail corpora at {} (set POSTERN_CORPORA)", folder.display());
    None
}
