//! What the header of a message says that matters here: read once, and by one rule for every check, so that no two of
//! them can see different fields.

use crate::{
    limits,
    mail::Domain,
    message::{analyse, header_fields},
};
use memchr::memchr_iter;

/// A message as its signatures see it.
pub(super) struct SignedMessage<'a> {
    /// Name and value of each field, the value with its folding and final line end.
    pub(super) fields: Vec<(&'a [u8], &'a [u8])>,
    /// What follows the empty line.
    pub(super) body: &'a [u8],
}

impl<'a> SignedMessage<'a> {
    /// Splits a message. `None` where its header is larger than any signature is worth; no more of it is looked at than that.
    pub(super) fn read(raw: &'a [u8]) -> Option<Self> {
        let looked_at = raw.get(..limits::SIGNED_HEADER_OCTETS_MAX).unwrap_or(raw);
        let (header, body_start) = match header_end(looked_at) {
            Some(end) => end,
            None if looked_at.len() == raw.len() => (raw, raw.len()),
            None => return None,
        };
        let all = header_fields(header).map(|field| (field.name, field.value));
        let fields: Vec<_> = all.take(limits::SIGNED_HEADER_FIELDS_MAX + 1).collect();
        let body = raw.get(body_start..).unwrap_or_default();
        (fields.len() <= limits::SIGNED_HEADER_FIELDS_MAX).then_some(Self { fields, body })
    }

    /// The fields of a name, from the top.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.iter().copied().filter(move |field| field.0.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The header before the first empty line, and where the body begins after it.
pub(super) fn header_end(raw: &[u8]) -> Option<(&[u8], usize)> {
    let line_starts = std::iter::once(0).chain(memchr_iter(b'\n', raw).map(|line_end| line_end + 1));
    for start in line_starts {
        let (header, rest) = raw.split_at_checked(start)?;
        match rest {
            [b'\r', b'\n', ..] => return Some((header, start + 2)),
            [b'\n', ..] => return Some((header, start + 1)),
            _ => {}
        }
    }
    None
}

/// Who From says that a message is from, as far as DMARC is concerned (RFC 9989 §5.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// Every author is of this domain.
    Of(Domain),
    /// Authors of several domains, or an address literal: no policy applies.
    Exempt,
    /// No From field or more than one, or none of its addresses can be read: nothing can be said, and nothing passes.
    Unclear,
}

impl Author {
    pub(super) fn of(raw: &[u8]) -> Self {
        let Some(message) = SignedMessage::read(raw) else { return Self::Unclear };
        let mut from = message.named("From");
        let (Some((_, value)), None) = (from.next(), from.next()) else { return Self::Unclear };
        if value.len() > limits::FROM_OCTETS_MAX {
            return Self::Unclear;
        }
        let authors = analyse(&[b"From:", value].concat()).envelope.from;
        let domains = authors.iter().filter_map(|author| author.host.as_ref()).map(|host| domain(host));
        match domains.collect::<Option<Vec<_>>>().as_deref() {
            Some([first, others @ ..]) if first.literal().is_none() && others.iter().all(|other| other == first) => {
                Self::Of(first.clone())
            }
            Some([_, ..]) => Self::Exempt,
            Some([]) | None => Self::Unclear,
        }
    }
}

fn domain(host: &[u8]) -> Option<Domain> {
    std::str::from_utf8(host).ok()?.parse().ok()
}

/// The domain of the authors in From, where there is exactly one From field and all its authors are of one domain.
pub fn header_from_domain(raw_header: &[u8]) -> Option<Domain> {
    match Author::of(raw_header) {
        Author::Of(domain) => Some(domain),
        Author::Exempt | Author::Unclear => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_at_its_first_empty_line() {
        for (raw, fields, body) in [
            ("A: 1\r\n\r\nb\r\n\r\nc", 1, "b\r\n\r\nc"),
            ("A: 1\n\nb", 1, "b"),
            ("A: 1\r\n", 1, ""),
            ("\r\nB: 1", 0, "B: 1"),
            ("", 0, ""),
            ("A: 1\r\n \r\nB: 2", 2, ""),
        ] {
            let message = SignedMessage::read(raw.as_bytes()).unwrap();
            assert_eq!((message.fields.len(), message.body), (fields, body.as_bytes()), "{raw:?}");
        }
    }

    #[test]
    fn a_header_beyond_measure_is_not_read() {
        let many = "A: 1\r\n".repeat(limits::SIGNED_HEADER_FIELDS_MAX);
        assert!(SignedMessage::read(many.as_bytes()).is_some());
        assert!(SignedMessage::read(format!("{many}B: 1\r\n").as_bytes()).is_none());
        let long = format!("A: {}\r\n\r\n", "x".repeat(limits::SIGNED_HEADER_OCTETS_MAX));
        assert!(SignedMessage::read(long.as_bytes()).is_none());
        let large_body = format!("A: 1\r\n\r\n{}", "x".repeat(limits::SIGNED_HEADER_OCTETS_MAX));
        assert!(SignedMessage::read(large_body.as_bytes()).is_some());
    }

    #[track_caller]
    fn author(header: &str, expected: Author) {
        assert_eq!(Author::of(header.as_bytes()), expected, "{header:?}");
    }

    #[test]
    fn authors_of_one_domain_have_it() {
        let domain = || Author::Of("example.org".parse().unwrap());
        author("From: a@example.org\r\n\r\n", domain());
        author("from : \"b@example.net\" <a@Example.ORG>\r\n\r\n", domain());
        author("From: a@example.org, B <b@example.org>\r\n\r\n", domain());
        author("From: g: a@example.org;\r\n\r\n", domain());
        author("From: a@παράδειγμα.gr\r\n\r\n", Author::Of("xn--hxajbheg2az3al.gr".parse().unwrap()));
    }

    #[test]
    fn several_domains_are_exempt_and_an_unclear_author_is_nobody() {
        author("From: a@example.org, b@example.net\r\n\r\n", Author::Exempt);
        author("From: a@[192.0.2.1]\r\n\r\n", Author::Exempt);
        author("From: a@example.org\r\nFrom: b@example.net\r\n\r\n", Author::Unclear);
        author("From: a@example.org\r\nFROM: a@example.org\r\n\r\n", Author::Unclear);
        author("Subject: x\r\n\r\nFrom: a@example.org\r\n", Author::Unclear);
        author("From: nobody\r\n\r\n", Author::Unclear);
        author("From: \r\n\r\n", Author::Unclear);
        author("From: a@ex ample..org\r\n\r\n", Author::Unclear);
    }

    /// A line that is no field is taken for From by nobody.
    #[test]
    fn a_name_with_a_space_is_not_from() {
        author("Fr om: a@example.org\r\n\r\n", Author::Unclear);
        author("Fr om: b@example.net\r\nFrom: a@example.org\r\n\r\n", Author::Of("example.org".parse().unwrap()));
    }
}
