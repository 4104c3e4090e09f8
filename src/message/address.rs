//! Address lists as ENVELOPE shows them (RFC 5322 §3.4, RFC 9051 §7.5.2).
//!
//! Always gives a well-formed list, whatever is written: a group is always closed, and an address always
//! has a mailbox and a host, empty where there is none, since an absent host would open a group.

use super::{encoded_word::EncodedWord, envelope::EnvelopeAddress};
use crate::limits;

/// Reads the addresses of an unfolded value into `addresses`, as long as there is `room`.
pub(super) fn read(value: &[u8], addresses: &mut Vec<EnvelopeAddress>, room: &mut usize) {
    let mut reader = Reader { pieces: Pieces::of(value), in_group: false, addresses, room };
    reader.read();
}

struct Reader<'a> {
    pieces: Pieces<'a>,
    in_group: bool,
    addresses: &'a mut Vec<EnvelopeAddress>,
    room: &'a mut usize,
}

impl Reader<'_> {
    fn read(&mut self) {
        while *self.room > 0
            && let Some((piece, end)) = self.pieces.next(self.in_group)
        {
            match end {
                End::Colon => self.open_group(piece),
                End::Comma => self.mailbox(piece),
                End::Semicolon => {
                    self.mailbox(piece);
                    self.close_group();
                }
            }
        }
        self.close_group();
    }

    fn mailbox(&mut self, piece: &[u8]) {
        if let Some(address) = mailbox(piece) {
            self.addresses.push(address);
            *self.room = self.room.saturating_sub(1);
        }
    }

    fn open_group(&mut self, name: &[u8]) {
        let name = Some(kept(Words::read(name).phrase));
        self.addresses.push(EnvelopeAddress { mailbox: name, ..EnvelopeAddress::default() });
        *self.room = self.room.saturating_sub(1);
        self.in_group = true;
    }

    fn close_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.addresses.push(EnvelopeAddress::default());
        }
    }
}

/// What ended a piece. The end of the value counts as a comma.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Colon,
    Semicolon,
}

/// Cuts a list at the separators that stand outside of quotes, comments and angle brackets.
struct Pieces<'a> {
    rest: &'a [u8],
    spans: Spans,
}

impl<'a> Pieces<'a> {
    fn of(value: &'a [u8]) -> Self {
        Self { rest: value, spans: Spans::of(value) }
    }

    /// A colon opens no group inside of a group, where it belongs to what it stands in.
    fn next(&mut self, in_group: bool) -> Option<(&'a [u8], End)> {
        if self.rest.is_empty() {
            return None;
        }
        let mut at = 0;
        while let Some(octet) = self.rest.get(at) {
            let end = match octet {
                b',' => Some(End::Comma),
                b';' => Some(End::Semicolon),
                b':' if !in_group => Some(End::Colon),
                _ => None,
            };
            if let Some(end) = end {
                let piece = self.rest.get(..at).unwrap_or_default();
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Some((piece, end));
            }
            at += self.spans.octets(self.rest.get(at..).unwrap_or_default());
        }
        Some((std::mem::take(&mut self.rest), End::Comma))
    }
}

/// Steps over quoted strings, comments, angle brackets and domain literals as one.
///
/// What opens one of these without closing it is an ordinary octet. Once one kind is found to be
/// never closed, no later one is looked for, so that stepping stays linear.
#[derive(Clone, Copy)]
struct Spans {
    quotes: bool,
    comments: bool,
    angles: bool,
    literals: bool,
}

impl Spans {
    fn of(value: &[u8]) -> Self {
        Self {
            quotes: value.contains(&b'"'),
            comments: value.contains(&b'('),
            angles: value.contains(&b'<'),
            literals: value.contains(&b'['),
        }
    }

