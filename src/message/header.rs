//! Header sections as fields (RFC 5322 §2.2), tolerant of what is no field.

use memchr::memchr;

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

impl<'a> HeaderField<'a> {
    /// Whether this is the field called `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Reads one field from its lines; `None` where they are no field.
    ///
    /// A name with a space inside is none, so that `Fr om:` is never taken for From by us and
    /// for nothing by a signature's verifier. Space before the colon is obsolete syntax and
    /// allowed (RFC 5322 §4.5).
    fn read(whole: &'a [u8]) -> Option<Self> {
        let colon = memchr(b':', whole)?;
        let name = whole.get(..colon)?.trim_ascii_end();
        let value = whole.get(colon + 1..)?;
        let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        valid.then_some(Self { name, value, whole })
    }
}

/// The header fields of a header section, in order: name as written, and the raw value between the
/// colon and the line end, folding included. Lines that are no field (RFC 5322 §2.2) are skipped,
/// with the folded lines that continue them. Ends at the first empty line.
pub fn header_fields(header: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    Fields { rest: header }
}

/// The Received fields of a message, by which a mail loop is seen (RFC 5321 §6.3).
pub fn received_count(raw: &[u8]) -> usize {
    header_fields(raw).filter(|field| field.is("Received")).count()
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = HeaderField<'a>;

    fn next(&mut self) -> Option<HeaderField<'a>> {
        while !self.rest.is_empty() && !starts_with_empty_line(self.rest) {
            let (whole, rest) = self.rest.split_at_checked(folded_line_octets(self.rest))?;
            self.rest = rest;
            if let Some(field) = HeaderField::read(whole) {
                return Some(field);
            }
        }
        None
    }
}

fn starts_with_empty_line(octets: &[u8]) -> bool {
    octets.starts_with(b"\n") || octets.starts_with(b"\r\n")
}

/// Octets of the first line and of the folded lines after it, line ends included.
fn folded_line_octets(octets: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let rest = octets.get(end..).unwrap_or_default();
        end += memchr(b'\n', rest).map_or(rest.len(), |line_end| line_end + 1);
        if !matches!(octets.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

/// A field's value on one line (RFC 5322 §2.2.3): without line ends, without NUL, without white space
/// at its ends.
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    let breaks = |octet: &u8| matches!(octet, b'\r' | b'\n' | 0);
    let value = value.trim_ascii();
    if value.iter().any(breaks) {
        value.iter().copied().filter(|octet| !breaks(octet)).collect()
    } else {
        value.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &[(&str, &str)]) {
        let fields: Vec<(String, String)> = header_fields(header.as_bytes())
            .map(|field| {
                let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                (text(field.name), text(&unfold(field.value)))
            })
            .collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn fields_are_read_with_any_line_end() {
        check("A: 1\r\nB:2\nC:\r\n\r\nD: body", &[("A", "1"), ("B", "2"), ("C", "")]);
        check("A: 1\n folded\r\n\tagain \n\nbody: x", &[("A", "1 folded\tagain")]);
        check("A: last", &[("A", "last")]);
    }

    #[test]
    fn what_is_no_field_is_skipped_with_its_folding() {
        check("From alice Mon Jan  1 00:00:00 2024\nA: 1\n", &[("A", "1")]);
        check("Fr om: x\n y\nA: 1\nno colon\n: no name\nB : 2\n", &[("A", "1"), ("B", "2")]);
        check(" starts folded: x\nA: 1\n", &[("A", "1")]);
    }

    #[test]
    fn line_ends_and_nul_leave_the_value() {
        assert_eq!(unfold(b" a\r\n b\0c\rd \r\n"), b"a bcd");
    }

    #[test]
    fn whole_fields_join_to_the_header() {
        let header = b"A: 1\r\nB: 2\n c\r\nC: 3\n\n";
        let whole: Vec<u8> = header_fields(header).flat_map(|field| field.whole.to_vec()).collect();
        assert_eq!([whole.as_slice(), b"\n"].concat(), header);
    }

    #[test]
    fn received_fields_are_counted_in_the_header_only() {
        assert_eq!(received_count(b"Received: a\r\nX: y\r\nRECEIVED: b\r\n\r\nReceived: c\r\n"), 2);
    }
}
