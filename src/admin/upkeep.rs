//! Upkeep of what is derived or stored: indexes built again, contents packed and verified.

use super::{Admin, AdminError, Done, Events, Item, Stage, account};
use crate::mail::Address;

/// Builds the text index of one account or of all again. Searches stay right meanwhile.
pub(super) async fn rebuild_indexes(
    admin: &Admin,
    address: Option<&Address>,
    events: &Events,
) -> Result<Done, AdminError> {
    let accounts = match address {
        Some(address) => vec![account::find(admin, address)?],
        None => admin.accounts.accounts().into_iter().map(|account| account.id).collect(),
    };
    let (mut messages, total) = (0, accounts.len() as u64);
    for (done, account) in (0..).zip(accounts) {
        events.progress(Stage::Indexing, done, total)?;
        admin.store.rebuild_index(account).await?;
        messages += admin.store.index_statistics(account)?.documents;
    }
    Ok(Done::Rebuilt { accounts: total, messages })
}

/// Reads every content and lists what is damaged.
pub(super) async fn verify(admin: &Admin, events: &Events) -> Result<Done, AdminError> {
    // Whoever has gone away is noticed at the end: a content at a time is too often to ask.
    let progress = |progress: crate::store::VerifyProgress| {
        let _ = events.progress(Stage::Verifying, progress.done, progress.total);
    };
    let verified = admin.store.verify_contents(progress).await?;
    let damaged = verified.damage.len() as u64;
    for damage in verified.damage {
        let place = damage.content.map_or_else(|| "pack or row".to_owned(), |content| content.to_string());
        events.item(Item::Damage { place, what: damage.what }).await?;
    }
    Ok(Done::Verified { contents: verified.read.done, octets: verified.read.octets, damaged })
}

/// Moves everything fresh into packs now.
pub(super) async fn pack(admin: &Admin) -> Result<Done, AdminError> {
    admin.store.pack().await?;
    Ok(Done::Completed)
}
