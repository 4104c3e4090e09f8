//! The text index of each account. tantivy's owner.
//!
//! Owns: tail rows, segment rows, segments as immutable bundles, the workers that make and merge them. Promises: a search
//! answers what a scan of the folded text of every message answers, from the commit of the message on (P7); the
//! index can be thrown away and built again (P10). Never: knows flags, mailboxes or dates; waits on the
//! write path.
//!
//! A message's folded text stands in the tail until a worker has put it into a segment; one batch then adds the segment's
//! row and removes the tail rows, so a reader's view has each message in one of the two. Merged and forgotten
//! bundles are removed after their rows, so a reader that comes late finds no file and reads the rows again.

mod build;
mod bundle;
mod query;
mod recover;
mod row;
mod schema;
mod segments;
mod tail;
mod token;
mod worker;

use super::{
    StoreError,
    blob::Blobs,
    key::Place,
    metadata::{Engine, Table},
};
use crate::{
    limits,
    mail::{AccountId, MessageNumber},
    message::{SearchText, fold},
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, OnceLock},
};
use tail::Text;

/// A text condition, with its needle already folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextKey {
    /// A header field (name in lower case) contains the needle; an empty needle asks whether it exists.
    Header { name: String, needle: String },
    /// The body text contains the needle.
    Body(String),
    /// Header (as `name: value` lines) or body contains the needle.
    Text(String),
}

impl TextKey {
    pub(super) fn header(name: &str, needle: &str) -> Self {
        Self::Header { name: folded(name), needle: folded(needle) }
    }

    pub(super) fn body(needle: &str) -> Self {
        Self::Body(folded(needle))
    }

    pub(super) fn text(needle: &str) -> Self {
        Self::Text(folded(needle))
    }
}

fn folded(needle: &str) -> String {
    token::without_controls(&fold(needle)).into_owned()
}

/// Where the text of a stored message comes from when an index is rebuilt, or a candidate is looked at.
pub(super) trait TextSource: Send + Sync + 'static {
    fn text(
        &self,
        account: AccountId,
        number: MessageNumber,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<SearchText>, StoreError>> + Send + '_>>;

    /// The place of an account's rows.
    fn place(&self, account: AccountId) -> Result<Place, StoreError>;
}

/// The indexes of all accounts. Clones share them.
#[derive(Clone)]
pub(super) struct Indexes(Arc<Shared>);

struct Shared {
    engine: Engine,
    blobs: Blobs,
    source: OnceLock<Arc<dyn TextSource>>,
    open: segments::OpenSegments,
    worker: worker::Queue,
}

/// Figures of an account's index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct IndexStatistics {
    /// Segments.
    pub segments: u64,
    /// Messages in segments, removed ones included.
    pub documents: u64,
    /// Octets of segments.
    pub octets: u64,
    /// Messages in the tail.
    pub tail: u64,
}

