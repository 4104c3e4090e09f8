//! The table of commands: what is accepted and refused, and that whatever imap_codec accepts is accepted here with the
//! same meaning.

use super::{
    super::{
        fetch::{
            item::Item,
            section::{BinarySection, BodySection, Form, Partial, Section, SectionText, Seen},
        },
        parser::WireName,
        search::key::Key,
        selected::Access,
        sequence::Bound,
    },
    *,
};
use crate::{
    mail::{Flag, Flags, Keyword, ModSeq},
    store::{FlagMode, SearchKey},
};
use imap_codec::{
    CommandCodec,
    decode::Decoder,
    imap_types::{
        command::{CommandBody, FetchModifier, SelectParameter, StoreModifier},
        core::{AString, Atom},
        datetime::NaiveDate,
        fetch::{self as theirs, Macro, MacroOrMessageDataItemNames, MessageDataItemName},
        flag::{self, StoreResponse, StoreType},
        mailbox::{ListMailbox, Mailbox},
        search::SearchKey as TheirKey,
        sequence::{SeqOrUid, Sequence, SequenceSet as TheirSet},
        status::StatusDataItemName,
    },
};
use proptest::prelude::*;
use std::num::NonZeroU32;

/// Commands as clients send them.
const ACCEPTED: &[&str] = &[
    "CAPABILITY",
    "noop",
    "LOGOUT",
    "STARTTLS",
    "ID NIL",
    "ID (\"name\" \"x\" \"version\" NIL)",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE SCRAM-SHA-256 biwsbj11c2VyLHI9eA==",
    "AUTHENTICATE PLAIN =",
    "LOGIN alice secret",
    "LOGIN \"alice@example.org\" \"pass \\\"word\\\\\"",
    "LOGIN {5}\r\nalice {6+}\r\nse\r\net",
    "LOGIN alice \"\"",
    "ENABLE CONDSTORE IMAP4rev2 X-UNKNOWN",
    "SELECT INBOX",
    "SELECT \"Sent Items\" (CONDSTORE)",
    "EXAMINE {5}\r\ninbox",
    "CREATE a/b/c",
    "CREATE \"Entw&APw-rfe\"",
    "CREATE Ablage (USE (\\Archive))",
    "CREATE x (USE ())",
    "DELETE a",
    "RENAME a \"b c\"",
    "SUBSCRIBE a",
    "UNSUBSCRIBE a",
    "LIST \"\" *",
    "LIST \"\" \"\"",
    "LIST \"\" \"%\"",
    "LIST a/ %/b*",
    "LIST \"\" a]b",
    "LIST (SUBSCRIBED) \"\" *",
    "LIST () \"\" (INBOX \"Drafts\" Sent/%)",
    "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (CHILDREN SPECIAL-USE)",
    "LIST (REMOTE SPECIAL-USE) \"\" * RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN SIZE))",
    "LIST \"\" * RETURN ()",
    "LSUB \"\" *",
    "NAMESPACE",
    "GETQUOTA \"\"",
    "GETQUOTAROOT \"Sent Items\"",
    "SETQUOTA \"\" (STORAGE 512 MESSAGE 10)",
    "STATUS INBOX (DELETED DELETED-STORAGE)",
    "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)",
    "STATUS INBOX (DELETED SIZE HIGHESTMODSEQ APPENDLIMIT)",
    "IDLE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "UID EXPUNGE 1:5,7",
    "uid expunge $",
    "COPY 2:4 MEETING",
    "UID COPY * \"a b\"",
    "COPY $ x",
    "MOVE 1 Trash",
    "UID MOVE 1:* Archive",
    "FETCH 1 FLAGS",
    "FETCH 1:* (FLAGS UID)",
    "FETCH 1 ALL",
    "FETCH 1 FAST",
    "FETCH 1 FULL",
    "FETCH 2,4:7,9,12:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
    "FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)",
    "FETCH 1 BODY[]",
    "FETCH 1 BODY.PEEK[]<0.1000>",
    "FETCH 1 (BODY[HEADER] BODY[TEXT])",
    "FETCH 1 BODY[1.2.3]",
    "FETCH 1 BODY.PEEK[1.HEADER]",
    "FETCH 1 BODY[2.TEXT]<7.9>",
    "FETCH 1 BODY[3.MIME]",
    "FETCH 1 BODY[HEADER.FIELDS (From To \"X Y\")]",
    "FETCH 1 BODY.PEEK[4.2.HEADER.FIELDS.NOT (Received)]",
    "FETCH 1 (BINARY[1] BINARY.PEEK[1.2]<3.4> BINARY.SIZE[2])",
    "FETCH 1 BINARY[]",
    "FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)",
    "FETCH 1 MODSEQ",
    "FETCH $ FLAGS",
    "UID FETCH 1:* (FLAGS MODSEQ)",
    "UID FETCH 4827313:* (FLAGS BODY.PEEK[HEADER.FIELDS (Date From)])",
    "STORE 1 FLAGS (\\Deleted)",
    "STORE 2:4 +FLAGS (\\Seen $Forwarded)",
    "STORE 1 -FLAGS.SILENT (\\seen)",
    "STORE 1 +flags \\Deleted",
    "STORE 1 FLAGS \\Seen \\Answered work",
    "STORE 1 FLAGS ()",
    "STORE 1 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)",
    "UID STORE 1:* (UNCHANGEDSINCE 0) FLAGS (\\Draft \\Flagged)",
    "STORE $ +FLAGS (\\Seen)",
    "SEARCH ALL",
    "SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
    "SEARCH TEXT \"string not in mailbox\"",
    "SEARCH CHARSET UTF-8 TEXT {6}\r\n\u{43f}\u{440}\u{438}",
    "SEARCH CHARSET \"US-ASCII\" SUBJECT x",
    "SEARCH CHARSET KOI8-R TEXT x",
    "SEARCH 1:3,5 UNSEEN (OR DELETED DRAFT) LARGER 10 SMALLER 4294967295",
    "SEARCH OR OR SEEN FLAGGED OR ANSWERED BCC x",
    "SEARCH HEADER Message-ID \"<1@example.org>\" CC a TO b BODY c",
    "SEARCH KEYWORD $Work UNKEYWORD $Home NEW OLD RECENT",
    "SEARCH BEFORE 1-Jan-2020 ON 29-Feb-2020 SENTBEFORE 1-Jan-2020 SENTON 01-Jan-2020 SENTSINCE 1-Jan-2020",
    "SEARCH UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN ANSWERED DELETED DRAFT FLAGGED SEEN",
    "SEARCH YOUNGER 3600 OLDER 7200",
    "SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
    "SEARCH MODSEQ 1",
    "SEARCH RETURN () ALL",
    "SEARCH RETURN (MIN MAX COUNT ALL SAVE) CHARSET UTF-8 UNSEEN",
    "SEARCH UID 1:* NOT UID 7 NOT (SEEN UNFLAGGED)",
    "UID SEARCH RETURN (COUNT) $",
    "UID SEARCH UID 1:*",
    "SEARCH LARGER 9999999999",
];

