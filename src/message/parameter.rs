//! Parameters of structured MIME fields (RFC 2045 §5.1) with the continuations and charsets of RFC 2231.
//!
//! Real fields break the grammar in every way, so this reads what was meant: values with spaces and
//! without quotes, missing semicolons, comments, quotes that never end.

use super::{charset, content::cut, encoded_word::decode_header_value, transfer::hex_octet};
use crate::limits;
use memchr::{memchr, memchr2};

/// One parameter as written, its name taken apart (RFC 2231 §3, §4).
struct Parameter {
    /// The name in lower case, without section and mark.
    name: String,
    /// The section of a continued value: `name*1` is section 1.
    section: Option<u32>,
    /// Whether the value is percent-encoded: the name ends in `*`.
    extended: bool,
    value: Vec<u8>,
}

/// The parameters of one field.
pub(super) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Splits a field's value into what is before the first `;` and the parameters. Where that `;`
    /// was forgotten, as in `multipart/mixed boundary=x`, a space stands for it.
    pub(super) fn split(value: &[u8]) -> (&[u8], &[u8]) {
        let value = value.trim_ascii_start();
        let head = value.get(..memchr(b';', value).unwrap_or(value.len())).unwrap_or_default();
        let forgotten = head.contains(&b'=').then(|| memchr2(b' ', b'\t', head)).flatten();
        value.split_at_checked(forgotten.unwrap_or(head.len())).unwrap_or((value, &[]))
    }

    /// Reads parameters; at most `limits::MIME_PARAMETERS_MAX` of them.
    pub(super) fn read(octets: &[u8]) -> Self {
        let mut scanner = Scanner { rest: octets };
        let mut parameters = Vec::new();
        while parameters.len() < limits::MIME_PARAMETERS_MAX
            && let Some(parameter) = scanner.parameter()
        {
            parameters.push(parameter);
        }
        Self(parameters)
    }

    /// One value, continuations joined, before any charset is applied.
    pub(super) fn octets(&self, name: &str) -> Option<Vec<u8>> {
        self.0.iter().any(|parameter| parameter.name == name).then(|| self.joined(name).0)
    }

    /// Every parameter once, in the order of first appearance, decoded to UTF-8.
    pub(super) fn decoded(&self) -> Vec<(String, String)> {
        let mut decoded: Vec<(String, String)> = Vec::new();
        for parameter in &self.0 {
            if decoded.iter().all(|(name, _)| *name != parameter.name) {
                decoded.push((parameter.name.clone(), cut(self.text(&parameter.name))));
            }
        }
        decoded
    }

    fn text(&self, name: &str) -> String {
        let (octets, label) = self.joined(name);
        match label {
            Some(label) => one_line(&charset::decode(&label, &octets)),
            // Encoded-words have no place in parameters (RFC 2047 §5), and are there nevertheless.
            None => decode_header_value(&octets),
        }
    }

    /// The value and the charset that its first extended section names. The extended form is
    /// preferred where a sender gives both (RFC 6266 §4.3 says so for HTTP; mail does the same).
    fn joined(&self, name: &str) -> (Vec<u8>, Option<String>) {
        let named = || self.0.iter().filter(|parameter| parameter.name == name);
        let mut sections: Vec<&Parameter> =
            named().filter(|parameter| parameter.extended || parameter.section.is_some()).collect();
        if sections.is_empty() {
            return (named().next().map(|parameter| parameter.value.clone()).unwrap_or_default(), None);
        }
        sections.sort_by_key(|parameter| parameter.section);
        let mut label = None;
        let mut octets = Vec::new();
        for parameter in sections {
            let mut value = parameter.value.as_slice();
            if parameter.extended && label.is_none() {
                (label, value) = split_charset(value);
            }
            if parameter.extended { percent_decode(value, &mut octets) } else { octets.extend_from_slice(value) }
        }
        (octets, label)
    }
}