impl Indexes {
    pub(super) fn open(engine: Engine, blobs: Blobs) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Shared {
            engine,
            blobs,
            source: OnceLock::new(),
            open: segments::OpenSegments::new(),
            worker: worker::Queue::default(),
        })))
    }

    /// Starts the worker, with the accounts that have a tail from before.
    pub(super) fn start(&self, source: Arc<dyn TextSource>) -> Result<(), StoreError> {
        if self.0.source.set(source).is_err() {
            return Err(StoreError::Failed("the index was started twice".to_owned()));
        }
        for account in self.accounts_with_tail()? {
            self.enqueue(account);
        }
        worker::start(self);
        Ok(())
    }

    /// Waits for the current jobs and stops the worker.
    pub(super) async fn stop(&self) {
        worker::stop(self).await;
    }

    /// A message's folded text as its tail rows keep it, in chunks of at most `limits::VALUE_OCTETS_MAX`, under
    /// [`Indexes::tail_key`] and a chunk number. Values may be put one behind the other.
    pub(super) fn tail_value(text: &SearchText) -> Vec<u8> {
        Text::of(text).encode()
    }

    /// The key of a message's tail rows, without the chunk number.
    pub(super) fn tail_key(place: Place, number: MessageNumber) -> Vec<u8> {
        [&*place.prefix(), &number.get().to_be_bytes()].concat()
    }

    /// Tells the workers that the account has new tail rows. Never waits.
    pub(super) fn enqueue(&self, account: AccountId) {
        self.0.worker.enqueue(account);
    }

    /// The numbers of the messages that match, expunged ones perhaps included: indexed hits and a scan of the tail.
    pub(super) async fn search(&self, account: AccountId, key: &TextKey) -> Result<RoaringBitmap, StoreError> {
        let place = self.source()?.place(account)?;
        let mut copies_are_new = false;
        for _ in 0..limits::INDEX_RETRIES {
            match self.search_once(place, key).await {
                // A merge took the bundle away between our reading its row and opening it, or it is elsewhere.
                Err(StoreError::NoMessage) => {}
                // A copy may be damaged where the bundle is not.
                Err(StoreError::Damaged(_)) if !copies_are_new && self.forget_copies(place).await? => {
                    copies_are_new = true
                }
                other => return other,
            }
            segments::fetch(&self.0, account, &self.rows(place).await?).await?;
        }
        Err(StoreError::Failed("index segments came and went too fast".to_owned()))
    }

    async fn rows(&self, place: Place) -> Result<Vec<row::SegmentRow>, StoreError> {
        let engine = self.0.engine.clone();
        super::off_the_reactor(move || row::all(&engine.view(), place)).await?
    }

    /// Says whether there were any.
    async fn forget_copies(&self, place: Place) -> Result<bool, StoreError> {
        let names = self.rows(place).await?.into_iter().map(|row| row.object(place.account));
        Ok(names.filter(|name| self.0.blobs.forget_copy(name)).count() > 0)
    }

    async fn search_once(&self, place: Place, key: &TextKey) -> Result<RoaringBitmap, StoreError> {
        let (shared, key_there) = (Arc::clone(&self.0), key.clone());
        let (mut certain, possible) =
            super::off_the_reactor(move || segments::search(&shared, place, &key_there)).await??;
        for number in possible {
            if self.matches(place, number, key).await? {
                certain.insert(number);
            }
        }
        Ok(certain)
    }

    /// Looks at a candidate's text.
    async fn matches(&self, place: Place, number: u32, key: &TextKey) -> Result<bool, StoreError> {
        let Some(message) = MessageNumber::new(number) else { return Ok(false) };
        let text = self.source()?.text(place.account, message).await?;
        Ok(text.is_some_and(|text| Text::of(&text).matches(key)))
    }

    /// Puts the whole tail of an account into segments now.
    pub(super) async fn flush(&self, account: AccountId) -> Result<(), StoreError> {
        let place = self.source()?.place(account)?;
        while worker::flush(self, place).await? {}
        Ok(())
    }

    /// Drops an account's segments and builds them again from the messages. Searches stay right meanwhile:
    /// the new tail rows and the removal of the old segments are one batch.
    pub(super) async fn rebuild(&self, account: AccountId, numbers: &[MessageNumber]) -> Result<(), StoreError> {
        worker::rebuild(self, self.source()?.place(account)?, numbers).await?;
        self.flush(account).await
    }

    /// Forgets an account whose rows were removed: its segments' objects go.
    pub(super) async fn forget(&self, account: AccountId) -> Result<(), StoreError> {
        self.0.worker.forget(account);
        self.0.open.forget(account);
        for name in self.0.blobs.list_objects(&row::folder(account)).await? {
            self.0.blobs.delete_object(&name).await?;
        }
        // The row that says that the index has to go goes next, and must not be the first to be durable.
        self.0.blobs.settle_removals(&row::folder(account)).await
    }

    /// Every object that a segment row names, of all accounts.
    pub(super) fn objects(&self) -> Result<HashSet<String>, StoreError> {
        row::objects(&self.0.engine)
    }

    /// Figures of an account's index.
    pub(super) fn statistics(&self, account: AccountId) -> Result<IndexStatistics, StoreError> {
        let place = self.source()?.place(account)?;
        let mut statistics = IndexStatistics::default();
        for row in row::all(&self.0.engine.view(), place)? {
            statistics.segments += 1;
            statistics.documents += u64::from(row.documents);
            statistics.octets += row.octets;
        }
        statistics.tail = segments::tail_rows(&self.0.engine.view(), place, usize::MAX)?.len() as u64;
        Ok(statistics)
    }

    fn source(&self) -> Result<&Arc<dyn TextSource>, StoreError> {
        self.0.source.get().ok_or(StoreError::Closing)
    }

    fn accounts_with_tail(&self) -> Result<Vec<AccountId>, StoreError> {
        let mut accounts = BTreeMap::new();
        self.0.engine.scan_prefix(Table::Tail, b"", |key, _| {
            let id = key.get(2..).and_then(|rest| rest.first_chunk()).map(|octets| u64::from_be_bytes(*octets));
            if let Some(account) = id.and_then(AccountId::new) {
                accounts.insert(account, ());
            }
            true
        })?;
        Ok(accounts.into_keys().collect())
    }
}
