//! Search keys, as written by the client.

use super::super::{
    parser::{Parsed, Parser},
    sequence::{Addressing, SequenceSet, UidRanges},
    view::View,
};
use crate::{
    limits,
    mail::{Flag, Keyword, ModSeq, Uid},
    store::SearchKey,
};

/// One key, with sets that are not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A condition of the store.
    Plain(SearchKey),
    /// Messages named by a set.
    Set(SequenceSet, Addressing),
    /// `\Recent` is set (RFC 3501 §2.3.2).
    Recent,
    /// MODSEQ; `None` is zero, which every message reaches.
    ModSeq(Option<ModSeq>),
    /// Every one holds.
    And(Vec<Key>),
    /// One holds.
    Or(Vec<Key>),
    /// It does not hold.
    Not(Box<Key>),
}

/// What bounds the reading of keys.
struct Reader {
    keys_left: usize,
}

/// Reads `search-key *(SP search-key)`.
pub(crate) fn read_keys(parser: &mut Parser<'_>) -> Parsed<Key> {
    let mut reader = Reader { keys_left: limits::IMAP_SEARCH_KEYS_MAX };
    let mut keys = vec![reader.key(parser, 0)?];
    while parser.take(b' ') {
        keys.push(reader.key(parser, 0)?);
    }
    Ok(Key::And(keys))
}

impl Reader {
    fn key(&mut self, parser: &mut Parser<'_>, depth: usize) -> Parsed<Key> {
        if depth > limits::IMAP_SEARCH_DEPTH_MAX {
            return parser.expected("search keys that are not nested so deep");
        }
        self.keys_left = match self.keys_left.checked_sub(1) {
            Some(left) => left,
            None => return parser.expected("fewer search keys"),
        };
        match parser.peek() {
            Some(b'(') => parser.list1(|parser| self.key(parser, depth + 1)).map(Key::And),
            Some(b'0'..=b'9' | b'*' | b'$') => parser.sequence_set().map(|set| Key::Set(set, Addressing::Sequence)),
            _ => self.named(parser, depth),
        }
    }

    fn named(&mut self, parser: &mut Parser<'_>, depth: usize) -> Parsed<Key> {
        let start = parser.clone();
        let name = parser.any_word("a search key")?;
        if let Some(flag) = flag_key(&name) {
            return Ok(flag);
        }
        if let Some(field) = field_of(&name) {
            let needle = argument(parser)?;
            return Ok(Key::Plain(SearchKey::Header { name: field.to_owned(), needle }));
        }
        match name.as_str() {
            "OR" => self.or(parser, depth),
            "NOT" => {
                parser.space()?;
                Ok(Key::Not(Box::new(self.key(parser, depth + 1)?)))
            }
            "UID" => {
                parser.space()?;
                parser.sequence_set().map(|set| Key::Set(set, Addressing::Uid))
            }
            "MODSEQ" => mod_seq(parser).map(Key::ModSeq),
            _ => match with_argument(&name, parser)? {
                Some(key) => Ok(key),
                None => start.expected("a search key"),
            },
        }
    }

    /// `OR a OR b OR c d` is read as one list, however long the chain is.
    fn or(&mut self, parser: &mut Parser<'_>, depth: usize) -> Parsed<Key> {
        let mut alternatives = Vec::new();
        loop {
            parser.space()?;
            alternatives.push(self.key(parser, depth + 1)?);
            parser.space()?;
            if !parser.word("OR") {
                alternatives.push(self.key(parser, depth + 1)?);
                return Ok(Key::Or(alternatives));
            }
            self.keys_left = self.keys_left.saturating_sub(1);
        }
    }
}

/// Keys about flags that take no argument.
fn flag_key(name: &str) -> Option<Key> {
    let set = |flag| Some(Key::Plain(SearchKey::Flag(flag)));
    let unset = |flag| Some(Key::Not(Box::new(Key::Plain(SearchKey::Flag(flag)))));
    match name {
        "ALL" => Some(Key::Plain(SearchKey::All)),
        "RECENT" => Some(Key::Recent),
        "NEW" => Some(Key::And(vec![Key::Recent, unset(Flag::Seen)?])),
        "OLD" => Some(Key::Not(Box::new(Key::Recent))),
        "ANSWERED" => set(Flag::Answered),
        "DELETED" => set(Flag::Deleted),
        "DRAFT" => set(Flag::Draft),
        "FLAGGED" => set(Flag::Flagged),
        "SEEN" => set(Flag::Seen),
        "UNANSWERED" => unset(Flag::Answered),
        "UNDELETED" => unset(Flag::Deleted),
        "UNDRAFT" => unset(Flag::Draft),
        "UNFLAGGED" => unset(Flag::Flagged),
        "UNSEEN" => unset(Flag::Seen),
        _ => None,
    }
}

fn field_of(key: &str) -> Option<&'static str> {
    match key {
        "BCC" => Some("bcc"),
        "CC" => Some("cc"),
        "FROM" => Some("from"),
        "SUBJECT" => Some("subject"),
        "TO" => Some("to"),
        _ => None,
    }
}