/// Splits `charset'language'value` (RFC 2231 §4).
fn split_charset(value: &[u8]) -> (Option<String>, &[u8]) {
    let mut pieces = value.splitn(3, |octet| *octet == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(label), Some(_language), Some(rest)) => (Some(String::from_utf8_lossy(label).into_owned()), rest),
        _ => (Some("utf-8".into()), value),
    }
}

fn percent_decode(value: &[u8], into: &mut Vec<u8>) {
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let octet = after.first_chunk().filter(|_| *first == b'%').and_then(hex_octet);
        into.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
}

/// Line ends and NUL never leave in a value.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !matches!(character, '\r' | '\n' | '\0')).collect()
}

/// Type and subtype in lower case; `None` where they are not two tokens (RFC 2045 §5.1).
pub(super) fn media_type(value: &[u8]) -> Option<(String, String)> {
    let slash = memchr(b'/', value)?;
    let (media_type, rest) = value.split_at_checked(slash)?;
    Some((whole_token(media_type)?, token(rest.get(1..)?)?))
}

fn whole_token(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    (!value.is_empty() && value.iter().all(is_token_octet)).then(|| lower(value))
}

/// The first token of a value in lower case, comments and quotes before it left out.
pub(super) fn token(value: &[u8]) -> Option<String> {
    let mut scanner = Scanner { rest: value };
    scanner.skip(|octet| matches!(octet, b'"'));
    let token = scanner.take_while(is_token_octet);
    (!token.is_empty()).then(|| lower(token.get(..limits::STRUCTURE_VALUE_OCTETS_MAX).unwrap_or(token)))
}

fn lower(token: &[u8]) -> String {
    String::from_utf8_lossy(token).to_ascii_lowercase()
}

/// RFC 2045 §5.1, token: printable ASCII but tspecials.
fn is_token_octet(octet: &u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(octet)
}

