//! Header values as text: encoded-words (RFC 2047, RFC 2231 §5) and raw 8-bit octets.

use super::{charset, header::unfold, transfer};
use memchr::memmem;

/// Decodes a header field's value: unfolded, RFC 2047 encoded-words decoded, raw 8-bit octets as UTF-8 where
/// they are valid and as windows-1252 (a superset of Latin-1) otherwise. The result has no line end and no NUL.
///
/// Encoded-words are decoded wherever they stand, in quoted strings too, since senders put them there.
/// Neighbours in one charset are joined before they are decoded: many senders cut between the
/// octets of one character.
pub fn decode_header_value(value: &[u8]) -> String {
    let value = unfold(value);
    if memmem::find(&value, b"=?").is_none() {
        return charset::guess(&value).into_owned();
    }
    // Behind the last `?=` no word ends. Knowing where that is keeps this linear.
    let words_end = memmem::rfind(&value, b"?=").map_or(0, |last| last + 2);
    let (mut rest, tail) = value.split_at_checked(words_end).unwrap_or((&value, &[]));
    let mut text = Text::default();
    while let Some(start) = memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        text.push_raw(before);
        rest = match EncodedWord::read(from) {
            Some((word, after)) => {
                text.push_word(&word);
                after
            }
            None => {
                text.push_raw(b"=?");
                from.get(2..).unwrap_or_default()
            }
        };
    }
    text.push_raw(&[rest, tail].concat());
    text.finish()
}

/// One encoded-word: `=?charset*language?encoding?text?=`.
pub(super) struct EncodedWord<'a> {
    charset: &'a [u8],
    is_base64: bool,
    encoded: &'a [u8],
}

impl<'a> EncodedWord<'a> {
    /// Reads the word that `octets` begins with. Spaces inside are let through (RFC 2047 §2 forbids
    /// them), because senders write them.
    pub(super) fn read(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        /// Longer than any charset's name with a language.
        const CHARSET_OCTETS_MAX: usize = 80;
        let inside = octets.strip_prefix(b"=?")?;
        let end = inside.iter().take(CHARSET_OCTETS_MAX).position(|octet| *octet == b'?')?;
        let (label, rest) = inside.split_at_checked(end)?;
        let (encoding, text) = match rest {
            [b'?', encoding, b'?', text @ ..] => (encoding.to_ascii_lowercase(), text),
            _ => return None,
        };
        if label.is_empty() || !label.iter().all(u8::is_ascii_graphic) || !matches!(encoding, b'b' | b'q') {
            return None;
        }
        let end = memmem::find(text, b"?=")?;
        let charset = label.split(|octet| *octet == b'*').next().unwrap_or_default();
        let word = Self { charset, is_base64: encoding == b'b', encoded: text.get(..end)? };
        Some((word, text.get(end + 2..)?))
    }

    /// Whether it holds what may not stand in it as it is.
    pub(super) fn has_space(&self) -> bool {
        self.encoded.iter().any(u8::is_ascii_whitespace)
    }

    fn octets(&self) -> Vec<u8> {
        if self.is_base64 {
            return transfer::base64(self.encoded);
        }
        let spaced: Vec<u8> = self.encoded.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
        transfer::quoted_printable(&spaced)
    }
}

/// Text under construction.
#[derive(Default)]
struct Text {
    text: String,
    /// White space that counts only if no encoded-word follows it (RFC 2047 §6.2).
    space: Vec<u8>,
    /// Octets of encoded-words in one charset, not yet decoded.
    pending: Vec<u8>,
    charset: Vec<u8>,
}

impl Text {
    fn push_raw(&mut self, octets: &[u8]) {
        let is_space = octets.iter().all(|octet| matches!(octet, b' ' | b'\t'));
        if is_space && !self.charset.is_empty() {
            self.space.extend_from_slice(octets);
            return;
        }
        self.decode_pending();
        self.text.push_str(&charset::guess(octets));
    }

    fn push_word(&mut self, word: &EncodedWord<'_>) {
        self.space.clear();
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.decode_pending();
            self.charset = word.charset.to_vec();
        }
        self.pending.extend_from_slice(&word.octets());
    }

    fn decode_pending(&mut self) {
        let label = String::from_utf8_lossy(&self.charset);
        let decoded = charset::decode(&label, &self.pending);
        self.text.extend(decoded.chars().filter_map(|character| match character {
            '\r' | '\0' => None,
            '\n' => Some(' '),
            other => Some(other),
        }));
        self.pending.clear();
        self.charset.clear();
        self.text.push_str(&String::from_utf8_lossy(&std::mem::take(&mut self.space)));
    }

    fn finish(mut self) -> String {
        self.decode_pending();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        assert_eq!(decode_header_value(value.as_bytes()), expected);
    }

    #[test]
    fn encoded_words_are_decoded() {
        // The pairs of RFC 2047 §8.
        check("(=?ISO-8859-1?Q?a?=)", "(a)");
        check("(=?ISO-8859-1?Q?a?= b)", "(a b)");
        check("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)");
        check("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
        check("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
        check("=?utf-8?b?Z3LDtsOfZQ==?= x", "größe x");
        check("=?UTF-8*de?Q?=C3=BC?=", "ü");
    }

    #[test]
    fn a_character_cut_between_two_words_is_whole() {
        check("=?utf-8?Q?=E2=82?= =?utf-8?Q?=AC?=", "€");
        check("=?utf-8?B?4oI=?=\r\n =?UTF-8?B?rA==?=", "€");
    }

    #[test]
    fn broken_words_stay_as_written() {
        for value in ["=?", "=?utf-8?Q?open", "=?utf-8?X?a?=", "=??Q?a?=", "a =?= b ?= c", "=?a b?Q?c?="] {
            check(value, value);
        }
        check("=?utf-8?Q?with space?= x", "with space x");
        check("\"=?utf-8?Q?quoted?=\" <a@example.org>", "\"quoted\" <a@example.org>");
    }

    #[test]
    fn raw_octets_are_utf_8_or_windows_1252() {
        assert_eq!(decode_header_value("größe".as_bytes()), "größe");
        assert_eq!(decode_header_value(b"gr\xf6\xdfe"), "größe");
    }

    #[test]
    fn no_line_end_and_no_nul_leaves() {
        check("=?utf-8?Q?a=0D=0Ab=00c?=", "a bc");
    }
}
