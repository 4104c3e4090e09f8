//! The store: messages, mailboxes, bodies and their index.
//!
//! Owns: everything on disk. One RocksDB is the write-ahead log and the metadata (`metadata`),
//! contents live in packs over object_store (`blob`), each account has a text index (`index`).
//! Promises: P1-P10, P12 of the architecture text. Never: knows a protocol, a reply code or a verdict's meaning.

mod account;
mod append;
mod blob;
mod block;
mod changes;
mod contents;
mod failpoint;
mod index;
mod key;
mod mailbox;
mod metadata;
mod modify;
mod names;
mod open;
mod outbox;
mod partition;
mod read;
mod record;
mod search;
mod transaction;

use self::{
    blob::{Blobs, Secret},
    index::Indexes,
    metadata::{Batch, Durability, Engine, Table},
    partition::Partition,
};
use crate::{
    clock::{Clock, UnixMillis},
    limits,
    mail::{AccountId, Flags, MailboxId, MessageNumber, ModSeq, Uid, UidValidity},
    message::{self, Analysis},
};
use bytes::Bytes;
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

pub use account::Directory;
pub use blob::{ContentStatistics, Damage, Packed, Rebuilt, Verified, VerifyProgress};
pub use changes::Watch;
pub use mailbox::{MailboxStatus, Row, Snapshot};
pub use modify::{Copied, FlagChange, FlagChanged, FlagMode};
pub use names::{MailboxEntry, SpecialUse};
pub use read::MessageRecord;
pub use search::{Hit, Scope, SearchKey};

/// What the store needs to know before it opens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of RocksDB, packs, staged objects, index bundles and the installation's secret.
    pub path: PathBuf,
    /// Partitions that accounts are hashed onto; fixed when the store is made.
    pub partitions: u16,
    /// How often the packer looks at bytes in the write-ahead store, in seconds. It moves them once they
    /// are worth a pack (`limits::PACK_OCTETS_MIN`), or after a day.
    pub pack_after_seconds: u64,
    /// RocksDB block cache, in octets.
    pub cache_octets: usize,
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

/// What the store's parts share.
struct Inner {
    clock: Clock,
    path: PathBuf,
    partitions: u16,
    engine: Engine,
    blobs: Blobs,
    indexes: Indexes,
    accounts: Mutex<LruCache<AccountId, Arc<names::AccountState>>>,
    open_mailboxes: open::OpenMailboxes,
    records: Mutex<LruCache<(AccountId, MessageNumber), Arc<MessageRecord>>>,
    watches: Mutex<HashMap<AccountId, tokio::sync::watch::Sender<u64>>>,
    /// Held for reading while rows are loaded into a cache, for writing while a group is committed and published.
    loading: RwLock<()>,
    /// One change to the directory or to the account ids at a time.
    directory: Mutex<()>,
    writers: Mutex<Vec<Arc<Partition>>>,
    tasks: Mutex<Tasks>,
}

/// What runs beside the callers, to be waited for on closing.
#[derive(Default)]
struct Tasks {
    threads: Vec<std::thread::JoinHandle<()>>,
    packer: Option<(tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

/// Counts over the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes of all accounts.
    pub mailboxes: u64,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Octets of these, each copy counted.
    pub octets: u64,
}

impl Store {
    /// Opens the store, or makes it where the folder is empty; finishes what the outbox names and
    /// starts writers, packer and index workers.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        let inner = {
            let (settings, clock) = (settings.clone(), clock.clone());
            off_the_reactor(move || Inner::open(&settings, clock)).await??
        };
        let inner = Arc::new(inner);
        start_writers(&inner)?;
        let store = Self { inner };
        let finished = outbox::finish_all(&store).await?;
        if finished > 0 {
            tracing::info!(deliveries = finished, "finished deliveries that a crash had left");
        }
        store.forget_old_repeats()?;
        store.start_packer(Duration::from_secs(settings.pack_after_seconds));
        store.inner.indexes.start(Arc::new(Source(Arc::downgrade(&store.inner))))?;
        Ok(store)
    }

    /// Stops taking writes, waits for those under way, the packer's and index workers' current jobs.
    pub async fn close(&self) {
        self.inner.writers.lock().clear();
        let tasks = std::mem::take(&mut *self.inner.tasks.lock());
        if let Some((closing, packer)) = tasks.packer {
            drop(closing);
            // A packer that panicked has left fresh contents where they are; the next start packs them.
            let _ = packer.await;
        }
        self.inner.indexes.stop().await;
        let wait = move || tasks.threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = off_the_reactor(wait).await;
    }

    /// Counts over the whole store. O(mailboxes).
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        let mut statistics = Statistics::default();
        for account in self.account_ids()? {
            statistics.accounts += 1;
            for entry in self.mailboxes(account)? {
                let status = self.status(account, entry.id)?;
                statistics.mailboxes += 1;
                statistics.messages += u64::from(status.exists);
                statistics.octets += status.octets;
            }
        }
        Ok(statistics)
    }

    /// Runs an operation in the next group of the account's partition.
    async fn write<T: Send + 'static>(
        &self,
        account: AccountId,
        operation: impl FnOnce(&mut transaction::Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.partition(account)?.write(operation).await
    }

    fn start_packer(&self, every: Duration) {
        let (closing, closed) = tokio::sync::oneshot::channel::<()>();
        let packer = self.inner.blobs.clone().run_packer(every, async {
            // Dropping the sender is the signal.
            let _ = closed.await;
        });
        self.inner.tasks.lock().packer = Some((closing, tokio::spawn(packer)));
    }

    fn forget_old_repeats(&self) -> Result<(), StoreError> {
        let oldest = self.inner.clock.now().seconds() - limits::REPEAT_DAYS * 86_400;
        let mut batch = Batch::default();
        self.inner.engine.scan_prefix(Table::Repeat, b"", |key, value| {
            let remembered = postcard::from_bytes::<append::Remembered>(value);
            if remembered.is_ok_and(|remembered| remembered.seconds < oldest) {
                batch.delete(Table::Repeat, key);
            }
            true
        })?;
        self.inner.engine.commit(batch, Durability::Buffered)
    }
}

