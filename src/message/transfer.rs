//! Content-Transfer-Encoding undone (RFC 2045 §6), leniently: what is no part of the encoding is
//! skipped in base64 and kept in quoted-printable. The result is never longer than the input.

use super::Part;
use memchr::memchr;
use std::borrow::Cow;

/// The body of a leaf with its transfer encoding undone. An unknown encoding is left alone.
pub fn decode_part<'a>(raw: &'a [u8], part: &Part) -> Cow<'a, [u8]> {
    decode_body(part.body.of(raw), &part.encoding)
}

/// Undoes a transfer encoding by its name in lower case.
pub(super) fn decode_body<'a>(body: &'a [u8], encoding: &str) -> Cow<'a, [u8]> {
    match encoding {
        "base64" => Cow::Owned(base64(body)),
        "quoted-printable" => Cow::Owned(quoted_printable(body)),
        "x-uuencode" | "x-uue" | "uuencode" => Cow::Owned(uuencoded(body)),
        _ => Cow::Borrowed(body),
    }
}

/// Whether the octets of a body in this encoding are the content itself (RFC 2045 §6.2).
pub(super) fn is_identity(encoding: &str) -> bool {
    !matches!(encoding, "base64" | "quoted-printable" | "x-uuencode" | "x-uue" | "uuencode")
}

/// No base64 digit.
const NONE: u8 = 0xff;

static BASE64: [u8; 256] = base64_digits();

const fn base64_digits() -> [u8; 256] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut value = 0;
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time: an index out of bounds does not build")]
    while value < 64 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
}

/// The value of a base64 digit.
pub(super) fn base64_value(octet: u8) -> Option<u8> {
    BASE64.get(usize::from(octet)).copied().filter(|value| *value != NONE)
}

/// Base64 (RFC 2045 §6.8). Octets that are no digits are skipped; padding ends a group, and more may
/// follow it, since mailers join encoded pieces.
pub(super) fn base64(octets: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(octets.len() / 4 * 3 + 3);
    let mut group = Group::default();
    let mut rest = octets;
    while !rest.is_empty() {
        if group.digits == 0 {
            rest = whole_groups(rest, &mut decoded);
        }
        // What is no whole group: a line end, padding, debris, the end.
        let Some((first, after)) = rest.split_first() else { break };
        group.take(*first, &mut decoded);
        rest = after;
    }
    group.end(&mut decoded);
    decoded
}

/// Decodes groups of four digits up to the first octet that is none, and returns the rest.
fn whole_groups<'a>(octets: &'a [u8], decoded: &mut Vec<u8>) -> &'a [u8] {
    let (groups, _) = octets.as_chunks::<4>();
    let mut used = 0;
    for [a, b, c, d] in groups {
        let value = |octet: &u8| u32::from(BASE64.get(usize::from(*octet)).copied().unwrap_or(NONE));
        let (a, b, c, d) = (value(a), value(b), value(c), value(d));
        if a | b | c | d > 63 {
            break;
        }
        let [_, first, second, third] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        decoded.extend_from_slice(&[first, second, third]);
        used += 4;
    }
    octets.get(used..).unwrap_or_default()
}

/// Digits of a group that is not complete.
#[derive(Default)]
struct Group {
    bits: u32,
    digits: u32,
}

impl Group {
    fn take(&mut self, octet: u8, decoded: &mut Vec<u8>) {
        if let Some(value) = base64_value(octet) {
            self.bits = self.bits << 6 | u32::from(value);
            self.digits += 1;
            if self.digits == 4 {
                self.end(decoded);
            }
        } else if octet == b'=' {
            self.end(decoded);
        }
    }

    fn end(&mut self, decoded: &mut Vec<u8>) {
        let [_, first, second, third] = (self.bits << (6 * (4 - self.digits.min(4)))).to_be_bytes();
        let octets = [first, second, third];
        // Two digits hold one octet, three hold two; one alone holds none.
        let complete = usize::try_from(self.digits.saturating_sub(1)).unwrap_or_default();
        decoded.extend(octets.iter().take(complete));
        *self = Self::default();
    }
}

/// Quoted-printable (RFC 2045 §6.7). An `=` that begins nothing known is kept.
pub(super) fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(equals) = memchr(b'=', rest) {
        decoded.extend_from_slice(rest.get(..equals).unwrap_or_default());
        rest = rest.get(equals + 1..).unwrap_or_default();
        if let Some(octet) = rest.first_chunk().and_then(hex_octet) {
            decoded.push(octet);
            rest = rest.get(2..).unwrap_or_default();
        } else if let Some(after) = after_line_end(rest) {
            rest = after;
        } else {
            decoded.push(b'=');
        }
    }
    decoded.extend_from_slice(rest);
    decoded
}

