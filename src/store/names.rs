//! Names of mailboxes: which are allowed, creating, deleting, renaming, subscribing.

use super::{
    Store, StoreError,
    account_state::{INBOX, Named},
    failpoint,
    metadata::Table,
    transaction::Transaction,
};
use crate::{
    limits,
    mail::{AccountId, MailboxId},
};
use serde::{Deserialize, Serialize};

/// What a mailbox is for (RFC 6154 §2). The order is part of the format.
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

/// A name as it is kept: its first level in capitals where it is INBOX in any case (RFC 9051 §5.1).
pub(super) fn canonical(name: &str) -> String {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let first = if first.eq_ignore_ascii_case(INBOX) { INBOX } else { first };
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}/{rest}"))
}

/// A name that a new mailbox may bear, as it is kept. One final `/` is dropped (RFC 9051 §6.3.4).
fn checked(name: &str) -> Result<String, StoreError> {
    let name = name.strip_suffix('/').unwrap_or(name);
    let valid = name.len() <= limits::MAILBOX_NAME_OCTETS_MAX
        && name.split('/').count() <= limits::MAILBOX_LEVELS_MAX
        && name.split('/').all(|level| !level.is_empty())
        && !name.chars().any(is_refused);
    if valid { Ok(canonical(name)) } else { Err(StoreError::MailboxName) }
}

