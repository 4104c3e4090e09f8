//! Mailbox names on the wire (RFC 3501 §5.1.3, RFC 9051 §5.1) and patterns over them (RFC 9051 §6.3.9).
//!
//! Owns: modified UTF-7 in both directions. Promises: `encode` and `decode` invert each other; a name that
//! comes out of `decode` is in Unicode's form C, without control characters. Never: decides whether a mailbox exists.

use super::parser::WireName;
use base64::{
    Engine,
    alphabet::IMAP_MUTF7,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use unicode_normalization::UnicodeNormalization;

/// Which names the client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NameEncoding {
    /// Modified UTF-7, until IMAP4rev2 is enabled.
    #[default]
    ModifiedUtf7,
    /// UTF-8.
    Utf8,
}

/// The name cannot be read, or holds what a mailbox name may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidName;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

impl WireName {
    /// The name in UTF-8. A client that speaks modified UTF-7 and sends 8-bit octets anyway means UTF-8.
    pub(crate) fn decode(&self, encoding: NameEncoding) -> Result<String, InvalidName> {
        let name = std::str::from_utf8(&self.0).map_err(|_| InvalidName)?;
        let name = match encoding {
            NameEncoding::ModifiedUtf7 if name.is_ascii() => from_modified_utf7(name)?,
            NameEncoding::ModifiedUtf7 | NameEncoding::Utf8 => name.to_owned(),
        };
        let name: String = if name.is_ascii() { name } else { name.nfc().collect() };
        if name.chars().any(char::is_control) { Err(InvalidName) } else { Ok(name) }
    }
}

/// Writes a name as the client reads it.
pub(crate) fn encode(name: &str, encoding: NameEncoding) -> String {
    match encoding {
        NameEncoding::Utf8 => name.to_owned(),
        NameEncoding::ModifiedUtf7 => to_modified_utf7(name),
    }
}

fn is_direct(character: char) -> bool {
    matches!(character, ' '..='~')
}

fn to_modified_utf7(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let direct = is_direct(first);
        let end = rest.find(|character| is_direct(character) != direct).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if direct {
            encoded.push_str(&run.replace('&', "&-"));
        } else {
            let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            encoded.push_str(&BASE64.encode(units));
            encoded.push('-');
        }
        rest = after;
    }
    encoded
}

fn from_modified_utf7(name: &str) -> Result<String, InvalidName> {
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((direct, shifted)) = rest.split_once('&') {
        decoded.push_str(direct);
        let (run, after) = shifted.split_once('-').ok_or(InvalidName)?;
        if run.is_empty() {
            decoded.push('&');
        } else {
            decoded.push_str(&decode_run(run)?);
        }
        rest = after;
    }
    decoded.push_str(rest);
    // One name has one spelling: what could have stood directly must not be shifted, and two
    // shifts must not touch (RFC 3501 §5.1.3).
    if to_modified_utf7(&decoded) == name { Ok(decoded) } else { Err(InvalidName) }
}

fn decode_run(run: &str) -> Result<String, InvalidName> {
    let octets = BASE64.decode(run).map_err(|_| InvalidName)?;
    let (pairs, []) = octets.as_chunks::<2>() else { return Err(InvalidName) };
    let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| InvalidName)
}

/// A LIST pattern in UTF-8: `*` matches anything, `%` anything but the hierarchy separator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<char>);

