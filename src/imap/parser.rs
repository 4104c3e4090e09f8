//! The grammar's leaves: a cursor over the octets of one command (RFC 9051 §9, RFC 3501 §9).
//!
//! Owns: atoms, strings, literals, numbers, flags, dates. Promises: never reads past the octets given,
//! never panics, takes time linear in them. Never: knows a command.
//! A [`SyntaxError`] says what was expected and at which octet of the command.

use super::{date, sequence::SequenceSet};
use crate::mail::{Flag, Flags, ModSeq};
use std::{borrow::Cow, num::NonZeroU32};

/// What was expected where; becomes the text of a tagged BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// What should have stood there.
    pub(crate) expected: &'static str,
    /// The octet of the command, counted from 0.
    pub(crate) at: usize,
}

/// What a parser returns.
pub(crate) type Parsed<T> = Result<T, SyntaxError>;

/// A mailbox name as the client wrote it: modified UTF-7 or UTF-8, depending on what it enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireName(pub(crate) Vec<u8>);

/// A cursor over one command, from the octet after the tag to the final CRLF.
#[derive(Clone)]
pub(crate) struct Parser<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    /// Starts at the first octet.
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    /// The next octet, not taken.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// An error at this place.
    pub(crate) fn expected<T>(&self, expected: &'static str) -> Parsed<T> {
        Err(SyntaxError { expected, at: self.at })
    }

    /// Takes `octet` if it comes next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// Takes `octet`, or fails with what was expected.
    pub(crate) fn require(&mut self, octet: u8, expected: &'static str) -> Parsed<()> {
        if self.take(octet) { Ok(()) } else { self.expected(expected) }
    }

    /// One space.
    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.require(b' ', "a space")
    }

    /// The end of the command.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        if self.rest() == b"\r\n" { Ok(()) } else { self.expected("the end of the command") }
    }

    /// Passes over everything up to the final line end.
    pub(crate) fn skip_to_end(&mut self) {
        self.at = self.octets.len().saturating_sub(2).max(self.at);
    }

    /// Takes the octets that satisfy `which`; possibly none.
    pub(crate) fn take_while(&mut self, which: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|octet| !which(*octet)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Takes `word` in any case, where what follows does not make it longer.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let found = ahead.take_while(is_word_char).eq_ignore_ascii_case(word.as_bytes());
        if found {
            *self = ahead;
        }
        found
    }

    /// A keyword of the grammar, in capitals: letters, digits, `.`, `-`.
    pub(crate) fn any_word(&mut self, expected: &'static str) -> Parsed<String> {
        let at = self.at;
        let word = self.take_while(is_word_char);
        if word.is_empty() {
            return Err(SyntaxError { expected, at });
        }
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    /// Items between parentheses, with one space between two; `(` comes next.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.require(b'(', "(")?;
        let mut items = Vec::new();
        if self.take(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.take(b')') {
                return Ok(items);
            }
            self.require(b' ', "a space or )")?;
        }
    }

    /// `list`, with at least one item.
    pub(crate) fn list1<T>(&mut self, item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let at = self.at;
        let items = self.list(item)?;
        if items.is_empty() {
            return Err(SyntaxError { expected: "at least one item between ( and )", at });
        }
        Ok(items)
    }

    /// number64: at most 63 bits (RFC 9051 §9).
    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let at = self.at;
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        number.filter(|number| *number <= i64::MAX as u64).ok_or(SyntaxError { expected: "a number", at })
    }

    /// number: 32 bits.
    pub(crate) fn number(&mut self) -> Parsed<u32> {
        let at = self.at;
        u32::try_from(self.number64()?).map_err(|_| SyntaxError { expected: "a number below 4294967296", at })
    }

    /// nz-number.
    pub(crate) fn nonzero(&mut self) -> Parsed<NonZeroU32> {
        let at = self.at;
        NonZeroU32::new(self.number()?).ok_or(SyntaxError { expected: "a number above 0", at })
    }

    /// mod-sequence-valzer: `None` for zero (RFC 7162 §7).
    pub(crate) fn modseq(&mut self) -> Parsed<Option<ModSeq>> {
        self.number64().map(ModSeq::new)
    }

    /// atom.
    pub(crate) fn atom(&mut self, expected: &'static str) -> Parsed<&'a [u8]> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() { self.expected(expected) } else { Ok(atom) }
    }

    /// astring.
    pub(crate) fn astring(&mut self, expected: &'static str) -> Parsed<Cow<'a, [u8]>> {
        let atom = self.take_while(is_astring_char);
        if atom.is_empty() { self.string(expected) } else { Ok(Cow::Borrowed(atom)) }
    }

    /// string: quoted or literal.
    pub(crate) fn string(&mut self, expected: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => self.expected(expected),
        }
    }

    /// quoted. UTF-8 is taken from every client: one that has not enabled it has no other use for these octets.
    pub(crate) fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        let at = self.at;
        self.require(b'"', "a quoted string")?;
        let plain = self.take_while(is_quoted_char);
        if self.take(b'"') {
            return utf8(Cow::Borrowed(plain), at);
        }
        let mut text = plain.to_vec();
        while self.take(b'\\') {
            match self.peek() {
                Some(octet @ (b'"' | b'\\')) => text.push(octet),
                _ => return self.expected("\" or \\ after \\"),
            }
            self.at += 1;
            text.extend_from_slice(self.take_while(is_quoted_char));
        }
        self.require(b'"', "the closing \" of a string")?;
        utf8(Cow::Owned(text), at)
    }

    /// literal, its octets included; they carry no NUL (RFC 9051 §9, CHAR8).
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        let at = self.at;
        self.require(b'{', "a literal")?;
        let length = self.number64()?;
        self.take(b'+');
        if !(self.take(b'}') && self.take(b'\r') && self.take(b'\n')) {
            return Err(SyntaxError { expected: "a literal at the end of a line", at });
        }
        let rest = self.rest();
        let octets = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let octets = octets.ok_or(SyntaxError { expected: "the octets of the literal", at })?;
        if octets.contains(&0) {
            return Err(SyntaxError { expected: "a literal without NUL octets", at });
        }
        self.at += octets.len();
        Ok(octets)
    }

    /// astring that is UTF-8.
    pub(crate) fn text(&mut self, expected: &'static str) -> Parsed<String> {
        let at = self.at;
        let octets = self.astring(expected)?.into_owned();
        String::from_utf8(octets).map_err(|_| SyntaxError { expected: "UTF-8", at })
    }

    /// mailbox.
    pub(crate) fn mailbox(&mut self) -> Parsed<WireName> {
        self.astring("a mailbox name").map(|name| WireName(name.into_owned()))
    }

    /// list-mailbox: a name with `*` and `%` in it.
    pub(crate) fn list_mailbox(&mut self) -> Parsed<WireName> {
        let atom = self.take_while(|octet| is_astring_char(octet) || matches!(octet, b'%' | b'*'));
        if atom.is_empty() {
            return self.string("a mailbox pattern").map(|name| WireName(name.into_owned()));
        }
        Ok(WireName(atom.to_vec()))
    }

    /// flag. `\Recent` cannot be set (RFC 3501 §2.3.2), and no system flags can be invented.
    pub(crate) fn flag(&mut self) -> Parsed<Flag> {
        let at = self.at;
        let start = self.rest();
        let backslash = usize::from(self.take(b'\\'));
        let name = start.get(..backslash + self.take_while(is_atom_char).len()).unwrap_or_default();
        let flag = std::str::from_utf8(name).ok().and_then(Flag::parse);
        flag.ok_or(SyntaxError { expected: "a flag", at })
    }

    /// flag-list.
    pub(crate) fn flag_list(&mut self) -> Parsed<Flags> {
        self.list(Self::flag).map(Flags::from_iter)
    }

    /// sequence-set, or `$` for the saved result (RFC 5182 §2.1).
    pub(crate) fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        SequenceSet::parse(self)
    }

    /// date, quoted or not: days since 1970 (RFC 9051 §9).
    pub(crate) fn date(&mut self) -> Parsed<i32> {
        let at = self.at;
        let quoted = self.take(b'"');
        let written = self.take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if quoted {
            self.require(b'"', "the closing \" of a date")?;
        }
        date::parse_date(written).ok_or(SyntaxError { expected: "a date such as 1-Feb-1994", at })
    }

    /// date-time: seconds since 1970 (RFC 9051 §9).
    pub(crate) fn date_time(&mut self) -> Parsed<i64> {
        let at = self.at;
        self.require(b'"', "a date and time")?;
        let written = self.take_while(is_quoted_char);
        self.require(b'"', "the closing \" of a date and time")?;
        date::parse_date_time(written)
            .ok_or(SyntaxError { expected: "a date and time such as \"17-Jul-1996 02:44:25 -0700\"", at })
    }
}

