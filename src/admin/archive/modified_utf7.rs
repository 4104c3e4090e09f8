//! Mailbox names in modified UTF-7 (RFC 3501 §5.1.3), which Maildir++ uses for folders.

use base64::{
    Engine as _,
    alphabet::IMAP_MUTF7,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The name that is meant; `None` where it is not modified UTF-7.
pub(super) fn decode(name: &str) -> Option<String> {
    let mut pieces = name.split('&');
    let mut decoded = pieces.next()?.to_owned();
    for piece in pieces {
        let (coded, rest) = piece.split_once('-')?;
        if coded.is_empty() {
            decoded.push('&');
        } else {
            let octets = BASE64.decode(coded).ok()?;
            let (units, odd) = octets.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            decoded.extend(char::decode_utf16(units).collect::<Result<Vec<_>, _>>().ok()?);
        }
        decoded.push_str(rest);
    }
    Some(decoded)
}

/// The name in ASCII.
pub(super) fn encode(name: &str) -> String {
    let (mut encoded, mut waiting) = (String::new(), Vec::new());
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            flush(&mut encoded, &mut waiting);
            encoded.push(character);
            if character == '&' {
                encoded.push('-');
            }
        } else {
            let mut units = [0; 2];
            waiting.extend(character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut encoded, &mut waiting);
    encoded
}

fn flush(encoded: &mut String, waiting: &mut Vec<u8>) {
    if !waiting.is_empty() {
        encoded.push('&');
        encoded.push_str(&BASE64.encode(&waiting));
        encoded.push('-');
        waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_and_read_back() {
        for (name, encoded) in [
            ("Sent", "Sent"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("a&b", "a&-b"),
            ("台北/日本語", "&U,BTFw-/&ZeVnLIqe-"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(encode(name), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(name));
        }
        for wrong in ["&", "&A-", "&AAA", "&2D0-"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
