//! An account's mailboxes by name: listing, creating, deleting, renaming, subscriptions.

use super::{
    Store, StoreError,
    key::{Place, end_of},
    metadata::{Batch, Engine, Table},
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, MailboxId, MessageNumber, ModSeq, UidValidity},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the mailbox that every account has.
const INBOX: &str = "INBOX";

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

/// A mailbox in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxEntry {
    /// Its id.
    pub id: MailboxId,
    /// Its name in UTF-8 with `/` between levels; `INBOX` in capitals.
    pub name: String,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is subscribed.
    pub subscribed: bool,
}

/// What is kept of an account: counters that change with every write, and names that seldom do, in
/// a row each. The next numbers only rise, so nothing that they name is ever named again.
#[derive(Clone, Debug)]
pub(super) struct AccountState {
    counters: Counters,
    names: Names,
    names_changed: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Counters {
    next_modseq: u64,
    next_number: u32,
    next_mailbox: u64,
    last_uid_validity: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Names {
    mailboxes: BTreeMap<String, (u64, Option<SpecialUse>)>,
    subscriptions: BTreeSet<String>,
}

impl AccountState {
    pub(super) fn new() -> Self {
        let counters = Counters { next_modseq: 1, next_number: 1, next_mailbox: 1, last_uid_validity: 0 };
        Self { counters, names: Names::default(), names_changed: true }
    }

    /// Adds the rows that changed to a batch.
    pub(super) fn write(&mut self, place: Place, batch: &mut Batch) {
        let encoded = "numbers and texts always encode";
        batch.put(Table::Mailbox, place.counters(), postcard::to_allocvec(&self.counters).expect(encoded));
        if std::mem::take(&mut self.names_changed) {
            batch.put(Table::Mailbox, place.names(), postcard::to_allocvec(&self.names).expect(encoded));
        }
    }

    pub(super) fn load(engine: &Engine, place: Place) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged("the row of an account".to_owned());
        let counters = engine.get(Table::Mailbox, place.counters())?.ok_or(StoreError::NoAccount)?;
        let names = engine.get(Table::Mailbox, place.names())?.ok_or(StoreError::NoAccount)?;
        Ok(Self {
            counters: postcard::from_bytes(&counters).map_err(damaged)?,
            names: postcard::from_bytes(&names).map_err(damaged)?,
            names_changed: false,
        })
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &String> {
        self.names.subscriptions.iter()
    }

    pub(super) fn subscribe(&mut self, name: &str) {
        self.names_mut().subscriptions.insert(name.to_owned());
    }

    fn names_mut(&mut self) -> &mut Names {
        self.names_changed = true;
        &mut self.names
    }

    /// Gives out the next modification sequence.
    pub(super) fn take_modseq(&mut self) -> Result<ModSeq, StoreError> {
        let modseq = ModSeq::new(self.counters.next_modseq).ok_or_else(used_up)?;
        self.counters.next_modseq += 1;
        Ok(modseq)
    }

    /// The highest modification sequence given out.
    pub(super) fn highest_modseq(&self) -> u64 {
        self.counters.next_modseq - 1
    }

    /// Gives out the next message number.
    pub(super) fn take_number(&mut self) -> Result<MessageNumber, StoreError> {
        let number = MessageNumber::new(self.counters.next_number).ok_or_else(used_up)?;
        self.counters.next_number = self.counters.next_number.checked_add(1).ok_or_else(used_up)?;
        Ok(number)
    }

    fn take_mailbox(&mut self) -> Result<MailboxId, StoreError> {
        let id = MailboxId::new(self.counters.next_mailbox).ok_or_else(used_up)?;
        self.counters.next_mailbox += 1;
        Ok(id)
    }

    /// A UIDVALIDITY above every earlier one of the account: the time where the clock allows
    /// (RFC 9051 §2.3.1.1 suggests it).
    fn take_uid_validity(&mut self, now_seconds: i64) -> Result<UidValidity, StoreError> {
        let now = u32::try_from(now_seconds).unwrap_or(0);
        self.counters.last_uid_validity = now.max(self.counters.last_uid_validity.checked_add(1).ok_or_else(used_up)?);
        UidValidity::new(self.counters.last_uid_validity).ok_or_else(used_up)
    }

    pub(super) fn entries(&self) -> Vec<MailboxEntry> {
        self.names.mailboxes.iter().filter_map(|(name, value)| self.entry(name, *value)).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<MailboxEntry> {
        let name = canonical(name);
        self.names.mailboxes.get(&name).and_then(|value| self.entry(&name, *value))
    }

    pub(super) fn has(&self, mailbox: MailboxId) -> bool {
        self.names.mailboxes.values().any(|(id, _)| *id == mailbox.get())
    }

    fn entry(&self, name: &str, (id, special_use): (u64, Option<SpecialUse>)) -> Option<MailboxEntry> {
        let subscribed = self.names.subscriptions.contains(name);
        Some(MailboxEntry { id: MailboxId::new(id)?, name: name.to_owned(), special_use, subscribed })
    }
}

fn used_up() -> StoreError {
    StoreError::Failed("a range of numbers is used up".to_owned())
}

/// A name as it is kept: its first level in capitals where it is INBOX in any case (RFC 9051 §5.1).
fn canonical(name: &str) -> String {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let first = if first.eq_ignore_ascii_case(INBOX) { INBOX } else { first };
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}/{rest}"))
}

/// A name that a new mailbox may bear, as it is kept. One final `/` is dropped (RFC 9051 §6.3.4).
fn checked(name: &str) -> Result<String, StoreError> {
    let name = name.strip_suffix('/').unwrap_or(name);
    let levels = name.split('/').count();
    let valid = name.len() <= limits::MAILBOX_NAME_OCTETS_MAX
        && levels <= limits::MAILBOX_LEVELS_MAX
        && name.split('/').all(|level| !level.is_empty())
        && !name.chars().any(|character| character.is_control() || matches!(character, '*' | '%'));
    if valid { Ok(canonical(name)) } else { Err(StoreError::MailboxName) }
}

/// The names above a name, outermost first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// The name of a mailbox at or below `from` once `from` is called `to`.
fn renamed(name: &str, from: &str, to: &str) -> Option<String> {
    let rest = name.strip_prefix(from)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
}

impl Transaction<'_> {
    /// Makes a mailbox that does not exist.
    pub(super) fn make_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId, StoreError> {
        let now = self.now().seconds();
        let row = self.account_mut(account)?;
        let (id, uid_validity, modseq) = (row.take_mailbox()?, row.take_uid_validity(now)?, row.take_modseq()?);
        row.names_mut().mailboxes.insert(name.to_owned(), (id.get(), special_use));
        self.new_mailbox(account, id, uid_validity, modseq);
        Ok(id)
    }

    fn create(&mut self, account: AccountId, name: &str, special_use: Option<SpecialUse>) -> Result<(), StoreError> {
        let row = self.account(account)?;
        if row.names.mailboxes.contains_key(name) {
            return Err(StoreError::MailboxExists);
        }
        if row.names.mailboxes.len() >= limits::MAILBOXES_MAX {
            return Err(StoreError::MailboxName);
        }
        let missing: Vec<&str> = parents(name).filter(|parent| !row.names.mailboxes.contains_key(*parent)).collect();
        for parent in missing {
            self.make_mailbox(account, parent, None)?;
        }
        self.make_mailbox(account, name, special_use).map(|_| ())
    }

    fn delete(&mut self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let row = self.account_mut(account)?;
        if name == INBOX {
            return Err(StoreError::MailboxName);
        }
        let (id, _) = row.names_mut().mailboxes.remove(name).ok_or(StoreError::NoMailbox)?;
        row.take_modseq()?;
        let id = MailboxId::new(id).ok_or(StoreError::NoMailbox)?;
        self.drop_mailbox(account, id)
    }

    fn rename(&mut self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        let row = self.account(account)?;
        let id = row.names.mailboxes.get(from).map(|(id, _)| *id).ok_or(StoreError::NoMailbox)?;
        let moves: Vec<(String, String)> = row
            .names
            .mailboxes
            .keys()
            .filter(|name| from != INBOX || *name == INBOX)
            .filter_map(|name| Some((name.clone(), renamed(name, from, to)?)))
            .collect();
        let moved = |name: &str| moves.iter().any(|(old, _)| old == name);
        if renamed(to, from, "").is_some() && from != to && from != INBOX {
            return Err(StoreError::MailboxName);
        }
        if moves.iter().any(|(_, new)| row.names.mailboxes.contains_key(new) && !moved(new)) || from == to {
            return Err(StoreError::MailboxExists);
        }
        if moves.iter().any(|(_, new)| checked(new).is_err()) {
            return Err(StoreError::MailboxName);
        }
        let missing: Vec<String> =
            parents(to).filter(|name| !row.names.mailboxes.contains_key(*name)).map(str::to_owned).collect();
        for parent in missing {
            self.make_mailbox(account, &parent, None)?;
        }
        if from == INBOX {
            let destination = self.make_mailbox(account, to, None)?;
            let inbox = MailboxId::new(id).ok_or(StoreError::NoMailbox)?;
            return self.move_everything(account, inbox, destination);
        }
        let row = self.account_mut(account)?;
        for (old, new) in moves {
            if let Some(value) = row.names_mut().mailboxes.remove(&old) {
                row.names_mut().mailboxes.insert(new, value);
            }
        }
        row.take_modseq().map(|_| ())
    }

    /// Removes all that an account has.
    pub(super) fn drop_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        self.account(account)?;
        let place = self.place(account);
        for table in
            [Table::Mailbox, Table::Row, Table::Record, Table::Change, Table::Reference, Table::Tail, Table::Segment]
        {
            self.batch().delete_range(table, place.prefix(), end_of(place.prefix()));
        }
        self.forget_account(account);
        Ok(())
    }
}