/// What follows a line end, white space before it skipped (RFC 2045 §6.7, transport padding); `None`
/// where there is none. The end of the text counts as one.
fn after_line_end(octets: &[u8]) -> Option<&[u8]> {
    let padding = octets.iter().take_while(|octet| matches!(octet, b' ' | b'\t' | b'\r')).count();
    let rest = octets.get(padding..)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"\n") }
}

/// The octet that two hexadecimal digits stand for.
pub(super) fn hex_octet(digits: &[u8; 2]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let [high, low] = *digits;
    Some(value(high)? << 4 | value(low)?)
}

/// Uuencode between `begin` and `end`; without them there is nothing to decode and all is kept.
fn uuencoded(octets: &[u8]) -> Vec<u8> {
    let mut lines = octets.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
    if !lines.any(|line| line.starts_with(b"begin ")) {
        return octets.to_vec();
    }
    let mut decoded = Vec::with_capacity(octets.len() / 4 * 3);
    for line in lines.take_while(|line| *line != b"end") {
        uuencoded_line(line, &mut decoded);
    }
    decoded
}

fn uuencoded_line(line: &[u8], decoded: &mut Vec<u8>) {
    let value = |octet: u8| u32::from(octet.wrapping_sub(32) & 63);
    let Some((length, digits)) = line.split_first() else { return };
    // A lost trailing space was a zero; the length says how many octets count.
    let length = usize::try_from(value(*length)).unwrap_or_default().min(digits.len());
    let mut octets = Vec::with_capacity(48);
    for group in digits.chunks(4) {
        let mut values = group.iter().copied().map(value).chain(std::iter::repeat(0));
        let bits = (0..4).fold(0, |bits, _| bits << 6 | values.next().unwrap_or_default());
        octets.extend(bits.to_be_bytes().iter().skip(1));
    }
    decoded.extend(octets.iter().take(length));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(encoding: &str, encoded: &str, decoded: &str) {
        let octets = decode_body(encoded.as_bytes(), encoding);
        assert_eq!(String::from_utf8_lossy(&octets), decoded, "{encoded:?}");
    }

    #[test]
    fn base64_is_read_through_debris() {
        check("base64", "aGVs\r\nbG8=\r\n", "hello");
        check("base64", "aGVsbG8", "hello");
        check("base64", "a!G V*s\nbG8=", "hello");
        check("base64", "aGVsbG8=aGVsbG8=", "hellohello");
        check("base64", "a", "");
        check("base64", "====", "");
    }

    #[test]
    fn quoted_printable_keeps_what_it_does_not_know() {
        check("quoted-printable", "a=3Db=\r\nc=  \nd=E2=82=ac", "a=bcd€");
        check("quoted-printable", "a=zz =+1 =", "a=zz =+1 ");
        check("quoted-printable", "end=4", "end=4");
    }

    #[test]
    fn uuencode_is_read_between_its_marks() {
        check("x-uuencode", "text\nbegin 644 a.txt\n%:&5L;&\\\n`\nend\nrest", "hello");
        check("x-uuencode", "no mark", "no mark");
    }

    #[test]
    fn other_encodings_are_left_alone() {
        check("8bit", "a=3D", "a=3D");
        check("x-unknown", "aGVsbG8=", "aGVsbG8=");
    }

    proptest! {
        #[test]
        fn base64_undoes_base64(octets in proptest::collection::vec(any::<u8>(), 0..400), width in 1_usize..100) {
            use ::base64::Engine;
            let encoded = ::base64::engine::general_purpose::STANDARD.encode(&octets);
            let lines: Vec<u8> = encoded.as_bytes().chunks(width).flat_map(|line| [line, b"\r\n"].concat()).collect();
            prop_assert_eq!(base64(&lines), octets);
        }

        #[test]
        fn quoted_printable_undoes_escapes(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let encoded: String = octets.iter().map(|octet| format!("={octet:02X}")).collect();
            prop_assert_eq!(quoted_printable(encoded.as_bytes()), octets);
        }

        #[test]
        fn decoding_never_grows(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            for encoding in ["base64", "quoted-printable", "x-uuencode"] {
                let body = [b"begin \n".as_slice(), &octets].concat();
                prop_assert!(decode_body(&body, encoding).len() <= body.len());
            }
        }
    }
}
