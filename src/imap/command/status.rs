//! STATUS (RFC 9051 §6.3.11, RFC 3501 §6.3.10), with SIZE (RFC 8438), HIGHESTMODSEQ (RFC 7162),
//! APPENDLIMIT (RFC 7889), DELETED and DELETED-STORAGE (RFC 9208 §4.1.4).

use super::{
    super::{
        Services, mailbox_name,
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome},
        session::Session,
        wire::Wire,
        write::{push_astring, push_decimal},
    },
    Command,
};
use crate::{
    mail::{AccountId, MailboxId, Uid},
    store::MailboxStatus,
};

/// STATUS's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The mailbox.
    pub(crate) name: WireName,
    /// What is asked.
    pub(crate) items: Vec<StatusItem>,
}

/// One thing that STATUS tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (RFC 3501)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// DELETED-STORAGE
    DeletedStorage,
    /// SIZE
    Size,
    /// HIGHESTMODSEQ
    HighestModSeq,
    /// APPENDLIMIT
    AppendLimit,
}

const ITEMS: [(&str, StatusItem); 10] = [
    ("MESSAGES", StatusItem::Messages),
    ("RECENT", StatusItem::Recent),
    ("UIDNEXT", StatusItem::UidNext),
    ("UIDVALIDITY", StatusItem::UidValidity),
    ("UNSEEN", StatusItem::Unseen),
    ("DELETED", StatusItem::Deleted),
    ("DELETED-STORAGE", StatusItem::DeletedStorage),
    ("SIZE", StatusItem::Size),
    ("HIGHESTMODSEQ", StatusItem::HighestModSeq),
    ("APPENDLIMIT", StatusItem::AppendLimit),
];

/// Reads `SP mailbox SP "(" status-att *(SP status-att) ")"`.
pub(super) fn read(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let name = parser.mailbox()?;
    parser.space()?;
    Ok(Command::Status(Status { name, items: read_items(parser)? }))
}

/// Reads the items, for LIST-STATUS too.
pub(super) fn read_items(parser: &mut Parser<'_>) -> Parsed<Vec<StatusItem>> {
    parser.list1(|parser| {
        let item = ITEMS.iter().find(|(name, _)| parser.word(name));
        item.map_or_else(|| parser.expected("a status item such as MESSAGES"), |(_, item)| Ok(*item))
    })
}

/// Answers STATUS.
pub(crate) fn execute(status: &Status, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let account = session.account()?;
    let mailbox = session.services.store.mailbox(account, &session.name(&status.name)?)?;
    enable_condstore_for(&status.items, session, wire);
    push_status(&mut wire.out, &mailbox.name, mailbox.id, &status.items, session)?;
    Ok(Completion::ok("STATUS completed"))
}

/// Asking for HIGHESTMODSEQ turns CONDSTORE on (RFC 7162 §3.1).
pub(super) fn enable_condstore_for(items: &[StatusItem], session: &mut Session, wire: &mut Wire<'_>) {
    if items.contains(&StatusItem::HighestModSeq) {
        session.enable_condstore(wire);
    }
}

/// Writes one STATUS response.
pub(super) fn push_status(
    out: &mut Vec<u8>,
    name: &str,
    mailbox: MailboxId,
    items: &[StatusItem],
    session: &Session,
) -> Result<(), Failure> {
    let account = session.account()?;
    let services = &session.services;
    let status = services.store.status(account, mailbox)?;
    let recent = match items.contains(&StatusItem::Recent) {
        true => recent(services, account, mailbox)?,
        false => 0,
    };
    out.extend_from_slice(b"* STATUS ");
    let name = mailbox_name::encode(name, session.features.names());
    push_astring(out, name.as_bytes(), session.features.charset());
    out.extend_from_slice(b" (");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        let name = ITEMS.iter().find(|(_, other)| other == item).map_or("", |(name, _)| name);
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        push_decimal(out, value(*item, &status, recent, session.services.message_octets_max));
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

/// How many messages no session was told of.
fn recent(services: &Services, account: AccountId, mailbox: MailboxId) -> Result<u64, Failure> {
    let snapshot = services.store.snapshot(account, mailbox)?;
    let first = services.sessions.recent.first(account, mailbox, &snapshot);
    Ok(Uid::new(u32::MAX).map_or(0, |last| snapshot.rows_between(first, last).count() as u64))
}

fn value(item: StatusItem, status: &MailboxStatus, recent: u64, append_limit: u64) -> u64 {
    match item {
        StatusItem::Messages => u64::from(status.exists),
        StatusItem::Recent => recent,
        StatusItem::UidNext => u64::from(status.uid_next.get()),
        StatusItem::UidValidity => u64::from(status.uid_validity.get()),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Deleted => u64::from(status.deleted),
        StatusItem::DeletedStorage => status.deleted_octets,
        StatusItem::Size => status.octets,
        StatusItem::HighestModSeq => status.highest_modseq.get(),
        StatusItem::AppendLimit => append_limit,
    }
}
