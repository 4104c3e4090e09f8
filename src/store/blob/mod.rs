//! Contents: manifests, fresh octets, staged objects, packs. object_store's owner.

use super::{
    StoreError,
    metadata::{Batch, Engine},
};
use crate::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, ContentId, MailboxId, MessageNumber},
    message::Part,
};
use bytes::Bytes;
use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

/// How a body is put together again, byte for byte: raw pieces and base64 parts kept decoded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Manifest(());

impl Manifest {
    /// Octets of the whole body.
    pub(super) fn octets(&self) -> u64 {
        unimplemented!("frame: blob")
    }

    /// Every content it names, each once: what a message's references are counted on.
    pub(super) fn contents(&self) -> Vec<ContentId> {
        unimplemented!("frame: blob")
    }

    /// Its stored form, for records.
    pub(super) fn encode(&self) -> Vec<u8> {
        unimplemented!("frame: blob")
    }

    /// Reads the stored form; `None` where the octets are no manifest.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let _ = octets;
        unimplemented!("frame: blob")
    }
}

/// The contents of one body, ready to be written.
pub(super) struct Split {
    pub(super) manifest: Manifest,
    /// Hash of the whole body as received.
    pub(super) raw_id: ContentId,
}

/// Whose message a body is. It is packed beside the body, so that a lost metadata store can be made
/// again from packs with only flags and moves lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) account: AccountId,
    pub(super) number: MessageNumber,
    /// Where it was delivered.
    pub(super) mailbox: MailboxId,
    pub(super) internal_date: UnixMillis,
    /// What else the record needs to be made again (trace fields, verdict). Opaque here, at most 32 KiB.
    pub(super) tag: Bytes,
}

/// The installation's secret, which contents are named under.
#[derive(Clone)]
pub(super) struct Secret(pub(super) [u8; 32]);

/// Contents of the installation. Clones share them.
#[derive(Clone)]
pub(super) struct Blobs(());

impl Blobs {
    /// Opens the contents under `path`; the engine's lock on the store must be held already.
    pub(super) fn open(path: &Path, engine: Engine, secret: &Secret, clock: Clock) -> Result<Self, StoreError> {
        let _ = (path, engine, secret, clock);
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

    /// Adds the small contents (fresh), the locations of staged ones and whose message it is to the
    /// delivery's batch. `owners` has at least one: the packer goes by them.
    pub(super) fn add_to(&self, split: &Split, owners: &[Owner], batch: &mut Batch) -> Result<(), StoreError> {
        let _ = (split, owners, batch);
        unimplemented!("frame: blob")
    }

    /// Adds further owners of a body that another batch has stored, or will have stored before this
    /// one is committed (the delivery's other partitions).
    pub(super) fn add_owners(
        &self,
        manifest: &Manifest,
        owners: &[Owner],
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let _ = (manifest, owners, batch);
        unimplemented!("frame: blob")
    }

    /// Reads a range of the body, re-encoding where needed and touching only what the range needs.
    /// Every content read is verified; a mismatch is `StoreError::Damaged`.
    pub(super) async fn read(&self, manifest: &Manifest, range: Range<u64>) -> Result<Bytes, StoreError> {
        let _ = (manifest, range);
        unimplemented!("frame: blob")
    }

    /// Moves fresh contents into packs each `every`, until `closing` resolves; a pack under way is
    /// finished first. Spawn it, and wait for it when the store closes.
    pub(super) async fn run_packer(self, every: Duration, closing: impl Future<Output = ()> + Send) {
        let _ = (every, closing);
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

    /// Removes an object that no row names any more. One that is gone already is no error.
    pub(super) async fn delete_object(&self, name: &str) -> Result<(), StoreError> {
        let _ = name;
        unimplemented!("frame: blob")
    }

    /// The file of an object, where objects are local files: for mapping it. It may be missing.
    pub(super) fn object_path(&self, name: &str) -> Option<PathBuf> {
        let _ = name;
        unimplemented!("frame: blob")
    }
}