fn argument(parser: &mut Parser<'_>) -> Parsed<String> {
    parser.space()?;
    parser.text("a string to search for")
}

fn with_argument(name: &str, parser: &mut Parser<'_>) -> Parsed<Option<Key>> {
    let mut date = |key: fn(i32) -> SearchKey| {
        parser.space()?;
        parser.date().map(|day| Some(Key::Plain(key(day))))
    };
    match name {
        "BEFORE" => return date(SearchKey::Before),
        "ON" => return date(SearchKey::On),
        "SINCE" => return date(SearchKey::Since),
        "SENTBEFORE" => return date(SearchKey::SentBefore),
        "SENTON" => return date(SearchKey::SentOn),
        "SENTSINCE" => return date(SearchKey::SentSince),
        _ => {}
    }
    let key = match name {
        "BODY" => SearchKey::Body(argument(parser)?),
        "TEXT" => SearchKey::Text(argument(parser)?),
        "HEADER" => {
            let name = argument(parser)?;
            SearchKey::Header { name, needle: argument(parser)? }
        }
        "KEYWORD" => SearchKey::Flag(keyword(parser)?),
        "UNKEYWORD" => return Ok(Some(Key::Not(Box::new(Key::Plain(SearchKey::Flag(keyword(parser)?)))))),
        "LARGER" => SearchKey::Larger(number(parser)?),
        "SMALLER" => SearchKey::Smaller(number(parser)?),
        "YOUNGER" => SearchKey::Younger(interval(parser)?),
        "OLDER" => SearchKey::Older(interval(parser)?),
        _ => return Ok(None),
    };
    Ok(Some(Key::Plain(key)))
}

fn keyword(parser: &mut Parser<'_>) -> Parsed<Flag> {
    parser.space()?;
    let atom = parser.atom("a keyword")?;
    let keyword = std::str::from_utf8(atom).ok().and_then(Keyword::new);
    keyword.map_or_else(|| parser.expected("a shorter keyword"), |keyword| Ok(Flag::Keyword(keyword)))
}

fn number(parser: &mut Parser<'_>) -> Parsed<u64> {
    parser.space()?;
    parser.number64()
}

/// A number of seconds, which RFC 5032 §3 wants above zero.
fn interval(parser: &mut Parser<'_>) -> Parsed<u64> {
    parser.space()?;
    parser.nonzero().map(|seconds| u64::from(seconds.get()))
}

/// `[SP entry-name SP entry-type-req] SP mod-sequence-valzer`. Mod-sequences are kept per message, so the entry says
/// nothing more (RFC 7162 §3.1.5).
fn mod_seq(parser: &mut Parser<'_>) -> Parsed<Option<ModSeq>> {
    parser.space()?;
    if parser.peek() == Some(b'"') {
        parser.quoted()?;
        parser.space()?;
        if !["all", "priv", "shared"].iter().any(|kind| parser.word(kind)) {
            return parser.expected("all, priv or shared");
        }
        parser.space()?;
    }
    parser.modseq()
}

impl Key {
    /// Whether the client asks about mod-sequences, and wants one in the answer.
    pub(crate) fn mentions_modseq(&self) -> bool {
        match self {
            Self::ModSeq(_) => true,
            Self::And(keys) | Self::Or(keys) => keys.iter().any(Self::mentions_modseq),
            Self::Not(key) => key.mentions_modseq(),
            Self::Plain(_) | Self::Recent | Self::Set(..) => false,
        }
    }

    /// The store's condition, with sets resolved as this session counts.
    pub(crate) fn resolve(self, known: Known<'_>) -> SearchKey {
        match self {
            Self::Plain(key) => key,
            Self::Recent => SearchKey::Uids(known.recent.ranges().to_vec()),
            Self::ModSeq(None) => SearchKey::All,
            Self::ModSeq(Some(modseq)) => SearchKey::ModSeq(modseq),
            Self::Set(set, addressing) => SearchKey::Uids(known.ranges(&set, addressing)),
            Self::And(keys) => SearchKey::And(resolve_all(keys, known)),
            Self::Or(keys) => balanced_or(resolve_all(keys, known)),
            Self::Not(key) => SearchKey::Not(Box::new(key.resolve(known))),
        }
    }
}

fn resolve_all(keys: Vec<Key>, known: Known<'_>) -> Vec<SearchKey> {
    keys.into_iter().map(|key| key.resolve(known)).collect()
}

/// What a session knows of its mailbox beside what the store does.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// Sequence numbers.
    pub(crate) view: &'a View,
    /// The saved result.
    pub(crate) saved: &'a UidRanges,
    /// What is `\Recent`.
    pub(crate) recent: &'a UidRanges,
}