/// Characters that no name may hold (RFC 9051 §5.1, RFC 5198 §2), the wildcards of LIST among them.
fn is_refused(character: char) -> bool {
    character.is_control() || matches!(character, '*' | '%' | '\u{2028}' | '\u{2029}')
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
        let state = self.account_mut(account)?;
        let (id, uid_validity, modseq) = (state.take_mailbox()?, state.take_uid_validity(now)?, state.take_modseq()?);
        self.give_name(account, name, Named { id, special_use })?;
        self.new_mailbox(account, id, uid_validity, modseq);
        Ok(id)
    }

    fn give_name(&mut self, account: AccountId, name: &str, named: Named) -> Result<(), StoreError> {
        self.account_mut(account)?.names_mut().insert(name, named);
        let key = self.place(account).name(name);
        self.batch().put(Table::Mailbox, key, named.encode());
        Ok(())
    }

    fn take_name(&mut self, account: AccountId, name: &str) -> Result<Named, StoreError> {
        let named = self.account_mut(account)?.names_mut().remove(name).ok_or(StoreError::NoMailbox)?;
        let key = self.place(account).name(name);
        self.batch().delete(Table::Mailbox, key);
        Ok(named)
    }

    /// Makes those levels above a name that are missing.
    fn make_parents(&mut self, account: AccountId, name: &str) -> Result<(), StoreError> {
        for parent in parents(name) {
            if !self.account(account)?.names().contains(parent) {
                self.make_mailbox(account, parent, None)?;
            }
        }
        Ok(())
    }

    /// Makes a mailbox and the levels above it.
    pub(super) fn create(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<(), StoreError> {
        let state = self.account(account)?;
        let names = state.names();
        if names.contains(name) {
            return Err(StoreError::MailboxExists);
        }
        if names.len() + parents(name).count() >= limits::MAILBOXES_MAX {
            return Err(StoreError::TooManyMailboxes);
        }
        drop(state);
        self.make_parents(account, name)?;
        self.make_mailbox(account, name, special_use).map(|_| ())
    }

    fn delete_mailbox(&mut self, account: AccountId, name: &str) -> Result<(), StoreError> {
        if name == INBOX {
            return Err(StoreError::MailboxName);
        }
        if !self.account(account)?.names().contains(name) {
            return Err(StoreError::NoMailbox);
        }
        let named = self.take_name(account, name)?;
        self.drop_mailbox(account, name, named)
    }

    fn rename(&mut self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        let moves = self.moves(account, from, to)?;
        self.make_parents(account, to)?;
        if from == INBOX {
            let inbox = self.account(account)?.names().get(INBOX).ok_or(StoreError::NoMailbox)?;
            let destination = self.make_mailbox(account, to, None)?;
            return self.move_everything(account, inbox.id, destination);
        }
        let taken = moves.iter().map(|(old, _)| self.take_name(account, old)).collect::<Result<Vec<_>, _>>()?;
        for ((_, new), named) in moves.iter().zip(taken) {
            self.give_name(account, new, named)?;
        }
        self.account_mut(account)?.take_modseq().map(|_| ())
    }

    /// Old and new name of each mailbox that a rename moves, once nothing stands against it.
    fn moves(&self, account: AccountId, from: &str, to: &str) -> Result<Vec<(String, String)>, StoreError> {
        let state = self.account(account)?;
        let names = state.names();
        if !names.contains(from) {
            return Err(StoreError::NoMailbox);
        }
        if names.contains(to) {
            return Err(StoreError::MailboxExists);
        }
        let below = |name: &&String| from != INBOX || *name == INBOX;
        let moves: Vec<(String, String)> = names
            .iter()
            .map(|(name, _)| name)
            .filter(below)
            .filter_map(|name| Some((name.clone(), renamed(name, from, to)?)))
            .collect();
        // A mailbox cannot go below itself; INBOX can, since it stays where it is.
        if (from != INBOX && renamed(to, from, "").is_some()) || moves.iter().any(|(_, new)| checked(new).is_err()) {
            return Err(StoreError::MailboxName);
        }
        let is_moved = |name: &String| moves.iter().any(|(old, _)| old == name);
        if moves.iter().any(|(_, new)| names.contains(new) && !is_moved(new)) {
            return Err(StoreError::MailboxExists);
        }
        if names.len() + parents(to).count() >= limits::MAILBOXES_MAX {
            return Err(StoreError::TooManyMailboxes);
        }
        Ok(moves)
    }

    /// Subscribes a name.
    pub(super) fn subscribe(&mut self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let state = self.account(account)?;
        let subscriptions = &state.names().subscriptions;
        if subscriptions.contains(name) {
            return Ok(());
        }
        if subscriptions.len() >= limits::MAILBOXES_MAX {
            return Err(StoreError::TooManyMailboxes);
        }
        drop(state);
        let state = self.account_mut(account)?;
        state.take_modseq()?;
        state.names_mut().subscriptions.insert(name.to_owned());
        let key = self.place(account).subscription(name);
        self.batch().put(Table::Mailbox, key, b"");
        Ok(())
    }

    fn unsubscribe(&mut self, account: AccountId, name: &str) -> Result<(), StoreError> {
        if !self.account(account)?.names().subscriptions.contains(name) {
            return Ok(());
        }
        let state = self.account_mut(account)?;
        state.take_modseq()?;
        state.names_mut().subscriptions.remove(name);
        let key = self.place(account).subscription(name);
        self.batch().delete(Table::Mailbox, key);
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
            failpoint::reach("mailbox.before_create");
            transaction.account(account)?.find(&name).ok_or(StoreError::NoMailbox)
        })
        .await
    }

    /// Deletes a mailbox and its messages; mailboxes below it stay. INBOX cannot be deleted.
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = canonical(name);
        self.write(account, move |transaction| {
            transaction.delete_mailbox(account, &name)?;
            failpoint::reach("mailbox.before_delete");
            Ok(())
        })
        .await
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new mailbox
    /// and leaves INBOX empty, with what is below it in place (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(&self, account: AccountId, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (canonical(from), checked(to)?);
        self.write(account, move |transaction| {
            transaction.rename(account, &from, &to)?;
            failpoint::reach("mailbox.before_rename");
            Ok(())
        })
        .await
    }

    /// Subscribes a name, whether or not a mailbox bears it.
    pub async fn subscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = checked(name)?;
        self.write(account, move |transaction| transaction.subscribe(account, &name)).await
    }

    /// Unsubscribes a name; one that was not subscribed is no error.
    pub async fn unsubscribe(&self, account: AccountId, name: &str) -> Result<(), StoreError> {
        let name = canonical(name);
        self.write(account, move |transaction| transaction.unsubscribe(account, &name)).await
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
        let (longer, deeper) = (format!("{long}a"), format!("{deep}/a"));
        for name in ["", "/", "a//b", "/a", "a\nb", "a\u{2028}b", "a*", "100%", &longer, &deeper] {
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
