//! What the SEARCH keys look at, and the preview.

use super::{
    Analysis, Body, Part, address, charset,
    content::{ContentFields, DefaultType},
    encoded_word::decode_header_value,
    fold::is_shapeless,
    header::{header_fields, unfold},
    html::{self, Purpose},
    split::split,
    transfer::{decode_body, decode_part, is_identity},
};
use crate::limits;
use std::borrow::Cow;

/// The searchable text of one message, decoded to UTF-8 and not yet folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchText {
    /// The header fields of the message itself, in order.
    pub headers: Vec<HeaderText>,
    /// Every text part (HTML as its text), the file names and descriptions of parts, and the header
    /// fields of nested messages, separated by line ends.
    pub body: String,
}

/// One decoded header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText {
    /// Name in lower case.
    pub name: String,
    /// Value, decoded and unfolded. In an address field, an address that is not written in one
    /// piece (comments or quotes inside) follows as `local@domain`.
    pub value: String,
}

/// Extracts what the SEARCH keys look at; `analysis` must be that of `raw`. At most
/// `limits::SEARCH_TEXT_OCTETS_MAX` octets; what is beyond is not found by text.
pub fn search_text(raw: &[u8], analysis: &Analysis) -> SearchText {
    let mut collector =
        Collector { raw, body: String::new(), room: limits::SEARCH_TEXT_OCTETS_MAX, decoded_messages: 0 };
    let headers = collector.headers(&analysis.root);
    collector.inside(&analysis.root);
    SearchText { headers, body: collector.body }
}

/// The decoded fields of a header section that stands alone, such as our trace fields.
pub fn header_texts(header: &[u8]) -> Vec<HeaderText> {
    header_fields(header).map(|field| header_text(field.name, field.value)).collect()
}

struct Collector<'a> {
    raw: &'a [u8],
    body: String,
    /// Octets of text that may still be taken.
    room: usize,
    /// How many messages in base64 or quoted-printable this one is in.
    decoded_messages: usize,
}

impl Collector<'_> {
    fn headers(&mut self, message: &Part) -> Vec<HeaderText> {
        /// What keeping a field costs beyond its text: without it, millions of fields of two octets would be kept.
        const HEADER_OCTETS: usize = size_of::<HeaderText>();
        let mut headers = Vec::new();
        for field in header_fields(message.header.of(self.raw)) {
            let header = header_text(field.name, field.value);
            let octets = header.name.len() + header.value.len() + HEADER_OCTETS;
            if let Some(room) = self.room.checked_sub(octets) {
                self.room = room;
                headers.push(header);
            }
        }
        headers
    }

    fn inside(&mut self, part: &Part) {
        match &part.content {
            Body::Leaf => self.leaf(part),
            Body::Multipart(parts) => {
                for part in parts {
                    self.labels(part);
                    self.inside(part);
                }
            }
            Body::Message(_, inner) => self.message(inner),
        }
    }

    fn message(&mut self, inner: &Part) {
        for header in self.headers(inner) {
            self.body.extend([&header.name, ": ", &header.value, "\n"]);
        }
        self.inside(inner);
    }

    /// The file name and description of a part: what its reader sees of its header.
    fn labels(&mut self, part: &Part) {
        for label in [part.filename(), part.description.as_deref()].into_iter().flatten() {
            self.line(label);
        }
    }

    fn leaf(&mut self, part: &Part) {
        if self.room == 0 {
            return;
        }
        if is_text(part) {
            let text = part_text(part.body.of(self.raw), part, Purpose::Search, self.room);
            self.line(&text);
        } else if self.decoded_messages < limits::DECODED_MESSAGE_DEPTH_MAX && is_encoded_message(self.raw, part) {
            self.encoded_message(&decode_part(self.raw, part));
        }
    }

    /// IMAP has no numbers for what is in an encoded message; people look for it all the same.
    fn encoded_message(&mut self, raw: &[u8]) {
        let (inner, _) = split(raw);
        let body = std::mem::take(&mut self.body);
        let mut collector = Collector { raw, body, room: self.room, decoded_messages: self.decoded_messages + 1 };
        collector.message(&inner);
        (self.body, self.room) = (collector.body, collector.room);
    }

    fn line(&mut self, text: &str) {
        let text = text.get(..text.floor_char_boundary(self.room)).unwrap_or_default();
        self.room -= text.len();
        self.body.push_str(text);
        if !text.is_empty() && !text.ends_with('\n') {
            self.body.push('\n');
        }
    }
}