/// Reads forward; every step shortens `rest`, so reading is linear.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn parameter(&mut self) -> Option<Parameter> {
        while !self.rest.is_empty() {
            self.skip(|octet| matches!(octet, b';' | b','));
            let name = self.take_while(|octet| !matches!(octet, b'=' | b';' | b' ' | b'\t'));
            self.skip(|_| false);
            if self.rest.first() != Some(&b'=') {
                // A word without a value: `; attachment; filename=...`.
                continue;
            }
            self.advance(1);
            self.skip(|_| false);
            let value = self.value();
            if let Some(parameter) = named(name, value) {
                return Some(parameter);
            }
        }
        None
    }

    fn value(&mut self) -> Vec<u8> {
        if self.rest.first() == Some(&b'"')
            && let Some(value) = self.quoted_string()
        {
            return value;
        }
        let before = self.rest;
        let value = self.take_while(|octet| *octet != b';');
        let end = unquoted_end(value);
        self.rest = before.get(end..).unwrap_or_default();
        let value = value.get(..end).unwrap_or_default().trim_ascii();
        value.strip_prefix(b"\"").unwrap_or(value).to_vec()
    }

    /// RFC 5322 §3.2.4; `None` where the quote never ends.
    fn quoted_string(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let mut octets = self.rest.iter().enumerate().skip(1);
        while let Some((index, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.advance(index + 1);
                    return Some(value);
                }
                b'\\' => value.extend(octets.next().map(|(_, escaped)| *escaped)),
                other => value.push(*other),
            }
        }
        None
    }

    /// Skips white space, comments (RFC 5322 §3.2.2) and what `also` names.
    fn skip(&mut self, also: impl Fn(u8) -> bool) {
        while let Some(octet) = self.rest.first().copied() {
            match octet {
                b' ' | b'\t' => self.advance(1),
                b'(' => self.advance(comment_octets(self.rest)),
                other if also(other) => self.advance(1),
                _ => return,
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !wanted(octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn advance(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }
}

/// Octets of the comment that `octets` begins with. One that never ends is the rest.
fn comment_octets(octets: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (index, octet) in octets.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    octets.len()
}

/// Where an unquoted value ends before its `;`: at a comment, or at `name=` where the semicolon
/// was forgotten. Otherwise spaces belong to it, since file names are written that way.
fn unquoted_end(value: &[u8]) -> usize {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    let Some(space) = value.iter().position(is_space) else {
        return value.len();
    };
    let after = value.get(space..).unwrap_or_default().trim_ascii_start();
    let name = after.iter().take_while(|octet| is_token_octet(octet)).count();
    let forgotten = name > 0 && after.get(name..).unwrap_or_default().trim_ascii_start().starts_with(b"=");
    let comment = after.starts_with(b"(") && value.trim_ascii_end().ends_with(b")");
    if forgotten || comment { space } else { value.len() }
}

/// Takes a name such as `filename*1*` apart; `None` where it is empty.
fn named(name: &[u8], value: Vec<u8>) -> Option<Parameter> {
    let name = lower(name.trim_ascii());
    let (base, marks) = name.split_once('*').unwrap_or((name.as_str(), ""));
    if base.is_empty() {
        return None;
    }
    let extended = name.ends_with('*');
    let section = marks.trim_end_matches('*').parse().ok();
    Some(Parameter { name: base.to_owned(), section, extended, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &[(&str, &str)]) {
        let decoded = Parameters::read(written.as_bytes()).decoded();
        let decoded: Vec<(&str, &str)> = decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(decoded, expected, "{written}");
    }

    #[test]
    fn parameters_are_read_as_written() {
        check("; charset=us-ascii (Plain text)", &[("charset", "us-ascii")]);
        check(";CHARSET=\"UTF-8\" ; Format = flowed;", &[("charset", "UTF-8"), ("format", "flowed")]);
        check(r#"; name="a \"b\" c.txt""#, &[("name", "a \"b\" c.txt")]);
        check("; name=\"=?utf-8?Q?caf=C3=A9?=\"", &[("name", "café")]);
        check("; a=1; a=2", &[("a", "1")]);
    }

    #[test]
    fn broken_parameters_give_what_was_meant() {
        check("; name=two words (final).pdf; x=1", &[("name", "two words (final).pdf"), ("x", "1")]);
        check("; boundary=abc type=\"text/html\"", &[("boundary", "abc"), ("type", "text/html")]);
        check("; boundary=\"abc\" type=x", &[("boundary", "abc"), ("type", "x")]);
        check("; name=\"never closed; x=1", &[("name", "never closed"), ("x", "1")]);
        check("; word; =1;;; ; x=", &[("x", "")]);
        check("; (never closed x=1", &[]);
    }

    #[test]
    fn continuations_and_charsets_are_joined() {
        // RFC 2231 §4.1 has this shape.
        check(
            "; t*0*=us-ascii'en'This%20is%20; t*1*=%2A%2A%2Afun%2A%2A%2A%20; t*2=\"it!\"",
            &[("t", "This is ***fun*** it!")],
        );
        check("; n*1=b; n*0=a", &[("n", "ab")]);
        check("; n=old; n*=utf-8''%e2%82%ac%2", &[("n", "€%2")]);
        check("; n*=iso-8859-1''%e9", &[("n", "é")]);
        check("; n*=100%+1", &[("n", "100%+1")]);
        check("; n*=utf-8''a%0d%0ab%00", &[("n", "ab")]);
    }

    #[test]
    fn a_type_is_two_tokens_or_none() {
        let read = |value: &str| media_type(Parameters::split(value.as_bytes()).0);
        let two = |media_type: &str, subtype: &str| Some((media_type.to_owned(), subtype.to_owned()));
        assert_eq!(read("Text/HTML; x=y"), two("text", "html"));
        assert_eq!(read(" multipart/mixed boundary=x"), two("multipart", "mixed"));
        assert_eq!(read("text/ plain (comment)"), two("text", "plain"));
        for broken in ["text", "", "/", "text/", "/plain", "te xt/plain"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_forgotten_semicolon_keeps_the_parameters() {
        let (_, parameters) = Parameters::split(b"multipart/mixed boundary=x");
        assert_eq!(Parameters::read(parameters).octets("boundary"), Some(b"x".to_vec()));
    }
}
