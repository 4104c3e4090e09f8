//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §4.1).
//!
//! An account whose resources are limited has one quota root, which is called the empty string and holds for all of its
//! mailboxes; an account without limits has none. Quotas are the administrator's: SETQUOTA is refused, so QUOTASET is not
//! offered (RFC 9208 §3.2).

use super::{
    super::{
        mailbox_name,
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome, Refusal},
        session::Session,
        wire::Wire,
        write::{push_astring, push_decimal},
    },
    Command,
};
use crate::store::{Quota, StoreError};

/// The name of the one quota root.
const ROOT: &[u8] = b"";

/// STORAGE counts in units of so many octets (RFC 9208 §5.1).
const STORAGE_UNIT: u64 = 1024;

/// One of the three commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuotaCommand {
    /// GETQUOTA with the name of a quota root.
    Get(Vec<u8>),
    /// GETQUOTAROOT with a mailbox, which need not exist.
    GetRoot(WireName),
    /// SETQUOTA, whatever its arguments are.
    Set,
}

/// Reads `SP quota-root-name`.
pub(super) fn read_get(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    root(parser).map(|root| Command::Quota(QuotaCommand::Get(root)))
}

/// Reads `SP mailbox`.
pub(super) fn read_get_root(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    parser.mailbox().map(|mailbox| Command::Quota(QuotaCommand::GetRoot(mailbox)))
}

/// Reads `SP quota-root-name SP "(" [resource-name SP number *(SP resource-name SP number)] ")"`.
pub(super) fn read_set(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    root(parser)?;
    parser.space()?;
    parser.list(|parser| {
        parser.atom("a resource such as STORAGE")?;
        parser.space()?;
        parser.number64()
    })?;
    Ok(Command::Quota(QuotaCommand::Set))
}

fn root(parser: &mut Parser<'_>) -> Parsed<Vec<u8>> {
    parser.astring("the name of a quota root").map(|root| root.into_owned())
}

/// Carries it out.
pub(crate) fn execute(command: &QuotaCommand, session: &Session, wire: &mut Wire<'_>) -> Outcome {
    match command {
        QuotaCommand::Get(root) => get(root, session, wire),
        QuotaCommand::GetRoot(mailbox) => get_root(mailbox, session, wire),
        QuotaCommand::Set => Err(Refusal::QuotaPermission.into()),
    }
}

fn get(root: &[u8], session: &Session, wire: &mut Wire<'_>) -> Outcome {
    let quota = quota(session)?;
    if root != ROOT || !quota.is_limited() {
        return Err(Refusal::NoQuotaRoot.into());
    }
    push_quota(&mut wire.out, &quota);
    Ok(Completion::ok("GETQUOTA completed"))
}

/// A mailbox that does not exist yet would have the same root (RFC 9208 §4.1.2).
fn get_root(mailbox: &WireName, session: &Session, wire: &mut Wire<'_>) -> Outcome {
    let (name, quota) = (session.name(mailbox)?, quota(session)?);
    wire.out.extend_from_slice(b"* QUOTAROOT ");
    push_astring(
        &mut wire.out,
        mailbox_name::encode(&name, session.features.names()).as_bytes(),
        session.features.charset(),
    );
    if quota.is_limited() {
        wire.out.extend_from_slice(b" \"\"\r\n");
        push_quota(&mut wire.out, &quota);
    } else {
        wire.out.extend_from_slice(b"\r\n");
    }
    Ok(Completion::ok("GETQUOTAROOT completed"))
}

fn quota(session: &Session) -> Result<Quota, Failure> {
    let account = session.account()?;
    session.services.store.quota(account).map_err(|error: StoreError| error.into())
}

/// Writes a QUOTA response (RFC 9208 §4.2.1). Resources that are not limited do not stand in it.
fn push_quota(out: &mut Vec<u8>, quota: &Quota) {
    // Both rounded up, so that whoever is within a limit never looks as if beyond it.
    let units = |octets: u64| octets.div_ceil(STORAGE_UNIT);
    let storage = quota.limits.octets.map(|limit| ("STORAGE", units(quota.usage.octets), units(limit)));
    let message = quota.limits.messages.map(|limit| ("MESSAGE", quota.usage.messages, limit));
    out.extend_from_slice(b"* QUOTA \"\" (");
    let start = out.len();
    for (name, usage, limit) in [storage, message].into_iter().flatten() {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        push_decimal(out, usage);
        out.push(b' ');
        push_decimal(out, limit);
    }
    out.extend_from_slice(b")\r\n");
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};
    use crate::store::{ResourceLimits, Usage};
    use imap_codec::{
        ResponseCodec,
        decode::Decoder,
        imap_types::response::{Data, Response},
    };

    fn read(line: &str) -> Option<QuotaCommand> {
        match parse(format!("a {line}\r\n").as_bytes()).outcome.ok()?.1 {
            Command::Quota(command) => Some(command),
            _ => None,
        }
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(read("GETQUOTA \"\""), Some(QuotaCommand::Get(Vec::new())));
        assert_eq!(read("getquota !user"), Some(QuotaCommand::Get(b"!user".to_vec())));
        assert_eq!(read("GETQUOTAROOT inbox"), Some(QuotaCommand::GetRoot(WireName(b"inbox".to_vec()))));
        for line in ["SETQUOTA \"\" (STORAGE 512)", "SETQUOTA x ()", "SETQUOTA x (STORAGE 1 MESSAGE 2 X-OTHER 3)"] {
            assert_eq!(read(line), Some(QuotaCommand::Set), "{line}");
        }
        for line in ["GETQUOTA", "GETQUOTA a b", "GETQUOTAROOT", "SETQUOTA x", "SETQUOTA x (STORAGE)", "SETQUOTA x (1"]
        {
            assert_eq!(read(line), None, "{line}");
        }
    }

    /// Another implementation reads what is written.
    #[test]
    fn responses_are_well_formed() {
        let usage = Usage { octets: 1025, messages: 7 };
        for (octets, messages, written) in [
            (Some(5 << 30), None, "* QUOTA \"\" (STORAGE 2 5242880)\r\n"),
            (None, Some(7), "* QUOTA \"\" (MESSAGE 7 7)\r\n"),
            (Some(1), Some(u64::MAX), "* QUOTA \"\" (STORAGE 2 1 MESSAGE 7 18446744073709551615)\r\n"),
        ] {
            let mut out = Vec::new();
            push_quota(&mut out, &Quota { usage, limits: ResourceLimits { octets, messages } });
            assert_eq!(String::from_utf8_lossy(&out), written);
            let response = ResponseCodec::default().decode(&out).unwrap().1;
            let Response::Data(Data::Quota { quotas, .. }) = response else { panic!("{response:?}") };
            assert_eq!(quotas.as_ref().len(), [octets, messages].iter().flatten().count());
        }
    }
}
