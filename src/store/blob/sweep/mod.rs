//! The sweep: contents that no message names go, and with them the room that they took.
//!
//! Owns: marks, repacking, the removal of objects. Promises (P9): octets with a reference stay; octets without one are
//! marked once their generation is closed (two windows after they were packed), and may go after the grace time: with
//! their object where nothing else is in it, else when under half of the pack's octets are kept and these are
//! written into a pack of the current generation. So objects of closed generations take less than twice what is
//! kept. An object that rows name is never removed; new places are durable before the one batch that moves contents
//! there, and an object that was written again stays for the grace time, so that a read under way finishes.
//! Never: looks at the current generation or the one before it; holds the packer up for longer than one pack.
//! Logs: one line a sweep; damage is a warning, and leaves the object as it is.
//!
//! Why no content goes that a delivery is about to name: a message brings its octets with it, and the packer links
//! it to octets that are there only in generations that are not closed. One that equals a marked content is
//! stored again. Contents of deliveries to further partitions, which bring none, are named by the outbox.
//!
//! Order: `plan` closes generations → `mark` → `repack` → `removal`. A crash between any two leaves rows or
//! objects that the next sweep finishes with.

mod explain;
mod mark;
mod removal;
mod repack;

pub use explain::{ContentExplained, ContentFate, ContentPlace, ObjectPlace};

use super::{
    Shared,
    read::blocking,
    rows::{PackName, PackRow, Since},
};
use crate::{
    clock::UnixMillis,
    mail::{AccountId, ContentId, MessageNumber},
    store::{
        StoreError, failpoint,
        metadata::{Batch, Domain, Durability, Table},
    },
};
use mark::{Marks, Plan, Write};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};
use tracing::info;

/// Key of the time of the last sweep in `Table::System`.
const SWEPT_KEY: &[u8] = b"blob.swept";

/// What names contents and objects beside the rows of this module.
pub(in crate::store) trait Outside: Send + Sync {
    /// Contents of deliveries under way that no reference names yet.
    fn contents(&self) -> Result<HashSet<ContentId>, StoreError>;
    /// Objects of the text indexes.
    fn index_objects(&self) -> Result<HashSet<String>, StoreError>;
    /// Whether the message has a record.
    fn has_record(&self, account: AccountId, number: MessageNumber) -> Result<bool, StoreError>;
}

/// What a sweep has done, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Swept {
    /// Contents of closed generations.
    pub contents: u64,
    /// Of these, contents that no message names: they wait for their time, or for their pack.
    pub unnamed: u64,
    /// Octets that those take.
    pub unnamed_octets: u64,
    /// Contents that went.
    pub removed: u64,
    /// Objects that went whole.
    pub dropped: u64,
    /// Packs whose rest was written into another.
    pub repacked: u64,
    /// Octets of contents that were written again.
    pub moved_octets: u64,
    /// Octets of dropped and repacked objects; those of repacked ones are free after the grace time.
    pub freed_octets: u64,
    /// Objects that no row names.
    pub orphans: u64,
    /// Of these, those that were old enough and went.
    pub orphans_removed: u64,
    /// Objects that were left alone because they are damaged.
    pub damaged: u64,
}

/// An object of which little enough is kept.
struct Candidate {
    name: PackName,
    row: PackRow,
}

impl Shared {
    /// Sweeps once.
    pub(super) async fn sweep(self: &Arc<Self>, outside: Arc<dyn Outside>) -> Result<Swept, StoreError> {
        let _turn = self.sweeping.lock().await;
        let open_from = {
            let (_packer, shared) = (self.packing.lock().await, Arc::clone(self));
            blocking(move || shared.close_generations()).await?
        };
        failpoint::reach("sweep.closed");
        let plan = self.plan(&outside, open_from, Write::Yes).await?;
        let swept = self.run(&plan, &outside).await?;
        let (shared, now) = (Arc::clone(self), plan.now);
        blocking(move || shared.note_sweep(now)).await?;
        let Swept { contents, unnamed, removed, dropped, repacked, freed_octets, orphans_removed, damaged, .. } = swept;
        info!(contents, unnamed, removed, dropped, repacked, freed_octets, orphans_removed, damaged, "swept");
        Ok(swept)
    }

