//! Commands: one file each, read by [`parse`] and carried out by [`Session`](super::session::Session).
//!
//! Owns: the table of verbs: in which state each is legal, and what it has to do with sequence numbers.
//! Promises: a command that comes out of [`parse`] is well formed; what imap_codec accepts is accepted with the
//! same meaning. Never: looks at mailboxes while reading.
//!
//! RFC 9051 §6, RFC 3501 §6, with RFC 2177 (IDLE), 2342 (NAMESPACE), 2971 (ID), 3516 (BINARY), 3691 (UNSELECT),
//! 4315 (UIDPLUS), 4731 (ESEARCH), 5032 (WITHIN), 5161 (ENABLE), 5182 (SEARCHRES), 5258 (LIST-EXTENDED), 5819
//! (LIST-STATUS), 6154 (SPECIAL-USE, CREATE-SPECIAL-USE), 6851 (MOVE), 7162 (CONDSTORE), 7889 (APPENDLIMIT), 8438 (STATUS=SIZE),
//! 9208 (QUOTA).

pub(super) mod append;
pub(super) mod authenticate;
pub(super) mod copy;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod enable;
pub(super) mod expunge;
pub(super) mod fetch;
pub(super) mod id;
pub(super) mod idle;
pub(super) mod list;
pub(super) mod login;
pub(super) mod namespace;
pub(super) mod quota;
pub(super) mod rename;
pub(super) mod search;
pub(super) mod select;
pub(super) mod status;
pub(super) mod store;
pub(super) mod subscribe;
pub(super) mod unselect;

use super::{
    codec, frame,
    parser::{Parsed, Parser, SyntaxError, WireName},
    sequence::{Addressing, SequenceSet},
};

/// A command with its arguments. APPEND is not here: its message streams ([`append::Append`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// CHECK (RFC 3501 §6.4.1)
    Check,
    /// LOGOUT
    Logout,
    /// ID
    Id,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE
    Authenticate(authenticate::Authenticate),
    /// LOGIN
    Login(login::Login),
    /// ENABLE
    Enable(enable::Enable),
    /// SELECT and EXAMINE
    Select(select::Select),
    /// CREATE
    Create(create::Create),
    /// DELETE
    Delete(WireName),
    /// RENAME
    Rename(rename::Rename),
    /// SUBSCRIBE
    Subscribe(WireName),
    /// UNSUBSCRIBE
    Unsubscribe(WireName),
    /// LIST and LSUB
    List(list::List),
    /// NAMESPACE
    Namespace,
    /// STATUS
    Status(status::Status),
    /// GETQUOTA, GETQUOTAROOT and SETQUOTA
    Quota(quota::QuotaCommand),
    /// IDLE
    Idle,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE
    Expunge,
    /// UID EXPUNGE
    UidExpunge(SequenceSet),
    /// SEARCH and UID SEARCH
    Search(search::Search),
    /// FETCH and UID FETCH
    Fetch(fetch::Fetch),
    /// STORE and UID STORE
    Store(store::Store),
    /// COPY, MOVE and their UID forms
    Copy(copy::Copy),
}

/// In which states a command is legal (RFC 9051 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Legal {
    /// In each.
    Always,
    /// Before login.
    NotAuthenticated,
    /// After login, with or without a mailbox.
    Authenticated,
    /// With a mailbox.
    Selected,
}

/// What a command has to do with sequence numbers. This alone decides whether EXPUNGE may ride along with its
/// responses (RFC 9051 §7.5.1, RFC 3501 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Neither reads nor moves them: EXPUNGE may be reported.
    Ignores,
    /// A client waits for answers by number, so none may move meanwhile.
    Uses,
    /// Its own effect renumbers, and must be reported.
    Renumbers,
}

/// A row of the table.
pub(crate) struct Verb {
    /// How it is written.
    pub(crate) name: &'static str,
    /// When it is legal.
    pub(crate) legal: Legal,
    /// What it does with sequence numbers.
    pub(crate) numbers: Numbers,
    reader: Reader,
}

