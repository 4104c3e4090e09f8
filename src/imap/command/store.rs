//! STORE and UID STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3).

use super::{
    super::{
        fetch::row,
        parser::{Parsed, Parser},
        response::{Completion, Failure, Outcome, Refusal},
        selected::Access,
        sequence::{Addressing, SequenceSet},
        session::Session,
        wire::Wire,
        write::push_set,
    },
    Command,
};
use crate::{
    limits,
    mail::{Flags, ModSeq, Uid},
    store::{FlagChange, FlagMode},
};

/// Arguments of STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// Which messages.
    pub(crate) set: SequenceSet,
    /// How they are named.
    pub(crate) addressing: Addressing,
    /// How flags change.
    pub(crate) mode: FlagMode,
    /// Which flags.
    pub(crate) flags: Flags,
    /// Whether the new flags are reported.
    pub(crate) answer: Answer,
    /// Only messages not changed since (RFC 7162 §3.1.3); `Some(None)` is zero.
    pub(crate) unchanged_since: Option<Option<ModSeq>>,
}

/// Whether STORE tells of the flags it set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// FLAGS
    Report,
    /// FLAGS.SILENT
    Silent,
}

/// Reads `SP sequence-set [SP "(" UNCHANGEDSINCE n ")"] SP ["+"/"-"] "FLAGS" [".SILENT"] SP (flag-list / flag *(SP flag))`.
pub(super) fn read(parser: &mut Parser<'_>, addressing: Addressing) -> Parsed<Command> {
    parser.space()?;
    let set = parser.sequence_set()?;
    parser.space()?;
    let mut unchanged_since = None;
    if parser.peek() == Some(b'(') {
        parser.list1(|parser| {
            if !parser.word("UNCHANGEDSINCE") {
                return parser.expected("UNCHANGEDSINCE");
            }
            parser.space()?;
            unchanged_since = Some(parser.modseq()?);
            Ok(())
        })?;
        parser.space()?;
    }
    let mode = match parser.peek() {
        Some(b'+') => FlagMode::Add,
        Some(b'-') => FlagMode::Remove,
        _ => FlagMode::Replace,
    };
    let _sign = parser.take(b'+') || parser.take(b'-');
    let answer = if parser.word("FLAGS") {
        Answer::Report
    } else if parser.word("FLAGS.SILENT") {
        Answer::Silent
    } else {
        return parser.expected("FLAGS or FLAGS.SILENT");
    };
    parser.space()?;
    let flags = read_flags(parser)?;
    Ok(Command::Store(Store { set, addressing, mode, flags, answer, unchanged_since }))
}

fn read_flags(parser: &mut Parser<'_>) -> Parsed<Flags> {
    if parser.peek() == Some(b'(') {
        return parser.flag_list();
    }
    let mut flags = vec![parser.flag()?];
    while parser.take(b' ') {
        flags.push(parser.flag()?);
    }
    Ok(Flags::from_iter(flags))
}

/// Changes flags. Messages that are gone are passed over.
pub(crate) async fn execute(change: Store, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    if change.unchanged_since.is_some() {
        session.enable_condstore(wire);
    }
    let account = session.account()?;
    let before = session.snapshot()?;
    let store = session.services.store.clone();
    let selected = session.selected()?;
    if selected.access == Access::ReadOnly {
        return Err(Refusal::ReadOnly.into());
    }
    let selection = selected.view.select(&change.set, change.addressing, &selected.saved)?;
    let uids: Vec<Uid> = selected.view.selected(&selection).collect();
    let mailbox = selected.mailbox;
    // Whoever asks for silence still hears of what others changed before (RFC 9051 §6.4.6).
    let news: Vec<Uid> = match change.answer {
        Answer::Report => Vec::new(),
        Answer::Silent => {
            let rows = uids.iter().filter_map(|uid| before.row(*uid));
            rows.filter(|row| selected.has_news(row)).map(|row| row.uid).collect()
        }
    };
    drop(before);
    let flag_change = FlagChange { mode: change.mode, flags: change.flags, unchanged_since: change.unchanged_since };
    let changed = store.change_flags(account, mailbox, uids, flag_change).await?;
    answer(&changed.stored, change.answer, &news, session, wire).await?;
    completion(&changed.modified, change.addressing, session)
}

/// Writes FETCH for what was stored. Silent ones still get their MODSEQ (RFC 7162 §3.1.3).
async fn answer(
    stored: &[Uid],
    answer: Answer,
    news: &[Uid],
    session: &mut Session,
    wire: &mut Wire<'_>,
) -> Result<(), Failure> {
    let features = session.features;
    for uids in stored.chunks(limits::IMAP_FETCH_ROWS) {
        let snapshot = session.snapshot()?;
        let selected = session.selected()?;
        if answer == Answer::Report {
            selected.report_keywords(&snapshot, features, &mut wire.out);
        }
        let names = selected.flag_names(&snapshot, features);
        for row in uids.iter().filter_map(|uid| snapshot.row(*uid)) {
            let Some(number) = selected.view.number(row.uid) else { continue };
            if news.binary_search(&row.uid).is_ok() {
                continue;
            }
            match answer {
                Answer::Report => row::push_flags(&mut wire.out, number, &row, &names, features),
                Answer::Silent if features.condstore => row::push_modseq(&mut wire.out, number, &row),
                Answer::Silent => {}
            }
            selected.note_sent(&row);
        }
        drop(snapshot);
        wire.flush_if_full().await?;
    }
    Ok(())
}

fn completion(modified: &[Uid], addressing: Addressing, session: &mut Session) -> Outcome {
    let completion = Completion::ok("STORE completed");
    if modified.is_empty() {
        return Ok(completion);
    }
    let view = &session.selected()?.view;
    let mut code = b"MODIFIED ".to_vec();
    match addressing {
        Addressing::Uid => push_set(&mut code, modified.iter().map(|uid| uid.get())),
        Addressing::Sequence => {
            push_set(&mut code, modified.iter().filter_map(|uid| view.number(*uid)).map(|number| number.get()));
        }
    }
    Ok(completion.with_code(String::from_utf8(code).expect("numbers and punctuation are ASCII")))
}
