//! ENVELOPE of a message (RFC 9051 §7.5.2).

use serde::{Deserialize, Serialize};

/// What FETCH ENVELOPE shows. Values are as written, unfolded and with NUL dropped: encoded-words
/// stay encoded, since clients decode them (RFC 3501 §7.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Date field.
    pub date: Option<Vec<u8>>,
    /// Subject field.
    pub subject: Option<Vec<u8>>,
    /// From field.
    pub from: Vec<EnvelopeAddress>,
    /// Sender field; From where it is missing.
    pub sender: Vec<EnvelopeAddress>,
    /// Reply-To field; From where it is missing.
    pub reply_to: Vec<EnvelopeAddress>,
    /// To field.
    pub to: Vec<EnvelopeAddress>,
    /// Cc field.
    pub cc: Vec<EnvelopeAddress>,
    /// Bcc field.
    pub bcc: Vec<EnvelopeAddress>,
    /// In-Reply-To field.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID field.
    pub message_id: Option<Vec<u8>>,
}

/// One address of an ENVELOPE. A group opens with mailbox = group name and no host, and closes with
/// neither (RFC 9051 §7.5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeAddress {
    /// Display name.
    pub name: Option<Vec<u8>>,
    /// Source route.
    pub route: Option<Vec<u8>>,
    /// Local part.
    pub mailbox: Option<Vec<u8>>,
    /// Domain.
    pub host: Option<Vec<u8>>,
}