impl Known<'_> {
    /// UIDs of a set. Numbers that name no message are no error here: there is nothing to find.
    fn ranges(self, set: &SequenceSet, addressing: Addressing) -> Vec<(Uid, Uid)> {
        let selection = self.view.select_known(set, addressing, self.saved);
        selection.0.iter().filter_map(|range| self.view.ends(range)).collect()
    }
}

/// A tree of ORs whose depth is the logarithm of their number.
fn balanced_or(mut keys: Vec<SearchKey>) -> SearchKey {
    if keys.len() > 1 {
        let right = keys.split_off(keys.len() / 2);
        return SearchKey::Or(Box::new(balanced_or(keys)), Box::new(balanced_or(right)));
    }
    keys.pop().unwrap_or(SearchKey::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(written: &str) -> Parsed<Key> {
        let mut parser = Parser::new(written.as_bytes());
        let key = read_keys(&mut parser)?;
        if parser.rest().is_empty() { Ok(key) } else { parser.expected("the end") }
    }

    fn resolved(written: &str) -> SearchKey {
        let view = View::new([10, 20, 30].into_iter().filter_map(Uid::new));
        let none = UidRanges::default();
        key(written).unwrap().resolve(Known { view: &view, saved: &none, recent: &none })
    }

    #[test]
    fn every_key_is_read() {
        for written in [
            "ALL",
            "answered",
            "BCC x",
            "BEFORE 1-Feb-1994",
            "BODY \"a b\"",
            "CC x",
            "DELETED",
            "DRAFT",
            "FLAGGED",
            "FROM x",
            "HEADER X-Y \"\"",
            "KEYWORD $Work",
            "LARGER 5",
            "NEW",
            "NOT SEEN",
            "OLD",
            "ON \"1-Feb-1994\"",
            "OR SEEN DELETED",
            "RECENT",
            "SEEN",
            "SENTBEFORE 1-Feb-1994",
            "SENTON 1-Feb-1994",
            "SENTSINCE 1-Feb-1994",
            "SINCE 1-Feb-1994",
            "SMALLER 5",
            "SUBJECT {3}\r\na b",
            "TEXT x",
            "TO x",
            "UID 1:*",
            "UNANSWERED",
            "UNDELETED",
            "UNDRAFT",
            "UNFLAGGED",
            "UNKEYWORD x",
            "UNSEEN",
            "1:2,3",
            "*",
            "$",
            "UID $",
            "(SEEN (DELETED))",
            "YOUNGER 60",
            "OLDER 60",
            "MODSEQ 5",
            "MODSEQ \"/flags/\\\\Seen\" all 5",
            "LARGER 9999999999",
        ] {
            assert!(key(written).is_ok(), "{written}: {:?}", key(written));
        }
    }

    #[test]
    fn keys_without_sense_are_refused() {
        for wrong in [
            "",
            "()",
            "SEEN ",
            "NOT",
            "OR SEEN",
            "FROM",
            "BEFORE x",
            "LARGER x",
            "KEYWORD \\Seen",
            "YOUNGER 0",
            "UID",
            "(SEEN",
            "SEEN)",
            "BOGUS",
            "HEADER x",
            "ON 31-Feb-2001",
        ] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_become_uids() {
        assert_eq!(
            resolved("2:*"),
            SearchKey::And(vec![SearchKey::Uids(vec![(Uid::new(20).unwrap(), Uid::new(30).unwrap())])])
        );
        assert_eq!(resolved("UID 40"), SearchKey::And(vec![SearchKey::Uids(vec![])]));
        assert_eq!(resolved("40"), SearchKey::And(vec![SearchKey::Uids(vec![])]));
    }

    #[test]
    fn recent_messages_are_those_of_the_session() {
        let (view, saved) = (View::new([10, 20].into_iter().filter_map(Uid::new)), UidRanges::default());
        let recent = UidRanges::new(Uid::new(20));
        let found = key("RECENT").unwrap().resolve(Known { view: &view, saved: &saved, recent: &recent });
        assert_eq!(found, SearchKey::And(vec![SearchKey::Uids(vec![(Uid::new(20).unwrap(), Uid::new(20).unwrap())])]));
    }

    #[test]
    fn nesting_is_bounded_and_chains_are_not_nested() {
        let chain = "OR SEEN ".repeat(900) + "DELETED";
        fn depth(key: &SearchKey) -> usize {
            match key {
                SearchKey::Or(left, right) => 1 + depth(left).max(depth(right)),
                _ => 0,
            }
        }
        let SearchKey::And(keys) = resolved(&chain) else { panic!("keys are joined") };
        assert!(depth(&keys[0]) <= 10);
        assert!(key(&("NOT ".repeat(limits::IMAP_SEARCH_DEPTH_MAX) + "SEEN")).is_ok());
        assert!(key(&("NOT ".repeat(limits::IMAP_SEARCH_DEPTH_MAX + 1) + "SEEN")).is_err());
        assert!(key(&("(".repeat(100_000) + "SEEN")).is_err());
        assert!(key(&["SEEN"; limits::IMAP_SEARCH_KEYS_MAX + 1].join(" ")).is_err());
    }
}
