//! The store: messages, mailboxes, bodies and their index.
//!
//! Owns: everything on disk. One RocksDB is the write-ahead log and the metadata (`metadata`),
//! contents live in packs over object_store (`blob`), each account has a text index (`index`).
//! Promises: what an append, a copy, a change returned is on stable storage, whole (P1, P2); UIDs, ids and
//! mod-sequences only rise (P4, P5); a message is in every listing or in none (P6); damage is reported and never
//! served (P12). Never: knows a protocol, a reply code or a verdict's meaning.
//! What can go wrong: [`StoreError`]. Logs outages, damage that was passed over and deliveries finished on opening.
//!
//! The way of a write: `append` prepares (`blob` splits, `index` folds) → `partition`, one writer each,
//! runs operations on a `transaction` → one synced batch (`metadata`) → `changes` publishes → the reply. What
//! one commit does not reach goes through `outbox`; what a deletion frees, through `release`. Keys: `key`.

mod account;
mod account_state;
mod append;
mod blob;
mod block;
mod cache;
mod changes;
mod contents;
mod failpoint;
mod index;
mod inner;
mod key;
mod mailbox;
mod metadata;
mod modify;
mod names;
mod outbox;
mod partition;
mod quota;
mod read;
mod record;
mod recovery;
mod release;
mod repeat;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod transaction;
mod undelete;
mod upkeep;
mod vanished;
mod varint;

use self::inner::Inner;
use crate::{
    clock::{Clock, UnixMillis},
    limits,
    mail::{AccountId, Flags, MailboxId, MessageNumber, ModSeq, Uid, UidValidity},
    message::Analysis,
    work,
};
use bytes::Bytes;
use std::{path::PathBuf, sync::Arc, time::Duration};

pub use account::{Directory, RetiredAccount};
pub use blob::{
    ContentExplained, ContentFate, ContentPlace, ContentStatistics, ContentSurvey, Damage, MemoryObjects, ObjectFaults,
    ObjectPlace, ObjectsAt, Packed, Rebuilt, Swept, Verified, VerifyProgress,
};
pub use changes::Watch;
pub use index::IndexStatistics;
pub use mailbox::{MailboxStatus, Row, Snapshot};
pub use metadata::{MemoryMetadata, MetadataAt};
pub use modify::{Copied, FlagChange, FlagChanged, FlagMode};
pub use names::{MailboxEntry, SpecialUse};
pub use quota::{AccountLimits, Admission, Excess, Limit, Quota, QuotaPolicy, ResourceLimits, Usage};
pub use read::MessageRecord;
pub use recovery::{
    Check, Depth, ExamineProgress, Examined, Finding, FromPacks, FromPacksProgress, Mode, Plan, Remedy, Salvaged,
};
pub use search::{Hit, Scope, SearchKey};
pub use undelete::{Deleted, DeletedMessage, Undeleted};
pub use upkeep::Statistics;

/// What the store needs to know before it opens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of RocksDB, of the installation's secret and, where `objects` names no other place, of the objects.
    pub path: PathBuf,
    /// Partitions that accounts are hashed onto; fixed when the store is made.
    pub partitions: u16,
    /// How often the packer looks at bytes in the write-ahead store, in seconds. It moves them once they
    /// are worth a pack (`limits::PACK_OCTETS_MIN`), or after a day.
    pub pack_after_seconds: u64,
    /// RocksDB block cache, in octets.
    pub cache_octets: usize,
    /// Where packs, staged objects and index bundles are.
    pub objects: ObjectsAt,
    /// Hours that a content is kept after a sweep found it without a reference.
    pub sweep_grace_hours: u64,
    /// Days for which expunged messages, deleted mailboxes and retired accounts can be brought back; until then they
    /// take room. 0 removes them at once.
    pub undelete_days: u32,
    /// The window of time whose packs are one generation, in seconds. Fixed when the store is made; only tests
    /// make it shorter.
    pub generation_seconds: u64,
    /// Where the metadata is: in the folder, or elsewhere.
    pub metadata: MetadataAt,
    /// Limits of accounts that have none of their own, and when owners are warned.
    pub quota: QuotaPolicy,
}

