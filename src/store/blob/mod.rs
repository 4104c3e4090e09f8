//! Contents: manifests, fresh octets, staged objects, packs. object_store's owner.

use super::{
    StoreError,
    metadata::{Batch, Engine},
};
use crate::{clock::Clock, mail::ContentId, message::Part};
use bytes::Bytes;
use std::{ops::Range, path::Path};

/// How a body is put together again, byte for byte: raw pieces and base64 parts kept decoded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Manifest(());

/// The contents of one body, ready to be written.
pub(super) struct Split {
    pub(super) manifest: Manifest,
    /// Hash of the whole body as received.
    pub(super) raw_id: ContentId,
    /// Every content that the manifest names, skeleton included.
    pub(super) contents: Vec<Content>,
}

/// One content to be written.
pub(super) struct Content {
    pub(super) id: ContentId,
    pub(super) octets: Bytes,
}

/// Contents of the installation. Clones share them.
#[derive(Clone)]
pub(super) struct Blobs(());

impl Blobs {
    pub(super) fn open(path: &Path, engine: Engine, clock: Clock) -> Result<Self, StoreError> {
        let _ = (path, engine, clock);
        unimplemented!("frame: blob")
    }

    /// Splits a body (CPU only). A base64 part of `limits::DECODED_PART_OCTETS_MIN` or more is kept
    /// decoded where encoding it again gives the same octets.
    pub(super) fn split(&self, raw: &Bytes, root: &Part) -> Split {
        let _ = (raw, root);
        unimplemented!("frame: blob")
    }

    /// Writes the large contents to staged objects, durably. Nothing refers to them yet.
    pub(super) async fn stage_large(&self, split: &Split) -> Result<(), StoreError> {
        let _ = split;
        unimplemented!("frame: blob")
    }

    /// Adds the small contents (fresh) and the locations of staged ones to the delivery's batch.
    pub(super) fn add_to(&self, split: &Split, batch: &mut Batch) -> Result<(), StoreError> {
        let _ = (split, batch);
        unimplemented!("frame: blob")
    }

    /// Reads a range of the body, re-encoding where needed and touching only what the range needs.
    /// Every content read is verified; a mismatch is `StoreError::Damaged`.
    pub(super) async fn read(&self, manifest: &Manifest, range: Range<u64>) -> Result<Bytes, StoreError> {
        let _ = (manifest, range);
        unimplemented!("frame: blob")
    }

    /// Puts an immutable object (an index bundle) and returns once it is durable.
    pub(super) async fn put_object(&self, name: &str, octets: Bytes) -> Result<(), StoreError> {
        let _ = (name, octets);
        unimplemented!("frame: blob")
    }

    /// Reads a whole object.
    pub(super) async fn get_object(&self, name: &str) -> Result<Bytes, StoreError> {
        let _ = name;
        unimplemented!("frame: blob")
    }

    /// Removes an object that no row names any more.
    pub(super) async fn delete_object(&self, name: &str) -> Result<(), StoreError> {
        let _ = name;
        unimplemented!("frame: blob")
    }
}