impl Pattern {
    /// Joins reference and pattern (RFC 9051 §6.3.9).
    pub(crate) fn new(reference: &str, pattern: &str) -> Self {
        let joined = format!("{reference}{pattern}");
        // INBOX matches in any case (RFC 9051 §5.1).
        let inbox = joined.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("INBOX"))
            && matches!(joined.as_bytes().get(5), None | Some(b'/' | b'*' | b'%'));
        let chars = joined.chars().enumerate();
        Self(
            chars
                .map(|(at, character)| if inbox && at < 5 { character.to_ascii_uppercase() } else { character })
                .collect(),
        )
    }

    /// Whether a name matches: time is the product of both lengths at worst.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // The states reachable after each character: the pattern up to there is used up.
        let mut reached = vec![false; self.0.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.pass_wildcards(&mut reached);
        for character in name.chars() {
            let mut after = vec![false; reached.len()];
            for ((at, wanted), _) in self.0.iter().enumerate().zip(&reached).filter(|(_, reached)| **reached) {
                let (stay, step) = match wanted {
                    '*' => (true, false),
                    '%' => (character != '/', false),
                    wanted => (false, *wanted == character),
                };
                if let Some(state) = after.get_mut(at + usize::from(step)) {
                    *state |= stay || step;
                }
            }
            self.pass_wildcards(&mut after);
            reached = after;
        }
        reached.last().copied().unwrap_or(false)
    }

    /// A wildcard matches nothing as well.
    fn pass_wildcards(&self, reached: &mut [bool]) {
        for (at, wanted) in self.0.iter().enumerate() {
            let here = reached.get(at).copied().unwrap_or(false);
            if here
                && matches!(wanted, '*' | '%')
                && let Some(next) = reached.get_mut(at + 1)
            {
                *next = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(name: &str, encoding: NameEncoding) -> Result<String, InvalidName> {
        WireName(name.as_bytes().to_vec()).decode(encoding)
    }

    #[test]
    fn modified_utf7_reads_as_rfc_3501_shows() {
        for (wire, name) in [
            ("INBOX", "INBOX"),
            ("Tom &- Jerry", "Tom & Jerry"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}"),
            ("Entw&APw-rfe", "Entw\u{fc}rfe"),
            ("&2D3eAA-", "\u{1f600}"),
        ] {
            assert_eq!(decode(wire, NameEncoding::ModifiedUtf7).as_deref(), Ok(name));
            assert_eq!(encode(name, NameEncoding::ModifiedUtf7), wire);
        }
    }

    #[test]
    fn other_spellings_of_a_name_are_refused() {
        for wire in ["a&b", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&AGE-", "&2D0-", "&APw=-", "&AP-"] {
            assert_eq!(decode(wire, NameEncoding::ModifiedUtf7), Err(InvalidName), "{wire}");
        }
        assert_eq!(decode("a\u{7}b", NameEncoding::Utf8), Err(InvalidName));
    }

    #[test]
    fn utf8_is_taken_from_either_client() {
        assert_eq!(decode("Entw\u{fc}rfe", NameEncoding::ModifiedUtf7).as_deref(), Ok("Entw\u{fc}rfe"));
        assert_eq!(decode("Entwu\u{308}rfe", NameEncoding::Utf8).as_deref(), Ok("Entw\u{fc}rfe"));
        assert_eq!(decode("R&D", NameEncoding::Utf8).as_deref(), Ok("R&D"));
    }

    #[test]
    fn patterns_match_levels() {
        for (pattern, name, matches) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a", false),
            ("a*", "a/b", true),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("*c", "a/b/c", true),
            ("a%c", "abc", true),
            ("inbox", "INBOX", true),
            ("inBox/x", "INBOX/x", true),
            ("inboxes", "INBOXes", false),
            ("A", "a", false),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new("", pattern).matches(name), matches, "{pattern} {name}");
        }
        assert!(Pattern::new("a/", "%").matches("a/b"));
        // Exponential for a matcher that backtracks.
        assert!(!Pattern::new("", &("*a".repeat(200) + "b")).matches(&"a".repeat(400)));
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_invert_each_other(name in "\\PC{0,40}") {
            let name: String = name.nfc().collect();
            let wire = encode(&name, NameEncoding::ModifiedUtf7);
            prop_assert!(wire.is_ascii());
            prop_assert_eq!(decode(&wire, NameEncoding::ModifiedUtf7), Ok(name));
        }
    }
}