/// What no client may send.
const REFUSED: &[&str] = &[
    "",
    "BOGUS",
    "UID",
    "UID NOOP",
    "UID BOGUS 1",
    "NOOP x",
    "LOGIN alice",
    "LOGIN alice secret x",
    "LOGIN {5}\r\nali",
    "AUTHENTICATE",
    "ENABLE",
    "SELECT",
    "SELECT INBOX (QRESYNC (1 2))",
    "SELECT INBOX ()",
    "SELECT a b",
    "CREATE a (USE \\Archive)",
    "RENAME a",
    "LIST \"\"",
    "LIST (BOGUS) \"\" *",
    "LIST (RECURSIVEMATCH) \"\" *",
    "LIST \"\" ()",
    "LIST \"\" * RETURN",
    "LIST \"\" * RETURN (STATUS)",
    "LSUB \"\" (a b)",
    "STATUS INBOX",
    "STATUS INBOX ()",
    "STATUS INBOX (BOGUS)",
    "COPY 1",
    "COPY 0 x",
    "COPY 1:2:3 x",
    "FETCH 1",
    "FETCH 1 ()",
    "FETCH 1 BOGUS",
    "FETCH 1 (FAST)",
    "FETCH 1 FLAGS UID",
    "FETCH 1 FLAGS (VANISHED)",
    "FETCH a FLAGS",
    "FETCH 4294967296 FLAGS",
    "STORE 1 FLAGS",
    "STORE 1 FLAGS (\\Recent)",
    "STORE 1 FLAGS (\\Bogus)",
    "STORE 1 FLAGS.LOUD ()",
    "STORE 1 *FLAGS ()",
    "SEARCH",
    "SEARCH BOGUS",
    "SEARCH RETURN (BOGUS) ALL",
    "SEARCH RETURN MIN ALL",
    "SEARCH CHARSET UTF-8",
    "SEARCH (ALL",
    "APPEND INBOX",
    "APPEND INBOX text",
    "THREAD REFERENCES UTF-8 ALL",
];

