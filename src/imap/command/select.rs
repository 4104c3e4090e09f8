//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3, RFC 3501 §6.3.1, RFC 7162 §3.1.8).

use super::{
    super::{
        mailbox_name,
        parser::{Parsed, Parser, WireName},
        response::{Completion, Outcome},
        selected::{Access, Claims, Opened, Selected, push_flags},
        session::Session,
        wire::Wire,
        write::{push_astring, push_fmt},
    },
    Command,
};
use crate::store::Snapshot;

/// Arguments of SELECT and EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Select {
    /// The mailbox.
    pub(crate) name: WireName,
    /// How it is opened.
    pub(crate) access: Access,
    /// Whether CONDSTORE is turned on.
    pub(crate) condstore: bool,
}

/// Reads SELECT's arguments.
pub(super) fn read_select(parser: &mut Parser<'_>) -> Parsed<Command> {
    read(parser, Access::ReadWrite)
}

/// Reads EXAMINE's arguments.
pub(super) fn read_examine(parser: &mut Parser<'_>) -> Parsed<Command> {
    read(parser, Access::ReadOnly)
}

fn read(parser: &mut Parser<'_>, access: Access) -> Parsed<Command> {
    parser.space()?;
    let name = parser.mailbox()?;
    let mut condstore = false;
    if parser.take(b' ') {
        parser.list1(|parser| {
            condstore = parser.word("CONDSTORE");
            if condstore { Ok(()) } else { parser.expected("CONDSTORE") }
        })?;
    }
    Ok(Command::Select(Select { name, access, condstore }))
}

/// Opens a mailbox. One that was selected before is left, whether or not this succeeds (RFC 9051 §6.3.2).
pub(crate) fn execute(select: &Select, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    if session.selected().is_ok() {
        session.leave_mailbox();
        if session.features.imap4rev2 {
            wire.out.extend_from_slice(b"* OK [CLOSED] the mailbox selected before was left\r\n");
        }
    }
    if select.condstore {
        session.enable_condstore(wire);
    }
    let account = session.account()?;
    let name = session.name(&select.name)?;
    let store = &session.services.store;
    let mailbox = store.mailbox(account, &name)?;
    let snapshot = store.snapshot(account, mailbox.id)?;
    let claims = Claims { unclaimed: session.services.sessions.recent.clone(), account };
    let opened = Selected::open(mailbox.id, select.access, claims, &snapshot);
    push_opened(&mut wire.out, &snapshot, &opened, &mailbox.name, session);
    session.enter_mailbox(opened.selected);
    Ok(match select.access {
        Access::ReadWrite => Completion::ok("SELECT completed").with_code("READ-WRITE".into()),
        Access::ReadOnly => Completion::ok("EXAMINE completed").with_code("READ-ONLY".into()),
    })
}

fn push_opened(out: &mut Vec<u8>, snapshot: &Snapshot, opened: &Opened, name: &str, session: &Session) {
    let status = snapshot.status();
    push_flags(out, &opened.selected.flag_names(snapshot, session.features), opened.selected.access);
    opened.selected.push_exists(session.features, out);
    if session.features.imap4rev2 {
        // RFC 9051 §6.3.2 wants the name as the server spells it, and knows neither RECENT nor UNSEEN.
        out.extend_from_slice(b"* LIST () \"/\" ");
        let name = mailbox_name::encode(name, session.features.names());
        push_astring(out, name.as_bytes(), session.features.charset());
        out.extend_from_slice(b"\r\n");
    } else if let Some(number) = opened.first_unseen {
        push_fmt(out, format_args!("* OK [UNSEEN {number}] first message without \\Seen\r\n"));
    }
    push_fmt(out, format_args!("* OK [UIDVALIDITY {}] UIDs are valid\r\n", status.uid_validity));
    push_fmt(out, format_args!("* OK [UIDNEXT {}] next UID\r\n", status.uid_next));
    push_fmt(out, format_args!("* OK [HIGHESTMODSEQ {}] highest mod-sequence\r\n", status.highest_modseq));
}
