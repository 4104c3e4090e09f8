//! Octets of responses: numbers, strings, flags (RFC 9051 §9).
//!
//! Owns: the choice between quoted string and literal. Promises: whatever octets a value holds, what is
//! written is well formed, and no NUL leaves inside a string. Never: does I/O, allocates per number.

use super::sequence::UidRanges;
use crate::{
    mail::{Keyword, SystemFlags},
    store::Row,
};
use std::io::Write;

/// How 8-bit text may leave: after ENABLE IMAP4rev2 a quoted string may hold UTF-8 (RFC 9051 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Quoted strings hold ASCII; everything else is a literal.
    #[default]
    Ascii,
    /// Quoted strings may hold UTF-8.
    Utf8,
}

/// What stands in for NUL in a literal: the length must stay, and CHAR8 excludes it (RFC 9051 §9).
/// Dovecot and Cyrus show the same octet. BINARY shows the NUL itself.
pub(crate) const NUL_SUBSTITUTE: u8 = 0x80;

/// Quoted strings longer than this become literals; some clients read lines into fixed buffers.
const QUOTED_OCTETS_MAX: usize = 1000;

/// Writes a number.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Writes a string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8], charset: Charset) {
    if fits_quoted(text, charset) { push_quoted(out, text) } else { push_literal(out, text) }
}