fn command(text: &str) -> Result<Command, Fault> {
    parse(format!("a1 {text}\r\n").as_bytes()).outcome.map(|(_, command)| command)
}

#[test]
fn commands_of_clients_are_accepted() {
    for text in ACCEPTED {
        assert!(command(text).is_ok(), "{text}: {:?}", command(text));
    }
}

#[test]
fn what_is_no_command_is_refused() {
    for text in REFUSED {
        assert!(command(text).is_err(), "{text}: {:?}", command(text));
    }
    for line in [&b"NOOP\r\n"[..], b" NOOP\r\n", b"+ NOOP\r\n", b"a\r\n", b"\r\n", b"a  NOOP\r\n", b"a(b NOOP\r\n"] {
        assert!(parse(line).outcome.is_err(), "{}", line.escape_ascii());
    }
}

#[test]
fn every_verb_is_in_the_table_once() {
    let mut names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    let used: std::collections::BTreeSet<&str> = ACCEPTED
        .iter()
        .filter_map(|text| parse(format!("a {text}\r\n").as_bytes()).outcome.ok())
        .map(|(verb, _)| verb.name)
        .collect();
    let unused: Vec<&str> = names.into_iter().filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "no command of a client shows {unused:?}");
}

#[test]
fn only_commands_by_number_hold_expunge_back() {
    let holding: Vec<&str> = VERBS.iter().filter(|verb| verb.numbers == Numbers::Uses).map(|verb| verb.name).collect();
    assert_eq!(holding, ["SEARCH", "FETCH", "STORE"]);
}

#[test]
fn a_fault_says_what_was_expected_where() {
    assert_eq!(
        command("FETCH 1 BOGUS"),
        Err(Fault::Syntax("FETCH", SyntaxError { expected: "a FETCH item such as FLAGS or BODY[]", at: 9 }))
    );
    assert_eq!(command("LOGIN x"), Err(Fault::Usage("LOGIN name password")));
}

/// What imap_codec makes of a command: `None` where it refuses it.
fn theirs(octets: &[u8]) -> Option<CommandBody<'_>> {
    let (rest, command) = CommandCodec::default().decode(octets).ok()?;
    rest.is_empty().then_some(command.body)
}

