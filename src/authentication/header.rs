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
    /// Splits a message. `None` where its header is larger than any signature is worth.
    pub(super) fn read(raw: &'a [u8]) -> Option<Self> {
        let (header, body) = split(raw);
        if header.len() > limits::SIGNED_HEADER_OCTETS_MAX {
            return None;
        }
        let all = header_fields(header).map(|field| (field.name, field.value));
        let fields: Vec<_> = all.take(limits::SIGNED_HEADER_FIELDS_MAX + 1).collect();
        (fields.len() <= limits::SIGNED_HEADER_FIELDS_MAX).then_some(Self { fields, body })
    }

    /// The fields of a name, from the top.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.iter().copied().filter(move |field| field.0.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Header and body, without the empty line between them.
pub(super) fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let line_starts = std::iter::once(0).chain(memchr_iter(b'\n', raw).map(|line_end| line_end + 1));
    for start in line_starts {
        let (header, rest) = raw.split_at_checked(start).unwrap_or((raw, b""));
        if let Some(body) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
            return (header, body);
        }
    }
    (raw, b"")
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
        let mut from = header_fields(raw).filter(|field| field.is("From"));
        let (Some(field), None) = (from.next(), from.next()) else { return Self::Unclear };
        if field.whole.len() > limits::FROM_OCTETS_MAX {
            return Self::Unclear;
        }
        let authors = analyse(field.whole).envelope.from;
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
        for (raw, header, body) in [
            ("A: 1\r\n\r\nb\r\n\r\nc", "A: 1\r\n", "b\r\n\r\nc"),
            ("A: 1\n\nb", "A: 1\n", "b"),
            ("A: 1\r\n", "A: 1\r\n", ""),
            ("\r\nb", "", "b"),
            ("", "", ""),
            ("A: 1\r\n \r\nb", "A: 1\r\n \r\nb", ""),
        ] {
            assert_eq!(split(raw.as_bytes()), (header.as_bytes(), body.as_bytes()), "{raw:?}");
        }
    }

    #[test]
    fn a_header_beyond_measure_is_not_read() {
        let many = "A: 1\r\n".repeat(limits::SIGNED_HEADER_FIELDS_MAX);
        assert!(SignedMessage::read(many.as_bytes()).is_some());
        assert!(SignedMessage::read(format!("{many}B: 1\r\n").as_bytes()).is_none());
        let long = format!("A: {}\r\n", "x".repeat(limits::SIGNED_HEADER_OCTETS_MAX));
        assert!(SignedMessage::read(long.as_bytes()).is_none());
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
