//! Objects: immutable files of octets by name, over object_store.
//!
//! Promises: [`Objects::put`] returns once the octets and the name are on stable storage (temporary
//! name, fsync, rename, fsync of the folder: `with_fsync(true)` of the local store does all four).
//! A full disk is `Full`. Never: rewrites an object that rows name.

use crate::store::StoreError;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as ObjectPath};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The objects of the installation. Clones share them.
#[derive(Clone)]
pub(super) struct Objects {
    store: Arc<LocalFileSystem>,
}

impl Objects {
    /// Opens the folder, or makes it; removes files that a crash left half written. The caller
    /// holds the store's lock, so no one else is writing.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let opened = (|| {
            fs::create_dir_all(folder)?;
            if let Some(parent) = folder.parent() {
                File::open(parent)?.sync_all()?;
            }
            remove_unfinished(folder)
        })();
        opened.map_err(|error| from_io(&error))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(from_object)?.with_fsync(true);
        Ok(Self { store: Arc::new(store) })
    }

    pub(super) async fn put(&self, name: &str, octets: Vec<Bytes>) -> Result<(), StoreError> {
        let payload = octets.into_iter().collect::<PutPayload>();
        self.store.put(&parse(name)?, payload).await.map(drop).map_err(from_object)
    }

    /// `None` where there is no such object.
    #[cfg(test)]
    pub(super) async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.store.get(&parse(name)?).await?.bytes().await.map_err(Fault::from) };
        found(read.await)
    }

    /// Octets of an object. `None` where there is no such object, `Damaged` where it is too short.
    pub(super) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let (start, end) = (range.start, range.end);
        // Of the store's ways to read a range, this one opens and reads the file in one turn off the reactor.
        let read = async {
            let read = self.store.get_ranges(&parse(name)?, std::slice::from_ref(&range)).await?;
            Ok(read.into_iter().next().unwrap_or_default())
        };
        match found(read.await) {
            Ok(Some(read)) if read.len() as u64 == end - start => Ok(Some(read)),
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err(too_short(name)),
            // The store has no error of its own for a range past the end.
            Err(StoreError::Failed(_)) if self.octets(name).await?.is_some_and(|octets| octets < end) => {
                Err(too_short(name))
            }
            Err(error) => Err(error),
        }
    }

    /// Octets of the object; `None` where there is none.
    pub(super) async fn octets(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let read = async { self.store.head(&parse(name)?).await.map(|meta| meta.size).map_err(Fault::from) };
        found(read.await)
    }

    /// One that is gone already is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let removed = async { self.store.delete(&parse(name)?).await.map_err(Fault::from) };
        found(removed.await).map(drop)
    }

    /// Name and octets of every object whose name begins with the folder `prefix`.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let prefix = parse(prefix)?;
        let listed = self.store.list(Some(&prefix)).map_ok(|meta| (meta.location.to_string(), meta.size)).boxed();
        listed.try_collect().await.map_err(from_object)
    }

    /// The file of an object, which may be missing.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.store.path_to_filesystem(&ObjectPath::parse(name).ok()?).ok()
    }
}

/// What a read failed with, before a missing object is told from a failure.
enum Fault {
    Missing,
    Other(StoreError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Self::Missing,
            other => Self::Other(from_object(other)),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

fn found<T>(read: Result<T, Fault>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Fault::Missing) => Ok(None),
        Err(Fault::Other(error)) => Err(error),
    }
}

fn too_short(name: &str) -> StoreError {
    StoreError::Damaged(format!("{name} is too short"))
}

fn parse(name: &str) -> Result<ObjectPath, StoreError> {
    ObjectPath::parse(name).map_err(|error| StoreError::Failed(format!("object name {name}: {error}")))
}

/// An error of the object store. Its chain of causes tells a full disk.
fn from_object(error: Error) -> StoreError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return from_io(io);
        }
        cause = current.source();
    }
    StoreError::Failed(error.to_string())
}

fn from_io(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::UnexpectedEof => StoreError::Damaged("an object is too short".to_owned()),
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Removes temporary files: the local store names them `NAME#N`, which no object is called.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_unfinished(&path)?;
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains('#')) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
