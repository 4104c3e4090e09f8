//! Bringing back what was deleted, while its grace lasts.
//!
//! A message comes back into the mailbox that it left, by that mailbox's present name; a mailbox that is gone is made
//! again. It comes with flags, keywords, INTERNALDATE and the octets it had, under a new UID: clients were told that
//! the old one vanished, and a UID is never given twice (P4). `\Deleted` goes where EXPUNGE had acted on it, or the
//! next EXPUNGE would take the message again. All of a note comes back in one commit, or none.

use super::{
    MailboxEntry, SpecialUse, Store, StoreError, failpoint,
    mailbox::Row,
    metadata::Table,
    modify::keywords_of,
    names::canonical,
    release::{Cause, Note, Stamp, keys_of},
    transaction::Transaction,
};
use crate::{
    clock::UnixMillis,
    mail::{AccountId, Flags, Keyword, MailboxId, MessageNumber, SystemFlags, Uid},
};

/// Messages that were deleted together and can be brought back together.
#[derive(Clone, Debug)]
pub struct Deleted {
    key: Vec<u8>,
    note: Note,
    /// When they were deleted.
    pub at: UnixMillis,
}

/// One message of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedMessage {
    /// The UID that it had.
    pub uid: Uid,
    /// Its number in the account.
    pub number: MessageNumber,
    /// Flags that it would come back with.
    pub flags: Flags,
    /// RFC822.SIZE.
    pub octets: u64,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// The mailbox that has the messages now.
    pub mailbox: MailboxEntry,
    /// The UID that each message had, and the one that it has.
    pub uids: Vec<(Uid, Uid)>,
}

impl Deleted {
    /// The mailbox that they were in, by the name that it had.
    pub fn mailbox(&self) -> &str {
        &self.note.name
    }

    /// Every message, by rising UID.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = DeletedMessage> + '_ {
        self.note.rows.iter().map(|row| DeletedMessage {
            uid: row.uid,
            number: row.number,
            flags: Flags {
                system: self.note.flags(row),
                keywords: keywords_of(row, &self.note.keywords).cloned().collect(),
            },
            octets: row.octets,
        })
    }
}

impl Note {
    /// The system flags that a row comes back with.
    fn flags(&self, row: &Row) -> SystemFlags {
        match self.cause {
            Cause::Expunged => row.flags.difference(SystemFlags::DELETED),
            Cause::MailboxDeleted(_) => row.flags,
        }
    }

    fn special_use(&self) -> Option<SpecialUse> {
        match self.cause {
            Cause::Expunged => None,
            Cause::MailboxDeleted(special_use) => special_use,
        }
    }
}

impl Store {
    /// What can be brought back into an account, oldest first; of one mailbox where `mailbox` names it by its present
    /// name or the one that it had. Reads the notes of the account's partition.
    pub fn deleted(&self, account: AccountId, mailbox: Option<&str>) -> Result<Vec<Deleted>, StoreError> {
        let state = self.inner.account(account)?;
        let wanted = mailbox.map(canonical);
        let id = wanted.as_deref().and_then(|name| state.names().get(name)).map(|named| named.id);
        let mut found = Vec::new();
        for key in keys_of(&self.inner, self.inner.place(account))? {
            // One that is gone was worked off, or brought back by somebody else, since the keys were read.
            let Some(value) = self.inner.engine.get(Table::Outbox, &key)? else { continue };
            let note = Note::read(&value).ok_or_else(damaged)?;
            let at = Stamp::of_key(&key).map_or(0, |stamp| stamp.seconds);
            let is_wanted = |name: &String| *name == note.name || id == Some(note.mailbox);
            if wanted.as_ref().is_none_or(is_wanted) {
                found.push(Deleted { key, note, at: UnixMillis(at.saturating_mul(1000)) });
            }
        }
        Ok(found)
    }

    /// Brings messages back. `NoMessage` where they are gone for good, or back already.
    pub async fn undelete(&self, account: AccountId, deleted: &Deleted) -> Result<Undeleted, StoreError> {
        let key = deleted.key.clone();
        self.write(account, move |transaction| {
            let value = transaction.get(Table::Outbox, &key)?.ok_or(StoreError::NoMessage)?;
            let note = Note::read(&value).ok_or_else(damaged)?;
            let undeleted = transaction.undelete(account, &note)?;
            transaction.delete(Table::Outbox, key.clone());
            failpoint::reach("undelete.before_commit");
            Ok(undeleted)
        })
        .await
    }
}

impl Transaction<'_> {
    /// Adds rows for those of a note. They name the same records, which the note held until now.
    fn undelete(&mut self, account: AccountId, note: &Note) -> Result<Undeleted, StoreError> {
        let mailbox = self.destination(account, note)?;
        let modseq = self.account_mut(account)?.take_modseq()?;
        let saved_seconds = self.now().seconds();
        let mut uids = Vec::with_capacity(note.rows.len());
        for row in &note.rows {
            let keywords = self.keywords_that_fit(account, mailbox, keywords_of(row, &note.keywords))?;
            let flags = note.flags(row);
            let back =
                self.add_row(account, mailbox, |uid| Row { uid, modseq, flags, keywords, saved_seconds, ..*row })?;
            uids.push((row.uid, back.uid));
        }
        let entry = self.account(account)?.entries().find(|entry| entry.id == mailbox);
        Ok(Undeleted { mailbox: entry.ok_or(StoreError::NoMailbox)?, uids })
    }

    /// The mailbox that the rows left, the one that has its name now, or a new one of that name.
    fn destination(&mut self, account: AccountId, note: &Note) -> Result<MailboxId, StoreError> {
        let state = self.account(account)?;
        if state.has(note.mailbox) {
            return Ok(note.mailbox);
        }
        if let Some(named) = state.names().get(&note.name) {
            return Ok(named.id);
        }
        let is_free = |special_use: &SpecialUse| state.entries().all(|entry| entry.special_use != Some(*special_use));
        let special_use = note.special_use().filter(is_free);
        drop(state);
        self.create(account, &note.name, special_use)?;
        let state = self.account(account)?;
        state.names().get(&note.name).map(|named| named.id).ok_or(StoreError::NoMailbox)
    }

    /// The bits of keywords; where the mailbox has no room for new ones, of those that it has.
    fn keywords_that_fit<'k>(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        keywords: impl Iterator<Item = &'k Keyword> + Clone,
    ) -> Result<u64, StoreError> {
        match self.keyword_bits(account, mailbox, keywords.clone()) {
            Err(StoreError::TooManyKeywords) => self.known_keyword_bits(account, mailbox, keywords),
            other => other,
        }
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged("a note of deleted rows".to_owned())
}
