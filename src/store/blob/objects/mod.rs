//! Objects: immutable octets by name, in a folder, in a bucket or in memory. object_store's way in.
//!
//! Owns: the place that `store.objects` names, and local copies of what has to be a file.
//! Promises: [`Objects::put`] returns once octets and name are on stable storage, and never replaces other octets.
//! A put whose outcome is unknown (a time-out, an error after the octets were taken) is tried again and settled by what
//! is there then, so that a name means one thing for ever. Reads that end early are tried again and never given out.
//! Never: rewrites an object, or lists half a folder.
//! Errors: `Full`; `Damaged` where an object is shorter than what was asked of it; `Failed` once the tries are used up.
//!
//! `place` (where), `memory` and `faulty` (for simulations), `retry` (what is tried again), `probe` (before the first
//! use), `copies` (local files of remote objects).

mod copies;
mod faulty;
mod memory;
mod place;
mod probe;
mod retry;
#[cfg(test)]
mod tests;

use self::{
    copies::Copies,
    retry::{Tries, found, from_object},
};
use super::read::blocking;
use crate::{
    limits,
    store::{StoreError, failpoint},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart, local::LocalFileSystem,
    path::Path as ObjectPath,
};
use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

pub use self::{faulty::ObjectFaults, memory::MemoryObjects, place::ObjectsAt};

/// A place of objects. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct Objects {
    store: Arc<dyn ObjectStore>,
    place: Place,
    tries: Tries,
    upload: Upload,
    files: Files,
}

/// Where a place is, for messages.
#[derive(Clone)]
enum Place {
    /// The folder beside the metadata, or memory: nothing that a setting could confuse.
    Own(&'static str),
    /// Where the setting says.
    Elsewhere(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(what) => f.write_str(what),
            Self::Elsewhere(url) => url.fmt(f),
        }
    }
}

/// How octets travel.
#[derive(Clone, Copy)]
enum Upload {
    /// In one piece.
    Whole,
    /// Large ones in parts, since no request should take minutes.
    Parts,
}

/// Where an object is a local file.
#[derive(Clone)]
enum Files {
    /// Each is one.
    Own(Arc<LocalFileSystem>),
    /// Each that was asked for has a copy.
    Copied(Arc<Copies>),
    /// None is.
    None,
}

/// What a put found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Written {
    /// Nothing under the name: it has these octets now.
    New,
    /// The same octets.
    Same,
    /// Other octets. They stay.
    Other,
}

impl Objects {
    /// Where it is, for messages.
    pub(in crate::store) fn place(&self) -> impl fmt::Display {
        self.place.clone()
    }

    /// Whether it can be nobody else's.
    pub(in crate::store) fn is_own(&self) -> bool {
        matches!(self.place, Place::Own(_))
    }

    /// Writes an immutable object, durably. One of this name with the same octets is no error.
    pub(in crate::store) async fn put(&self, name: &str, octets: Vec<Bytes>) -> Result<(), StoreError> {
        match self.put_if_absent(name, octets).await? {
            Written::New | Written::Same => Ok(()),
            Written::Other => Err(StoreError::Failed(format!("object {name} exists with other octets"))),
        }
    }

    /// Writes an object where there is none of the name. Durable when it returns.
    pub(in crate::store) async fn put_if_absent(&self, name: &str, octets: Vec<Bytes>) -> Result<Written, StoreError> {
        let (path, payload) = (parse(name)?, octets.into_iter().collect::<PutPayload>());
        let mut tried = self.tries.start();
        failpoint::reach("object.before_put");
        loop {
            let error = match self.create(&path, &payload).await {
                Ok(()) => {
                    failpoint::reach("object.after_put");
                    return Ok(Written::New);
                }
                Err(Error::AlreadyExists { .. }) => return self.settle(name, &payload, tried.is_first()).await,
                Err(error) => error,
            };
            if !tried.again(&error).await {
                return self.last_look(name, &payload, error).await;
            }
        }
    }