    /// Says what a sweep would do now. Changes nothing.
    pub(super) async fn sweep_dry(self: &Arc<Self>, outside: Arc<dyn Outside>) -> Result<Swept, StoreError> {
        let open_from = self.generations.closable(self.clock.now());
        let plan = self.plan(&outside, open_from, Write::No).await?;
        self.run(&plan, &outside).await
    }

    async fn run(self: &Arc<Self>, plan: &Plan, outside: &Arc<dyn Outside>) -> Result<Swept, StoreError> {
        let Marks { contents, unnamed, unnamed_octets, revived, objects } = self.mark(plan).await?;
        failpoint::reach("sweep.marked");
        let plan = &plan.with_pinned(revived);
        let mut swept = Swept { contents, unnamed, unnamed_octets, ..Swept::default() };
        let mut candidates = self.candidates(plan, objects).await?.into_iter();
        while candidates.len() > 0 {
            self.go_on()?;
            self.repack(plan, outside, &mut candidates, &mut swept).await?;
        }
        if plan.write == Write::Yes {
            self.remove_retired(plan).await?;
        }
        self.remove_strays(plan, outside, &mut swept).await?;
        Ok(swept)
    }

    /// What else names contents, read before any reference is.
    async fn plan(
        self: &Arc<Self>,
        outside: &Arc<dyn Outside>,
        open_from: u32,
        write: Write,
    ) -> Result<Plan, StoreError> {
        let of_outbox = Arc::clone(outside);
        let mut pinned = blocking(move || of_outbox.contents()).await?;
        pinned.extend(self.named_by_owners().await?);
        let shared = Arc::clone(self);
        let accounts = blocking(move || shared.accounts_with_references()).await?;
        let now = self.clock.now();
        Ok(Plan {
            open_from,
            now,
            expired_before: self.grace.before(now),
            retire_until: self.grace.after(now),
            pinned: Arc::new(pinned),
            accounts: Arc::new(accounts),
            write,
        })
    }

    /// The objects of closed generations of whose contents less than half are kept.
    async fn candidates(
        self: &Arc<Self>,
        plan: &Plan,
        kept: HashMap<PackName, mark::Tally>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let kept = |name: &PackName| kept.get(name).map_or(0, |kept| kept.kept_octets);
        // An object without contents may still name messages.
        let is_candidate = |name: &PackName, row: &PackRow| row.is_mostly_gone(kept(name)) || row.content_octets == 0;
        let mut candidates: Vec<Candidate> = (self.pack_rows().await?.into_iter())
            .filter(|(name, row)| name.generation < plan.open_from && is_candidate(name, row))
            .map(|(name, row)| Candidate { name, row })
            .collect();
        candidates.sort_unstable_by_key(|candidate| candidate.name);
        Ok(candidates)
    }

    /// When the last sweep ended.
    pub(super) fn last_sweep(&self) -> Result<Option<UnixMillis>, StoreError> {
        let row = self.engine.get(Table::System, SWEPT_KEY)?;
        Ok(row.as_deref().and_then(Since::decode).map(|since| since.0))
    }

    fn note_sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        let mut batch = Batch::of(Domain::Installation);
        batch.put(Table::System, SWEPT_KEY, Since(now).encode());
        self.engine.commit(batch, Durability::Buffered)
    }

    /// Ends a sweep early where the store closes; the next one goes on.
    fn go_on(&self) -> Result<(), StoreError> {
        if self.closing.load(Ordering::SeqCst) { Err(StoreError::Closing) } else { Ok(()) }
    }
}

/// How long what is not needed any more is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grace {
    millis: i64,
}

impl Grace {
    pub(super) fn hours(hours: u64) -> Self {
        Self { millis: i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(3_600_000) }
    }

    pub(super) fn after(self, time: UnixMillis) -> UnixMillis {
        UnixMillis(time.0.saturating_add(self.millis))
    }

    fn before(self, time: UnixMillis) -> UnixMillis {
        UnixMillis(time.0.saturating_sub(self.millis))
    }
}