impl Settings {
    /// What a store in this folder is opened with where nothing else is said. What is deleted goes at once.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            partitions: 16,
            pack_after_seconds: 60,
            cache_octets: 64 * 1024 * 1024,
            sweep_grace_hours: limits::SWEEP_GRACE_HOURS_DEFAULT,
            undelete_days: 0,
            generation_seconds: limits::GENERATION_SECONDS,
            metadata: MetadataAt::default(),
            objects: ObjectsAt::Folder,
            quota: QuotaPolicy::default(),
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such account, or it was removed.
    #[error("no such account")]
    NoAccount,
    /// No such mailbox, or it was deleted.
    #[error("no such mailbox")]
    NoMailbox,
    /// A mailbox of this name exists.
    #[error("the mailbox exists already")]
    MailboxExists,
    /// The name cannot be a mailbox's, or INBOX was to be deleted.
    #[error("that mailbox name is not allowed")]
    MailboxName,
    /// No such message, or it was expunged.
    #[error("no such message")]
    NoMessage,
    /// The mailbox has no room for another keyword (64 distinct ones).
    #[error("too many keywords in this mailbox")]
    TooManyKeywords,
    /// The account has no room for another mailbox or subscribed name.
    #[error("too many mailboxes in this account")]
    TooManyMailboxes,
    /// The account has reached its quota, or would go beyond it; nothing was written.
    #[error("account {0} is over its quota")]
    OverQuota(AccountId),
    /// What was to be stored is more than the whole quota of the account; nothing was written.
    #[error("larger than the whole quota of account {0}")]
    LargerThanQuota(AccountId),
    /// More than one write takes; nothing was written.
    #[error("over a limit of the store: {0}")]
    Limit(String),
    /// The disk is full, or nearly; nothing was written.
    #[error("no space left for new mail")]
    Full,
    /// Stored octets do not match their checksum; they are not served.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The engine or the file system failed; the outcome of a write is unknown until the store is opened again.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closing,
    /// The setting of the place of objects is wrong, or the place does not do what a store needs; says what to do next.
    #[error("store.objects: {0}")]
    Objects(String),
    /// Another process has the store open.
    #[error("the store is in use by another process")]
    InUse,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The octets as received, without our trace fields.
    pub raw: Bytes,
    /// What [`crate::message::analyse`] says of `raw`.
    pub analysis: Arc<Analysis>,
    /// INTERNALDATE.
    pub internal_date: UnixMillis,
    /// Names a delivery that the sender may repeat because it never saw our reply.
    pub repeat: Option<RepeatKey>,
}

/// Names one delivery for the recognition of repeats: a hash over content, reverse path and
/// transaction's recipients, made by the caller. Forgotten after [`Store::acknowledge`], or after days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RepeatKey(pub [u8; 16]);

/// Where one copy of a message goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The account.
    pub account: AccountId,
    /// The mailbox in it.
    pub mailbox: MailboxId,
    /// Flags of the copy.
    pub flags: Flags,
    /// Our trace header fields for this recipient, each ending in CRLF; spliced in before the
    /// message's octets at read time. Empty for APPEND.
    pub trace: Bytes,
    /// The spam verdict, in the form the spam module keeps it. Opaque here.
    pub verdict: Option<Bytes>,
}

/// One copy, stored.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID given.
    pub uid: Uid,
    /// The message's number in its account.
    pub number: MessageNumber,
    /// The modification sequence given.
    pub modseq: ModSeq,
    /// Whether this was a repeat, and the UID is that of the copy stored before.
    pub repeated: bool,
}

/// The store. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    /// Opens the store, or makes it where the folder is empty; finishes what the outbox names and
    /// starts writers, packer and index workers.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        let pack_after = Duration::from_secs(settings.pack_after_seconds.max(1));
        let inner = off_the_reactor(move || Inner::open(&settings, clock)).await??;
        let store = Self { inner: Arc::new(inner) };
        store.inner.blobs.claim().await?;
        store.check_identity().await?;
        store.start_writers()?;
        store.finish_removals().await?;
        let finished = outbox::finish_all(&store).await?;
        if finished > 0 {
            tracing::info!(deliveries = finished, "finished deliveries that a crash had left");
        }
        store.start_upkeep(pack_after)?;
        Ok(store)
    }

    /// Opens the store for looking at it and mending it ([`Store::examine`]): nothing runs beside the caller, and
    /// nothing can be written but mends.
    pub async fn open_idle(settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        let inner = off_the_reactor(move || Inner::open(&settings, clock)).await??;
        let store = Self { inner: Arc::new(inner) };
        store.check_identity().await?;
        Ok(store)
    }

    /// Whether nothing writes but mends ([`Store::open_idle`]).
    pub fn is_idle(&self) -> bool {
        self.inner.is_idle()
    }

    /// Stops taking writes, waits for those under way, the packer's and index workers' current jobs.
    pub async fn close(&self) {
        let writers = self.stop_writers();
        self.stop_upkeep().await;
        for writer in writers {
            // One that panicked was reported by then.
            let _ = writer.ended().await;
        }
    }

    /// Runs an operation in the next group of the account's partition.
    async fn write<T: Send + 'static>(
        &self,
        account: AccountId,
        operation: impl Fn(&mut transaction::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.partition(self.inner.place(account).partition)?.write(operation).await
    }
}

/// Runs CPU work or blocking I/O where it does not hold up the reactor.
async fn off_the_reactor<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    work::blocking(task).await.map_err(|error| StoreError::Failed(error.to_string()))
}
