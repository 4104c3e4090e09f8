//! SEARCH and UID SEARCH (RFC 9051 §6.4.4).

use super::{
    super::{
        parser::{Parsed, Parser},
        response::{Completion, Failure, Outcome, Refusal},
        search::{
            key::{Key, Known, read_keys},
            result::{Found, ReturnOptions, Telling, push_esearch, push_search, saved},
        },
        sequence::{Addressing, UidRanges},
        session::Session,
        wire::Wire,
    },
    Command,
};
use crate::store::Scope;

/// Arguments of SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// How found messages are named.
    pub(crate) addressing: Addressing,
    /// RETURN, where it was given.
    pub(crate) options: Option<ReturnOptions>,
    /// Whether the strings are in a charset of ours.
    pub(crate) charset: CharsetKnown,
    /// The conditions.
    pub(crate) key: Key,
}

/// Whether SEARCH named a charset that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CharsetKnown {
    /// UTF-8, US-ASCII, or none given.
    Yes,
    /// Another one.
    No,
}

/// Reads `[SP RETURN (...)] [SP CHARSET charset] 1*(SP search-key)`.
pub(super) fn read(parser: &mut Parser<'_>, addressing: Addressing) -> Parsed<Command> {
    parser.space()?;
    let mut options = None;
    if parser.word("RETURN") {
        parser.space()?;
        options = Some(ReturnOptions::read(parser)?);
        parser.space()?;
    }
    if parser.word("CHARSET") {
        parser.space()?;
        let name = parser.astring("a charset")?;
        if !name.eq_ignore_ascii_case(b"UTF-8") && !name.eq_ignore_ascii_case(b"US-ASCII") {
            // The keys cannot be read in a charset that we do not know.
            parser.skip_to_end();
            let search = Search { addressing, options, charset: CharsetKnown::No, key: Key::And(Vec::new()) };
            return Ok(Command::Search(search));
        }
        parser.space()?;
    }
    Ok(Command::Search(Search { addressing, options, charset: CharsetKnown::Yes, key: read_keys(parser)? }))
}

/// Answers SEARCH.
pub(crate) async fn execute(search: Search, tag: &[u8], session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let saves = search.options.is_some_and(|options| options.save);
    let outcome = find(search, tag, session, wire).await;
    if saves && matches!(outcome, Err(Failure::No(_) | Failure::Store(_))) {
        // RFC 5182 §2.1: a search that is answered NO leaves an empty result behind.
        session.selected()?.saved = UidRanges::default();
    }
    outcome
}

async fn find(search: Search, tag: &[u8], session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    if search.charset == CharsetKnown::No {
        return Err(Refusal::Charset.into());
    }
    let modseq = search.key.mentions_modseq();
    if modseq {
        session.enable_condstore(wire);
    }
    let account = session.account()?;
    let store = session.services.store.clone();
    let imap4rev2 = session.features.imap4rev2;
    let selected = session.selected()?;
    let known = Known { view: &selected.view, saved: &selected.saved, recent: &selected.recent };
    let key = search.key.resolve(known);
    let hits = store.search(account, Scope::Mailbox(selected.mailbox), &key).await?;
    let everything = 0..selected.view.len();
    let numbered = selected.view.numbered(&everything, hits.into_iter(), |hit| hit.uid);
    let found: Vec<Found> = numbered
        .map(|(number, hit)| Found {
            number: match search.addressing {
                Addressing::Sequence => number.get(),
                Addressing::Uid => hit.uid.get(),
            },
            uid: hit.uid,
            modseq: hit.modseq,
        })
        .collect();
    let telling = Telling { tag, addressing: search.addressing, modseq };
    match search.options {
        // RFC 9051 §6.4.4: a client of IMAP4rev2 gets ESEARCH always.
        None if imap4rev2 => {
            push_esearch(&mut wire.out, &found, ReturnOptions { all: true, ..ReturnOptions::default() }, telling)
        }
        None => push_search(&mut wire.out, &found, telling),
        Some(options) => {
            if options.save {
                selected.saved = UidRanges::new(saved(&found, options));
            }
            if options.tells() {
                push_esearch(&mut wire.out, &found, options, telling);
            }
        }
    }
    Ok(Completion::ok("SEARCH completed"))
}