    /// Octets to step over at the beginning of `octets`; at least one.
    fn octets(&mut self, octets: &[u8]) -> usize {
        let (end, known) = match octets.first() {
            Some(b'\\') => return 2.min(octets.len()),
            Some(b'=') => return encoded_word_octets(octets).unwrap_or(1),
            Some(b'"') if self.quotes => (quoted_octets(octets), &mut self.quotes),
            Some(b'(') if self.comments => (comment_octets(octets), &mut self.comments),
            Some(b'<') if self.angles => (angle_octets(octets), &mut self.angles),
            Some(b'[') if self.literals => (literal_octets(octets), &mut self.literals),
            _ => return 1,
        };
        *known = end.is_some();
        end.unwrap_or(1)
    }
}

/// Encoded-words are stepped over too: some senders leave commas and colons in them as they are.
fn encoded_word_octets(octets: &[u8]) -> Option<usize> {
    /// RFC 2047 §2 allows 75. The bound keeps the search for an end short.
    const ENCODED_WORD_OCTETS_MAX: usize = 256;
    if !octets.starts_with(b"=?") {
        return None;
    }
    let window = octets.get(..ENCODED_WORD_OCTETS_MAX).unwrap_or(octets);
    let (word, after) = EncodedWord::read(window)?;
    (!word.has_space()).then(|| window.len() - after.len())
}

fn quoted_octets(octets: &[u8]) -> Option<usize> {
    closing(octets, |octet| *octet == b'"').map(|at| at + 1)
}

fn literal_octets(octets: &[u8]) -> Option<usize> {
    closing(octets, |octet| *octet == b']').map(|at| at + 1)
}

/// An angle bracket holds no other one: `<a <b@example.org>` opens at the second.
fn angle_octets(octets: &[u8]) -> Option<usize> {
    let at = closing(octets, |octet| matches!(octet, b'>' | b'<'))?;
    if octets.get(at) == Some(&b'>') { Some(at + 1) } else { Some(1) }
}

/// Where the first octet after the opening one stands that `closes` it, escapes skipped.
fn closing(octets: &[u8], closes: impl Fn(&u8) -> bool) -> Option<usize> {
    let mut octets = octets.iter().enumerate().skip(1);
    while let Some((index, octet)) = octets.next() {
        if *octet == b'\\' {
            octets.next();
        } else if closes(octet) {
            return Some(index);
        }
    }
    None
}