/// Their command in our words; `None` where we have no such command or argument.
fn in_our_words(body: CommandBody<'_>) -> Option<Command> {
    Some(match body {
        CommandBody::Select { mailbox, parameters } => select(&mailbox, &parameters, Access::ReadWrite)?,
        CommandBody::Examine { mailbox, parameters } => select(&mailbox, &parameters, Access::ReadOnly)?,
        CommandBody::Create { mailbox } => Command::Create(create::Create { name: name(&mailbox), uses: Vec::new() }),
        CommandBody::List { reference, mailbox_wildcard } => list_of(list::Kind::Basic, &reference, &mailbox_wildcard),
        CommandBody::Lsub { reference, mailbox_wildcard } => list_of(list::Kind::Lsub, &reference, &mailbox_wildcard),
        CommandBody::Status { mailbox, item_names } => Command::Status(status::Status {
            name: name(&mailbox),
            items: item_names.iter().map(status_item).collect::<Option<Vec<_>>>().filter(|items| !items.is_empty())?,
        }),
        CommandBody::ExpungeUid { sequence_set } => Command::UidExpunge(set(&sequence_set)),
        CommandBody::Copy { sequence_set, mailbox, uid } => {
            copy_of(&sequence_set, &mailbox, uid, copy::Originals::Stay)
        }
        CommandBody::Move { sequence_set, mailbox, uid } => copy_of(&sequence_set, &mailbox, uid, copy::Originals::Go),
        CommandBody::Fetch { sequence_set, macro_or_item_names, uid, modifiers } => Command::Fetch(fetch::Fetch {
            set: set(&sequence_set),
            addressing: addressing(uid),
            items: items(macro_or_item_names)?,
            changed_since: match modifiers.as_slice() {
                [] => None,
                [FetchModifier::ChangedSince(modseq)] => Some(ModSeq::new(modseq.get())),
                _ => return None,
            },
        }),
        CommandBody::Store { sequence_set, kind, response, flags, uid, modifiers } => Command::Store(store::Store {
            set: set(&sequence_set),
            addressing: addressing(uid),
            mode: match kind {
                StoreType::Replace => FlagMode::Replace,
                StoreType::Add => FlagMode::Add,
                StoreType::Remove => FlagMode::Remove,
            },
            flags: flags.iter().map(flag_of).collect::<Option<Vec<_>>>().map(Flags::from_iter)?,
            answer: if response == StoreResponse::Answer { store::Answer::Report } else { store::Answer::Silent },
            unchanged_since: match modifiers.as_slice() {
                [] => None,
                [StoreModifier::UnchangedSince(modseq)] => Some(ModSeq::new(*modseq)),
                _ => return None,
            },
        }),
        CommandBody::Search { charset, criteria, uid } => {
            let known = charset.is_none_or(|charset| {
                ["UTF-8", "US-ASCII"].iter().any(|known| charset.as_ref().eq_ignore_ascii_case(known))
            });
            let keys = criteria.as_ref().iter().map(key).collect::<Option<Vec<_>>>()?;
            Command::Search(search::Search {
                addressing: addressing(uid),
                options: None,
                charset: if known { search::CharsetKnown::Yes } else { search::CharsetKnown::No },
                key: Key::And(if known { keys } else { Vec::new() }),
            })
        }
        // Read by the codec in the server too, or not offered.
        _ => return None,
    })
}

fn select(mailbox: &Mailbox<'_>, parameters: &[SelectParameter], access: Access) -> Option<Command> {
    if parameters.iter().any(|parameter| !matches!(parameter, SelectParameter::CondStore)) {
        return None;
    }
    Some(Command::Select(select::Select { name: name(mailbox), access, condstore: !parameters.is_empty() }))
}

fn name(mailbox: &Mailbox<'_>) -> WireName {
    WireName(match mailbox {
        Mailbox::Inbox => b"INBOX".to_vec(),
        Mailbox::Other(other) => other.as_ref().to_vec(),
    })
}

fn list_of(kind: list::Kind, reference: &Mailbox<'_>, pattern: &ListMailbox<'_>) -> Command {
    let pattern = match pattern {
        ListMailbox::Token(token) => token.as_ref().to_vec(),
        ListMailbox::String(text) => text.as_ref().to_vec(),
    };
    let lsub = kind == list::Kind::Lsub;
    Command::List(list::List {
        kind,
        selection: list::Selection { subscribed: lsub, recursive_match: lsub, special_use: false },
        reference: name(reference),
        patterns: vec![WireName(pattern)],
        returns: list::Returns::default(),
    })
}

fn status_item(item: &StatusDataItemName) -> Option<status::StatusItem> {
    Some(match item {
        StatusDataItemName::Messages => status::StatusItem::Messages,
        StatusDataItemName::Recent => status::StatusItem::Recent,
        StatusDataItemName::UidNext => status::StatusItem::UidNext,
        StatusDataItemName::UidValidity => status::StatusItem::UidValidity,
        StatusDataItemName::Unseen => status::StatusItem::Unseen,
        StatusDataItemName::Deleted => status::StatusItem::Deleted,
        StatusDataItemName::Size => status::StatusItem::Size,
        StatusDataItemName::HighestModSeq => status::StatusItem::HighestModSeq,
        StatusDataItemName::DeletedStorage => return None,
    })
}

