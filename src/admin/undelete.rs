//! Bringing back what was deleted while its grace lasts: messages, and whole accounts.

use super::{
    Admin, AdminError, Done, Events, Item, Run, Stage, account as accounts, date,
    search::{author, subject},
};
use crate::{
    accounts::AccountsError,
    mail::{AccountId, Address, Uid},
    store::{Deleted, DeletedMessage, StoreError},
};

/// What comes back.
pub(super) struct Plan<'a> {
    pub(super) account: &'a Address,
    pub(super) mailbox: Option<&'a str>,
    pub(super) since: Option<&'a str>,
    pub(super) run: Run,
}

/// Brings messages back, or lists those that could be.
pub(super) async fn messages(admin: &Admin, plan: Plan<'_>, events: &Events) -> Result<Done, AdminError> {
    let account = accounts::find(admin, plan.account)?;
    let since = plan.since.map(|since| time(admin, since)).transpose()?.unwrap_or(i64::MIN);
    let mut deleted = admin.store.deleted(account, plan.mailbox)?;
    deleted.retain(|deleted| deleted.at.seconds() >= since);
    let total = deleted.iter().map(|deleted| deleted.messages().len() as u64).sum();
    let (mut messages, mut octets) = (0, 0);
    for deleted in deleted {
        let uids = match plan.run {
            Run::Dry => None,
            Run::Really => match admin.store.undelete(account, &deleted).await {
                Ok(undeleted) => Some(undeleted.uids),
                // Its time was over just now.
                Err(StoreError::NoMessage) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        for (place, message) in deleted.messages().enumerate() {
            let new_uid = uids.as_ref().and_then(|uids| uids.get(place)).map(|(_, new)| *new);
            events.item(item(admin, account, &deleted, &message, new_uid)).await?;
            messages += 1;
            octets += message.octets;
        }
        events.progress(Stage::Writing, messages, total)?;
    }
    Ok(Done::Undeleted { messages, octets, run: plan.run })
}

fn item(admin: &Admin, account: AccountId, deleted: &Deleted, message: &DeletedMessage, new_uid: Option<Uid>) -> Item {
    let record = admin.store.record(account, message.number).ok();
    Item::Deleted {
        deleted: date::rfc3339(deleted.at.seconds()),
        mailbox: deleted.mailbox().to_owned(),
        uid: message.uid.get(),
        new_uid: new_uid.map(Uid::get),
        from: record.as_deref().map(author).unwrap_or_default(),
        subject: record.as_deref().map(subject).unwrap_or_default(),
        octets: message.octets,
    }
}

/// A time as an administrator writes it.
pub(super) fn time(admin: &Admin, written: &str) -> Result<i64, AdminError> {
    date::time(written, admin.clock.now().seconds()).ok_or_else(|| AdminError::Time(written.to_owned()))
}

/// Lists the accounts that can be brought back.
pub(super) async fn removed_accounts(admin: &Admin, events: &Events) -> Result<Done, AdminError> {
    for account in admin.accounts.removed_accounts()? {
        let removed = date::rfc3339(account.at.seconds());
        events.item(Item::RemovedAccount { address: account.address, removed }).await?;
    }
    Ok(Done::Completed)
}

/// Brings an account back.
pub(super) async fn account(admin: &Admin, address: &Address, to: &Address, run: Run) -> Result<Done, AdminError> {
    match run {
        Run::Really => {
            admin.accounts.undelete_account(address, to).await?;
            Ok(Done::Completed)
        }
        Run::Dry => {
            let removed = admin.accounts.removed_accounts()?;
            if !removed.iter().any(|removed| removed.address.folded() == address.folded()) {
                return Err(AccountsError::NotRemoved(address.clone()).into());
            }
            if admin.accounts.account(to).is_some() {
                return Err(AccountsError::Exists(to.to_string()).into());
            }
            Ok(Done::WouldReturn { address: to.clone() })
        }
    }
}
