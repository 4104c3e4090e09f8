//! Local files of remote objects: a cache that may be deleted at any time.
//!
//! Never: verifies octets. Its user does (an index bundle ends in its hash), and has a bad copy forgotten.

use super::retry::from_io;
use crate::store::StoreError;
use lru::LruCache;
use parking_lot::Mutex;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

/// The copies, the least used removed first once their octets exceed the bound.
pub(super) struct Copies {
    folder: PathBuf,
    octets_max: u64,
    kept: Mutex<Kept>,
    unfinished: AtomicU64,
}

struct Kept {
    /// File names with their octets.
    files: LruCache<String, u64>,
    octets: u64,
}

impl Copies {
    /// Opens the folder, or makes it, with the copies that an earlier process left.
    pub(super) fn open(folder: PathBuf, octets_max: u64) -> Result<Self, StoreError> {
        let files = fs::create_dir_all(&folder).and_then(|()| found(&folder)).map_err(|error| from_io(&error))?;
        let mut kept = Kept { files: LruCache::unbounded(), octets: 0 };
        for (_, file, octets) in files {
            kept.octets += octets;
            kept.files.put(file, octets);
        }
        let copies = Self { folder, octets_max, kept: Mutex::new(kept), unfinished: AtomicU64::new(0) };
        copies.make_room();
        Ok(copies)
    }

    /// The copy of an object, where there is one.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        let file = file_name(name);
        self.kept.lock().files.get(&file)?;
        Some(self.folder.join(&file)).filter(|path| path.exists())
    }

    /// Makes a copy.
    pub(super) fn keep(&self, name: &str, octets: &[u8]) -> Result<(), StoreError> {
        let file = file_name(name);
        self.write(&self.folder.join(&file), octets).map_err(|error| from_io(&error))?;
        let mut kept = self.kept.lock();
        let before = kept.files.put(file, octets.len() as u64).unwrap_or(0);
        kept.octets = (kept.octets + octets.len() as u64).saturating_sub(before);
        drop(kept);
        self.make_room();
        Ok(())
    }

    /// Says whether there was one.
    pub(super) fn forget(&self, name: &str) -> bool {
        let file = file_name(name);
        let mut kept = self.kept.lock();
        let Some(octets) = kept.files.pop(&file) else { return false };
        kept.octets = kept.octets.saturating_sub(octets);
        // One that somebody else has removed is gone as well.
        drop(fs::remove_file(self.folder.join(file)));
        true
    }

    /// Under a name of its own first, so that a half-written file is never taken for a copy.
    fn write(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{UNFINISHED}{number}"));
        // Somebody may have deleted the folder, which is allowed.
        fs::create_dir_all(&self.folder)?;
        let written = fs::write(&unfinished, octets).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            drop(fs::remove_file(&unfinished));
        }
        written
    }

    /// The newest copy stays, however large it is.
    fn make_room(&self) {
        let mut kept = self.kept.lock();
        while kept.octets > self.octets_max && kept.files.len() > 1 {
            let Some((file, octets)) = kept.files.pop_lru() else { break };
            kept.octets = kept.octets.saturating_sub(octets);
            drop(fs::remove_file(self.folder.join(file)));
        }
    }
}

/// What half-written files are called.
const UNFINISHED: &str = "unfinished-";

/// Files of a folder, the oldest first. Half-written ones are removed.
fn found(folder: &Path) -> io::Result<Vec<(SystemTime, String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        let metadata = entry.metadata()?;
        if file.starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        } else if metadata.is_file() {
            files.push((metadata.modified()?, file, metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// Names of objects that are copied have neither dots nor octets that a file name cannot have.
fn file_name(name: &str) -> String {
    name.replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(copies: &Copies, name: &str, octets: usize) -> PathBuf {
        copies.keep(name, &vec![7; octets]).unwrap();
        copies.file(name).unwrap()
    }

    #[test]
    fn the_least_used_copies_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().to_owned(), 250).unwrap();
        let (one, two) = (copy(&copies, "index/1/a", 100), copy(&copies, "index/1/b", 100));
        assert_eq!(copies.file("index/1/a").unwrap(), one);
        let three = copy(&copies, "index/2/a", 100);
        assert!(one.exists() && !two.exists() && three.exists());
        assert_eq!(copies.file("index/1/b"), None);
        let large = copy(&copies, "index/3/a", 1000);
        assert!(large.exists() && !one.exists() && !three.exists());
    }

    #[test]
    fn copies_may_be_deleted_at_any_time() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().join("copies"), 1000).unwrap();
        copy(&copies, "index/1/a", 100);
        fs::remove_dir_all(folder.path().join("copies")).unwrap();
        assert_eq!(copies.file("index/1/a"), None);
        let again = copy(&copies, "index/1/a", 100);
        assert_eq!(fs::read(again).unwrap().len(), 100);
        assert!(copies.forget("index/1/a") && !copies.forget("index/1/a"));
        assert_eq!(copies.file("index/1/a"), None);
    }

    #[test]
    fn copies_of_an_earlier_process_are_found_and_half_written_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().to_owned(), 1000).unwrap();
        let kept = copy(&copies, "index/1/a", 100);
        let unfinished = folder.path().join("unfinished-0");
        fs::write(&unfinished, "half").unwrap();
        drop(copies);
        let copies = Copies::open(folder.path().to_owned(), 1000).unwrap();
        assert_eq!(copies.file("index/1/a").unwrap(), kept);
        assert!(!unfinished.exists());
        drop(copies);
        Copies::open(folder.path().to_owned(), 50).unwrap();
        assert!(kept.exists(), "the last copy stays");
    }
}
