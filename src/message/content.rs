//! The MIME header fields of one part (RFC 2045, RFC 2183, RFC 3282, RFC 2557).

use super::{
    Body, Part, Span,
    charset::guess,
    encoded_word::decode_header_value,
    header::{HeaderField, header_fields, unfold},
    parameter::{self, Parameters},
};
use crate::limits;

/// What a part is where it has no Content-Type of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultType {
    /// text/plain in us-ascii (RFC 2045 §5.2).
    Text,
    /// message/rfc822, inside a multipart/digest (RFC 2046 §5.1.5).
    Message,
}

/// What the header of a part says about its body.
pub(super) struct ContentFields {
    /// The part with everything but its offsets and its inside.
    pub(super) part: Part,
    /// The boundary parameter, as octets.
    pub(super) boundary: Option<Vec<u8>>,
}

impl ContentFields {
    /// Reads the fields of a header section. The first field of a name counts.
    pub(super) fn read(header: &[u8], default: DefaultType) -> Self {
        let mut content = Self { part: empty_part(), boundary: None };
        let mut seen = Seen::default();
        for field in header_fields(header) {
            if field.name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"content-")) {
                content.take(&field, &mut seen);
            }
        }
        if !seen.content_type && default == DefaultType::Message {
            content.part.media_type = "message".into();
            content.part.media_subtype = "rfc822".into();
        }
        content.complete_charset();
        content
    }

    fn take(&mut self, field: &HeaderField<'_>, seen: &mut Seen) {
        let part = &mut self.part;
        let name = field.name.get(8..).unwrap_or_default().to_ascii_lowercase();
        match name.as_slice() {
            b"type" if !seen.content_type => {
                seen.content_type = true;
                self.take_type(&unfold(field.value));
            }
            b"transfer-encoding" if !seen.encoding => {
                seen.encoding = true;
                part.encoding = parameter::token(&unfold(field.value)).unwrap_or_else(|| "7bit".into());
            }
            b"disposition" if part.disposition.is_none() => part.disposition = disposition(&unfold(field.value)),
            b"id" if part.content_id.is_none() => part.content_id = as_written(field.value),
            b"md5" if part.md5.is_none() => part.md5 = as_written(field.value),
            b"location" if part.location.is_none() => part.location = as_written(field.value),
            b"description" if part.description.is_none() => {
                part.description = Some(cut(decode_header_value(field.value))).filter(|text| !text.is_empty());
            }
            b"language" if part.language.is_empty() => part.language = languages(field.value),
            _ => {}
        }
    }

    /// A type that cannot be read stays text/plain; its parameters are kept (RFC 2045 §5.2).
    fn take_type(&mut self, value: &[u8]) {
        let (media, parameters) = Parameters::split(value);
        if let Some((media_type, media_subtype)) = parameter::media_type(media) {
            self.part.media_type = media_type;
            self.part.media_subtype = media_subtype;
        }
        let parameters = Parameters::read(parameters);
        self.boundary = parameters.octets("boundary").map(|octets| octets.trim_ascii_end().to_vec());
        self.part.parameters = parameters.decoded();
    }

    /// Whether the part is a message with a header of its own (RFC 2046 §5.2.1, RFC 6532 §3.7).
    pub(super) fn is_message(&self) -> bool {
        self.part.is("message", "rfc822") || self.part.is("message", "global")
    }

    /// What the parts of this multipart are by default.
    pub(super) fn default_of_parts(&self) -> DefaultType {
        if self.part.is("multipart", "digest") { DefaultType::Message } else { DefaultType::Text }
    }

    /// Gives a container without an inside a type that needs none, since clients cannot read a
    /// BODYSTRUCTURE otherwise: a multipart is shown as the text it is, a message as octets.
    pub(super) fn settle_type(&mut self) {
        if self.part.content != Body::Leaf {
            return;
        }
        if self.part.media_type == "multipart" {
            self.part.media_type = "text".into();
            self.part.media_subtype = "plain".into();
            self.part.parameters.retain(|(name, _)| name == "charset");
            self.complete_charset();
        } else if self.is_message() {
            self.part.media_type = "application".into();
            self.part.media_subtype = "octet-stream".into();
        }
    }

    fn complete_charset(&mut self) {
        if self.part.media_type == "text" && self.part.parameter("charset").is_none() {
            self.part.parameters.push(("charset".into(), "us-ascii".into()));
        }
    }
}

#[derive(Default)]
struct Seen {
    content_type: bool,
    encoding: bool,
}

fn empty_part() -> Part {
    Part {
        header: Span::default(),
        body: Span::default(),
        lines: 0,
        media_type: "text".into(),
        media_subtype: "plain".into(),
        parameters: Vec::new(),
        content_id: None,
        description: None,
        encoding: "7bit".into(),
        md5: None,
        disposition: None,
        language: Vec::new(),
        location: None,
        content: Body::Leaf,
    }
}

/// Content-Disposition. A field that begins with its parameters is an attachment, since that is what
/// an unknown kind is (RFC 2183 §2.8).
fn disposition(value: &[u8]) -> Option<(String, Vec<(String, String)>)> {
    let (kind, rest) = Parameters::split(value);
    let (kind, rest) = if kind.contains(&b'=') { (b"attachment".as_slice(), value) } else { (kind, rest) };
    Some((parameter::token(kind)?, Parameters::read(rest).decoded()))
}

fn languages(value: &[u8]) -> Vec<String> {
    let value = unfold(value);
    value.split(|octet| *octet == b',').filter_map(parameter::token).take(limits::MIME_PARAMETERS_MAX).collect()
}

fn as_written(value: &[u8]) -> Option<String> {
    Some(cut(guess(&unfold(value)).into_owned())).filter(|text| !text.is_empty())
}

/// Cuts a value to what the record keeps of it, at a character.
pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::STRUCTURE_VALUE_OCTETS_MAX));
    text
}
