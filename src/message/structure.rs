//! The MIME structure of a message as a tree of parts with offsets.

use serde::{Deserialize, Serialize};

/// A range of octets of the raw message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First octet.
    pub start: u64,
    /// One past the last octet.
    pub end: u64,
}

impl Span {
    /// The octets of `raw` in this range; what lies outside of `raw` is not there.
    pub fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(raw.len());
        raw.get(index(self.start)..index(self.end)).unwrap_or_default()
    }

    /// Octets of the range.
    pub fn octets(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn between(start: usize, end: usize) -> Self {
        Self { start: start as u64, end: end as u64 }
    }
}

/// One body part: what BODYSTRUCTURE shows (RFC 9051 §7.5.2) and where its octets are.
///
/// A part that is shown as `multipart` or as message/rfc822 always has what these need inside. One
/// that names such a type without having it (a multipart without a single boundary line, a
/// message in base64, anything beyond the limits) is shown as text/plain or application/octet-stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The header section, the empty line included.
    pub header: Span,
    /// The body, without the line end that belongs to the boundary (RFC 2046 §5.1.1).
    pub body: Span,
    /// Line ends in the body.
    pub lines: u64,
    /// Type in lower case, such as `text`.
    pub media_type: String,
    /// Subtype in lower case, such as `plain`.
    pub media_subtype: String,
    /// Parameters of Content-Type, names in lower case, values decoded (RFC 2231, RFC 2047). A text
    /// part always has a `charset`, us-ascii where none is given (RFC 2045 §5.2).
    pub parameters: Vec<(String, String)>,
    /// Content-ID as written.
    pub content_id: Option<String>,
    /// Content-Description, decoded to UTF-8.
    pub description: Option<String>,
    /// Content-Transfer-Encoding in lower case; `7bit` where none is given.
    pub encoding: String,
    /// Content-MD5 as written.
    pub md5: Option<String>,
    /// Content-Disposition: its kind in lower case and its parameters.
    pub disposition: Option<(String, Vec<(String, String)>)>,
    /// Content-Language.
    pub language: Vec<String>,
    /// Content-Location as written.
    pub location: Option<String>,
    /// What is inside.
    pub content: Body,
}

/// The inside of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// No parts that can be addressed.
    Leaf,
    /// Parts of a multipart; at least one.
    Multipart(Vec<Part>),
    /// A message/rfc822 or message/global with its ENVELOPE; its offsets are absolute, in the outer message.
    Message(Box<super::Envelope>, Box<Part>),
}

/// The place of a part: `[2, 1]` is `BODY[2.1]` (RFC 9051 §6.4.5.1). Empty names the message itself.
pub type PartPath = [u32];

impl Part {
    /// Finds a part of a message by its IMAP part number, as RFC 9051 §6.4.5.1 counts them: part 1 of a
    /// non-multipart is the part itself, and a message/rfc822 part counts through to its body.
    /// `self` is a message: the root, or the inside of a message/rfc822.
    pub fn find(&self, path: &PartPath) -> Option<&Part> {
        let Some((number, rest)) = path.split_first() else {
            return Some(self);
        };
        match &self.content {
            Body::Multipart(parts) => find_among(parts, *number, rest),
            Body::Leaf | Body::Message(..) if *number == 1 => self.find_below(rest),
            Body::Leaf | Body::Message(..) => None,
        }
    }

    /// What a path names below a part that was itself named by a number.
    fn find_below(&self, path: &PartPath) -> Option<&Part> {
        let Some((number, rest)) = path.split_first() else {
            return Some(self);
        };
        match &self.content {
            Body::Leaf => None,
            Body::Multipart(parts) => find_among(parts, *number, rest),
            Body::Message(_, inside) => inside.find(path),
        }
    }

    /// The parts without parts inside, in order, those of nested messages included.
    pub fn leaves(&self) -> impl Iterator<Item = &Part> {
        self.parts().filter(|part| matches!(part.content, Body::Leaf))
    }

    /// This part and every part inside it, in the order of their octets.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let part = waiting.pop()?;
            match &part.content {
                Body::Leaf => {}
                Body::Multipart(parts) => waiting.extend(parts.iter().rev()),
                Body::Message(_, inside) => waiting.push(inside),
            }
            Some(part)
        })
    }

    /// Whether the part is of this type and subtype, both in lower case.
    pub fn is(&self, media_type: &str, media_subtype: &str) -> bool {
        self.media_type == media_type && self.media_subtype == media_subtype
    }

    /// A parameter of Content-Type by its name in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find_parameter(&self.parameters, name)
    }

    /// The name of the file that the part is, from Content-Disposition (RFC 2183 §2.3) or from the
    /// older `name` parameter of Content-Type.
    pub fn filename(&self) -> Option<&str> {
        let disposed = self.disposition.as_ref().and_then(|(_, parameters)| find_parameter(parameters, "filename"));
        disposed.or_else(|| self.parameter("name"))
    }

    /// Whether the part says that it is to be kept apart from the text (RFC 2183 §2.2).
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|(kind, _)| kind != "inline")
    }
}

fn find_among<'a>(parts: &'a [Part], number: u32, rest: &PartPath) -> Option<&'a Part> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    parts.get(index)?.find_below(rest)
}

fn find_parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
