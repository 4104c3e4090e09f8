//! Rows of a mailbox read past damage, for whoever takes mail out of a damaged store.

use super::account::{AccountRows, Read};
use crate::{
    mail::{AccountId, Flags, MailboxId},
    store::{MailboxEntry, Row, Store, StoreError, account_state::Named, mailbox::flags_of},
};

/// What can be read of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Salvaged {
    /// Its messages with their flags, by rising UID.
    pub rows: Vec<(Row, Flags)>,
    /// What cannot be read of it: where, and what that means.
    pub damage: Vec<(String, String)>,
}

impl Store {
    /// The mailboxes of an account whose names can be read.
    pub fn salvage_names(&self, account: AccountId) -> Result<Vec<MailboxEntry>, StoreError> {
        let rows = AccountRows::read(&self.inner.engine.view(), self.inner.place(account))?;
        let entry = |(name, named): (String, Named)| MailboxEntry {
            id: named.id,
            name,
            special_use: named.special_use,
            subscribed: false,
        };
        Ok(rows.names.into_iter().map(entry).collect())
    }

    /// The mailbox as far as it can be read. Where nothing is damaged this is what [`Store::snapshot`] shows.
    pub fn salvage(&self, account: AccountId, mailbox: MailboxId) -> Result<Salvaged, StoreError> {
        let mut rows = AccountRows::read(&self.inner.engine.view(), self.inner.place(account))?;
        let found = rows.mailboxes.remove(&mailbox).unwrap_or_default();
        let mut salvaged = Salvaged::default();
        let keywords = match rows.headers.get(&mailbox) {
            Some(Read::Good(header)) => header.status.keywords.clone(),
            _ => {
                let what = "its header cannot be read: keywords are lost, and so is UIDVALIDITY";
                salvaged.damage.push(("the mailbox".to_owned(), what.to_owned()));
                Vec::new()
            }
        };
        for number in found.bad_blocks.keys() {
            let (first, last) = (number.saturating_mul(256).max(1), number.saturating_mul(256).saturating_add(255));
            let what = "their rows cannot be read; `postern doctor --repair` brings what is left of them back";
            salvaged.damage.push((format!("UIDs {first}:{last}"), what.to_owned()));
        }
        salvaged.rows = found.rows.iter().map(|row| (*row, flags_of(row, &keywords))).collect();
        Ok(salvaged)
    }
}