impl Store {
    /// Makes a mailbox and the levels above it that are missing (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxEntry, StoreError> {
        let name = checked(name)?;
        self.write(account, move |transaction| {
            transaction.create(account, &name, special_use)?;
            transaction.account(account)?.find(&name).ok_or(StoreError::NoMailbox)
        })
        .await
    }

    /// Deletes a mailbox and its messages; mailboxes below it stay. INBOX cannot be deleted.
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = canonical(name);
        self.write(account, move |transaction| transaction.delete(account, &name)).await
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new mailbox
    /// and leaves INBOX empty, with what is below it in place (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(&self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (canonical(from), checked(to)?);
        self.write(account, move |transaction| transaction.rename(account, &from, &to)).await
    }

    /// Subscribes a name, whether or not a mailbox bears it.
    pub async fn subscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = checked(name)?;
        self.write(account, move |transaction| {
            let row = transaction.account_mut(account)?;
            if row.names.subscriptions.len() >= limits::MAILBOXES_MAX {
                return Err(StoreError::MailboxName);
            }
            row.names_mut().subscriptions.insert(name);
            Ok(())
        })
        .await
    }

    /// Unsubscribes a name; one that was not subscribed is no error.
    pub async fn unsubscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = canonical(name);
        self.write(account, move |transaction| {
            transaction.account_mut(account)?.names_mut().subscriptions.remove(&name);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_inbox_is_one_in_any_case() {
        assert_eq!(checked("inbox/Sub/").unwrap(), "INBOX/Sub");
        assert_eq!(checked("Über/Maß").unwrap(), "Über/Maß");
        let long = "a".repeat(limits::MAILBOX_NAME_OCTETS_MAX);
        assert!(checked(&long).is_ok());
        let deep = vec!["a"; limits::MAILBOX_LEVELS_MAX].join("/");
        assert!(checked(&deep).is_ok());
        for name in ["", "/", "a//b", "/a", "a\nb", "a*", "100%", &format!("{long}a"), &format!("{deep}/a")] {
            assert!(checked(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_what_is_below_is_renamed_with_a_mailbox() {
        assert_eq!(renamed("a/b", "a", "c").as_deref(), Some("c/b"));
        assert_eq!(renamed("a", "a", "c").as_deref(), Some("c"));
        assert_eq!(renamed("ab", "a", "c"), None);
    }
}
