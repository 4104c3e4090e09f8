//! The form in which an [`Analysis`] is kept in a message record.
//!
//! It is read on every FETCH of ENVELOPE or BODYSTRUCTURE and there is one for each message, so it is small:
//! numbers are as short as they can be, offsets count from the parent's body, and lists of addresses that repeat From are
//! not repeated. On disk:
//!
//! ```text
//! analysis  = VERSION part envelope sent-seconds? sent-day? preview
//! part      = start header-octets body-octets lines type subtype parameter* content-id? description?
//!             encoding md5? disposition? language* location? inside
//! inside    = 0 | 1 part* | 2 envelope part
//! envelope  = date? subject? from* sender to* ... (sender and reply-to: 0 as From, or 1 and a list)
//! x?        = 0 | 1 x        x* = number x...        string = number octets
//! number    = LEB128; signed ones zigzag
//! ```

use super::{Analysis, Body, Envelope, EnvelopeAddress, Part, Span};
use crate::limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Changes with the form. Every older form must stay readable.
const VERSION: u8 = 1;

impl Analysis {
    /// The form kept in a message record.
    pub fn to_stored(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_part(&self.root, 0, &mut out);
        write_envelope(&self.envelope, &mut out);
        write_option(self.sent_seconds.as_ref(), &mut out, |seconds, out| write_signed(*seconds, out));
        write_option(self.sent_day.as_ref(), &mut out, |day, out| write_signed(i64::from(*day), out));
        write_octets(self.preview.as_bytes(), &mut out);
        out
    }

    /// Reads the form kept in a message record; `None` where it is damaged or of an unknown version.
    pub fn from_stored(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader { rest: octets.strip_prefix(&[VERSION])? };
        let analysis = Self {
            root: reader.part(0, 0)?,
            envelope: reader.envelope()?,
            sent_seconds: reader.option(Reader::signed)?,
            sent_day: reader.option(|reader| i32::try_from(reader.signed()?).ok())?,
            preview: reader.text()?,
        };
        reader.rest.is_empty().then_some(analysis)
    }
}

/// Serialised as its stored form: octets, or base64 in formats for people.
impl Serialize for Analysis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine;
        let stored = self.to_stored();
        if serializer.is_human_readable() {
            return serializer.serialize_str(&base64::engine::general_purpose::STANDARD_NO_PAD.encode(stored));
        }
        serializer.serialize_bytes(&stored)
    }
}

impl<'de> Deserialize<'de> for Analysis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = if deserializer.is_human_readable() {
            super::transfer::base64(String::deserialize(deserializer)?.as_bytes())
        } else {
            Vec::<u8>::deserialize(deserializer)?
        };
        Self::from_stored(&stored).ok_or_else(|| D::Error::custom("not a stored analysis of a known version"))
    }
}

fn write_part(part: &Part, base: u64, out: &mut Vec<u8>) {
    write_number(part.header.start.saturating_sub(base), out);
    write_number(part.header.octets(), out);
    write_number(part.body.octets(), out);
    write_number(part.lines, out);
    write_text(&part.media_type, out);
    write_text(&part.media_subtype, out);
    write_parameters(&part.parameters, out);
    write_option(part.content_id.as_ref(), out, write_text);
    write_option(part.description.as_ref(), out, write_text);
    write_text(&part.encoding, out);
    write_option(part.md5.as_ref(), out, write_text);
    write_option(part.disposition.as_ref(), out, |(kind, parameters), out| {
        write_text(kind, out);
        write_parameters(parameters, out);
    });
    write_list(&part.language, out, write_text);
    write_option(part.location.as_ref(), out, write_text);
    match &part.content {
        Body::Leaf => out.push(0),
        Body::Multipart(parts) => {
            out.push(1);
            write_list(parts, out, |inside, out| write_part(inside, part.body.start, out));
        }
        Body::Message(envelope, inside) => {
            out.push(2);
            write_envelope(envelope, out);
            write_part(inside, part.body.start, out);
        }
    }
}

fn write_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    let Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id } = envelope;
    for value in [date, subject, in_reply_to, message_id] {
        write_option(value.as_ref(), out, |value, out| write_octets(value, out));
    }
    for list in [from, to, cc, bcc] {
        write_list(list, out, write_address);
    }
    for list in [sender, reply_to] {
        write_option(Some(list).filter(|list| *list != from), out, |list, out| write_list(list, out, write_address));
    }
}

fn write_address(address: &EnvelopeAddress, out: &mut Vec<u8>) {
    for value in [&address.name, &address.route, &address.mailbox, &address.host] {
        write_option(value.as_ref(), out, |value, out| write_octets(value, out));
    }
}

fn write_parameters(parameters: &[(String, String)], out: &mut Vec<u8>) {
    write_list(parameters, out, |(name, value), out| {
        write_text(name, out);
        write_text(value, out);
    });
}

fn write_list<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    write_number(items.len() as u64, out);
    for item in items {
        write(item, out);
    }
}

