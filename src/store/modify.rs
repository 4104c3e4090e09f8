//! Flags, copies, moves and expunging.

use super::{
    Store, StoreError,
    block::block_of,
    failpoint,
    mailbox::Row,
    quota::{Admission, Usage},
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, Flags, Keyword, MailboxId, ModSeq, SystemFlags, Uid, UidValidity},
};
use std::sync::Arc;

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
    /// Changes flags; a message whose flags are already so keeps its mod-sequence. In one commit, or where the
    /// messages are many ([`limits::CHANGE_BLOCKS_MAX`]), in several.
    pub async fn change_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Vec<Uid>,
        change: FlagChange,
    ) -> Result<FlagChanged, StoreError> {
        let mut changed = FlagChanged::default();
        for uids in pieces(uids) {
            let change = change.clone();
            let change =
                move |transaction: &mut Transaction<'_>| change_flags(transaction, account, mailbox, &uids, &change);
            let FlagChanged { stored, modified } = self.write(account, change).await?;
            changed.stored.extend(stored);
            changed.modified.extend(modified);
        }
        Ok(changed)
    }

    /// Copies messages, all or none, with flags and INTERNALDATE (RFC 9051 §6.4.7). UIDs that are gone are passed
    /// over. A copy is a row of its own that names the same record: no octet is written again, but the quota counts it
    /// like any message.
    ///
    /// More than one commit takes ([`limits::CHANGE_BLOCKS_MAX`]) are copied in several, and taken back where one of
    /// them fails. Deviates from RFC 9051 §6.4.7: a crash of the server in between leaves the first of them.
    pub async fn copy(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        let mut copied: Option<Copied> = None;
        for uids in pieces(uids) {
            match (self.copy_piece(account, source, uids, destination).await, &mut copied) {
                (Ok(piece), Some(before)) => before.uids.extend(piece.uids),
                (Ok(piece), None) => copied = Some(piece),
                (Err(error), Some(before)) => {
                    let copies = before.uids.iter().map(|(_, copy)| *copy).collect();
                    self.take_back(account, destination, copies).await?;
                    return Err(error);
                }
                (Err(error), None) => return Err(error),
            }
        }
        copied.ok_or(StoreError::NoMailbox)
    }

    async fn copy_piece(
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

    /// Removes copies of a COPY that failed further on.
    async fn take_back(&self, account: AccountId, mailbox: MailboxId, copies: Vec<Uid>) -> Result<(), StoreError> {
        for uids in pieces(copies) {
            self.write(account, move |transaction| {
                let rows = rows_of(transaction, account, mailbox, &uids)?;
                let modseq = transaction.account_mut(account)?.take_modseq()?;
                transaction.remove_rows(account, mailbox, &rows, modseq)?;
                rows.iter().try_for_each(|row| transaction.release_record(account, row.number))
            })
            .await?;
        }
        Ok(())
    }

    /// Moves messages in one commit, or where they are many ([`limits::CHANGE_BLOCKS_MAX`]), in several. Each is in
    /// one of the two mailboxes at any time (RFC 6851 §3.3).
    pub async fn move_messages(
        &self,
        account: AccountId,
        source: MailboxId,
        uids: Vec<Uid>,
        destination: MailboxId,
    ) -> Result<Copied, StoreError> {
        let mut moved: Option<Copied> = None;
        for uids in pieces(uids) {
            let move_piece = move |transaction: &mut Transaction<'_>| {
                let rows = rows_of(transaction, account, source, &uids)?;
                let copied = move_rows(transaction, account, source, &rows, destination)?;
                failpoint::reach("move.before_commit");
                Ok(copied)
            };
            let piece = self.write(account, move_piece).await?;
            match &mut moved {
                Some(before) => before.uids.extend(piece.uids),
                None => moved = Some(piece),
            }
        }
        moved.ok_or(StoreError::NoMailbox)
    }

    /// Removes the messages with `\Deleted`, of `among` where given, else of the whole mailbox, and returns their UIDs.
    /// [`Store::undelete`] brings them back for `Settings::undelete_days`.
    /// In one commit, or where they are many ([`limits::CHANGE_BLOCKS_MAX`]), in several.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        among: Option<Vec<Uid>>,
    ) -> Result<Vec<Uid>, StoreError> {
        let (mut expunged, among) = (Vec::new(), among.map(Arc::new));
        loop {
            let among = among.clone();
            let expunge = move |transaction: &mut Transaction<'_>| {
                expunge(transaction, account, mailbox, among.as_deref().map(Vec::as_slice))
            };
            let (uids, more) = self.write(account, expunge).await?;
            expunged.extend(uids);
            if !more {
                return Ok(expunged);
            }
        }
    }
}

/// The UIDs by rising number, in pieces that one commit takes; at least one.
fn pieces(mut uids: Vec<Uid>) -> Vec<Vec<Uid>> {
    uids.sort_unstable();
    let blocks: Vec<&[Uid]> = uids.chunk_by(|one, other| block_of(*one) == block_of(*other)).collect();
    let pieces: Vec<Vec<Uid>> = blocks.chunks(limits::CHANGE_BLOCKS_MAX).map(|blocks| blocks.concat()).collect();
    if pieces.is_empty() { vec![uids] } else { pieces }
}

/// Removes the first of the messages that are to be expunged, as many as one commit takes. Says whether there are more.
fn expunge(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    mailbox: MailboxId,
    among: Option<&[Uid]>,
) -> Result<(Vec<Uid>, bool), StoreError> {
    let mut rows = match among {
        Some(uids) => rows_of(transaction, account, mailbox, uids)?,
        None => all_rows(transaction, account, mailbox)?,
    };
    rows.retain(|row| row.flags.contains(SystemFlags::DELETED));
    let fit = rows.chunk_by(|one, other| block_of(one.uid) == block_of(other.uid));
    let fit = fit.take(limits::CHANGE_BLOCKS_MAX).map(<[Row]>::len).sum();
    let more = rows.len() > fit;
    rows.truncate(fit);
    if !rows.is_empty() {
        let modseq = transaction.account_mut(account)?.take_modseq()?;
        transaction.remove_rows(account, mailbox, &rows, modseq)?;
        transaction.release_expunged(account, mailbox, &rows, modseq)?;
        failpoint::reach("expunge.before_commit");
    }
    Ok((rows.iter().map(|row| row.uid).collect(), more))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_uid_in_order_and_no_more_blocks_than_one_commit_takes() {
        let uids = |numbers: &[u32]| numbers.iter().copied().filter_map(Uid::new).collect::<Vec<_>>();
        assert_eq!(pieces(Vec::new()), [Vec::new()]);
        assert_eq!(pieces(uids(&[9, 3, 700])), [uids(&[3, 9, 700])]);
        let many = uids(&(1..200_000).step_by(100).chain(150_000..150_900).rev().collect::<Vec<_>>());
        let pieces = pieces(many.clone());
        let blocks = |piece: &[Uid]| piece.chunk_by(|one, other| block_of(*one) == block_of(*other)).count();
        assert_eq!(pieces.iter().map(|piece| blocks(piece)).collect::<Vec<_>>(), [256, 256, 256, 13]);
        let mut sorted = many;
        sorted.sort_unstable();
        assert_eq!(pieces.concat(), sorted);
    }
}
