//! Searching an account.

use super::{
    Admin, AdminError, Done, Events, Item, account, date,
    query::{self, Query},
};
use crate::{
    limits,
    mail::{AccountId, Address, MailboxId},
    message::{self, EnvelopeAddress},
    store::{Hit, MessageRecord, Scope, StoreError},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One message found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundMessage {
    /// Its mailbox.
    pub mailbox: String,
    /// Its UID there.
    pub uid: u32,
    /// When it came (RFC 3339, UTC).
    pub date: String,
    /// Its author, as a reader sees it.
    pub from: String,
    /// Its subject, decoded.
    pub subject: String,
    /// Its octets.
    pub octets: u64,
}

/// Finds messages, the last that came first, and shows up to `count` of them.
pub(super) async fn search(
    admin: &Admin,
    address: &Address,
    (text, count): (&str, usize),
    events: &Events,
) -> Result<Done, AdminError> {
    let account = account::find(admin, address)?;
    let Query { mailbox, key } = query::parse(text)?;
    let names: HashMap<MailboxId, String> =
        admin.store.mailboxes(account)?.into_iter().map(|entry| (entry.id, entry.name)).collect();
    let scope = match mailbox {
        Some(name) => Scope::Mailbox(admin.store.mailbox(account, &name)?.id),
        None => Scope::Account,
    };
    let mut hits = admin.store.search(account, scope, &key).await?;
    hits.sort_by_key(|hit| std::cmp::Reverse(hit.number));
    let (found, mut shown) = (hits.len() as u64, 0);
    for hit in hits.into_iter().take(count.min(limits::SEARCH_HITS_SHOWN_MAX)) {
        let Some(item) = shown_as(admin, account, &names, hit)? else { continue };
        events.item(Item::Found(item)).await?;
        shown += 1;
    }
    Ok(Done::Found { found, shown })
}

/// `None` where the message or its mailbox went away meanwhile.
fn shown_as(
    admin: &Admin,
    account: AccountId,
    names: &HashMap<MailboxId, String>,
    hit: Hit,
) -> Result<Option<FoundMessage>, AdminError> {
    let Some(mailbox) = names.get(&hit.mailbox) else { return Ok(None) };
    let record = match admin.store.record(account, hit.number) {
        Ok(record) => record,
        Err(StoreError::NoMessage) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(FoundMessage {
        mailbox: mailbox.clone(),
        uid: hit.uid.get(),
        date: date::rfc3339(record.internal_date.seconds()),
        from: author(&record),
        subject: subject(&record),
        octets: record.octets(),
    }))
}

/// The first author: display name and address.
pub(super) fn author(record: &MessageRecord) -> String {
    record.analysis.envelope.from.first().map(written).unwrap_or_default()
}

fn written(address: &EnvelopeAddress) -> String {
    let spec = address.spec().map(|spec| String::from_utf8_lossy(&spec).into_owned()).unwrap_or_default();
    match &address.name {
        Some(name) => format!("{} <{spec}>", message::decode_header_value(name)),
        None => spec,
    }
}

/// The subject, decoded.
pub(super) fn subject(record: &MessageRecord) -> String {
    record.analysis.envelope.subject.as_deref().map(message::decode_header_value).unwrap_or_default()
}
