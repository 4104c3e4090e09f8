//! Search: conditions on records from rows, text from the index, joined as sets.

use super::{Store, StoreError};
use crate::mail::{AccountId, Flag, MailboxId, MessageNumber, ModSeq, Uid};

/// A search condition (RFC 9051 §6.4.4). Dates are days since 1970; sequence numbers were resolved to UIDs before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// Every part holds. Empty is every message.
    And(Vec<SearchKey>),
    /// Either holds.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// It does not hold.
    Not(Box<SearchKey>),
    /// UID in one of these inclusive ranges.
    Uids(Vec<(Uid, Uid)>),
    /// The flag is set.
    Flag(Flag),
    /// Size above, in octets.
    Larger(u64),
    /// Size below, in octets.
    Smaller(u64),
    /// INTERNALDATE's day in UTC is earlier.
    Before(i32),
    /// INTERNALDATE's day in UTC is this one.
    On(i32),
    /// INTERNALDATE's day in UTC is this one or later.
    Since(i32),
    /// The Date field's day is earlier.
    SentBefore(i32),
    /// The Date field's day is this one.
    SentOn(i32),
    /// The Date field's day is this one or later.
    SentSince(i32),
    /// INTERNALDATE within the last so many seconds (RFC 5032).
    Younger(u64),
    /// INTERNALDATE before that (RFC 5032).
    Older(u64),
    /// Mod-sequence at least this (RFC 7162 §3.1.5).
    ModSeq(ModSeq),
    /// A header field of this name contains the text; empty text asks whether the field exists.
    Header {
        /// Field name, any case.
        name: String,
        /// Text, not folded.
        needle: String,
    },
    /// The body text contains it.
    Body(String),
    /// Header or body contains it.
    Text(String),
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One mailbox.
    Mailbox(MailboxId),
    /// Every mailbox of the account.
    Account,
}

/// One message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The UID in it.
    pub uid: Uid,
    /// The number in the account.
    pub number: MessageNumber,
    /// Its mod-sequence.
    pub modseq: ModSeq,
}

impl Store {
    /// Every message that matches, by mailbox and rising UID: what a scan of the messages visible
    /// at the call answers (P7).
    pub async fn search(&self, account: AccountId, scope: Scope, key: &SearchKey) -> Result<Vec<Hit>, StoreError> {
        let _ = (account, scope, key);
        unimplemented!("frame: store")
    }
}
