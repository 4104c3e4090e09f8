//! Accounts: add, list, change the password, remove.

use super::{Admin, AdminError, Done, Events, Item, QuotaFigures, Run, Secret};
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
        let quota = match QuotaFigures::of(admin, account.id) {
            Ok(quota) => quota,
            // Removed since the list was made.
            Err(StoreError::NoAccount) => continue,
            Err(error) => return Err(error.into()),
        };
        let mailboxes = admin.store.mailboxes(account.id)?.len() as u64;
        events.item(Item::Account { address: account.address, mailboxes, quota }).await?;
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
            let QuotaFigures { messages, octets, .. } = QuotaFigures::of(admin, account.id)?;
            let mailboxes = admin.store.mailboxes(account.id)?.len() as u64;
            Ok(Done::WouldRemove { mailboxes, messages, octets })
        }
    }
}

/// The account of an address, for tasks on its mail.
pub(super) fn find(admin: &Admin, address: &Address) -> Result<AccountId, AdminError> {
    let account = admin.accounts.account(address).ok_or_else(|| AccountsError::NoAccount(address.clone()))?;
    Ok(account.id)
}
