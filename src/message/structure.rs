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

/// One body part: what BODYSTRUCTURE shows (RFC 9051 §7.5.2) and where its octets are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The header section, the empty line included.
    pub header: Span,
    /// The body, without the line end that belongs to the boundary (RFC 2046 §5.1.1).
    pub body: Span,
    /// Lines of the body.
    pub lines: u64,
    /// Type in lower case, such as `text`.
    pub media_type: String,
    /// Subtype in lower case, such as `plain`.
    pub media_subtype: String,
    /// Parameters of Content-Type, names in lower case, values decoded (RFC 2231, RFC 2047).
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
    /// Finds a part by its IMAP part number, as RFC 9051 §6.4.5.1 counts them: part 1 of a
    /// non-multipart is the part itself, and a message/rfc822 part counts through to its body.
    pub fn find(&self, path: &PartPath) -> Option<&Part> {
        let _ = path;
        unimplemented!("frame: message")
    }
}