    /// One try. Whether the octets were taken is unknown after an error.
    async fn create(&self, path: &ObjectPath, payload: &PutPayload) -> Result<(), Error> {
        let octets = payload.content_length() as u64;
        let write = async {
            if matches!(self.upload, Upload::Parts) && octets > limits::OBJECT_WHOLE_OCTETS_MAX {
                return self.create_in_parts(path, payload).await;
            }
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.store.put_opts(path, payload.clone(), create).await.map(drop)
        };
        self.tries.within(octets, write).await
    }

    /// Completing an upload in parts is unconditional in some backends, so what is there is looked for first; names of
    /// objects of this size are random or say what is in them.
    async fn create_in_parts(&self, path: &ObjectPath, payload: &PutPayload) -> Result<(), Error> {
        match self.store.head(path).await {
            Err(Error::NotFound { .. }) => {}
            Ok(_) => return Err(Error::AlreadyExists { path: path.to_string(), source: "looked for".into() }),
            Err(error) => return Err(error),
        }
        let upload = self.store.put_multipart(path).await?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, limits::OBJECT_PART_OCTETS);
        for octets in payload.iter() {
            // Bounds the parts in flight, and ends at the first that fails.
            if let Err(error) = write.wait_for_capacity(limits::OBJECT_PARTS_IN_FLIGHT).await {
                drop(write.abort().await);
                return Err(error);
            }
            write.put(octets.clone());
        }
        // An upload that fails to complete is aborted by `finish`.
        write.finish().await.map(drop)
    }

    /// Compares what is there with what was to be written.
    async fn settle(&self, name: &str, payload: &PutPayload, first: bool) -> Result<Written, StoreError> {
        let same = self.holds(name, payload).await?;
        Ok(match (same, first) {
            (false, _) => Written::Other,
            (true, true) => Written::Same,
            // The try before got through, although it did not say so.
            (true, false) => Written::New,
        })
    }

    /// The last try may have got through.
    async fn last_look(&self, name: &str, payload: &PutPayload, error: Error) -> Result<Written, StoreError> {
        match self.holds(name, payload).await {
            Ok(true) => Ok(Written::New),
            Ok(false) | Err(_) => Err(from_object(error)),
        }
    }

    async fn holds(&self, name: &str, payload: &PutPayload) -> Result<bool, StoreError> {
        if self.octets(name).await? != Some(payload.content_length() as u64) {
            return Ok(false);
        }
        let there = self.get(name).await?.unwrap_or_default();
        let mut wanted = blake3::Hasher::new();
        for octets in payload {
            wanted.update(octets);
        }
        Ok(blake3::hash(&there) == wanted.finalize())
    }

    /// `None` where there is no such object.
    pub(in crate::store) async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let path = parse(name)?;
        let read = self.tries.run(limits::OBJECT_WHOLE_OCTETS_MAX, || async {
            let answer = self.store.get(&path).await?;
            let octets = answer.meta.size;
            let read = answer.bytes().await?;
            if read.len() as u64 == octets { Ok(read) } else { Err(retry::ended_early()) }
        });
        found(read.await)
    }

    /// Octets of an object. `None` where there is no such object, `Damaged` where it is too short.
    pub(in crate::store) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let (path, wanted) = (parse(name)?, range.end.saturating_sub(range.start));
        if wanted == 0 {
            return Ok(self.octets(name).await?.map(|_| Bytes::new()));
        }
        let read = self.tries.run(wanted, || async {
            // Of a folder's ways to read a range, this one opens and reads the file in one turn off the reactor.
            let read = self.store.get_ranges(&path, std::slice::from_ref(&range)).await?;
            let read = read.into_iter().next().unwrap_or_default();
            if read.len() as u64 == wanted { Ok(read) } else { Err(retry::ended_early()) }
        });
        match found(read.await) {
            // object_store has no error of its own for a range past the end.
            Err(StoreError::Failed(_)) if self.octets(name).await?.is_some_and(|octets| octets < range.end) => {
                Err(StoreError::Damaged(format!("{name} is too short")))
            }
            read => read,
        }
    }

    /// Octets of the object; `None` where there is none.
    pub(in crate::store) async fn octets(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = parse(name)?;
        found(self.tries.run(0, || async { self.store.head(&path).await.map(|meta| meta.size) }).await)
    }

    /// One that is gone already is no error.
    pub(in crate::store) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = parse(name)?;
        if let Files::Copied(copies) = &self.files {
            copies.forget(name);
        }
        failpoint::reach("object.before_delete");
        let deleted = found(self.tries.run(0, || self.store.delete(&path)).await);
        failpoint::reach("object.after_delete");
        deleted.map(drop)
    }

    /// Makes the removals from a folder outlast a power cut. Only a local folder has to be told.
    pub(in crate::store) async fn settle_removals(&self, folder: &str) -> Result<(), StoreError> {
        let Files::Own(root) = &self.files else { return Ok(()) };
        let path = root.path_to_filesystem(&parse(folder)?).map_err(from_object)?;
        let sync = move || match std::fs::File::open(path).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(retry::from_io(&error)),
            _ => Ok(()),
        };
        crate::store::off_the_reactor(sync).await?
    }

    /// Name and octets of every object whose name begins with the folder `prefix`; of every object, where that is empty.
    pub(in crate::store) async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let prefix = (!prefix.is_empty()).then(|| parse(prefix)).transpose()?;
        let list = || async {
            let listed = self.store.list(prefix.as_ref());
            listed.map_ok(|meta| (meta.location.to_string(), meta.size)).boxed().try_collect().await
        };
        self.tries.run(limits::OBJECT_WHOLE_OCTETS_MAX, list).await.map_err(from_object)
    }

    /// A local file with the octets of an object, for mapping it; `None` where there is none, or none yet: see
    /// [`Objects::fetch_copy`]. It may go at any time, and what is mapped by then stays. A copy is for the caller to verify.
    pub(in crate::store) fn local_file(&self, name: &str) -> Result<Option<PathBuf>, StoreError> {
        match &self.files {
            Files::Own(folder) => {
                let path = folder.path_to_filesystem(&parse(name)?).map_err(from_object)?;
                Ok(path.exists().then_some(path))
            }
            Files::Copied(copies) => Ok(copies.file(name)),
            Files::None => Ok(None),
        }
    }

    /// Makes a local file of a remote object, where there is such an object and no file yet.
    pub(in crate::store) async fn fetch_copy(&self, name: &str) -> Result<(), StoreError> {
        let Files::Copied(copies) = &self.files else { return Ok(()) };
        if copies.file(name).is_some() {
            return Ok(());
        }
        match self.get(name).await? {
            Some(octets) => keep_copy(copies, name, octets).await,
            None => Ok(()),
        }
    }

    /// Puts an object of which a local file will be wanted soon.
    pub(in crate::store) async fn put_with_copy(&self, name: &str, octets: Bytes) -> Result<(), StoreError> {
        self.put(name, vec![octets.clone()]).await?;
        if let Files::Copied(copies) = &self.files
            && let Err(error) = keep_copy(copies, name, octets).await
        {
            tracing::warn!(%name, %error, "no local copy, it will be fetched");
        }
        Ok(())
    }

    /// Throws a local copy away, so that it is fetched again. Says whether there was one.
    pub(in crate::store) fn forget_copy(&self, name: &str) -> bool {
        match &self.files {
            Files::Copied(copies) => copies.forget(name),
            Files::Own(_) | Files::None => false,
        }
    }
}

async fn keep_copy(copies: &Arc<Copies>, name: &str, octets: Bytes) -> Result<(), StoreError> {
    let (copies, name) = (Arc::clone(copies), name.to_owned());
    blocking(move || copies.keep(&name, &octets)).await
}

fn parse(name: &str) -> Result<ObjectPath, StoreError> {
    ObjectPath::parse(name).map_err(|error| StoreError::Failed(format!("object name {name}: {error}")))
}
