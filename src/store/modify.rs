//! Flags, copies, moves and expunging.

use super::{
    Store, StoreError, failpoint,
    mailbox::Row,
    quota::{Admission, Usage},
    transaction::Transaction,
};
use crate::mail::{AccountId, Flags, Keyword, MailboxId, ModSeq, SystemFlags, Uid, UidValidity};

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
        self.write(account, move |transaction| change_flags(transaction, account, mailbox, &uids, &change)).await
    }

    /// Copies messages, all or none, with flags and INTERNALDATE (RFC 9051 §6.4.7). UIDs that are gone are passed
    /// over. A copy is a row of its own that names the same record: no octet is written again, but the quota counts it
    /// like any message.
    pub async fn copy(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        self.write(account, move |transaction| {
            let rows = rows_of(transaction, account, source, &uids)?;
            transaction.mailbox(account, destination)?;
            let usage = rows.iter().map(|row| Usage::of_message(row.octets)).sum();
            transaction.admit(account, usage, Admission::Fits)?;
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
            let rows = rows_of(transaction, account, source, &uids)?;
            let copied = move_rows(transaction, account, source, &rows, destination)?;
            failpoint::reach("move.before_commit");
            Ok(copied)
        })
        .await
    }

    /// Removes the messages with `\Deleted`, of `among` where given, else of the whole mailbox, and returns their UIDs.
    /// [`Store::undelete`] brings them back for `Settings::undelete_days`.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        among: Option<Vec<Uid>>,
    ) -> Result<Vec<Uid>, StoreError> {
        self.write(account, move |transaction| {
            let mut rows = match &among {
                Some(uids) => rows_of(transaction, account, mailbox, uids)?,
                None => all_rows(transaction, account, mailbox)?,
            };
            rows.retain(|row| row.flags.contains(SystemFlags::DELETED));
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let modseq = transaction.account_mut(account)?.take_modseq()?;
            transaction.remove_rows(account, mailbox, &rows, modseq)?;
            transaction.release_expunged(account, mailbox, &rows, modseq)?;
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
    uids: &[Uid],
) -> Result<Vec<Row>, StoreError> {
    let state = transaction.mailbox(account, mailbox)?;
    let mut rows: Vec<Row> = uids.iter().filter_map(|uid| state.row(*uid).copied()).collect();
    rows.sort_unstable_by_key(|row| row.uid);
    rows.dedup_by_key(|row| row.uid);
    Ok(rows)
}

fn all_rows(transaction: &mut Transaction<'_>, account: AccountId, mailbox: MailboxId) -> Result<Vec<Row>, StoreError> {
    Ok(transaction.mailbox(account, mailbox)?.rows().copied().collect())
}

fn change_flags(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    mailbox: MailboxId,
    uids: &[Uid],
    change: &FlagChange,
) -> Result<FlagChanged, StoreError> {
    let rows = rows_of(transaction, account, mailbox, uids)?;
    let is_later = |row: &Row| change.unchanged_since.is_some_and(|bound| Some(row.modseq) > bound);
    let (modified, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(is_later);
    let uids_of = |rows: &[Row]| rows.iter().map(|row| row.uid).collect();
    let result = FlagChanged { stored: uids_of(&rows), modified: uids_of(&modified) };
    if rows.is_empty() {
        // No message, no need for a place in the keyword table.
        return Ok(result);
    }
    let keywords = match change.mode {
        FlagMode::Remove => transaction.known_keyword_bits(account, mailbox, change.flags.keywords.iter())?,
        FlagMode::Replace | FlagMode::Add => {
            transaction.keyword_bits(account, mailbox, change.flags.keywords.iter())?
        }
    };
    let mut changed: Vec<Row> = rows.iter().filter_map(|row| changed_row(row, change, keywords)).collect();
    if !changed.is_empty() {
        let modseq = transaction.account_mut(account)?.take_modseq()?;
        changed.iter_mut().for_each(|row| row.modseq = modseq);
        transaction.set_rows(account, mailbox, &changed)?;
        failpoint::reach("flags.before_commit");
    }
    Ok(result)
}

/// The row with its new flags, where they differ.
fn changed_row(row: &Row, change: &FlagChange, keywords: u64) -> Option<Row> {
    let (flags, keywords) = changed_flags(row, change, keywords);
    ((flags, keywords) != (row.flags, row.keywords)).then_some(Row { flags, keywords, ..*row })
}

fn changed_flags(row: &Row, change: &FlagChange, keywords: u64) -> (SystemFlags, u64) {
    match change.mode {
        FlagMode::Replace => (change.flags.system, keywords),
        FlagMode::Add => (row.flags.union(change.flags.system), row.keywords | keywords),
        FlagMode::Remove => (row.flags.difference(change.flags.system), row.keywords & !keywords),
    }
}

/// Adds rows to the destination for rows of the source. The records' row counts are the caller's.
fn copy(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    source: MailboxId,
    rows: &[Row],
    destination: MailboxId,
) -> Result<Copied, StoreError> {
    let names = transaction.mailbox(account, source)?.header.status.keywords.clone();
    let uid_validity = transaction.mailbox(account, destination)?.header.status.uid_validity;
    if rows.is_empty() {
        return Ok(Copied { uid_validity, uids: Vec::new() });
    }
    let modseq = transaction.account_mut(account)?.take_modseq()?;
    let saved_seconds = transaction.now().seconds();
    let mut uids = Vec::with_capacity(rows.len());
    for row in rows {
        let keywords = transaction.keyword_bits(account, destination, keywords_of(row, &names))?;
        let copy =
            transaction.add_row(account, destination, |uid| Row { uid, modseq, keywords, saved_seconds, ..*row })?;
        uids.push((row.uid, copy.uid));
    }
    Ok(Copied { uid_validity, uids })
}

/// The keywords of a row, by the keyword table of its mailbox.
pub(super) fn keywords_of<'k>(row: &Row, names: &'k [Keyword]) -> impl Iterator<Item = &'k Keyword> + Clone {
    let bits = row.keywords;
    names.iter().enumerate().filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, keyword)| keyword)
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