/// Writes a string or NIL.
pub(crate) fn push_nstring(out: &mut Vec<u8>, text: Option<&[u8]>, charset: Charset) {
    match text {
        Some(text) => push_string(out, text, charset),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes an astring: as it stands where it is an atom.
pub(crate) fn push_astring(out: &mut Vec<u8>, text: &[u8], charset: Charset) {
    let atom = !text.is_empty() && text.iter().all(|octet| super::parser::is_atom_char(*octet));
    if atom && !text.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(text);
    } else {
        push_string(out, text, charset);
    }
}

fn fits_quoted(text: &[u8], charset: Charset) -> bool {
    let harmless = text.len() <= QUOTED_OCTETS_MAX && !text.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n'));
    harmless && (text.is_ascii() || (charset == Charset::Utf8 && std::str::from_utf8(text).is_ok()))
}

/// Writes a quoted string; the caller has made sure that the text fits one.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}

fn push_literal(out: &mut Vec<u8>, text: &[u8]) {
    push_literal_head(out, text.len() as u64);
    push_without_nul(out, text);
}

/// Writes the announcement of a literal.
pub(crate) fn push_literal_head(out: &mut Vec<u8>, octets: u64) {
    out.push(b'{');
    push_decimal(out, octets);
    out.extend_from_slice(b"}\r\n");
}

/// Writes octets of a literal, with [`NUL_SUBSTITUTE`] for NUL.
pub(crate) fn push_without_nul(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((clean, after)) = memchr::memchr(0, rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(clean);
        out.push(NUL_SUBSTITUTE);
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Writes formatted text; for lines that are not written by the thousand.
pub(crate) fn push_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    let _ = out.write_fmt(text);
}

/// The flags of a mailbox's messages, ready to be written by the thousand.
pub(crate) struct FlagNames {
    /// Text of each combination of the five system flags.
    system: Vec<Vec<u8>>,
    keywords: Vec<Keyword>,
    recent: UidRanges,
}

const SYSTEM: [(SystemFlags, &str); 5] = [
    (SystemFlags::ANSWERED, "\\Answered"),
    (SystemFlags::FLAGGED, "\\Flagged"),
    (SystemFlags::DELETED, "\\Deleted"),
    (SystemFlags::SEEN, "\\Seen"),
    (SystemFlags::DRAFT, "\\Draft"),
];

impl FlagNames {
    /// Takes a mailbox's keyword table, where a row's keyword bit n is its n-th, and the messages that show `\Recent`.
    pub(crate) fn new(keywords: &[Keyword], recent: UidRanges) -> Self {
        let combination = |bits: u8| {
            let names = SYSTEM.iter().filter(|(flag, _)| SystemFlags(bits).contains(*flag)).map(|(_, name)| *name);
            names.collect::<Vec<_>>().join(" ").into_bytes()
        };
        Self { system: (0..32).map(combination).collect(), keywords: keywords.to_vec(), recent }
    }

    /// Writes a row's flags: `(\Seen $Work)`.
    pub(crate) fn push_row(&self, out: &mut Vec<u8>, row: &Row) {
        let start = out.len();
        self.push(out, row.flags, row.keywords);
        if self.recent.contains(row.uid) {
            out.pop();
            out.extend_from_slice(if out.len() == start + 1 { b"\\Recent)" } else { b" \\Recent)" });
        }
    }

    fn push(&self, out: &mut Vec<u8>, system: SystemFlags, mut keywords: u64) {
        out.push(b'(');
        let start = out.len();
        out.extend_from_slice(self.system.get(usize::from(system.0)).map_or(&b""[..], Vec::as_slice));
        while keywords != 0 {
            let bit = keywords.trailing_zeros() as usize;
            keywords &= keywords - 1;
            let Some(keyword) = self.keywords.get(bit) else { continue };
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(keyword.as_str().as_bytes());
        }
        out.push(b')');
    }

    /// Writes every flag in use, system flags first, with `last` behind them where given.
    pub(crate) fn push_all(&self, out: &mut Vec<u8>, last: Option<&str>) {
        let all =
            u64::MAX.checked_shr(64_u32.saturating_sub(u32::try_from(self.keywords.len()).unwrap_or(64))).unwrap_or(0);
        self.push(out, SystemFlags(31), all);
        if let Some(last) = last {
            out.pop();
            push_fmt(out, format_args!(" {last})"));
        }
    }
}

/// Writes numbers as a compact set: `1:5,7`. They rise.
pub(crate) fn push_set(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut run: Option<(u32, u32)> = None;
    for number in numbers {
        match &mut run {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            Some(done) => {
                push_run(out, *done);
                out.push(b',');
                run = Some((number, number));
            }
            None => run = Some((number, number)),
        }
    }
    if let Some(done) = run {
        push_run(out, done);
    }
}

fn push_run(out: &mut Vec<u8>, (start, end): (u32, u32)) {
    push_decimal(out, u64::from(start));
    if end > start {
        out.push(b':');
        push_decimal(out, u64::from(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        out.escape_ascii().to_string()
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(|out| push_decimal(out, number)), number.to_string());
        }
    }

    #[test]
    fn strings_are_quoted_where_that_is_safe() {
        for (text, charset, expected) in [
            (&b""[..], Charset::Ascii, r#"\"\""#),
            (b"plain", Charset::Ascii, r#"\"plain\""#),
            (b"a\"b\\c", Charset::Ascii, r#"\"a\\\"b\\\\c\""#),
            (b"a\r\nb", Charset::Ascii, r"{4}\r\na\r\nb"),
            (b"a\0b", Charset::Ascii, r"{3}\r\na\x80b"),
            (b"\xc3\xbc", Charset::Ascii, r"{2}\r\n\xc3\xbc"),
            (b"\xc3\xbc", Charset::Utf8, r#"\"\xc3\xbc\""#),
            (b"\xfc", Charset::Utf8, r"{1}\r\n\xfc"),
        ] {
            assert_eq!(written(|out| push_string(out, text, charset)), expected);
        }
    }

    #[test]
    fn astrings_are_atoms_where_they_can_be() {
        for (text, expected) in
            [("INBOX", "INBOX"), ("nil", r#"\"nil\""#), ("a b", r#"\"a b\""#), ("", r#"\"\""#), ("50%", r#"\"50%\""#)]
        {
            assert_eq!(written(|out| push_astring(out, text.as_bytes(), Charset::Ascii)), expected);
        }
    }

    #[test]
    fn flags_join_system_flags_and_keywords() {
        let names =
            FlagNames::new(&[Keyword::new("$Work").unwrap(), Keyword::new("later").unwrap()], UidRanges::default());
        let flags = SystemFlags::SEEN.union(SystemFlags::DELETED);
        assert_eq!(written(|out| names.push(out, flags, 0b10)), r"(\\Deleted \\Seen later)");
        assert_eq!(written(|out| names.push(out, SystemFlags::NONE, 0b11)), "($Work later)");
        assert_eq!(written(|out| names.push(out, SystemFlags::NONE, 0)), "()");
        assert_eq!(
            written(|out| names.push_all(out, Some("\\*"))),
            r"(\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work later \\*)"
        );
        let none = FlagNames::new(&[], UidRanges::default());
        assert_eq!(written(|out| none.push_all(out, None)), r"(\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
    }

    #[test]
    fn sets_are_compact() {
        assert_eq!(written(|out| push_set(out, [1, 2, 3, 5, 7, 8])), "1:3,5,7:8");
        assert_eq!(written(|out| push_set(out, [4_294_967_295])), "4294967295");
        assert_eq!(written(|out| push_set(out, [])), "");
    }
}