fn header_text(name: &[u8], value: &[u8]) -> HeaderText {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut decoded = decode_header_value(value);
    if is_address_field(&name) {
        append_hidden_addresses(value, &mut decoded);
    }
    HeaderText { name, value: decoded }
}

fn is_address_field(name: &str) -> bool {
    matches!(name, "from" | "sender" | "reply-to" | "to" | "cc" | "bcc")
}

/// RFC 9051 §6.4.4 has FROM look at the envelope's addresses, in which there are no comments and quotes.
fn append_hidden_addresses(value: &[u8], decoded: &mut String) {
    /// Each of them costs a search to the end of the field; real fields have none.
    const HIDDEN_MAX: usize = 50;
    let value = unfold(value);
    if !value.iter().any(|octet| matches!(octet, b'(' | b'"' | b'\\' | b' ')) {
        return;
    }
    let mut addresses = Vec::new();
    address::read(&value, &mut addresses, &mut { limits::ENVELOPE_ADDRESSES_MAX });
    // Addresses come in the order in which they are written, so the search never goes back.
    let (written, mut from, mut hidden) = (decoded.clone(), 0, 0);
    for address in addresses.iter().filter(|address| address.host.as_ref().is_some_and(|host| !host.is_empty())) {
        let spec = charset::guess(&address.spec().unwrap_or_default()).into_owned();
        match written.get(from..).unwrap_or_default().find(&spec) {
            Some(at) => from += at + spec.len(),
            None => {
                decoded.extend([" ", &spec]);
                hidden += 1;
            }
        }
        if hidden == HIDDEN_MAX {
            return;
        }
    }
}

/// Parts that people read: text of any kind, and the reports that servers write (RFC 3464, RFC 8098, RFC 5965).
fn is_text(part: &Part) -> bool {
    let is_report = part.media_type == "message"
        && matches!(
            part.media_subtype.as_str(),
            "delivery-status"
                | "disposition-notification"
                | "feedback-report"
                | "global-delivery-status"
                | "global-headers"
        );
    part.media_type == "text" || is_report
}

/// Whether a part that is shown as octets says that it is a message, encoded against RFC 2046 §5.2.1 or as
/// RFC 6532 §3.7 allows.
fn is_encoded_message(raw: &[u8], part: &Part) -> bool {
    part.is("application", "octet-stream")
        && !is_identity(&part.encoding)
        && ContentFields::read(part.header.of(raw), DefaultType::Text).is_message()
}

/// The text of a leaf with this body, at most `octets_max` octets of it.
fn part_text(body: &[u8], part: &Part, purpose: Purpose, octets_max: usize) -> String {
    // No transfer encoding and no charset makes text of fewer octets than a ninth, so the text asked for is
    // in this much of the body. (More of it may be markup; then what is behind counts as beyond the limit.)
    let body = body.get(..octets_max.saturating_mul(9)).unwrap_or(body);
    let octets = decode_body(body, &part.encoding);
    let label = part.parameter("charset").unwrap_or_default();
    if part.media_subtype == "html" {
        return html::to_text(&charset::decode_html(label, &octets), purpose, octets_max);
    }
    let text = charset::decode(label, &octets);
    let text: Cow<'_, str> = if is_delsp(part) { Cow::Owned(joined(&text)) } else { text };
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or_default().to_owned()
}