fn set(set: &TheirSet) -> SequenceSet {
    let bound = |bound: &SeqOrUid| match bound {
        SeqOrUid::Value(number) => Bound::Number(*number),
        SeqOrUid::Asterisk => Bound::Largest,
    };
    let range = |sequence: &Sequence| match sequence {
        Sequence::Single(single) => (bound(single), bound(single)),
        Sequence::Range(start, end) => (bound(start), bound(end)),
    };
    SequenceSet::Ranges(set.0.as_ref().iter().map(range).collect())
}

fn addressing(uid: bool) -> Addressing {
    if uid { Addressing::Uid } else { Addressing::Sequence }
}

fn copy_of(sequence_set: &TheirSet, mailbox: &Mailbox<'_>, uid: bool, originals: copy::Originals) -> Command {
    Command::Copy(copy::Copy {
        set: set(sequence_set),
        addressing: addressing(uid),
        destination: name(mailbox),
        originals,
    })
}

fn flag_of(flag: &flag::Flag<'_>) -> Option<Flag> {
    Flag::parse(&flag.to_string())
}

fn items(asked: MacroOrMessageDataItemNames<'_>) -> Option<Vec<Item>> {
    let names = match asked {
        MacroOrMessageDataItemNames::Macro(Macro::Fast) => vec![Item::Flags, Item::InternalDate, Item::Size],
        MacroOrMessageDataItemNames::Macro(Macro::All) => {
            vec![Item::Flags, Item::InternalDate, Item::Size, Item::Envelope]
        }
        MacroOrMessageDataItemNames::Macro(Macro::Full) => {
            vec![Item::Flags, Item::InternalDate, Item::Size, Item::Envelope, Item::Body]
        }
        MacroOrMessageDataItemNames::Macro(_) => return None,
        MacroOrMessageDataItemNames::MessageDataItemNames(names) => names.iter().map(item).collect(),
    };
    (!names.is_empty()).then_some(names)
}

fn item(name: &MessageDataItemName<'_>) -> Item {
    let rfc822 = |form, section, seen| Item::Section(BodySection { form, section, seen, partial: None });
    match name {
        MessageDataItemName::Body => Item::Body,
        MessageDataItemName::BodyStructure => Item::BodyStructure,
        MessageDataItemName::Envelope => Item::Envelope,
        MessageDataItemName::Flags => Item::Flags,
        MessageDataItemName::InternalDate => Item::InternalDate,
        MessageDataItemName::Uid => Item::Uid,
        MessageDataItemName::ModSeq => Item::ModSeq,
        MessageDataItemName::Rfc822Size => Item::Size,
        MessageDataItemName::Rfc822 => rfc822(Form::Rfc822, Section::WHOLE, Seen::Set),
        MessageDataItemName::Rfc822Header => rfc822(Form::Rfc822Header, Section::HEADER, Seen::Keep),
        MessageDataItemName::Rfc822Text => rfc822(Form::Rfc822Text, Section::TEXT, Seen::Set),
        MessageDataItemName::BodyExt { section, partial, peek } => Item::Section(BodySection {
            form: Form::Body,
            section: section.as_ref().map_or(Section::WHOLE, section_of),
            seen: seen(*peek),
            partial: partial.map(partial_of),
        }),
        MessageDataItemName::Binary { section, partial, peek } => {
            Item::Binary(BinarySection { path: path(section), seen: seen(*peek), partial: partial.map(partial_of) })
        }
        MessageDataItemName::BinarySize { section } => Item::BinarySize(path(section)),
    }
}

fn seen(peek: bool) -> Seen {
    if peek { Seen::Keep } else { Seen::Set }
}

fn partial_of((offset, octets): (u32, NonZeroU32)) -> Partial {
    Partial { offset: u64::from(offset), octets: u64::from(octets.get()) }
}

fn path(numbers: &[NonZeroU32]) -> Vec<u32> {
    numbers.iter().map(|number| number.get()).collect()
}