/// Comments nest (RFC 5322 §3.2.2).
fn comment_octets(octets: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut octets = octets.iter().enumerate();
    while let Some((index, octet)) = octets.next() {
        match octet {
            b'\\' => drop(octets.next()),
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(index + 1),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// One mailbox of a list; `None` where there is nothing but space and comments.
fn mailbox(piece: &[u8]) -> Option<EnvelopeAddress> {
    let words = Words::read(piece);
    if let Some(inside) = words.angle {
        let (route, spec) = split_route(inside);
        let name = if words.phrase.is_empty() { words.comment } else { words.phrase };
        return Some(address(name, route, spec));
    }
    if words.bare.is_empty() && words.phrase.is_empty() {
        return None;
    }
    // Several words without an address are a name; one is a local part without its domain.
    if !words.bare.contains(&b'@') && words.phrase.contains(&b' ') {
        return Some(address(words.phrase, None, b""));
    }
    Some(address(words.comment, None, &words.bare))
}

fn address(name: Vec<u8>, route: Option<&[u8]>, spec: &[u8]) -> EnvelopeAddress {
    let (mailbox, host) = split_spec(spec);
    EnvelopeAddress {
        name: Some(kept(name)).filter(|name| !name.is_empty()),
        route: route.map(|route| kept(route.to_vec())),
        mailbox: Some(kept(mailbox)),
        host: Some(kept(host)),
    }
}

/// Splits the obsolete source route off what is in angle brackets (RFC 5322 §4.4).
fn split_route(inside: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let inside = inside.trim_ascii();
    let colon = inside.iter().position(|octet| *octet == b':').filter(|_| inside.starts_with(b"@"));
    match colon.and_then(|at| Some((inside.get(..at)?, inside.get(at + 1..)?))) {
        Some((route, spec)) => (Some(route), spec),
        None => (None, inside),
    }
}

/// Splits an addr-spec at its last `@` outside of quotes, and unquotes the local part.
fn split_spec(spec: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut spans = Spans::of(spec);
    let (mut at, mut split) = (0, None);
    while let Some(octet) = spec.get(at) {
        if *octet == b'@' {
            split = Some(at);
        }
        at += spans.octets(spec.get(at..).unwrap_or_default());
    }
    let (local_part, host) = spec.split_at_checked(split.unwrap_or(spec.len())).unwrap_or((spec, &[]));
    (Words::read(local_part).bare_unquoted(), Words::read(host.get(1..).unwrap_or_default()).bare)
}

/// A piece of a list, taken apart.
#[derive(Default)]
struct Words<'a> {
    /// The words, unquoted, with one space where space was.
    phrase: Vec<u8>,
    /// The same as written, quotes kept, spaces and comments left out.
    bare: Vec<u8>,
    /// The inside of the last comment.
    comment: Vec<u8>,
    /// The inside of the first angle brackets, closed or not.
    angle: Option<&'a [u8]>,
}

impl<'a> Words<'a> {
    fn read(piece: &'a [u8]) -> Self {
        let mut words = Self::default();
        let mut spans = Spans::of(piece);
        let mut rest = piece;
        while !rest.is_empty() {
            let (token, after) = rest.split_at_checked(spans.octets(rest)).unwrap_or((rest, &[]));
            if token == b"<" && !spans.angles {
                words.angle.get_or_insert(after);
                break;
            }
            words.take(token);
            rest = after;
        }
        if words.phrase.ends_with(b" ") {
            words.phrase.pop();
        }
        words
    }

    fn take(&mut self, token: &'a [u8]) {
        match token {
            [b' ' | b'\t'] => self.space(),
            [b'<', inside @ .., b'>'] => {
                self.angle.get_or_insert(inside);
            }
            // What follows the address is no part of the name.
            _ if self.angle.is_some() => {}
            [b'"', inside @ .., b'"'] => {
                self.bare.extend_from_slice(token);
                unescape(inside, &mut self.phrase);
            }
            [b'(', inside @ .., b')'] => {
                self.comment.clear();
                unescape(inside.trim_ascii(), &mut self.comment);
                self.space();
            }
            other => {
                self.phrase.extend_from_slice(other);
                self.bare.extend_from_slice(other);
            }
        }
    }

    fn space(&mut self) {
        if self.phrase.last().is_some_and(|last| *last != b' ') {
            self.phrase.push(b' ');
        }
    }

    /// A local part without its quotes; without quotes, spaces are no part of it (RFC 5322 §4.4).
    fn bare_unquoted(self) -> Vec<u8> {
        if self.bare.contains(&b'"') { self.phrase } else { self.bare }
    }
}

fn unescape(inside: &[u8], into: &mut Vec<u8>) {
    let mut octets = inside.iter();
    while let Some(octet) = octets.next() {
        into.extend(if *octet == b'\\' { octets.next() } else { Some(octet) });
    }
}

/// Cuts a value to what the record keeps of it.
fn kept(mut value: Vec<u8>) -> Vec<u8> {
    value.truncate(limits::STRUCTURE_VALUE_OCTETS_MAX);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(value: &[u8]) -> Vec<EnvelopeAddress> {
        let mut addresses = Vec::new();
        read(value, &mut addresses, &mut 1000);
        addresses
    }

    /// Shown as `name|route|mailbox|host`, `~` where there is none, one address after the other.
    #[track_caller]
    fn check(value: &str, expected: &str) {
        let show = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or("~".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
        };
        let shown: Vec<String> = list(value.as_bytes())
            .iter()
            .map(|it| [&it.name, &it.route, &it.mailbox, &it.host].map(show).join("|"))
            .collect();
        assert_eq!(shown.join(" , "), expected, "{value}");
    }

    #[test]
    fn mailboxes_are_read() {
        check("a@example.org", "~|~|a|example.org");
        check("Ann Lee <ann@example.org>", "Ann Lee|~|ann|example.org");
        check("\"Lee, Ann\" <ann@example.org>, b@example.net", "Lee, Ann|~|ann|example.org , ~|~|b|example.net");
        check("ann@example.org (Ann Lee)", "Ann Lee|~|ann|example.org");
        check("\"A \\\"B\\\" C\" D <a@[192.0.2.1]>", "A \"B\" C D|~|a|[192.0.2.1]");
        check("=?utf-8?Q?J=C3=BC?= <j@example.org>", "=?utf-8?Q?J=C3=BC?=|~|j|example.org");
        check(
            "=?utf-8?Q?Lee,_Ann:?= <a@example.org>, =?b, c@d",
            "=?utf-8?Q?Lee,_Ann:?=|~|a|example.org , ~|~|=?b| , ~|~|c|d",
        );
        check("John Q. Public <j@example.org>", "John Q. Public|~|j|example.org");
        check("\"a b\"@example.org", "~|~|a b|example.org");
        check("\"x@y\"@example.org", "~|~|x@y|example.org");
    }

    #[test]
    fn obsolete_forms_are_read() {
        check("<@one.example,@two.example:a@example.org>", "~|@one.example,@two.example|a|example.org");
        check("a (c) . b @ (c) example . org", "c|~|a.b|example.org");
        check(",, a@example.org,,", "~|~|a|example.org");
        check("a@example.org; b@example.net;", "~|~|a|example.org , ~|~|b|example.net");
    }

    #[test]
    fn groups_open_and_close() {
        check("g: a@b.example, c@d.example;", "~|~|g|~ , ~|~|a|b.example , ~|~|c|d.example , ~|~|~|~");
        check("undisclosed recipients:;", "~|~|undisclosed recipients|~ , ~|~|~|~");
        check("a: (x) ;, \"b c\": d@e.example;", "~|~|a|~ , ~|~|~|~ , ~|~|b c|~ , ~|~|d|e.example , ~|~|~|~");
        check("open: a@b.example", "~|~|open|~ , ~|~|a|b.example , ~|~|~|~");
    }

    #[test]
    fn broken_addresses_have_a_mailbox_and_a_host() {
        check("root", "~|~|root|");
        check("Ann Lee", "Ann Lee|~||");
        check("<>", "~|~||");
        check("Ann <>", "Ann|~||");
        check("@example.org", "~|~||example.org");
        check("\"Ann <ann@example.org>", "\"Ann|~|ann|example.org");
        check("Ann (never closed <ann@example.org>", "Ann (never closed|~|ann|example.org");
        check("Ann <ann@example.org", "Ann|~|ann|example.org");
        check("Ann <a@b.example> Lee <c@d.example>", "Ann|~|a|b.example");
        check("", "");
        check("  (only a comment) ", "");
    }

    #[test]
    fn reading_stops_where_there_is_no_room() {
        let (mut addresses, mut room) = (Vec::new(), 2);
        read(b"a@b, c@d, e@f", &mut addresses, &mut room);
        assert_eq!((addresses.len(), room), (2, 0));
    }

    proptest! {
        #[test]
        fn every_list_is_well_formed(value in "[a<>@\"(),:; .\\\\\\[\\]]{0,60}") {
            let mut open = false;
            for address in list(value.as_bytes()) {
                match (&address.mailbox, &address.host) {
                    (Some(_), Some(_)) => {}
                    (Some(_), None) => prop_assert!(!std::mem::replace(&mut open, true), "a group in a group"),
                    (None, None) => prop_assert!(std::mem::replace(&mut open, false), "a group closed twice"),
                    (None, Some(_)) => prop_assert!(false, "a host without a mailbox"),
                }
            }
            prop_assert!(!open, "a group left open");
        }
    }
}
