//! Sections of a message: what `BODY[2.HEADER.FIELDS (From)]<0.512>` names, and where it lies (RFC 9051 §6.4.5.1).

use super::super::{
    parser::{Parsed, Parser},
    write::{Charset, push_astring, push_decimal},
};
use crate::{
    limits,
    message::{Body, Part, Span},
    store::MessageRecord,
};
use std::ops::Range;

/// Which response item names the octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `BODY[...]`
    Body,
    /// RFC822 (RFC 3501 §6.4.5)
    Rfc822,
    /// RFC822.HEADER
    Rfc822Header,
    /// RFC822.TEXT
    Rfc822Text,
}

/// What reading does to `\Seen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is set.
    Set,
    /// It stays.
    Keep,
}

/// `<offset.octets>`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    /// First octet.
    pub(crate) offset: u64,
    /// How many at most.
    pub(crate) octets: u64,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The part; empty for the message itself.
    pub(crate) path: Vec<u32>,
    /// What of it.
    pub(crate) text: SectionText,
}

/// What of a part is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SectionText {
    /// All of its body; of the message itself, header and body.
    Whole,
    /// HEADER
    Header,
    /// HEADER.FIELDS
    HeaderFields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// TEXT
    Text,
    /// MIME
    Mime,
}

/// `BODY[...]` as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodySection {
    /// How it is named in the response.
    pub(crate) form: Form,
    /// The section.
    pub(crate) section: Section,
    /// What happens to `\Seen`.
    pub(crate) seen: Seen,
    /// Which octets of it.
    pub(crate) partial: Option<Partial>,
}

/// `BINARY[...]` as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BinarySection {
    /// The part.
    pub(crate) path: Vec<u32>,
    /// What happens to `\Seen`.
    pub(crate) seen: Seen,
    /// Which decoded octets.
    pub(crate) partial: Option<Partial>,
}

impl Section {
    /// The whole message.
    pub(crate) const WHOLE: Self = Self { path: Vec::new(), text: SectionText::Whole };
    /// Its header.
    pub(crate) const HEADER: Self = Self { path: Vec::new(), text: SectionText::Header };
    /// Its body.
    pub(crate) const TEXT: Self = Self { path: Vec::new(), text: SectionText::Text };

    /// Where the section lies, in octets of the message as shown; `None` where the message has no such part.
    pub(crate) fn range(&self, record: &MessageRecord) -> Option<Range<u64>> {
        // Our trace fields stand before the octets that the analysis counts from.
        let trace = record.trace.len() as u64;
        let shown = |span: Span| Some(span.start + trace..span.end + trace);
        let root = &record.analysis.root;
        if self.path.is_empty() {
            return match self.text {
                SectionText::Whole => Some(0..record.octets()),
                SectionText::Text => shown(root.body),
                _ => Some(0..root.header.end + trace),
            };
        }
        let part = root.find(&self.path)?;
        match (&self.text, &part.content) {
            (SectionText::Whole, _) => shown(part.body),
            (SectionText::Mime, _) => shown(part.header),
            (SectionText::Text, Body::Message(_, inner)) => shown(inner.body),
            (_, Body::Message(_, inner)) => shown(inner.header),
            _ => None,
        }
    }
}

impl BodySection {
    /// Reads from `[` on.
    pub(super) fn read(parser: &mut Parser<'_>, seen: Seen) -> Parsed<Self> {
        parser.require(b'[', "[")?;
        let path = read_path(parser)?;
        let text = if parser.peek() == Some(b']') { SectionText::Whole } else { read_text(parser, &path)? };
        parser.require(b']', "]")?;
        Ok(Self { form: Form::Body, section: Section { path, text }, seen, partial: read_partial(parser)? })
    }

    /// Writes the item's name as it stands in the response.
    pub(crate) fn push_name(&self, out: &mut Vec<u8>) {
        let name: &[u8] = match self.form {
            Form::Body => b"BODY[",
            Form::Rfc822 => b"RFC822",
            Form::Rfc822Header => b"RFC822.HEADER",
            Form::Rfc822Text => b"RFC822.TEXT",
        };
        out.extend_from_slice(name);
        if self.form == Form::Body {
            push_path(out, &self.section.path);
            self.section.text.push(out, !self.section.path.is_empty());
            out.push(b']');
            push_origin(out, self.partial);
        }
    }
}

