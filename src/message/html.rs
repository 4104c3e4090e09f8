//! HTML as the text that a reader sees.
//!
//! Not a browser: a tokenizer that drops tags, comments, scripts and styles, decodes character references,
//! and keeps words apart where a block ends. Broken HTML loses as little text as may be. Linear: every
//! search that fails once is not made again.

use encoding_rs::WINDOWS_1252;
use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr2, memchr3, memmem};

/// The text of `html`, up to about `octets_max` octets. White space runs are one space, blocks and
/// `<br>` end a line, other tags separate nothing.
pub(super) fn to_text(html: &str, purpose: Purpose, octets_max: usize) -> String {
    let mut reader = Reader::new(html, purpose, html.len().min(octets_max) / 2);
    while !reader.rest.is_empty() && reader.text.len() < octets_max {
        reader.step();
    }
    reader.text.truncate(reader.text.floor_char_boundary(octets_max));
    reader.text
}

/// What the text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Finding: with the title, and the text of `alt` and `title` attributes.
    Search,
    /// Showing the first words: without them.
    Preview,
}

struct Reader<'a> {
    rest: &'a str,
    text: String,
    purpose: Purpose,
    /// Whether the end of a comment may still be found further on.
    comments_end: bool,
    /// Whether a `>` may.
    tags_end: bool,
    /// Whether a `>` in quotes is taken as text: until quotes have once led astray.
    quotes_hold: bool,
}

impl<'a> Reader<'a> {
    fn new(html: &'a str, purpose: Purpose, capacity: usize) -> Self {
        let text = String::with_capacity(capacity);
        Self { rest: html, text, purpose, comments_end: true, tags_end: true, quotes_hold: true }
    }

    fn step(&mut self) {
        let markup = memchr2(b'<', b'&', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (text, rest) = self.split(markup);
        self.rest = rest;
        self.push(text);
        if rest.starts_with('&') {
            self.reference();
        } else if rest.starts_with("<!--") {
            self.comment();
        } else if rest.starts_with('<') {
            self.tag();
        }
    }

    /// Appends text with its white space collapsed.
    fn push(&mut self, text: &str) {
        let is_space = |octet: u8| matches!(octet, b' ' | b'\t' | b'\n' | b'\r' | 0x0c);
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            let is_run_of_space = is_space(first);
            let end = rest.bytes().position(|octet| is_space(octet) != is_run_of_space).unwrap_or(rest.len());
            let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if !is_run_of_space {
                self.text.push_str(run);
            } else if !self.text.ends_with([' ', '\n']) {
                self.text.push(' ');
            }
            rest = after;
        }
    }

    fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// A character reference, `&amp;` or `&#38;` or `&#x26;`. One that is unknown is text.
    fn reference(&mut self) {
        /// The longest name is 31 octets with `&` and `;`.
        const REFERENCE_OCTETS_MAX: usize = 40;
        let body = self.rest.as_bytes().iter().take(REFERENCE_OCTETS_MAX).skip(1);
        let name_end = 1 + body.take_while(|octet| octet.is_ascii_alphanumeric() || **octet == b'#').count();
        let (name, rest) = self.split(name_end);
        let after = rest.strip_prefix(';').unwrap_or(rest);
        match decode_reference(name, rest.starts_with(';')) {
            Some(decoded) => {
                self.rest = after;
                self.text.push_str(&decoded);
            }
            None => {
                self.rest = rest;
                self.text.push_str(name);
            }
        }
    }

    /// A comment that never ends hides nothing but its opening.
    fn comment(&mut self) {
        let inside = self.rest.get(2..).unwrap_or_default();
        let end = if self.comments_end { memmem::find(inside.as_bytes(), b"-->") } else { None };
        self.comments_end = end.is_some();
        self.rest = match end {
            Some(end) => inside.get(end + 3..).unwrap_or_default(),
            None => inside.trim_start_matches('-'),
        };
    }