/// RFC 3676 §4: flowed text whose trailing spaces are no part of it.
fn is_delsp(part: &Part) -> bool {
    let is = |name: &str, value: &str| part.parameter(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    is("format", "flowed") && is("delsp", "yes")
}

fn joined(text: &str) -> String {
    text.replace(" \r\n", "").replace(" \n", "")
}

/// The first text of a message on one line (RFC 8970 §3.1: at most 200 characters).
pub(super) fn preview(raw: &[u8], root: &Part) -> String {
    let Some(part) = first_text(root) else {
        return String::new();
    };
    let body = part.body.of(raw);
    let body = body.get(..limits::PREVIEW_INPUT_OCTETS_MAX).unwrap_or(body);
    let text = part_text(body, part, Purpose::Preview, limits::PREVIEW_INPUT_OCTETS_MAX);
    let mut preview = String::new();
    // HTML mail pads its first line with shapeless characters, so that nothing else is shown.
    let shown = text.chars().filter(|character| !is_shapeless(*character) && !is_hidden(*character));
    for character in shown {
        if !character.is_whitespace() {
            preview.push(character);
        } else if !preview.is_empty() && !preview.ends_with(' ') {
            preview.push(' ');
        }
        if preview.len() >= limits::PREVIEW_CHARACTERS_MAX * 4 {
            break;
        }
    }
    preview.trim_end().chars().take(limits::PREVIEW_CHARACTERS_MAX).collect()
}

fn is_hidden(character: char) -> bool {
    character.is_control() && !character.is_whitespace()
}

/// The first text that is no attachment, plain before HTML.
fn first_text(root: &Part) -> Option<&Part> {
    let texts =
        || root.leaves().filter(|part| part.media_type == "text" && !part.is_attachment() && part.body.octets() > 0);
    texts().find(|part| part.media_subtype == "plain").or_else(|| texts().next())
}

#[cfg(test)]
mod tests {
    use super::{super::analyse, *};

    #[track_caller]
    fn body(raw: &str, expected: &str) {
        let raw = raw.as_bytes();
        assert_eq!(search_text(raw, &analyse(raw)).body, expected);
    }

    #[track_caller]
    fn shown(raw: &str, expected: &str) {
        assert_eq!(analyse(raw.as_bytes()).preview, expected);
    }

    #[test]
    fn text_is_decoded() {
        body("Content-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n7cnS\n", "Мир\n");
        body(
            "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<p>a=\nb</p><p>c</p>\n",
            "ab\nc\n",
        );
        body("Content-Type: image/png\n\nnot text\n", "");
        body("Content-Type: text/plain; format=flowed; delsp=yes\n\nlong \nword\n", "longword\n");
    }

    #[test]
    fn file_names_and_nested_messages_are_found() {
        body(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: image/png; name=\"cat.png\"\n\
             Content-Description: a cat\n\nx\n--b\nContent-Type: message/rfc822\n\nSubject: =?utf-8?Q?=C3=BC?=\n\ntwo\n--b--\n",
            "one\ncat.png\na cat\nsubject: ü\ntwo\n",
        );
    }

    #[test]
    fn header_fields_keep_their_order_and_are_decoded() {
        let raw = b"X-B: =?utf-8?Q?=C3=BC?=\nx-a: one\n two\nX-B:\n\n";
        let headers = search_text(raw, &analyse(raw)).headers;
        let headers: Vec<_> = headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
        assert_eq!(headers, [("x-b", "ü"), ("x-a", "one two"), ("x-b", "")]);
    }

    #[test]
    fn an_address_with_comments_inside_is_found_as_one() {
        let value = |field: &str| header_text(b"From", field.as_bytes()).value;
        assert_eq!(value("<ann (home)@ (x) example.org>"), "<ann (home)@ (x) example.org> ann@example.org");
        assert_eq!(value("\"Ann\" <ann@example.org>, bob@example.org"), "\"Ann\" <ann@example.org>, bob@example.org");
    }

    #[test]
    fn previews_are_one_line_of_the_first_text() {
        shown("\n  a\r\n\r\n b\tc \n", "a b c");
        shown("Content-Type: text/html\n\n<title>t</title><p>\u{200c}&#847;Hi&nbsp;you</p>", "Hi you");
        shown("Content-Type: image/png\n\nx", "");
        shown(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nno\n--b\n\
             Content-Type: text/html\n\n<i>html</i>\n--b\n\nplain\n--b--",
            "plain",
        );
        assert_eq!(analyse("\né".as_bytes()).preview, "é");
        assert_eq!(analyse(format!("\n{}", "é".repeat(500)).as_bytes()).preview.chars().count(), 200);
    }

    #[test]
    fn text_is_bounded() {
        let raw = [b"Subject: s\n\n".as_slice(), &b"word ".repeat(limits::SEARCH_TEXT_OCTETS_MAX / 4)].concat();
        let text = search_text(&raw, &analyse(&raw));
        assert!(text.body.len() <= limits::SEARCH_TEXT_OCTETS_MAX);
        assert!(text.body.len() > limits::SEARCH_TEXT_OCTETS_MAX - 100);
    }
}
