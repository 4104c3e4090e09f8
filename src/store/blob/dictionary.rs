//! Dictionaries that frames are compressed against: what most mail has in common.
//!
//! A dictionary is text, taken by zstd as it is, so that it can be read and reviewed. It is part of
//! the stored format: once released it never changes, and a better one gets a file and a number of
//! its own. Header fields stand at the end, because what is near costs less to refer to.

use std::sync::LazyLock;
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// Header fields, markup and words of mail in general. Lines end in LF here and in CRLF in use, as in mail.
const DICTIONARY_1: &str = include_str!("dictionary-1.txt");

/// A dictionary made ready for use.
pub(super) struct Dictionary {
    pub(super) encoder: EncoderDictionary<'static>,
    pub(super) decoder: DecoderDictionary<'static>,
}

/// The only dictionary so far.
pub(super) static FIRST: LazyLock<Dictionary> = LazyLock::new(|| {
    let octets = DICTIONARY_1.replace('\n', "\r\n");
    Dictionary {
        encoder: EncoderDictionary::copy(octets.as_bytes(), super::frame::LEVEL),
        decoder: DecoderDictionary::copy(octets.as_bytes()),
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_what_stored_frames_were_made_with() {
        let hash = blake3::hash(DICTIONARY_1.as_bytes()).to_hex();
        assert_eq!(
            hash.as_str(),
            "46a60f47aefa61dd2ed3b941bf9a13f525614563db4f180f4a4cf2d410a8743e",
            "a changed dictionary makes every stored frame unreadable"
        );
    }
}