    fn tag(&mut self) {
        let is_tag = matches!(self.rest.as_bytes().get(1), Some(b'/' | b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z'));
        let end = if is_tag { self.tag_end() } else { None };
        let Some(end) = end else {
            // A lone `<` is text; so is a tag that was cut off, which only comes last.
            let (text, rest) = self.split(1);
            self.text.push_str(text);
            self.rest = rest;
            return;
        };
        let (tag, rest) = self.split(end);
        self.rest = rest;
        let inside = tag.get(1..tag.len().saturating_sub(1)).unwrap_or_default();
        let name = inside.get(..name_octets(inside)).unwrap_or_default().to_ascii_lowercase();
        if is_raw_text(&name) || (name == "title" && self.purpose == Purpose::Preview) {
            self.skip_raw_text(&name);
        } else if is_block(name.trim_start_matches('/')) {
            self.end_line();
        }
        if self.purpose == Purpose::Search {
            self.attributes(&name, inside);
        }
    }

    /// Octets of the tag that `rest` begins with: up to a `>` outside of quotes. Where quotes hide every
    /// `>`, up to the first.
    fn tag_end(&mut self) -> Option<usize> {
        let octets = self.rest.as_bytes();
        let quoted = if self.quotes_hold { unquoted_angle(octets) } else { None };
        self.quotes_hold = quoted.is_some();
        let end = quoted.or_else(|| if self.tags_end { memchr(b'>', octets) } else { None });
        self.tags_end = end.is_some();
        Some(end? + 1)
    }

    /// Skips to the end tag of an element whose content is no text. One that never ends hides the rest.
    fn skip_raw_text(&mut self, name: &str) {
        let mut at = 0;
        while let Some(found) = memmem::find(self.rest.as_bytes().get(at..).unwrap_or_default(), b"</") {
            at += found + 2;
            let candidate = self.rest.as_bytes().get(at..at + name.len());
            if candidate.is_some_and(|candidate| candidate.eq_ignore_ascii_case(name.as_bytes())) {
                self.rest = self.rest.get(at - 2..).unwrap_or_default();
                return;
            }
        }
        self.rest = "";
    }

    /// Keeps what readers see of attributes.
    fn attributes(&mut self, element: &str, inside: &str) {
        let names: &[&str] = match element {
            "img" | "area" | "input" => &["alt=", "title="],
            "a" | "abbr" => &["title="],
            _ => &[],
        };
        for name in names {
            let Some(value) = attribute(inside, name).filter(|value| !value.trim().is_empty()) else { continue };
            self.push(" ");
            let decoded = to_text_of_attribute(value);
            self.push(&decoded);
            self.push(" ");
        }
    }

    fn split(&self, at: usize) -> (&'a str, &'a str) {
        self.rest.split_at_checked(at).unwrap_or((self.rest, ""))
    }
}

/// Where the first `>` outside of an attribute's quotes is.
fn unquoted_angle(octets: &[u8]) -> Option<usize> {
    let mut at = 1;
    while let Some(found) = memchr3(b'>', b'"', b'\'', octets.get(at..)?) {
        at += found;
        let octet = *octets.get(at)?;
        if octet == b'>' {
            return Some(at);
        }
        // A quote opens a value only behind an equals sign; elsewhere it is debris.
        if octets.get(at - 1) == Some(&b'=') {
            at += memchr(octet, octets.get(at + 1..)?)? + 1;
        }
        at += 1;
    }
    None
}

/// Decodes the references of an attribute; its `<` are text.
fn to_text_of_attribute(value: &str) -> String {
    let mut reader = Reader::new(value, Purpose::Search, 0);
    while let Some(ampersand) = memchr(b'&', reader.rest.as_bytes()) {
        let (text, rest) = reader.split(ampersand);
        reader.text.push_str(text);
        reader.rest = rest;
        reader.reference();
    }
    reader.text + reader.rest
}

/// The value of an attribute, by its name with the equals sign.
fn attribute<'a>(inside: &'a str, name: &str) -> Option<&'a str> {
    let lower = inside.to_ascii_lowercase();
    let at = lower
        .match_indices(name)
        .map(|(at, _)| at)
        .find(|at| lower.as_bytes().get(at.wrapping_sub(1)).is_some_and(u8::is_ascii_whitespace))?;
    let value = inside.get(at + name.len()..)?;
    match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split(quote).next(),
        _ => value.split_ascii_whitespace().next(),
    }
}

fn name_octets(inside: &str) -> usize {
    let slash = usize::from(inside.starts_with('/'));
    slash + inside.bytes().skip(slash).take_while(u8::is_ascii_alphanumeric).count()
}

