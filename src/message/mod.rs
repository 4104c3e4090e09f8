//! Reading of RFC 5322 messages and MIME (RFC 2045-2047, 2183, 2231): structure with offsets,
//! ENVELOPE, text for search, previews.
//!
//! Owns: everything that looks inside a message; mail_parser, of which only tables are used (rare charsets,
//! names of HTML characters), since it knows no limits and its offsets are not those of BODYSTRUCTURE.
//! Promises: any octets whatsoever give an [`Analysis`] in time linear in their length, within the
//! depth and part limits of `limits`; the offsets it gives lie inside the message, children lie inside
//! their parent and do not overlap; ENVELOPE and BODYSTRUCTURE can always be written well-formed from it, and no
//! value in them holds CR, LF or NUL. Lines end in LF, with or without CR before it.
//! Never: changes a message, does I/O, panics on input. Nothing can go wrong, so there is no error and
//! nothing is logged: what is broken is read as what was most likely meant.
//!
//! Implements: RFC 5322 §2.2, §3.3, §3.4, §4 (obsolete forms); RFC 2045, RFC 2046 §5.1 and §5.2.1, RFC 2047, RFC 2183,
//! RFC 2231, RFC 3676 §4.6 (DelSp), RFC 6532, RFC 8970 §3.1, RFC 9051 §6.4.5.1 and §7.5.2.
//! Not implemented: RFC 2046 §5.2.2 and §5.2.3 (message/partial and message/external-body are leaves).

mod address;
mod charset;
mod content;
mod date;
mod encoded_word;
mod envelope;
mod fold;
mod header;
mod html;
mod parameter;
mod split;
mod stored;
mod structure;
mod text;
mod transfer;

pub use encoded_word::decode_header_value;
pub use envelope::{Envelope, EnvelopeAddress};
pub use fold::fold;
pub use header::{HeaderField, header_fields, received_count};
pub use structure::{Body, Part, PartPath, Span};
pub use text::{HeaderText, SearchText, header_texts, search_text};
pub use transfer::decode_part;

/// What is known of a message after one reading, without its octets. It is kept in the message
/// record ([`Analysis::to_stored`]), so that FETCH of ENVELOPE, BODYSTRUCTURE and headers never reads a body.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    let (root, envelope) = split::split(raw);
    let sent = envelope.date.as_deref().and_then(date::read);
    let preview = text::preview(raw, &root);
    Analysis {
        root,
        envelope,
        sent_seconds: sent.map(|date| date.seconds),
        sent_day: sent.map(|date| date.day),
        preview,
    }
}