fn utf8(text: Cow<'_, [u8]>, at: usize) -> Parsed<Cow<'_, [u8]>> {
    match std::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(SyntaxError { expected: "UTF-8 in the quoted string", at }),
    }
}

fn is_word_char(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-')
}

/// ATOM-CHAR (RFC 9051 §9).
pub(crate) fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ASTRING-CHAR (RFC 9051 §9).
pub(crate) fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

fn is_quoted_char(octet: u8) -> bool {
    !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_what_was_meant() {
        for (written, meant) in [
            (&b"INBOX "[..], &b"INBOX"[..]),
            (b"a]b)", b"a]b"),
            (b"\"\"", b""),
            (b"\"a \\\"b\\\\c\"", b"a \"b\\c"),
            ("\"Gr\u{fc}\u{df}e\"".as_bytes(), "Gr\u{fc}\u{df}e".as_bytes()),
            (b"{5}\r\nab\r\nc", b"ab\r\nc"),
            (b"{3+}\r\n\xff\xfe\xfdx", b"\xff\xfe\xfd"),
            (b"{0}\r\n", b""),
        ] {
            let read = Parser::new(written).astring("a string").unwrap();
            assert_eq!(&*read, meant, "{}", written.escape_ascii());
        }
    }

    #[test]
    fn malformed_strings_are_refused() {
        for written in [
            &b""[..],
            b"(",
            b"\"open",
            b"\"a\\b\"",
            b"\"a\rb\"",
            b"\"\xff\"",
            b"{3}\r\nab",
            b"{3}ab",
            b"{2}\r\na\0",
            b"{99999999999999999999}\r\n",
        ] {
            assert!(Parser::new(written).astring("a string").is_err(), "{}", written.escape_ascii());
        }
    }

    #[test]
    fn system_flags_compare_in_any_case() {
        let flags = Parser::new(b"(\\SEEN \\deleted $Forwarded)").flag_list().unwrap();
        assert!(flags.contains(&Flag::Seen) && flags.contains(&Flag::Deleted));
        assert_eq!(flags.iter().count(), 3);
        for wrong in [&b"(\\Recent)"[..], b"(\\Bogus)", b"(a", b"(a  b)", b"(a])", b"\\Seen"] {
            assert!(Parser::new(wrong).flag_list().is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let mut parser = Parser::new(b"INBOX(");
        parser.mailbox().unwrap();
        assert_eq!(parser.space(), Err(SyntaxError { expected: "a space", at: 5 }));
    }
}