impl Inner {
    fn open(settings: &Settings, clock: Clock) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", settings.path.display()));
        std::fs::create_dir_all(&settings.path).map_err(failed)?;
        let engine = Engine::open(&settings.path.join("metadata"), settings.cache_octets)?;
        let (secret, partitions) = identity(&engine, &clock, settings.partitions.max(1))?;
        let blobs = Blobs::open(&settings.path.join("blobs"), engine.clone(), &secret, clock.clone())?;
        let indexes = Indexes::open(engine.clone(), blobs.clone())?;
        Ok(Self {
            clock,
            path: settings.path.clone(),
            partitions,
            engine,
            blobs,
            indexes,
            accounts: open::cache(limits::ACCOUNTS_CACHED_MAX),
            open_mailboxes: open::OpenMailboxes::new(),
            records: open::cache(limits::RECORDS_CACHED_MAX),
            watches: Mutex::default(),
            loading: RwLock::new(()),
            directory: Mutex::new(()),
            writers: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// A full disk is told before the write, never after.
    fn check_free_space(&self) -> Result<(), StoreError> {
        let statistics = rustix::fs::statvfs(&self.path).map_err(|error| StoreError::Failed(error.to_string()))?;
        let free = statistics.f_bavail.saturating_mul(statistics.f_frsize);
        if free < limits::DISK_FREE_OCTETS_MIN { Err(StoreError::Full) } else { Ok(()) }
    }
}

/// The installation's secret and number of partitions, made once and kept.
fn identity(engine: &Engine, clock: &Clock, partitions: u16) -> Result<(Secret, u16), StoreError> {
    if let Some(row) = engine.get(Table::System, b"identity")? {
        let damaged = || StoreError::Damaged("the identity of the store".to_owned());
        let (version, row) = row.split_first().ok_or_else(damaged)?;
        if *version != key::FORMAT {
            return Err(StoreError::Failed(format!(
                "the store has format {version}; this release reads {}",
                key::FORMAT
            )));
        }
        let (partitions, secret) = row.split_first_chunk::<2>().ok_or_else(damaged)?;
        let secret = secret.first_chunk::<32>().ok_or_else(damaged)?;
        return Ok((Secret(*secret), u16::from_be_bytes(*partitions)));
    }
    let mut secret = [0; 32];
    clock.fill_random(&mut secret);
    let mut batch = Batch::default();
    batch.put(Table::System, b"identity", [&[key::FORMAT][..], &partitions.to_be_bytes(), &secret].concat());
    engine.commit(batch, Durability::Synced)?;
    Ok((Secret(secret), partitions))
}

fn start_writers(inner: &Arc<Inner>) -> Result<(), StoreError> {
    for number in 0..inner.partitions {
        let (partition, thread) =
            Partition::start(number, Arc::downgrade(inner)).map_err(|error| StoreError::Failed(error.to_string()))?;
        inner.writers.lock().push(Arc::new(partition));
        inner.tasks.lock().threads.push(thread);
    }
    Ok(())
}

/// Runs CPU work or blocking I/O where it does not hold up the reactor.
async fn off_the_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Failed(error.to_string()))
}

/// Where the indexes get a message's text again. Holds no store open.
struct Source(std::sync::Weak<Inner>);

impl index::TextSource for Source {
    fn text(
        &self,
        account: AccountId,
        number: MessageNumber,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<message::SearchText>, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let store = Store { inner: self.0.upgrade().ok_or(StoreError::Closing)? };
            let record = match store.record(account, number) {
                Ok(record) => record,
                Err(StoreError::NoMessage) => return Ok(None),
                Err(error) => return Err(error),
            };
            let raw = store.read_raw(&record, 0..record.raw_octets).await?;
            let work = move || {
                let mut text = message::search_text(&raw, &record.analysis);
                text.headers.splice(0..0, message::header_texts(&record.trace));
                text
            };
            off_the_reactor(work).await.map(Some)
        })
    }

    fn place(&self, account: AccountId) -> Result<key::Place, StoreError> {
        Ok(self.0.upgrade().ok_or(StoreError::Closing)?.place(account))
    }
}