fn section_of(section: &theirs::Section<'_>) -> Section {
    let fields = |names: &[AString<'_>]| names.iter().map(|name| name.as_ref().to_vec()).collect();
    let (part, text) = match section {
        theirs::Section::Part(part) => (Some(part), SectionText::Whole),
        theirs::Section::Header(part) => (part.as_ref(), SectionText::Header),
        theirs::Section::HeaderFields(part, names) => {
            (part.as_ref(), SectionText::HeaderFields(fields(names.as_ref())))
        }
        theirs::Section::HeaderFieldsNot(part, names) => {
            (part.as_ref(), SectionText::HeaderFieldsNot(fields(names.as_ref())))
        }
        theirs::Section::Text(part) => (part.as_ref(), SectionText::Text),
        theirs::Section::Mime(part) => (Some(part), SectionText::Mime),
    };
    Section { path: part.map_or_else(Vec::new, |part| path(part.0.as_ref())), text }
}

fn key(key: &TheirKey<'_>) -> Option<Key> {
    let plain = |key| Some(Key::Plain(key));
    let not = |key| Some(Key::Not(Box::new(Key::Plain(key))));
    let header = |name: &str, needle: &AString<'_>| {
        Some(Key::Plain(SearchKey::Header { name: name.into(), needle: text(needle)? }))
    };
    match key {
        TheirKey::And(keys) => keys.as_ref().iter().map(self::key).collect::<Option<_>>().map(Key::And),
        TheirKey::SequenceSet(numbers) => Some(Key::Set(set(numbers), Addressing::Sequence)),
        TheirKey::Uid(uids) => Some(Key::Set(set(uids), Addressing::Uid)),
        TheirKey::Not(inner) => self::key(inner).map(|key| Key::Not(Box::new(key))),
        TheirKey::Or(left, right) => {
            let (left, right) = (self::key(left)?, self::key(right)?);
            Some(Key::Or(match right {
                Key::Or(rest) => std::iter::once(left).chain(rest).collect(),
                right => vec![left, right],
            }))
        }
        TheirKey::All => plain(SearchKey::All),
        TheirKey::Recent => Some(Key::Recent),
        TheirKey::Old => Some(Key::Not(Box::new(Key::Recent))),
        TheirKey::New => Some(Key::And(vec![Key::Recent, not(SearchKey::Flag(Flag::Seen))?])),
        TheirKey::Answered => plain(SearchKey::Flag(Flag::Answered)),
        TheirKey::Deleted => plain(SearchKey::Flag(Flag::Deleted)),
        TheirKey::Draft => plain(SearchKey::Flag(Flag::Draft)),
        TheirKey::Flagged => plain(SearchKey::Flag(Flag::Flagged)),
        TheirKey::Seen => plain(SearchKey::Flag(Flag::Seen)),
        TheirKey::Unanswered => not(SearchKey::Flag(Flag::Answered)),
        TheirKey::Undeleted => not(SearchKey::Flag(Flag::Deleted)),
        TheirKey::Undraft => not(SearchKey::Flag(Flag::Draft)),
        TheirKey::Unflagged => not(SearchKey::Flag(Flag::Flagged)),
        TheirKey::Unseen => not(SearchKey::Flag(Flag::Seen)),
        TheirKey::Keyword(atom) => plain(SearchKey::Flag(keyword(atom)?)),
        TheirKey::Unkeyword(atom) => not(SearchKey::Flag(keyword(atom)?)),
        TheirKey::Bcc(needle) => header("bcc", needle),
        TheirKey::Cc(needle) => header("cc", needle),
        TheirKey::From(needle) => header("from", needle),
        TheirKey::To(needle) => header("to", needle),
        TheirKey::Subject(needle) => header("subject", needle),
        TheirKey::Header(name, needle) => header(&text(name)?, needle),
        TheirKey::Body(needle) => plain(SearchKey::Body(text(needle)?)),
        TheirKey::Text(needle) => plain(SearchKey::Text(text(needle)?)),
        TheirKey::Before(date) => plain(SearchKey::Before(day(date))),
        TheirKey::On(date) => plain(SearchKey::On(day(date))),
        TheirKey::Since(date) => plain(SearchKey::Since(day(date))),
        TheirKey::SentBefore(date) => plain(SearchKey::SentBefore(day(date))),
        TheirKey::SentOn(date) => plain(SearchKey::SentOn(day(date))),
        TheirKey::SentSince(date) => plain(SearchKey::SentSince(day(date))),
        TheirKey::Larger(octets) => plain(SearchKey::Larger(u64::from(*octets))),
        TheirKey::Smaller(octets) => plain(SearchKey::Smaller(u64::from(*octets))),
        TheirKey::Younger(seconds) => plain(SearchKey::Younger(u64::from(seconds.get()))),
        TheirKey::Older(seconds) => plain(SearchKey::Older(u64::from(seconds.get()))),
        TheirKey::ModSequence { modseq, .. } => Some(Key::ModSeq(ModSeq::new(*modseq))),
    }
}

