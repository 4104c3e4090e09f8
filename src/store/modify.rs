//! Flags, copies, moves and expunging.

use super::{Store, StoreError};
use crate::mail::{AccountId, Flags, MailboxId, ModSeq, Uid, UidValidity};

/// How flags change (RFC 9051 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// A STORE.
#[derive(Clone, Debug)]
pub struct FlagChange {
    /// How.
    pub mode: FlagMode,
    /// Which.
    pub flags: Flags,
    /// Only messages whose mod-sequence is not above this one (RFC 7162 §3.1.3); `Some(None)` stands for zero.
    pub unchanged_since: Option<Option<ModSeq>>,
}

/// What a STORE did.
#[derive(Clone, Debug, Default)]
pub struct FlagChanged {
    /// UIDs whose flags are as asked for now, changed or not. UIDs that are gone are in neither list.
    pub stored: Vec<Uid>,
    /// UIDs left alone because they changed meanwhile.
    pub modified: Vec<Uid>,
}

/// What COPY or MOVE did.
#[derive(Clone, Debug)]
pub struct Copied {
    /// UIDVALIDITY of the destination.
    pub uid_validity: UidValidity,
    /// Source and destination UID of each message, by rising source UID.
    pub uids: Vec<(Uid, Uid)>,
}

impl Store {
    /// Changes flags; a message whose flags are already so keeps its mod-sequence.
    pub async fn change_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        change: FlagChange,
    ) -> Result<FlagChanged, StoreError> {
        let _ = (account, mailbox, uids, change);
        unimplemented!("frame: store")
    }

    /// Copies messages, all or none, with flags and INTERNALDATE (RFC 9051 §6.4.7). UIDs that are gone are passed over.
    pub async fn copy(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        let _ = (account, source, uids, destination);
        unimplemented!("frame: store")
    }

    /// Moves messages, all or none, in one commit (RFC 6851 §3.3).
    pub async fn move_messages(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        let _ = (account, source, uids, destination);
        unimplemented!("frame: store")
    }

    /// Removes the messages with `\Deleted`, of `among` where given, else of the whole mailbox, and returns their UIDs.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        among: Option<Vec<Uid>>,
    ) -> Result<Vec<Uid>, StoreError> {
        let _ = (account, mailbox, among);
        unimplemented!("frame: store")
    }
}
