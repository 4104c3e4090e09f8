//! APPEND (RFC 9051 §6.3.12) with APPENDUID (RFC 4315 §3) and literal8 (RFC 3516 §4.4).
//!
//! The message is refused before it is read where that can be known: no such mailbox, too large, over the quota (RFC 9208
//! §4.3.1). What another session appends meanwhile is found out when it is stored.
//! Not implemented: RFC 3502 (several messages), RFC 4469 (CATENATE).

use super::{
    super::{
        frame::{self, Literal, LiteralKind, Synchronisation},
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome, Refusal},
        session::{Session, refuse_message},
        wire::Wire,
    },
    Fault,
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{Flags, MailboxId},
    message::{self, Analysis},
    store::{Admission, NewMessage, StoreError, Target, Usage},
    work,
};
use bytes::Bytes;
use std::sync::Arc;

/// APPEND's arguments, the message left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Append {
    /// The mailbox.
    pub(crate) name: WireName,
    /// Flags of the message.
    pub(crate) flags: Flags,
    /// INTERNALDATE, in seconds since 1970.
    pub(crate) internal_seconds: Option<i64>,
}

impl Append {
    /// Reads an APPEND up to the announcement of its message, and its tag.
    pub(crate) fn read(head: &[u8]) -> (&[u8], Result<Self, Fault>) {
        let Some(tag) = frame::tag(head) else { return (b"*", Err(Fault::Tag)) };
        let mut parser = Parser::new(head);
        let arguments = skip_words(&mut parser).and_then(|()| arguments(&mut parser));
        let arguments = arguments.map_err(|error| {
            let at = error.at.saturating_sub(tag.len());
            Fault::Syntax("APPEND", super::SyntaxError { at, ..error })
        });
        (tag, arguments)
    }
}

/// The tag and APPEND, which the framer has seen.
fn skip_words(parser: &mut Parser<'_>) -> Parsed<()> {
    parser.take_while(|octet| octet != b' ');
    parser.space()?;
    parser.take_while(|octet| octet != b' ');
    parser.space()
}

/// Reads `mailbox [SP flag-list] [SP date-time] SP literal`.
fn arguments(parser: &mut Parser<'_>) -> Parsed<Append> {
    let name = parser.mailbox()?;
    parser.space()?;
    let mut flags = Flags::default();
    if parser.peek() == Some(b'(') {
        flags = parser.flag_list()?;
        parser.space()?;
    }
    let mut internal_seconds = None;
    if parser.peek() == Some(b'"') {
        internal_seconds = Some(parser.date_time()?);
        parser.space()?;
    }
    match frame::announcement(parser.rest().strip_suffix(b"\r\n").unwrap_or_default()) {
        Some(_) if matches!(parser.peek(), Some(b'{' | b'~')) => Ok(Append { name, flags, internal_seconds }),
        _ => parser.expected("a literal with the message"),
    }
}

/// Appends a message.
pub(crate) async fn execute(append: Append, literal: Literal, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let mailbox = match destination(&append, literal, session) {
        Ok(mailbox) => mailbox,
        Err(failure) => {
            refuse_message(literal, wire);
            return Err(failure);
        }
    };
    if literal.synchronisation == Synchronisation::Synchronising {
        wire.out.extend_from_slice(b"+ send the message\r\n");
    }
    wire.flush().await?;
    let raw = wire.literal(literal).await?;
    let rest = wire.line(limits::IMAP_SASL_LINE_OCTETS_MAX).await?;
    if !rest.is_empty() {
        if let Some(literal) = frame::announcement(&rest) {
            refuse_message(literal, wire);
        }
        return Err(Failure::Bad("APPEND: expected the end of the command after the message".into()));
    }
    if literal.kind == LiteralKind::Text && memchr::memchr(0, &raw).is_some() {
        return Err(Refusal::Nul.into());
    }
    store(raw, append, mailbox, session).await
}

/// Everything that can be refused before the message is read.
fn destination(append: &Append, literal: Literal, session: &Session) -> Result<MailboxId, Failure> {
    let account = session.account()?;
    if literal.octets > session.services.message_octets_max {
        return Err(Refusal::MessageSize.into());
    }
    let store = &session.services.store;
    let mailbox = match store.mailbox(account, &session.name(&append.name)?) {
        Ok(mailbox) => mailbox.id,
        Err(StoreError::NoMailbox) => return Err(Refusal::NoDestination.into()),
        Err(error) => return Err(error.into()),
    };
    store.admits(account, Usage::of_message(literal.octets), Admission::Fits)?;
    Ok(mailbox)
}

async fn store(raw: Bytes, append: Append, mailbox: MailboxId, session: &Session) -> Outcome {
    let account = session.account()?;
    let analysis = analyse(raw.clone()).await?;
    let now = session.services.clock.now();
    let internal_date = append.internal_seconds.map_or(now, |seconds| UnixMillis(seconds.saturating_mul(1000)));
    let message = NewMessage { raw, analysis, internal_date, repeat: None };
    let target = Target { account, mailbox, flags: append.flags, trace: Bytes::new(), verdict: None };
    let appended = session.services.store.append_admitted(message, vec![(target, Admission::Fits)]).await?;
    let completion = Completion::ok("APPEND completed");
    Ok(match appended.first() {
        Some(copy) => completion.with_code(format!("APPENDUID {} {}", copy.uid_validity, copy.uid)),
        None => completion,
    })
}

/// Reading a message takes longer than a reactor may be held.
async fn analyse(raw: Bytes) -> Result<Arc<Analysis>, Failure> {
    let analysis = work::blocking(move || message::analyse(&raw)).await;
    analysis.map(Arc::new).map_err(|error| Failure::Connection(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_up_to_the_message() {
        let head = b"a1 append {5}\r\nDr,ft (\\Seen $Work) \" 7-Feb-1994 21:52:25 -0800\" {310}\r\n";
        let (tag, append) = Append::read(head);
        let append = append.unwrap();
        assert_eq!((tag, append.name.0.as_slice()), (&b"a1"[..], &b"Dr,ft"[..]));
        assert_eq!(append.flags.iter().count(), 2);
        assert_eq!(append.internal_seconds, Some(760_686_745));
        assert!(Append::read(b"a APPEND INBOX ~{3+}\r\n").1.is_ok());
    }

    #[test]
    fn what_stands_before_the_message_is_checked() {
        for head in [
            &b"a APPEND INBOX (\\Seen {3}\r\n"[..],
            b"a APPEND INBOX (\\Recent) {3}\r\n",
            b"a APPEND INBOX  {3}\r\n",
            b"a APPEND INBOX x{3}\r\n",
        ] {
            assert!(matches!(Append::read(head).1, Err(Fault::Syntax("APPEND", _))), "{}", head.escape_ascii());
        }
    }
}
