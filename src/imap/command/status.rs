//! STATUS (RFC 9051 §6.3.11, RFC 3501 §6.3.10), with SIZE (RFC 8438), HIGHESTMODSEQ (RFC 7162) and APPENDLIMIT (RFC 7889).

use super::{
    super::{
        mailbox_name,
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome},
        session::Session,
        wire::Wire,
        write::{push_astring, push_decimal},
    },
    Command,
};
use crate::{mail::MailboxId, store::MailboxStatus};

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
    /// RECENT (RFC 3501); 0 always
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// SIZE
    Size,
    /// HIGHESTMODSEQ
    HighestModSeq,
    /// APPENDLIMIT
    AppendLimit,
}

const ITEMS: [(&str, StatusItem); 9] = [
    ("MESSAGES", StatusItem::Messages),
    ("RECENT", StatusItem::Recent),
    ("UIDNEXT", StatusItem::UidNext),
    ("UIDVALIDITY", StatusItem::UidValidity),
    ("UNSEEN", StatusItem::Unseen),
    ("DELETED", StatusItem::Deleted),
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
    push_status(&mut wire.out, &mailbox.name, mailbox.id, &status.items, session)?;
    Ok(Completion::ok("STATUS completed"))
}

/// Writes one STATUS response.
pub(super) fn push_status(
    out: &mut Vec<u8>,
    name: &str,
    mailbox: MailboxId,
    items: &[StatusItem],
    session: &mut Session,
) -> Result<(), Failure> {
    let status = session.services.store.status(session.account()?, mailbox)?;
    if items.contains(&StatusItem::HighestModSeq) {
        session.enable_condstore();
    }
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
        push_decimal(out, value(*item, &status, session.services.message_octets_max));
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

fn value(item: StatusItem, status: &MailboxStatus, append_limit: u64) -> u64 {
    match item {
        StatusItem::Messages => u64::from(status.exists),
        StatusItem::Recent => 0,
        StatusItem::UidNext => u64::from(status.uid_next.get()),
        StatusItem::UidValidity => u64::from(status.uid_validity.get()),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Deleted => u64::from(status.deleted),
        StatusItem::Size => status.octets,
        StatusItem::HighestModSeq => status.highest_modseq.get(),
        StatusItem::AppendLimit => append_limit,
    }
}