/// Elements whose content is not shown.
fn is_raw_text(name: &str) -> bool {
    matches!(name, "script" | "style" | "template" | "xml")
}

/// Elements that begin and end lines.
#[rustfmt::skip]
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address" | "article" | "aside" | "blockquote" | "body" | "br" | "caption" | "center" | "dd"
        | "details" | "dialog" | "dir" | "div" | "dl" | "dt" | "fieldset" | "figcaption" | "figure"
        | "footer" | "form" | "frame" | "frameset" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "head"
        | "header" | "hr" | "html" | "iframe" | "legend" | "li" | "main" | "menu" | "nav" | "ol"
        | "optgroup" | "option" | "p" | "pre" | "section" | "select" | "summary" | "table" | "tbody"
        | "td" | "textarea" | "tfoot" | "th" | "thead" | "title" | "tr" | "ul"
    )
}

/// What a reference such as `&auml` or `&#228` stands for.
fn decode_reference(reference: &str, is_closed: bool) -> Option<String> {
    let name = reference.strip_prefix('&')?;
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return code.ok().map(numbered);
    }
    // Browsers know the oldest names without their semicolon, and mail relies on it.
    let is_old = || matches!(name, "nbsp" | "amp" | "lt" | "gt" | "quot" | "copy" | "reg");
    if !is_closed && !is_old() {
        return None;
    }
    let token = format!("{reference};");
    let mut decoded = String::new();
    add_html_token(&mut decoded, token.as_bytes(), false);
    (decoded != token).then_some(decoded)
}

/// A numbered character. 128 to 159 are taken from windows-1252, as browsers do.
fn numbered(code: u32) -> String {
    match u8::try_from(code) {
        Ok(octet @ 0x80..=0x9f) => WINDOWS_1252.decode_without_bom_handling(&[octet]).0.into_owned(),
        _ => char::from_u32(code)
            .filter(|character| *character != '\0')
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(html: &str, expected: &str) {
        assert_eq!(to_text(html, Purpose::Search, 10_000).trim(), expected, "{html}");
    }

    #[test]
    fn tags_go_and_words_stay_apart() {
        check("<p>one</p><p>two</p>", "one\ntwo");
        check("im<b>por</b>tant", "important");
        check("a<br>b<BR/>c", "a\nb\nc");
        check("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb");
        check("  a \r\n\t b  ", "a b");
        check("<div\nclass=\"x\">a</div>b", "a\nb");
    }

    #[test]
    fn what_is_not_shown_goes() {
        check("a<script>if (1<2) {}</script>b<style>p{}</style>c", "abc");
        check("a<!-- <p>hidden</p> -->b<!--[if mso]>x<![endif]-->c", "abc");
        check("<!DOCTYPE html><?xml version='1.0'?>a", "a");
        check("a<SCRIPT>x</Script >b", "ab");
    }

    #[test]
    fn references_are_decoded() {
        check("&lt;a&gt; &amp; &quot;b&quot; &euro;&#8364;&#x20AC;&#128;", "<a> & \"b\" €€€€");
        check("a&nbsp;b", "a\u{a0}b");
        check("R&D &unknown; &#xzz; &", "R&D &unknown; &#xzz; &");
        check("x&ampy&amp z", "x&ampy& z");
    }

    #[test]
    fn attributes_that_are_read_are_kept() {
        check("<img src=\"x.png\" alt=\"a &amp; b\">c", "a & b c");
        check("<a title='hint' href=x>y</a>", "hint y");
        check("<img data-alt=no>y", "y");
    }

    #[test]
    fn broken_html_loses_little() {
        check("a < b and c > d", "a < b and c > d");
        check("<a href=\"x>text", "text");
        check("a<!-- never closed <b>b</b>", "a never closed b");
        check("a<b", "a<b");
        check("<a title=\">\">b</a>", "> b");
    }

    #[test]
    fn output_is_bounded() {
        assert_eq!(to_text(&"é".repeat(100), Purpose::Search, 9), "éééé");
    }

    proptest! {
        #[test]
        fn any_text_is_read(html in "[<>&;!/#x a\"'=é-]{0,80}") {
            to_text(&html, Purpose::Search, 10_000);
        }
    }
}
