//! Undoing content transfer encodings, piece by piece (RFC 2045 §6, RFC 3516).
//!
//! Promises: any octets give some octets; memory does not grow with the part. Octets that an encoding does not
//! allow are passed over, as RFC 2045 §6.8 asks for base64.

/// A transfer encoding that is being undone.
pub(crate) enum Decoder {
    /// 7bit, 8bit, binary.
    Identity,
    /// base64
    Base64 {
        /// Bits that do not make an octet yet.
        bits: u32,
        /// How many.
        count: u32,
    },
    /// quoted-printable
    QuotedPrintable {
        /// What was read of an escape or of white space that may end its line.
        held: Vec<u8>,
    },
}

/// White space at the end of a line that is held back at most; beyond it is content.
const HELD_OCTETS_MAX: usize = 1000;

impl Decoder {
    /// The decoder of an encoding; `None` where it is not known.
    pub(crate) fn new(encoding: &str) -> Option<Self> {
        Some(match encoding {
            "7bit" | "8bit" | "binary" | "" => Self::Identity,
            "base64" => Self::Base64 { bits: 0, count: 0 },
            "quoted-printable" => Self::QuotedPrintable { held: Vec::new() },
            _ => return None,
        })
    }

    /// Takes a piece and writes what it means.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(piece),
            Self::Base64 { bits, count } => {
                for digit in piece.iter().filter_map(|octet| base64_digit(*octet)) {
                    *bits = (*bits << 6 | digit) & 0xffff;
                    *count += 6;
                    if *count >= 8 {
                        *count -= 8;
                        out.push(u8::try_from(*bits >> *count & 0xff).unwrap_or(0));
                    }
                }
            }
            Self::QuotedPrintable { held } => piece.iter().for_each(|octet| quoted_printable(held, *octet, out)),
        }
    }

    /// Writes what was held back.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        if let Self::QuotedPrintable { held } = self {
            // White space at the very end, or an escape that was cut off; a lone `=` is a soft line end.
            let text = if held.starts_with(b"=") && held.len() == 1 { &[][..] } else { &held };
            out.extend_from_slice(text);
        }
    }
}

fn base64_digit(octet: u8) -> Option<u32> {
    Some(u32::from(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// One octet of quoted-printable. `held` is empty, white space, or the beginning of an escape.
fn quoted_printable(held: &mut Vec<u8>, octet: u8, out: &mut Vec<u8>) {
    if held.first() == Some(&b'=') {
        return escape(held, octet, out);
    }
    match octet {
        b'=' => {
            out.append(held);
            held.push(octet);
        }
        b' ' | b'\t' if held.len() < HELD_OCTETS_MAX => held.push(octet),
        // White space before a line end is not part of the text (RFC 2045 §6.7, rule 3).
        b'\r' | b'\n' => {
            held.clear();
            out.push(octet);
        }
        _ => {
            out.append(held);
            out.push(octet);
        }
    }
}

fn escape(held: &mut Vec<u8>, octet: u8, out: &mut Vec<u8>) {
    let hex = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match (held.get(1).copied(), octet) {
        // A soft line end: `=`, white space, CRLF.
        (_, b'\n') => held.clear(),
        (None | Some(b' ' | b'\t' | b'\r'), b' ' | b'\t' | b'\r') if held.len() < HELD_OCTETS_MAX => held.push(octet),
        (None, _) if hex(octet).is_some() => held.push(octet),
        (Some(first), _) if hex(first).is_some() && hex(octet).is_some() => {
            held.clear();
            out.push(hex(first).unwrap_or(0) << 4 | hex(octet).unwrap_or(0));
        }
        // No escape after all: the octets stand for themselves.
        _ => {
            out.append(held);
            quoted_printable(held, octet, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn decoded(encoding: &str, text: &[u8], piece: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding).unwrap();
        let mut out = Vec::new();
        text.chunks(piece).for_each(|piece| decoder.push(piece, &mut out));
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn quoted_printable_reads_as_rfc_2045_says() {
        for (text, meant) in [
            (&b"a=3Db"[..], &b"a=b"[..]),
            (b"a=3db=\r\nc", b"a=bc"),
            (b"a= \t\r\nc", b"ac"),
            (b"a  \r\nb \t", b"a\r\nb \t"),
            (b"a b", b"a b"),
            (b"=00=FF", b"\0\xff"),
            (b"=G1 =1", b"=G1 =1"),
            (b"==41", b"=A"),
            (b"end=", b"end"),
            (b"=4=41", b"=4A"),
        ] {
            for piece in [1, 3, 100] {
                assert_eq!(decoded("quoted-printable", text, piece), meant, "{}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn base64_passes_over_what_it_is_not() {
        let octets: Vec<u8> = (0..=255).collect();
        let text = STANDARD.encode(&octets);
        let folded = text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..]);
        for piece in [1, 5, 1000] {
            assert_eq!(decoded("base64", &folded, piece), octets);
        }
        assert_eq!(decoded("base64", b"QU!JD\r\n", 2), b"ABC");
        assert_eq!(decoded("base64", b"QQ==", 1), b"A");
    }

    #[test]
    fn unknown_encodings_are_named() {
        assert!(Decoder::new("x-uuencode").is_none());
        assert_eq!(decoded("8bit", b"\0\xff", 1), b"\0\xff");
    }
}
