//! Flags, copies, moves and expunging.

use super::{Store, StoreError, failpoint, mailbox::Row, transaction::Transaction};
use crate::mail::{AccountId, Flags, MailboxId, ModSeq, SystemFlags, Uid, UidValidity};

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
    /// Changes flags; a message whose flags are already so keeps its mod-sequence. All in one commit.
    pub async fn change_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        change: FlagChange,
    ) -> Result<FlagChanged, StoreError> {
        self.write(account, move |transaction| change_flags(transaction, account, mailbox, uids, &change)).await
    }

    /// Copies messages, all or none, with flags and INTERNALDATE (RFC 9051 §6.4.7). UIDs that are gone are passed
    /// over. A copy is a row of its own that names the same record: no octet is written again.
    pub async fn copy(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        self.write(account, move |transaction| {
            let rows = rows_of(transaction, account, source, uids)?;
            let copied = copy(transaction, account, source, &rows, destination)?;
            for row in &rows {
                transaction.retain_record(account, row.number)?;
            }
            failpoint::reach("copy.before_commit");
            Ok(copied)
        })
        .await
    }

    /// Moves messages, all or none, in one commit (RFC 6851 §3.3).
    pub async fn move_messages(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        self.write(account, move |transaction| {
            let rows = rows_of(transaction, account, source, uids)?;
            let copied = move_rows(transaction, account, source, &rows, destination)?;
            failpoint::reach("move.before_commit");
            Ok(copied)
        })
        .await
    }

    /// Removes the messages with `\Deleted`, of `among` where given, else of the whole mailbox, and returns their UIDs.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        among: Option<Vec<Uid>>,
    ) -> Result<Vec<Uid>, StoreError> {
        self.write(account, move |transaction| {
            let mut rows = match among {
                Some(uids) => rows_of(transaction, account, mailbox, uids)?,
                None => all_rows(transaction, account, mailbox)?,
            };
            rows.retain(|row| row.flags.contains(SystemFlags::DELETED));
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let modseq = transaction.account_mut(account)?.take_modseq()?;
            transaction.remove_rows(account, mailbox, &rows, modseq)?;
            for row in &rows {
                transaction.release_record(account, row.number)?;
            }
            failpoint::reach("expunge.before_commit");
            Ok(rows.iter().map(|row| row.uid).collect())
        })
        .await
    }
}

/// The rows of those UIDs that exist, by rising UID, each once.
fn rows_of(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    mailbox: MailboxId,
    mut uids: Vec<Uid>,
) -> Result<Vec<Row>, StoreError> {
    uids.sort_unstable();
    uids.dedup();
    let state = transaction.mailbox(account, mailbox)?;
    let row = |uid: &Uid| {
        let block = state.block(super::block::block_of(*uid))?;
        block.rows.get(block.position(*uid)?).copied()
    };
    Ok(uids.iter().filter_map(row).collect())
}

fn all_rows(transaction: &mut Transaction<'_>, account: AccountId, mailbox: MailboxId) -> Result<Vec<Row>, StoreError> {
    let state = transaction.mailbox(account, mailbox)?;
    Ok(state.blocks.iter().flat_map(|(_, block)| block.rows.iter().copied()).collect())
}

fn change_flags(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    mailbox: MailboxId,
    uids: Vec<Uid>,
    change: &FlagChange,
) -> Result<FlagChanged, StoreError> {
    let rows = rows_of(transaction, account, mailbox, uids)?;
    let keywords = match change.mode {
        // What is to be taken away needs no place in the table.
        FlagMode::Remove => known_bits(transaction, account, mailbox, &change.flags)?,
        FlagMode::Replace | FlagMode::Add => {
            transaction.keyword_bits(account, mailbox, change.flags.keywords.iter())?
        }
    };
    let (mut result, mut changed) = (FlagChanged::default(), Vec::new());
    for row in rows {
        if change.unchanged_since.is_some_and(|bound| Some(row.modseq) > bound) {
            result.modified.push(row.uid);
            continue;
        }
        result.stored.push(row.uid);
        let (flags, bits) = changed_flags(&row, change, keywords);
        if (flags, bits) != (row.flags, row.keywords) {
            changed.push(Row { flags, keywords: bits, ..row });
        }
    }
    if !changed.is_empty() {
        let modseq = transaction.account_mut(account)?.take_modseq()?;
        changed.iter_mut().for_each(|row| row.modseq = modseq);
        transaction.set_rows(account, mailbox, &changed)?;
        failpoint::reach("flags.before_commit");
    }
    Ok(result)
}

fn changed_flags(row: &Row, change: &FlagChange, keywords: u64) -> (SystemFlags, u64) {
    match change.mode {
        FlagMode::Replace => (change.flags.system, keywords),
        FlagMode::Add => (row.flags.union(change.flags.system), row.keywords | keywords),
        FlagMode::Remove => (row.flags.difference(change.flags.system), row.keywords & !keywords),
    }
}

fn known_bits(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    mailbox: MailboxId,
    flags: &Flags,
) -> Result<u64, StoreError> {
    let known = transaction.mailbox(account, mailbox)?.status.keywords.iter();
    Ok(known
        .enumerate()
        .filter(|(_, keyword)| flags.keywords.contains(keyword))
        .fold(0, |bits, (bit, _)| bits | 1 << bit))
}

/// Adds rows to the destination for rows of the source. The records' row counts are the caller's.
fn copy(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    source: MailboxId,
    rows: &[Row],
    destination: MailboxId,
) -> Result<Copied, StoreError> {
    let names = transaction.mailbox(account, source)?.status.keywords.clone();
    let used = rows.iter().fold(0, |bits, row| bits | row.keywords);
    let in_use = names.iter().enumerate().filter(|(bit, _)| used >> bit & 1 == 1).map(|(_, keyword)| keyword);
    transaction.keyword_bits(account, destination, in_use)?;
    let uid_validity = transaction.mailbox(account, destination)?.status.uid_validity;
    let saved_seconds = transaction.now().seconds();
    let mut uids = Vec::with_capacity(rows.len());
    if rows.is_empty() {
        return Ok(Copied { uid_validity, uids });
    }
    let modseq = transaction.account_mut(account)?.take_modseq()?;
    for row in rows {
        let set = names.iter().enumerate().filter(|(bit, _)| row.keywords >> bit & 1 == 1).map(|(_, keyword)| keyword);
        let keywords = transaction.keyword_bits(account, destination, set)?;
        let copy =
            transaction.add_row(account, destination, |uid| Row { uid, modseq, keywords, saved_seconds, ..*row })?;
        uids.push((row.uid, copy.uid));
    }
    Ok(Copied { uid_validity, uids })
}

fn move_rows(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    source: MailboxId,
    rows: &[Row],
    destination: MailboxId,
) -> Result<Copied, StoreError> {
    let copied = copy(transaction, account, source, rows, destination)?;
    if !rows.is_empty() {
        let modseq = transaction.account_mut(account)?.take_modseq()?;
        transaction.remove_rows(account, source, rows, modseq)?;
    }
    Ok(copied)
}

impl Transaction<'_> {
    /// Moves all messages of a mailbox into another one (RENAME of INBOX).
    pub(super) fn move_everything(
        &mut self,
        account: AccountId,
        source: MailboxId,
        destination: MailboxId,
    ) -> Result<(), StoreError> {
        let rows = all_rows(self, account, source)?;
        move_rows(self, account, source, &rows, destination).map(|_| ())
    }
}
