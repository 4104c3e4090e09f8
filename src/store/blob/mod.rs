//! Contents: manifests, fresh octets, staged objects, packs.
//!
//! Owns: every octet of a body on disk, from the delivery's batch to its place in a pack; object_store.
//! Promises: a body comes back octet for octet (P3); what an acknowledged batch names is on stable
//! storage (P1); a base64 part is kept once however its lines were broken and however many messages have
//! it; damaged octets are reported and never given out (P12); locations can be made again from packs (P10).
//! Never: compares a delivery with what is stored. A large content is written to an object of its own
//! under a random name even where the same content is there already, so a delivery takes the same time
//! and the same room either way; the packer finds equals later.
//! Errors: `Full` before anything is written; `Damaged`; `Failed` from the engine or the file system. Logs
//! one line a pack and a warning for each message that cannot be packed.
//!
//! The way of a content: `split` cuts it into frames. Small: frames in `Table::Fresh`, in the batch of
//! the delivery. Large: an object, then its staged location in the batch. Then the packer: a pack (or, over
//! 1 MiB, the staged object itself) and its settled location. Formats: `rows`, `pack`.
//!
//! What no message names any more goes by the `sweep`, and with it objects that a crash has left.
//!
//! RFC 2045 §6.8 (base64).

mod claim;
mod dictionary;
mod frame;
mod generation;
mod layout;
mod manifest;
mod objects;
mod pack;
mod packer;
mod pages;
mod read;
mod rebuild;
mod recover;
mod rows;
mod split;
mod statistics;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;

use super::{
    StoreError,
    metadata::{Batch, Engine, Table},
    upkeep::Rounds,
};
use crate::{
    clock::{Clock, UnixMillis},
    limits::{PACK_OCTETS_MIN, PACK_WAIT_MILLIS, SWEEP_EVERY_SECONDS},
    mail::{AccountId, ContentId, MailboxId, MessageNumber},
    message::Part,
};
use bytes::Bytes;
use frame::Frames;
use generation::Generations;
use parking_lot::Mutex;
use read::blocking;
use rows::{PackRow, owner_key};
use split::Splitter;
use std::{
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use sweep::Grace;
use tracing::warn;

pub(super) use manifest::Manifest;
pub(super) use objects::Objects;
pub use objects::{MemoryObjects, ObjectFaults, ObjectsAt};
pub use rebuild::Rebuilt;
pub(super) use recover::{LocationReport, has_place};
pub(super) use rows::OwnedBody;
pub(super) use split::Split;
pub use statistics::ContentStatistics;
pub use survey::ContentSurvey;
pub(super) use sweep::Outside;
pub use sweep::{ContentExplained, ContentFate, ContentPlace, ObjectPlace, Swept};
pub use verify::{Damage, Verified, VerifyProgress};

/// Whose message a body is. It is packed beside the body, so that a lost metadata store can be made
/// again from packs with only flags and moves lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) account: AccountId,
    pub(super) number: MessageNumber,
    /// Where it was delivered.
    pub(super) mailbox: MailboxId,
    pub(super) internal_date: UnixMillis,
    /// What else the record needs to be made again (trace fields, verdict). Opaque here; over
    /// `limits::OWNER_TAG_OCTETS_MAX` it is left out.
    pub(super) tag: Bytes,
}

/// The installation's secret, which contents are named under.
#[derive(Clone)]
pub(super) struct Secret(pub(super) [u8; 32]);

/// Gives contents their names.
struct Namer(Secret);

impl Namer {
    fn name(&self, octets: &[u8]) -> ContentId {
        ContentId(*blake3::keyed_hash(&self.0.0, octets).as_bytes())
    }
}

/// What one run of the packer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Packed {
    /// Messages whose contents were looked at.
    pub messages: u64,
    /// Base64 parts that got a place.
    pub parts: u64,
    /// Base64 parts that had one already.
    pub duplicates: u64,
    /// Messages left where they are because a content of theirs is damaged or missing.
    pub damaged: u64,
    /// Packs written.
    pub packs: u64,
    /// Octets of these packs.
    pub octets: u64,
}

impl Packed {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.parts += other.parts;
        self.duplicates += other.duplicates;
        self.damaged += other.damaged;
        self.packs += other.packs;
        self.octets += other.octets;
    }
}

/// How long contents without a reference are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// The window of one generation.
    pub(super) generation_seconds: u64,
    /// From the sweep that found a content without a reference to the one that may remove it.
    pub(super) grace_hours: u64,
}

