//! Aliases: add, list, remove.

use super::{Admin, AdminError, Done, Events, Item, Run};
use crate::accounts::{Alias, AliasName};

/// Adds an alias, or gives it other targets.
pub(super) async fn add(admin: &Admin, alias: &Alias) -> Result<Done, AdminError> {
    admin.accounts.add_alias(alias).await?;
    Ok(Done::Completed)
}

/// Lists the aliases by name.
pub(super) async fn list(admin: &Admin, events: &Events) -> Result<Done, AdminError> {
    for alias in admin.accounts.aliases() {
        events.item(Item::Alias(alias)).await?;
    }
    Ok(Done::Completed)
}

/// Removes an alias.
pub(super) async fn remove(admin: &Admin, name: &AliasName, run: Run) -> Result<Done, AdminError> {
    match run {
        Run::Really => {
            admin.accounts.remove_alias(name).await?;
            Ok(Done::Completed)
        }
        Run::Dry => {
            admin.accounts.may_remove_alias(name)?;
            Ok(Done::WouldRemove { mailboxes: 0, messages: 0, octets: 0 })
        }
    }
}