fn text(needle: &AString<'_>) -> Option<String> {
    String::from_utf8(needle.as_ref().to_vec()).ok()
}

fn keyword(atom: &Atom<'_>) -> Option<Flag> {
    Keyword::new(atom.as_ref()).map(Flag::Keyword)
}

/// Their date, by way of the calendar: `NaiveDate` shows as `1994-02-01`.
fn day(date: &NaiveDate) -> i32 {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let shown = format!("{date:?}");
    let fields: Vec<&str> = shown.trim_start_matches("NaiveDate(").trim_end_matches(')').split('-').collect();
    let month = MONTHS[fields[1].parse::<usize>().unwrap() - 1];
    super::super::date::parse_date(format!("{}-{month}-{}", fields[2], fields[0]).as_bytes()).unwrap()
}

/// Whatever they accept, we accept with the same meaning.
fn agree(octets: &[u8]) -> Result<(), String> {
    let Some(expected) = theirs(octets).and_then(in_our_words) else { return Ok(()) };
    let expected = with_inbox_as_written(expected);
    match parse(octets).outcome {
        Ok((_, ours)) if with_inbox_as_written(ours.clone()) == expected => Ok(()),
        ours => {
            Err(format!("{}: theirs {expected:?}, ours {:?}", octets.escape_ascii(), ours.map(|(_, command)| command)))
        }
    }
}

/// They write INBOX in capitals while reading; we do when a name is looked up.
fn with_inbox_as_written(mut command: Command) -> Command {
    let name = match &mut command {
        Command::Select(select) => &mut select.name,
        Command::Create(create) => &mut create.name,
        Command::Status(status) => &mut status.name,
        Command::Copy(copy) => &mut copy.destination,
        Command::List(list) => &mut list.reference,
        _ => return command,
    };
    if name.0.eq_ignore_ascii_case(b"INBOX") {
        name.0.make_ascii_uppercase();
    }
    command
}

#[test]
fn we_agree_with_imap_codec_about_commands_of_clients() {
    let mut compared = 0;
    for text in ACCEPTED.iter().chain(REFUSED) {
        let line = format!("a1 {text}\r\n");
        compared += usize::from(theirs(line.as_bytes()).and_then(in_our_words).is_some());
        assert_eq!(agree(line.as_bytes()), Ok(()));
    }
    assert!(compared > 45, "{compared} commands could be compared");
}

/// A command of a client with a few octets changed.
fn damaged_command() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<proptest::sample::Index>(), 0..4_u8, "[ -~]"), 0..4);
    (proptest::sample::select(ACCEPTED), edits).prop_map(|(text, edits)| {
        let mut octets = text.as_bytes().to_vec();
        for (place, edit, octet) in edits {
            let at = place.index(octets.len().max(1)).min(octets.len());
            match (edit, octets.get(at).copied()) {
                (0, Some(_)) => drop(octets.remove(at)),
                (1, Some(old)) => octets.insert(at, old),
                (2, Some(_)) => octets[at] = octet.as_bytes()[0],
                _ => octets.insert(at, octet.as_bytes()[0]),
            }
        }
        [b"a1 ".as_slice(), &octets, b"\r\n"].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn we_agree_with_imap_codec_about_damaged_commands(octets in damaged_command()) {
        prop_assert_eq!(agree(&octets), Ok(()));
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&octets);
        let _ = parse(&[b"a ", octets.as_slice(), b"\r\n"].concat());
        for verb in VERBS {
            let _ = parse(&[b"a ", verb.name.as_bytes(), b" ", octets.as_slice(), b"\r\n"].concat());
        }
        let _ = append::Append::read(&[b"a APPEND ", octets.as_slice(), b"\r\n"].concat());
    }
}
