//! Local files of remote objects: a cache that may be deleted at any time.
//!
//! Never: verifies octets. Its user does (an index bundle ends in its hash), and has a bad copy forgotten.

use super::retry::from_io;
use crate::store::StoreError;
use bytes::Bytes;
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

    /// The copy of an object, fetched where there is none.
    pub(super) fn file(
        &self,
        name: &str,
        fetch: impl FnOnce() -> Result<Option<Bytes>, StoreError>,
    ) -> Result<Option<PathBuf>, StoreError> {
        let file = file_name(name);
        let path = self.folder.join(&file);
        if self.kept.lock().files.get(&file).is_some() && path.exists() {
            return Ok(Some(path));
        }
        let Some(octets) = fetch()? else { return Ok(None) };
        self.write(&path, &octets).map_err(|error| from_io(&error))?;
        self.keep(file, octets.len() as u64);
        Ok(Some(path))
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

    fn keep(&self, file: String, octets: u64) {
        let mut kept = self.kept.lock();
        let before = kept.files.put(file, octets).unwrap_or(0);
        kept.octets = (kept.octets + octets).saturating_sub(before);
        drop(kept);
        self.make_room();
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

    fn octets(length: usize) -> Result<Option<Bytes>, StoreError> {
        Ok(Some(Bytes::from(vec![7; length])))
    }

    fn never() -> Result<Option<Bytes>, StoreError> {
        panic!("fetched again")
    }

    #[test]
    fn the_least_used_copies_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().to_owned(), 250).unwrap();
        let one = copies.file("index/1/a", || octets(100)).unwrap().unwrap();
        let two = copies.file("index/1/b", || octets(100)).unwrap().unwrap();
        assert_eq!(copies.file("index/1/a", never).unwrap().unwrap(), one);
        let three = copies.file("index/2/a", || octets(100)).unwrap().unwrap();
        assert!(one.exists() && !two.exists() && three.exists());
        let large = copies.file("index/3/a", || octets(1000)).unwrap().unwrap();
        assert!(large.exists() && !one.exists() && !three.exists());
    }

    #[test]
    fn copies_may_be_deleted_at_any_time() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().join("copies"), 1000).unwrap();
        copies.file("index/1/a", || octets(100)).unwrap().unwrap();
        fs::remove_dir_all(folder.path().join("copies")).unwrap();
        let again = copies.file("index/1/a", || octets(100)).unwrap().unwrap();
        assert_eq!(fs::read(again).unwrap().len(), 100);
        assert!(copies.forget("index/1/a") && !copies.forget("index/1/a"));
        assert_eq!(copies.file("index/1/a", || Ok(None)).unwrap(), None);
    }

    #[test]
    fn copies_of_an_earlier_process_are_found_and_half_written_ones_removed() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::open(folder.path().to_owned(), 1000).unwrap();
        let kept = copies.file("index/1/a", || octets(100)).unwrap().unwrap();
        let unfinished = folder.path().join("unfinished-0");
        fs::write(&unfinished, "half").unwrap();
        drop(copies);
        let copies = Copies::open(folder.path().to_owned(), 1000).unwrap();
        assert_eq!(copies.file("index/1/a", never).unwrap().unwrap(), kept);
        assert!(!unfinished.exists());
        drop(copies);
        Copies::open(folder.path().to_owned(), 50).unwrap();
        assert!(kept.exists(), "the last copy stays");
    }
}
