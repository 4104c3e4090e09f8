//! Reading records and octets of messages.

use super::{Store, StoreError, blob::Manifest};
use crate::{
    clock::UnixMillis,
    mail::{AccountId, ContentId, MessageNumber},
    message::Analysis,
};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

/// What is kept of a message beside its octets.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    /// The account.
    pub account: AccountId,
    /// Its number there.
    pub number: MessageNumber,
    /// Hash of the octets as received.
    pub raw_id: ContentId,
    /// Octets as received, trace not counted.
    pub raw_octets: u64,
    /// Our trace fields; they stand before the octets as received.
    pub trace: Bytes,
    /// INTERNALDATE.
    pub internal_date: UnixMillis,
    /// Structure and ENVELOPE; its offsets count from the first octet as received, trace not included.
    pub analysis: Arc<Analysis>,
    /// The spam verdict, opaque here.
    pub verdict: Option<Bytes>,
    pub(super) manifest: Manifest,
}

impl MessageRecord {
    /// RFC822.SIZE: trace and octets as received.
    pub fn octets(&self) -> u64 {
        self.raw_octets + self.trace.len() as u64
    }
}

impl Store {
    /// The record of a message, from a cache where it was read lately.
    pub fn record(&self, account: AccountId, number: MessageNumber) -> Result<Arc<MessageRecord>, StoreError> {
        let _ = (account, number);
        unimplemented!("frame: store")
    }

    /// Octets of the message as received (trace not included), verified. Touches only what the range needs.
    pub async fn read_raw(&self, record: &MessageRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        let _ = (record, range);
        unimplemented!("frame: store")
    }

    /// Octets of the message as it is shown: trace fields, then the octets as received.
    pub async fn read(&self, record: &MessageRecord, range: Range<u64>) -> Result<Bytes, StoreError> {
        let _ = (record, range);
        unimplemented!("frame: store")
    }
}
