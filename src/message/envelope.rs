//! ENVELOPE of a message (RFC 9051 §7.5.2).

use super::{
    address,
    header::{header_fields, unfold},
};
use crate::limits;
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
/// neither (RFC 9051 §7.5.2). Any other address has both, empty where the message has none.
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

impl EnvelopeAddress {
    /// Local part and domain with an `@` between, for comparing and searching; `None` for the marks of a group.
    pub fn spec(&self) -> Option<Vec<u8>> {
        let (mailbox, host) = (self.mailbox.as_ref()?, self.host.as_ref()?);
        Some([mailbox.as_slice(), b"@", host.as_slice()].concat())
    }
}

impl Envelope {
    /// Reads the fields of a header section, with at most `room` addresses, which is lessened by those read.
    ///
    /// The first field of a name counts. Address fields are joined where there are several, so that
    /// no one can show a client one From and hide another.
    pub(super) fn read(header: &[u8], room: &mut usize) -> Self {
        let mut envelope = Self::default();
        for field in header_fields(header) {
            let name = field.name.to_ascii_lowercase();
            if let Some(text) = envelope.text(&name) {
                if text.is_none() {
                    *text = Some(cut(unfold(field.value)));
                }
            } else if let Some(list) = envelope.list(&name) {
                address::read(&unfold(field.value), list, room);
            }
        }
        for list in [&mut envelope.sender, &mut envelope.reply_to] {
            if list.is_empty() {
                list.clone_from(&envelope.from);
            }
        }
        envelope
    }

    fn text(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        match name {
            b"date" => Some(&mut self.date),
            b"subject" => Some(&mut self.subject),
            b"in-reply-to" => Some(&mut self.in_reply_to),
            b"message-id" => Some(&mut self.message_id),
            _ => None,
        }
    }

    fn list(&mut self, name: &[u8]) -> Option<&mut Vec<EnvelopeAddress>> {
        match name {
            b"from" => Some(&mut self.from),
            b"sender" => Some(&mut self.sender),
            b"reply-to" => Some(&mut self.reply_to),
            b"to" => Some(&mut self.to),
            b"cc" => Some(&mut self.cc),
            b"bcc" => Some(&mut self.bcc),
            _ => None,
        }
    }
}

/// Cuts a value to what the record keeps of it, not inside of a UTF-8 character.
fn cut(mut value: Vec<u8>) -> Vec<u8> {
    if value.len() > limits::STRUCTURE_VALUE_OCTETS_MAX {
        value.truncate(limits::STRUCTURE_VALUE_OCTETS_MAX);
        let whole = value.utf8_chunks().map(|chunk| chunk.valid().len()).sum::<usize>();
        if value.utf8_chunks().count() == 1 {
            value.truncate(whole);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Envelope {
        Envelope::read(header.as_bytes(), &mut 100)
    }

    #[test]
    fn values_are_unfolded_and_left_encoded() {
        let envelope = read("Subject: =?utf-8?Q?a?=\r\n b\0\r\nDATE: now\r\nMessage-Id: <a@b>\r\nIn-Reply-To:\r\n\r\n");
        assert_eq!(envelope.subject.as_deref(), Some(b"=?utf-8?Q?a?= b".as_slice()));
        assert_eq!(envelope.date.as_deref(), Some(b"now".as_slice()));
        assert_eq!(envelope.message_id.as_deref(), Some(b"<a@b>".as_slice()));
        assert_eq!(envelope.in_reply_to.as_deref(), Some(b"".as_slice()));
    }

    #[test]
    fn sender_and_reply_to_default_to_from() {
        let envelope = read("From: a@example.org\nSender:\n");
        assert_eq!(envelope.sender, envelope.from);
        assert_eq!(envelope.reply_to, envelope.from);
        let envelope = read("From: a@example.org\nSender: b@example.org\n");
        assert_ne!(envelope.sender, envelope.from);
    }

    #[test]
    fn a_second_from_is_not_hidden() {
        let envelope =
            read("Fr om: x@example.org\nFrom: a@example.org\nSubject: one\nFrom: b@example.org\nSubject: two\n");
        let specs: Vec<_> = envelope.from.iter().filter_map(EnvelopeAddress::spec).collect();
        assert_eq!(specs, [b"a@example.org", b"b@example.org"]);
        assert_eq!(envelope.subject.as_deref(), Some(b"one".as_slice()));
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let envelope = read(&format!("Subject: x{}\n", "é".repeat(limits::STRUCTURE_VALUE_OCTETS_MAX)));
        let subject = envelope.subject.unwrap();
        assert!(
            subject.len() < limits::STRUCTURE_VALUE_OCTETS_MAX
                && subject.len() > limits::STRUCTURE_VALUE_OCTETS_MAX - 3
        );
        assert!(String::from_utf8(subject).is_ok());
    }
}