impl BinarySection {
    /// Reads from `[` on.
    pub(super) fn read(parser: &mut Parser<'_>, seen: Seen) -> Parsed<Self> {
        Ok(Self { path: Self::read_path(parser)?, seen, partial: read_partial(parser)? })
    }

    /// Reads `[1.2]`.
    pub(super) fn read_path(parser: &mut Parser<'_>) -> Parsed<Vec<u32>> {
        parser.require(b'[', "[")?;
        let path = read_path(parser)?;
        parser.require(b']', "]")?;
        Ok(path)
    }

    /// Writes the item's name as it stands in the response.
    pub(crate) fn push_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"BINARY[");
        push_path(out, &self.path);
        out.push(b']');
        push_origin(out, self.partial);
    }
}

impl SectionText {
    fn push(&self, out: &mut Vec<u8>, has_path: bool) {
        let (name, fields) = match self {
            Self::Whole => return,
            Self::Header => ("HEADER", None),
            Self::HeaderFields(fields) => ("HEADER.FIELDS", Some(fields)),
            Self::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT", Some(fields)),
            Self::Text => ("TEXT", None),
            Self::Mime => ("MIME", None),
        };
        if has_path {
            out.push(b'.');
        }
        out.extend_from_slice(name.as_bytes());
        for (index, field) in fields.into_iter().flatten().enumerate() {
            out.extend_from_slice(if index == 0 { b" (" } else { b" " });
            push_astring(out, field, Charset::Ascii);
        }
        if fields.is_some() {
            out.push(b')');
        }
    }
}

/// Writes a part number: `1.2`.
pub(super) fn push_path(out: &mut Vec<u8>, path: &[u32]) {
    for (index, number) in path.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        push_decimal(out, u64::from(*number));
    }
}

fn push_origin(out: &mut Vec<u8>, partial: Option<Partial>) {
    if let Some(partial) = partial {
        out.push(b'<');
        push_decimal(out, partial.offset);
        out.push(b'>');
    }
}

fn read_path(parser: &mut Parser<'_>) -> Parsed<Vec<u32>> {
    let mut path = Vec::new();
    while parser.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        path.push(parser.nonzero()?.get());
        if path.len() > limits::IMAP_SECTION_DEPTH_MAX {
            return parser.expected("a part number that is not so deep");
        }
        if parser.peek() == Some(b']') {
            break;
        }
        parser.require(b'.', ". or ]")?;
        if parser.peek() == Some(b']') {
            return parser.expected("a number or HEADER, TEXT or MIME");
        }
    }
    Ok(path)
}

fn read_text(parser: &mut Parser<'_>, path: &[u32]) -> Parsed<SectionText> {
    let mut ahead = parser.clone();
    let text = match ahead.any_word("HEADER, TEXT, MIME or ]")?.as_str() {
        "HEADER" => SectionText::Header,
        "HEADER.FIELDS" => SectionText::HeaderFields(read_fields(&mut ahead)?),
        "HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(read_fields(&mut ahead)?),
        "TEXT" => SectionText::Text,
        "MIME" if !path.is_empty() => SectionText::Mime,
        _ => return parser.expected("HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, or MIME of a part"),
    };
    *parser = ahead;
    Ok(text)
}

fn read_fields(parser: &mut Parser<'_>) -> Parsed<Vec<Vec<u8>>> {
    parser.space()?;
    parser.list1(|parser| parser.astring("a field name").map(std::borrow::Cow::into_owned))
}

fn read_partial(parser: &mut Parser<'_>) -> Parsed<Option<Partial>> {
    if !parser.take(b'<') {
        return Ok(None);
    }
    let offset = parser.number64()?;
    parser.require(b'.', ".")?;
    let octets = parser.number64()?;
    if octets == 0 {
        return parser.expected("at least one octet");
    }
    parser.require(b'>', ">")?;
    Ok(Some(Partial { offset, octets }))
}

/// Cuts a range down to the octets asked for.
pub(crate) fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range.start.saturating_add(partial.offset).min(range.end);
    start..start.saturating_add(partial.octets).min(range.end)
}

/// Which header fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those named.
    Named,
    /// The others.
    Others,
}

