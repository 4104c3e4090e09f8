//! The text index of each account. tantivy's owner.

use super::{StoreError, blob::Blobs, metadata::Engine};
use crate::{
    mail::{AccountId, MessageNumber},
    message::SearchText,
};
use roaring::RoaringBitmap;

/// A text condition, with its needle already folded (`message::fold`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextKey {
    /// A header field (name in lower case) contains the needle; an empty needle asks whether it exists.
    Header { name: String, needle: String },
    /// The body text contains the needle.
    Body(String),
    /// Header (as `name: value` lines) or body contains the needle.
    Text(String),
}

/// Where the text of a stored message comes from when an index is rebuilt.
pub(super) trait TextSource: Send + Sync + 'static {
    fn text(
        &self,
        account: AccountId,
        number: MessageNumber,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Option<SearchText>, StoreError>> + Send + '_>>;
}

/// The indexes of all accounts. Clones share them.
#[derive(Clone)]
pub(super) struct Indexes(());

impl Indexes {
    pub(super) fn open(engine: Engine, blobs: Blobs) -> Result<Self, StoreError> {
        let _ = (engine, blobs);
        unimplemented!("frame: index")
    }

    /// Starts the workers.
    pub(super) fn start(&self, source: std::sync::Arc<dyn TextSource>) -> Result<(), StoreError> {
        let _ = source;
        unimplemented!("frame: index")
    }

    /// Waits for the current jobs and stops the workers.
    pub(super) async fn stop(&self) {
        unimplemented!("frame: index")
    }

    /// The tail value of one message: its folded text. The append batch cuts it into chunks of at most
    /// `limits::VALUE_OCTETS_MAX` and stores them in `Table::Tail` under `tail_key` and a chunk number (u16, big-endian).
    /// The values of two texts one behind the other are the value of both together: our trace fields'
    /// differs from recipient to recipient, the message's own is made once. A value over
    /// `limits::TAIL_VALUE_OCTETS_MAX` is not stored: chunk 0 is then empty, and the text is the [`TextSource`]'s.
    pub(super) fn tail_value(text: &SearchText) -> Vec<u8> {
        let _ = text;
        unimplemented!("frame: index")
    }

    /// What the keys of a message's tail rows begin with; it begins with what all keys of the account begin with.
    pub(super) fn tail_key(account: AccountId, number: MessageNumber) -> Vec<u8> {
        let _ = (account, number);
        unimplemented!("frame: index")
    }

    /// Tells the workers that the account has new tail rows. Never waits.
    pub(super) fn enqueue(&self, account: AccountId) {
        let _ = account;
        unimplemented!("frame: index")
    }

    /// Forgets an account that was removed: its segments' objects go.
    pub(super) async fn forget(&self, account: AccountId) -> Result<(), StoreError> {
        let _ = account;
        unimplemented!("frame: index")
    }

    /// The numbers of the messages that match, expunged ones perhaps included: indexed hits and a scan of the tail.
    pub(super) async fn search(&self, account: AccountId, key: &TextKey) -> Result<RoaringBitmap, StoreError> {
        let _ = (account, key);
        unimplemented!("frame: index")
    }
}