/// Who reads a verb's arguments.
enum Reader {
    /// imap_codec; the text says how the command is written.
    Codec(&'static str),
    /// We; the cursor stands behind the verb.
    Own(fn(&mut Parser<'_>) -> Parsed<Command>),
}

impl Verb {
    const fn codec(name: &'static str, legal: Legal, numbers: Numbers, usage: &'static str) -> Self {
        Self { name, legal, numbers, reader: Reader::Codec(usage) }
    }

    const fn own(
        name: &'static str,
        legal: Legal,
        numbers: Numbers,
        read: fn(&mut Parser<'_>) -> Parsed<Command>,
    ) -> Self {
        Self { name, legal, numbers, reader: Reader::Own(read) }
    }
}

/// APPEND's row. It is read by [`append::Append::read`], once its head has arrived.
pub(crate) static APPEND: Verb =
    Verb::own("APPEND", Legal::Authenticated, Numbers::Ignores, |parser| parser.expected("a literal with the message"));

static VERBS: &[Verb] = {
    use Legal::{Always, Authenticated, NotAuthenticated, Selected};
    use Numbers::{Ignores, Renumbers, Uses};
    &[
        Verb::codec("CAPABILITY", Always, Ignores, "CAPABILITY"),
        Verb::codec("NOOP", Always, Ignores, "NOOP"),
        Verb::codec("LOGOUT", Always, Ignores, "LOGOUT"),
        Verb::codec("ID", Always, Ignores, "ID (\"name\" \"value\" ...) or ID NIL"),
        Verb::codec("STARTTLS", NotAuthenticated, Ignores, "STARTTLS"),
        Verb::codec("AUTHENTICATE", NotAuthenticated, Ignores, "AUTHENTICATE mechanism [initial-response]"),
        Verb::codec("LOGIN", NotAuthenticated, Ignores, "LOGIN name password"),
        Verb::codec("ENABLE", Authenticated, Ignores, "ENABLE capability ..."),
        Verb::own("SELECT", Authenticated, Renumbers, select::read_select),
        Verb::own("EXAMINE", Authenticated, Renumbers, select::read_examine),
        Verb::own("CREATE", Authenticated, Ignores, create::read),
        Verb::codec("DELETE", Authenticated, Ignores, "DELETE mailbox"),
        Verb::codec("RENAME", Authenticated, Ignores, "RENAME mailbox new-name"),
        Verb::codec("SUBSCRIBE", Authenticated, Ignores, "SUBSCRIBE mailbox"),
        Verb::codec("UNSUBSCRIBE", Authenticated, Ignores, "UNSUBSCRIBE mailbox"),
        Verb::own("LIST", Authenticated, Ignores, list::read_list),
        Verb::own("LSUB", Authenticated, Ignores, list::read_lsub),
        Verb::codec("NAMESPACE", Authenticated, Ignores, "NAMESPACE"),
        Verb::own("STATUS", Authenticated, Ignores, status::read),
        Verb::own("GETQUOTA", Authenticated, Ignores, quota::read_get),
        Verb::own("GETQUOTAROOT", Authenticated, Ignores, quota::read_get_root),
        Verb::own("SETQUOTA", Authenticated, Ignores, quota::read_set),
        Verb::codec("IDLE", Authenticated, Ignores, "IDLE"),
        Verb::codec("CHECK", Selected, Ignores, "CHECK"),
        Verb::codec("CLOSE", Selected, Renumbers, "CLOSE"),
        Verb::codec("UNSELECT", Selected, Renumbers, "UNSELECT"),
        Verb::codec("EXPUNGE", Selected, Renumbers, "EXPUNGE"),
        Verb::own("UID EXPUNGE", Selected, Renumbers, expunge::read_uid_expunge),
        Verb::own("SEARCH", Selected, Uses, |parser| search::read(parser, Addressing::Sequence)),
        Verb::own("UID SEARCH", Selected, Ignores, |parser| search::read(parser, Addressing::Uid)),
        Verb::own("FETCH", Selected, Uses, |parser| fetch::read(parser, Addressing::Sequence)),
        Verb::own("UID FETCH", Selected, Ignores, |parser| fetch::read(parser, Addressing::Uid)),
        Verb::own("STORE", Selected, Uses, |parser| store::read(parser, Addressing::Sequence)),
        Verb::own("UID STORE", Selected, Ignores, |parser| store::read(parser, Addressing::Uid)),
        Verb::own("COPY", Selected, Ignores, |parser| copy::read(parser, Addressing::Sequence, copy::Originals::Stay)),
        Verb::own("UID COPY", Selected, Ignores, |parser| copy::read(parser, Addressing::Uid, copy::Originals::Stay)),
        Verb::own("MOVE", Selected, Renumbers, |parser| copy::read(parser, Addressing::Sequence, copy::Originals::Go)),
        Verb::own("UID MOVE", Selected, Renumbers, |parser| copy::read(parser, Addressing::Uid, copy::Originals::Go)),
    ]
};

/// Why octets are no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No tag, so nothing to answer to.
    Tag,
    /// No command of that name.
    Unknown,
    /// Its arguments are not written as they must be; the text says how.
    Usage(&'static str),
    /// Something else was expected at some place.
    Syntax(&'static str, SyntaxError),
}

/// A command that was read.
pub(crate) struct Parsing<'a> {
    /// Its tag.
    pub(crate) tag: &'a [u8],
    /// Its row of the table, and itself.
    pub(crate) outcome: Result<(&'static Verb, Command), Fault>,
}

/// Reads a whole command, its final CRLF included.
pub(crate) fn parse(octets: &[u8]) -> Parsing<'_> {
    let Some(tag) = frame::tag(octets) else { return Parsing { tag: b"*", outcome: Err(Fault::Tag) } };
    Parsing { tag, outcome: body(octets, tag.len()) }
}

fn body(octets: &[u8], tag_octets: usize) -> Result<(&'static Verb, Command), Fault> {
    let mut parser = Parser::new(octets);
    parser.take_while(|octet| !matches!(octet, b' ' | b'\r'));
    let verb = parser.space().and_then(|()| verb(&mut parser)).map_err(|_| Fault::Unknown)?.ok_or(Fault::Unknown)?;
    let command = match verb.reader {
        Reader::Codec(usage) => codec::decode(octets).ok_or(Fault::Usage(usage))?,
        Reader::Own(read) => read(&mut parser)
            .and_then(|command| parser.end().map(|()| command))
            .map_err(|error| Fault::Syntax(verb.name, SyntaxError { at: error.at - tag_octets, ..error }))?,
    };
    Ok((verb, command))
}

/// Reads the verb; the UID forms are two words.
fn verb(parser: &mut Parser<'_>) -> Parsed<Option<&'static Verb>> {
    let mut name = parser.any_word("a command")?;
    if name == "UID" {
        parser.space()?;
        name.push(' ');
        name.push_str(&parser.any_word("a command after UID")?);
    }
    Ok(VERBS.iter().chain([&APPEND]).find(|verb| verb.name == name))
}

#[cfg(test)]
mod tests;