/// Picks header fields out of a header that arrives in pieces. Lines that are no field (RFC 5322 §2.2) are left out.
pub(crate) struct FieldFilter<'a> {
    names: &'a [Vec<u8>],
    keep: Keep,
    at: At,
    kept: bool,
}

enum At {
    LineStart,
    Name(Vec<u8>),
    Value,
}

/// Octets of a field name at most; what is longer is no field.
const NAME_OCTETS_MAX: usize = 1000;

impl<'a> FieldFilter<'a> {
    /// At the start of a header.
    pub(crate) fn new(names: &'a [Vec<u8>], keep: Keep) -> Self {
        Self { names, keep, at: At::LineStart, kept: false }
    }

    /// Takes a piece and writes what is kept of it.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(first) = rest.first() {
            match &mut self.at {
                At::LineStart if matches!(first, b' ' | b'\t') => self.at = At::Value,
                At::LineStart => {
                    self.kept = false;
                    self.at = At::Name(Vec::new());
                }
                At::Name(name) => {
                    let end = memchr::memchr2(b':', b'\n', rest);
                    let (start, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
                    name.extend_from_slice(start);
                    rest = after;
                    self.name_ended(rest.first().copied(), out);
                }
                At::Value => {
                    let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
                    let (line, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
                    if self.kept {
                        out.extend_from_slice(line);
                    }
                    if end.is_some() {
                        self.at = At::LineStart;
                    }
                    rest = after;
                }
            }
        }
    }

    fn name_ended(&mut self, by: Option<u8>, out: &mut Vec<u8>) {
        let At::Name(name) = &self.at else { return };
        match by {
            Some(b':') => {
                self.kept = self.wants(name);
                if self.kept {
                    out.extend_from_slice(name);
                }
                self.at = At::Value;
            }
            Some(_) => self.at = At::Value,
            None if name.len() > NAME_OCTETS_MAX => self.at = At::Value,
            None => {}
        }
    }

    fn wants(&self, name: &[u8]) -> bool {
        let name = name.trim_ascii_end();
        let named = self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        match self.keep {
            Keep::Named => named,
            Keep::Others => !named,
        }
    }
}

/// Where a part lies and how it is encoded, for BINARY; the message itself is not encoded.
pub(crate) fn binary_part<'a>(record: &'a MessageRecord, path: &[u32]) -> Option<(Range<u64>, Option<&'a Part>)> {
    let range = Section { path: path.to_vec(), text: SectionText::Whole }.range(record)?;
    Some((range, if path.is_empty() { None } else { record.analysis.root.find(path) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a@example.org\r\nno field here\r\n folded no field\r\nSUBJECT : one\r\n\ttwo\r\nTo: b@example.net\r\n\r\n";

    fn filtered(names: &[&str], keep: Keep, piece: usize) -> String {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut filter = FieldFilter::new(&names, keep);
        let mut out = Vec::new();
        HEADER.chunks(piece).for_each(|piece| filter.push(piece, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_picked_however_they_arrive() {
        for piece in [1, 2, 5, 1000] {
            assert_eq!(filtered(&["subject", "x"], Keep::Named, piece), "SUBJECT : one\r\n\ttwo\r\n");
            assert_eq!(filtered(&["Subject", "to"], Keep::Others, piece), "From: a@example.org\r\n");
            assert_eq!(filtered(&["x"], Keep::Named, piece), "");
        }
    }

    #[test]
    fn partials_stay_inside() {
        let partial = |offset, octets| Some(Partial { offset, octets });
        assert_eq!(cut(10..20, None), 10..20);
        assert_eq!(cut(10..20, partial(3, 4)), 13..17);
        assert_eq!(cut(10..20, partial(8, 100)), 18..20);
        assert_eq!(cut(10..20, partial(100, 1)), 20..20);
        assert_eq!(cut(10..20, partial(u64::MAX, u64::MAX)), 20..20);
    }

    #[test]
    fn names_are_echoed() {
        let mut parser = Parser::new(b"[1.2.HEADER.FIELDS (From \"a b\")]<5.9>");
        let section = BodySection::read(&mut parser, Seen::Keep).unwrap();
        let mut out = Vec::new();
        section.push_name(&mut out);
        assert_eq!(out.escape_ascii().to_string(), r#"BODY[1.2.HEADER.FIELDS (From \"a b\")]<5>"#);
    }
}