/// Contents of the installation. Clones share them.
#[derive(Clone)]
pub(super) struct Blobs(Arc<Shared>);

struct Shared {
    engine: Engine,
    objects: Objects,
    namer: Namer,
    frames: Frames,
    clock: Clock,
    generations: Generations,
    /// How long what is not needed any more is kept.
    grace: Grace,
    /// Held by whoever writes settled locations.
    packing: tokio::sync::Mutex<()>,
    /// Held by a sweep.
    sweeping: tokio::sync::Mutex<()>,
    /// Set once the store closes: a sweep under way ends.
    closing: AtomicBool,
    /// When the packer first saw fresh contents that were not worth a pack.
    waiting_since: Mutex<Option<UnixMillis>>,
}

impl Blobs {
    /// Opens the contents in `objects`; the engine's lock on the store must be held already.
    pub(super) fn open(
        objects: Objects,
        engine: Engine,
        secret: &Secret,
        clock: Clock,
        keeping: Keeping,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Shared {
            generations: Generations::open(&engine, keeping.generation_seconds)?,
            grace: Grace::hours(keeping.grace_hours),
            engine,
            objects,
            namer: Namer(secret.clone()),
            frames: Frames::default(),
            clock,
            packing: tokio::sync::Mutex::new(()),
            sweeping: tokio::sync::Mutex::new(()),
            closing: AtomicBool::new(false),
            waiting_since: Mutex::new(None),
        })))
    }

    /// Makes sure that the place of objects does what a store needs, and that it is ours. Before anything else.
    pub(super) async fn claim(&self) -> Result<(), StoreError> {
        self.0.claim().await
    }

    /// Splits a body (CPU only). A base64 part of `limits::DECODED_PART_OCTETS_MIN` or more is kept
    /// decoded where encoding it again gives the same octets.
    pub(super) fn split(&self, raw: &Bytes, root: &Part) -> Split {
        let Shared { namer, frames, .. } = self.0.as_ref();
        Splitter { namer, frames, new_name: &|| self.0.new_pack_name() }.split(raw, root)
    }

    /// The name of a content.
    pub(super) fn name(&self, octets: &[u8]) -> ContentId {
        self.0.namer.name(octets)
    }

    /// Writes the large contents to staged objects, durably. Nothing refers to them yet.
    pub(super) async fn stage_large(&self, split: &Split) -> Result<(), StoreError> {
        for object in &split.staged {
            super::failpoint::reach("stage.before");
            self.0.objects.put(&object.name.to_string(), object.payload.clone()).await?;
            super::failpoint::reach("stage.written");
        }
        Ok(())
    }

    /// Adds the small contents (fresh), the locations of staged ones and whose message it is to the
    /// delivery's batch. `owners` has at least one: the packer goes by them.
    pub(super) fn add_to(&self, split: &Split, owners: &[Owner], batch: &mut Batch) -> Result<(), StoreError> {
        split.fresh.iter().for_each(|content| rows::put_fresh(content, batch));
        for object in &split.staged {
            object.locations.iter().for_each(|location| location.stage(batch));
            PackRow::new(object.octets, &object.locations).put(object.name, batch);
        }
        self.add_owners(&split.manifest, owners, batch)
    }

    /// Adds further owners of a body that another batch has stored, or will have stored before this
    /// one is committed (the delivery's other partitions).
    pub(super) fn add_owners(
        &self,
        manifest: &Manifest,
        owners: &[Owner],
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let manifest = manifest.encode();
        for owner in owners {
            batch.put(Table::Fresh, owner_key(owner.account, owner.number), OwnedBody::encode_row(owner, &manifest));
        }
        Ok(())
    }

    /// Reads a range of the body, re-encoding where needed and touching only what the range needs.
    /// Every content read is verified; a mismatch is `StoreError::Damaged`. Octets past the end are left out.
    pub(super) async fn read(&self, manifest: &Manifest, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.0.read_body(manifest, range).await
    }

    /// Moves fresh contents into packs each `every` (a second or more), until `closing` resolves; a pack under way is
    /// finished first. Spawn it, and wait for it when the store closes.
    pub(super) async fn run_packer(self, every: Duration, closing: impl Future<Output = ()> + Send) {
        let mut rounds = Rounds::every(every.max(Duration::from_secs(1)), closing);
        while rounds.next().await {
            if let Err(error) = self.pack_if_due().await {
                warn!(%error, "packer failed, contents stay where they are");
            }
        }
    }

    /// Packs where there is enough for a pack, or where some waited for a day.
    async fn pack_if_due(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.0);
        let fresh = blocking(move || shared.fresh_octets()).await?;
        let now = self.0.clock.now();
        let since = if fresh > 0 { *self.0.waiting_since.lock().get_or_insert(now) } else { now };
        if fresh >= PACK_OCTETS_MIN || now.0 - since.0 >= PACK_WAIT_MILLIS {
            self.pack_now().await?;
        }
        Ok(())
    }

    /// Packs everything that is fresh now.
    pub(super) async fn pack_now(&self) -> Result<Packed, StoreError> {
        let packed = self.0.pack_all().await?;
        *self.0.waiting_since.lock() = None;
        Ok(packed)
    }

    /// Removes what no message names, as far as its time has come.
    pub(super) async fn sweep(&self, outside: Arc<dyn Outside>) -> Result<Swept, StoreError> {
        self.0.sweep(outside).await
    }

    /// Says what a sweep would do now.
    pub(super) async fn sweep_dry(&self, outside: Arc<dyn Outside>) -> Result<Swept, StoreError> {
        self.0.sweep_dry(outside).await
    }

    /// Whether a day has gone by since the last sweep.
    pub(super) async fn is_sweep_due(&self) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.0);
        let last = blocking(move || shared.last_sweep()).await?;
        let now = self.0.clock.now().seconds();
        Ok(last.is_none_or(|last| now - last.seconds() >= SWEEP_EVERY_SECONDS))
    }

    /// Ends a sweep that is under way at its next step, for good.
    pub(super) fn stop_sweeping(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
    }

    /// Says where a content is, who names it and when it would go.
    pub(super) async fn explain(
        &self,
        content: ContentId,
        outside: Arc<dyn Outside>,
    ) -> Result<ContentExplained, StoreError> {
        self.0.explain(content, outside).await
    }

    /// Reads every content and lists the damage. `progress` is called after each.
    pub(super) async fn verify(&self, progress: impl FnMut(VerifyProgress) + Send) -> Result<Verified, StoreError> {
        self.0.verify(progress).await
    }

    /// Counts contents, octets and objects.
    pub(super) async fn statistics(&self) -> Result<ContentStatistics, StoreError> {
        self.0.statistics().await
    }

    /// Counts how much of what is packed messages name.
    pub(super) async fn survey(&self) -> Result<ContentSurvey, StoreError> {
        self.0.survey().await
    }

    /// Writes the location of every content again, from what packs say of themselves.
    pub(super) async fn rebuild_locations(&self) -> Result<Rebuilt, StoreError> {
        self.0.rebuild().await
    }

    /// The objects, for what is no content.
    pub(super) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// Puts an immutable object (an index bundle) and returns once it is durable.
    pub(super) async fn put_object(&self, name: &str, octets: Bytes) -> Result<(), StoreError> {
        self.0.objects.put_with_copy(name, octets).await
    }

    /// Reads a whole object.
    #[cfg(test)]
    pub(super) async fn get_object(&self, name: &str) -> Result<Bytes, StoreError> {
        self.0.objects.get(name).await?.ok_or_else(|| StoreError::Damaged(format!("object {name} is missing")))
    }

    /// Names of the objects in a folder.
    pub(super) async fn list_objects(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.0.objects.list(folder).await?.into_iter().map(|(name, _)| name).collect())
    }

    /// Makes the removals from a folder of objects outlast a power cut.
    pub(super) async fn settle_removals(&self, folder: &str) -> Result<(), StoreError> {
        self.0.objects.settle_removals(folder).await
    }

    /// Removes an object that no row names any more. One that is gone already is no error.
    pub(super) async fn delete_object(&self, name: &str) -> Result<(), StoreError> {
        self.0.objects.delete(name).await
    }

    /// A local file with an object's octets, for mapping it; `None` where there is none, or none yet.
    pub(super) fn object_file(&self, name: &str) -> Result<Option<PathBuf>, StoreError> {
        self.0.objects.local_file(name)
    }

    /// Makes that file of a remote object, where there is such an object.
    pub(super) async fn fetch_copy(&self, name: &str) -> Result<(), StoreError> {
        self.0.objects.fetch_copy(name).await
    }

    /// Throws the local copy of a remote object away. Says whether there was one.
    pub(super) fn forget_copy(&self, name: &str) -> bool {
        self.0.objects.forget_copy(name)
    }
}
