//! Accounts: add, list, change the password, remove.

use super::{Admin, AdminError, Done, Events, Item, Run, Secret};
use crate::{
    accounts::{AccountsError, Password},
    mail::{AccountId, Address},
    store::StoreError,
};

/// Makes an account.
pub(super) async fn add(admin: &Admin, address: &Address, password: &Secret) -> Result<Done, AdminError> {
    admin.accounts.add_account(address, &Password::new(password.0.as_bytes())?).await?;
    Ok(Done::Completed)
}

/// Lists the accounts by address.
pub(super) async fn list(admin: &Admin, events: &Events) -> Result<Done, AdminError> {
    for account in admin.accounts.accounts() {
        let size = match Size::of(admin, account.id) {
            Ok(size) => size,
            // Removed since the list was made.
            Err(StoreError::NoAccount) => continue,
            Err(error) => return Err(error.into()),
        };
        let Size { mailboxes, messages, octets } = size;
        events.item(Item::Account { address: account.address, mailboxes, messages, octets }).await?;
    }
    Ok(Done::Completed)
}

/// Changes a password.
pub(super) async fn password(admin: &Admin, address: &Address, password: &Secret) -> Result<Done, AdminError> {
    admin.accounts.set_password(address, &Password::new(password.0.as_bytes())?).await?;
    Ok(Done::Completed)
}

/// Removes an account with its mail.
pub(super) async fn remove(admin: &Admin, address: &Address, run: Run) -> Result<Done, AdminError> {
    match run {
        Run::Really => {
            admin.accounts.remove_account(address).await?;
            Ok(Done::Completed)
        }
        Run::Dry => {
            let account = admin.accounts.may_remove_account(address)?;
            let Size { mailboxes, messages, octets } = Size::of(admin, account.id)?;
            Ok(Done::WouldRemove { mailboxes, messages, octets })
        }
    }
}

/// The account of an address, for tasks on its mail.
pub(super) fn find(admin: &Admin, address: &Address) -> Result<AccountId, AdminError> {
    let account = admin.accounts.account(address).ok_or_else(|| AccountsError::NoAccount(address.clone()))?;
    Ok(account.id)
}

/// What is in an account.
#[derive(Default)]
struct Size {
    mailboxes: u64,
    messages: u64,
    octets: u64,
}

impl Size {
    fn of(admin: &Admin, account: AccountId) -> Result<Self, StoreError> {
        let mut size = Self::default();
        for entry in admin.store.mailboxes(account)? {
            let status = admin.store.status(account, entry.id)?;
            size.mailboxes += 1;
            size.messages += u64::from(status.exists);
            size.octets += status.octets;
        }
        Ok(size)
    }
}
