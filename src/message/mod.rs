//! Reading of RFC 5322 messages and MIME (RFC 2045-2047, 2183, 2231): structure with offsets,
//! ENVELOPE, text for search, previews.
//!
//! Owns: everything that looks inside a message. Promises: any octets whatsoever give an
//! [`Analysis`] in time linear in their length, within the depth and part limits of `limits`; the
//! offsets it gives lie inside the message and children lie inside their parent. Never: changes a
//! message, does I/O, panics on input.

mod envelope;
mod structure;
mod text;

pub use envelope::{Envelope, EnvelopeAddress};
pub use structure::{Body, Part, PartPath, Span};
pub use text::{HeaderText, SearchText};

/// What is known of a message after one reading, without its octets. It is kept in the message
/// record, so that FETCH of ENVELOPE, BODYSTRUCTURE and headers never reads a body.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Analysis {
    /// The whole message as its root part.
    pub root: Part,
    /// ENVELOPE (RFC 9051 §7.5.2).
    pub envelope: Envelope,
    /// The Date field in seconds since 1970, where it is readable (SENTBEFORE and friends).
    pub sent_seconds: Option<i64>,
    /// The local date of the Date field as written, in days since 1970 (SENTON disregards time and zone, RFC 9051 §6.4.4).
    pub sent_day: Option<i32>,
    /// The first text of the message, at most 200 characters, one line (RFC 8970).
    pub preview: String,
}

/// Reads a message once.
pub fn analyse(raw: &[u8]) -> Analysis {
    let _ = raw;
    unimplemented!("frame: message")
}

/// Extracts what the SEARCH keys look at; `analysis` must be that of `raw`.
pub fn search_text(raw: &[u8], analysis: &Analysis) -> SearchText {
    let _ = (raw, analysis);
    unimplemented!("frame: message")
}

/// Folds text for search: the same on both sides and context-free. Case-folded per i;unicode-casemap
/// (RFC 5051), canonically composed forms and decomposed forms are equal, runs of white space are one space.
pub fn fold(text: &str) -> String {
    let _ = text;
    unimplemented!("frame: message")
}

/// Decodes a header field's value: unfolded, RFC 2047 encoded-words decoded, raw 8-bit as UTF-8 or Latin-1.
pub fn decode_header_value(value: &[u8]) -> String {
    let _ = value;
    unimplemented!("frame: message")
}

/// The header fields of a header section, in order: name as written, and the raw value between the
/// colon and the line end, folding included. Lines that are no field (RFC 5322 §2.2) are skipped.
pub fn header_fields(header: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    let _ = header;
    std::iter::empty()
}

/// One header field of a message.
#[derive(Clone, Copy, Debug)]
pub struct HeaderField<'a> {
    /// The name as written.
    pub name: &'a [u8],
    /// The value after the colon, folding and the final line end included.
    pub value: &'a [u8],
    /// The whole field from the first octet of the name to its final line end, for `BODY[HEADER.FIELDS]`.
    pub whole: &'a [u8],
}