fn write_option<T>(value: Option<&T>, out: &mut Vec<u8>, write: impl FnOnce(&T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

fn write_text(text: &String, out: &mut Vec<u8>) {
    write_octets(text.as_bytes(), out);
}

fn write_octets(octets: &[u8], out: &mut Vec<u8>) {
    write_number(octets.len() as u64, out);
    out.extend_from_slice(octets);
}

fn write_signed(number: i64, out: &mut Vec<u8>) {
    write_number(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads forward; `None` where the octets are none that were written.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn part(&mut self, base: u64, depth: usize) -> Option<Part> {
        if depth > limits::MIME_DEPTH_MAX {
            return None;
        }
        let header_start = base.checked_add(self.number()?)?;
        let body_start = header_start.checked_add(self.number()?)?;
        let body_end = body_start.checked_add(self.number()?)?;
        Some(Part {
            header: Span { start: header_start, end: body_start },
            body: Span { start: body_start, end: body_end },
            lines: self.number()?,
            media_type: self.text()?,
            media_subtype: self.text()?,
            parameters: self.parameters()?,
            content_id: self.option(Self::text)?,
            description: self.option(Self::text)?,
            encoding: self.text()?,
            md5: self.option(Self::text)?,
            disposition: self.option(|reader| Some((reader.text()?, reader.parameters()?)))?,
            language: self.list(Self::text)?,
            location: self.option(Self::text)?,
            content: self.inside(body_start, depth + 1)?,
        })
    }

    fn inside(&mut self, base: u64, depth: usize) -> Option<Body> {
        match self.octet()? {
            0 => Some(Body::Leaf),
            1 => Some(Body::Multipart(self.list(|reader| reader.part(base, depth))?)),
            2 => Some(Body::Message(Box::new(self.envelope()?), Box::new(self.part(base, depth)?))),
            _ => None,
        }
    }

    fn envelope(&mut self) -> Option<Envelope> {
        let mut text = || self.option(|reader| Some(reader.octets()?.to_vec()));
        let (date, subject, in_reply_to, message_id) = (text()?, text()?, text()?, text()?);
        let mut list = || self.list(Self::address);
        let (from, to, cc, bcc) = (list()?, list()?, list()?, list()?);
        let mut other = || Some(self.option(|reader| reader.list(Self::address))?.unwrap_or_else(|| from.clone()));
        let (sender, reply_to) = (other()?, other()?);
        Some(Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id })
    }

    fn address(&mut self) -> Option<EnvelopeAddress> {
        let mut piece = || self.option(|reader| Some(reader.octets()?.to_vec()));
        Some(EnvelopeAddress { name: piece()?, route: piece()?, mailbox: piece()?, host: piece()? })
    }

    fn parameters(&mut self) -> Option<Vec<(String, String)>> {
        self.list(|reader| Some((reader.text()?, reader.text()?)))
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // The number is not trusted with memory: each item takes an octet at least, and is read first.
        (0..self.number()?).map(|_| read(self)).collect()
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.octet()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.octets()?.to_vec()).ok()
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (octets, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(octets)
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*octet)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::analyse, *};
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"From: a@example.org\r\nReply-To: b@example.org\r\nDate: 1 Jan 1960 00:00:00 +0000\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Language: de\r\n\
        Content-Disposition: inline; filename=x\r\n\r\nSubject: inside\r\n\r\ntext\r\n--b--\r\n";

    #[test]
    fn reading_undoes_writing() {
        let analysis = analyse(MESSAGE);
        assert_eq!(Analysis::from_stored(&analysis.to_stored()), Some(analysis.clone()));
        let json = serde_json::to_string(&analysis).unwrap();
        assert_eq!(serde_json::from_str::<Analysis>(&json).unwrap(), analysis);
    }

    #[test]
    fn damaged_and_unknown_forms_are_refused() {
        let stored = analyse(MESSAGE).to_stored();
        for end in 0..stored.len() {
            assert_eq!(Analysis::from_stored(&stored[..end]), None, "{end}");
        }
        assert_eq!(Analysis::from_stored(&[&stored, [0].as_slice()].concat()), None);
        let newer = [&[VERSION + 1], &stored[1..]].concat();
        assert_eq!(Analysis::from_stored(&newer), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(number in any::<u64>(), signed in any::<i64>()) {
            let mut out = Vec::new();
            write_number(number, &mut out);
            write_signed(signed, &mut out);
            let mut reader = Reader { rest: &out };
            prop_assert_eq!((reader.number(), reader.signed()), (Some(number), Some(signed)));
        }

        #[test]
        fn any_octets_are_read_without_harm(at in 0_usize..200, octet in any::<u8>()) {
            let mut stored = analyse(MESSAGE).to_stored();
            if let Some(place) = stored.get_mut(at) {
                *place = octet;
            }
            Analysis::from_stored(&stored);
        }
    }
}
