//! Octets in a named charset as text. Never fails: what cannot be decoded becomes U+FFFD.

use super::transfer::base64_value;
use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, SHIFT_JIS, UTF_8, WINDOWS_1252};
use memchr::{memchr, memmem};
use std::borrow::Cow;

/// Decodes HTML. Where `label` says nothing, the document's own `<meta>` may: some mailers put it there only.
pub(super) fn decode_html<'a>(label: &str, octets: &'a [u8]) -> Cow<'a, str> {
    if is_uninformative(&tidy(label))
        && let Some(label) = meta_charset(octets)
    {
        return decode(&label, octets);
    }
    decode(label, octets)
}

/// The charset that a document names within its first kilobyte, as browsers look for it.
fn meta_charset(octets: &[u8]) -> Option<String> {
    const PRESCAN_OCTETS: usize = 1024;
    let start = octets.get(..PRESCAN_OCTETS).unwrap_or(octets).to_ascii_lowercase();
    let meta = memmem::find(&start, b"<meta")?;
    let named = start.get(meta..)?;
    let label = named.get(memmem::find(named, b"charset=")? + 8..)?;
    let end = label.iter().skip(1).position(|octet| matches!(octet, b'"' | b'\'' | b'>' | b';' | b' '))?;
    // A document that could be read this far is not in UTF-16, whatever it says.
    let label = String::from_utf8_lossy(label.get(..=end)?).into_owned();
    Some(label).filter(|label| !label.contains("utf-16"))
}

/// Decodes octets in the charset that `label` names. A label that says nothing (us-ascii with 8-bit
/// octets, `unknown-8bit`, none that we know) is answered by [`guess`].
pub(super) fn decode<'a>(label: &str, octets: &'a [u8]) -> Cow<'a, str> {
    let label = tidy(label);
    if is_uninformative(&label) {
        return guess(octets);
    }
    match label.as_str() {
        "utf-7" | "unicode-1-1-utf-7" | "csunicode11utf7" => Cow::Owned(utf_7(octets)),
        "hz-gb-2312" | "hz" => Cow::Owned(hz(octets)),
        "iso-2022-kr" | "csiso2022kr" => Cow::Owned(iso_2022_kr(octets)),
        _ => match encoding(&label) {
            Some(encoding) => encoding.decode_without_bom_handling(without_mark(encoding, octets)).0,
            None => by_rare_table(&label, octets).map_or_else(|| guess(octets), Cow::Owned),
        },
    }
}

/// Text of which no charset is known: what its byte order mark says, ISO-2022-JP if it has its escapes, else UTF-8
/// where it is valid and windows-1252, which reads every octet, where it is not. A field may hold both.
pub(super) fn guess(octets: &[u8]) -> Cow<'_, str> {
    if let Some((encoding, mark_octets)) = Encoding::for_bom(octets).filter(|(encoding, _)| *encoding != UTF_8) {
        return encoding.decode_without_bom_handling(octets.get(mark_octets..).unwrap_or_default()).0;
    }
    if memmem::find(octets, b"\x1b$").is_some() && octets.is_ascii() {
        return ISO_2022_JP.decode_without_bom_handling(octets).0;
    }
    let octets = without_mark(UTF_8, octets);
    if let Ok(text) = std::str::from_utf8(octets) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(octets.len() * 2);
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(&WINDOWS_1252.decode_without_bom_handling(chunk.invalid()).0);
    }
    Cow::Owned(text)
}

/// A label in lower case without the debris that broken senders leave around it: `"utf-8"`,
/// `3Dutf-8` (quoted-printable seen twice), `_iso-2022-jp`.
fn tidy(label: &str) -> String {
    let label = label.trim_matches(|character: char| !character.is_ascii_alphanumeric()).to_ascii_lowercase();
    label.strip_prefix("3d").map(str::to_owned).unwrap_or(label)
}

fn is_uninformative(label: &str) -> bool {
    matches!(
        label,
        "" | "us-ascii"
            | "ascii"
            | "ansi_x3.4-1968"
            | "iso646-us"
            | "unknown-8bit"
            | "x-unknown"
            | "unknown"
            | "default"
            | "default_charset"
            | "binary"
            | "8bit"
            | "7bit"
    )
}

fn encoding(label: &str) -> Option<&'static Encoding> {
    let known = |label: &str| Encoding::for_label_no_replacement(label.as_bytes());
    known(label).or_else(|| label.strip_prefix("x-").and_then(known)).or_else(|| by_part_of_label(label))
}

/// Names that are in use and in no registry, by what is in them.
fn by_part_of_label(label: &str) -> Option<&'static Encoding> {
    const PARTS: [(&str, &Encoding); 11] = [
        ("utf-8", UTF_8),
        ("utf8", UTF_8),
        ("gb18030", GB18030),
        ("gb2312", GB18030),
        ("gbk", GBK),
        ("cp936", GBK),
        ("big5", BIG5),
        ("cp950", BIG5),
        ("cp949", EUC_KR),
        ("ks_c_5601", EUC_KR),
        ("cp932", SHIFT_JIS),
    ];
    PARTS.iter().find(|(part, _)| label.contains(part)).map(|(_, encoding)| *encoding)
}

/// Charsets that the web never had, such as IBM850.
fn by_rare_table(label: &str, octets: &[u8]) -> Option<String> {
    let decoder = mail_parser::decoders::charsets::map::charset_decoder(label.as_bytes())?;
    Some(decoder(octets))
}

/// Without the byte order mark that Windows editors put before UTF-8.
fn without_mark<'a>(encoding: &Encoding, octets: &'a [u8]) -> &'a [u8] {
    if encoding == UTF_8 { octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets) } else { octets }
}

/// UTF-7 (RFC 2152). A shift that never ends is ended by the end of the text.
fn utf_7(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(plus) = memchr(b'+', rest) {
        text.push_str(&guess(rest.get(..plus).unwrap_or_default()));
        rest = rest.get(plus + 1..).unwrap_or_default();
        let shifted = rest.iter().position(|octet| base64_value(*octet).is_none()).unwrap_or(rest.len());
        let (inside, after) = rest.split_at_checked(shifted).unwrap_or((rest, &[]));
        if inside.is_empty() {
            text.push('+');
        }
        push_utf_16(inside, &mut text);
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    text.push_str(&guess(rest));
    text
}

/// Appends UTF-16 in base64; bits that fill no unit are padding.
fn push_utf_16(base64: &[u8], text: &mut String) {
    let (mut bits, mut held) = (0_u32, 0);
    let mut units = Vec::with_capacity(base64.len() * 3 / 8);
    for value in base64.iter().filter_map(|octet| base64_value(*octet)) {
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push(u16::try_from((bits >> held) & 0xffff).unwrap_or_default());
        }
    }
    text.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// HZ (RFC 1843): `~{` shifts to GB 2312 in seven bits, `~}` back.
fn hz(octets: &[u8]) -> String {
    let mut eight_bit = Vec::with_capacity(octets.len());
    let mut shifted = false;
    let mut octets = octets.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'~' => match octets.next() {
                Some(b'{') => shifted = true,
                Some(b'}') => shifted = false,
                // A tilde before a line end joins two lines.
                Some(b'\n') | None => {}
                Some(other) => eight_bit.push(other),
            },
            graphic if shifted && graphic.is_ascii_graphic() => eight_bit.push(graphic | 0x80),
            other => eight_bit.push(other),
        }
    }
    GBK.decode_without_bom_handling(&eight_bit).0.into_owned()
}

/// ISO-2022-KR (RFC 1557): SO shifts to KS C 5601 in seven bits, SI back.
fn iso_2022_kr(octets: &[u8]) -> String {
    const SHIFT_OUT: u8 = 0x0e;
    const SHIFT_IN: u8 = 0x0f;
    let mut eight_bit = Vec::with_capacity(octets.len());
    let mut shifted = false;
    for octet in octets.strip_prefix(b"\x1b$)C").unwrap_or(octets) {
        match *octet {
            SHIFT_OUT => shifted = true,
            SHIFT_IN => shifted = false,
            graphic if shifted && graphic.is_ascii_graphic() => eight_bit.push(graphic | 0x80),
            other => eight_bit.push(other),
        }
    }
    EUC_KR.decode_without_bom_handling(&eight_bit).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(label: &str, octets: &[u8], expected: &str) {
        assert_eq!(decode(label, octets), expected, "{label}");
    }

    #[test]
    fn charsets_of_mail_are_decoded() {
        check("utf-8", "größe".as_bytes(), "größe");
        check("UTF-8", b"\xef\xbb\xbfmark", "mark");
        check("iso-8859-1", b"caf\xe9 \x80", "café €");
        check("iso-8859-15", b"\xa4", "€");
        check("windows-1251", b"\xcc\xe8\xf0", "Мир");
        check("koi8-r", b"\xed\xc9\xd2", "Мир");
        check("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本");
        check("shift_jis", b"\x93\xfa\x96\x7b", "日本");
        check("euc-kr", b"\xc7\xd1", "한");
        check("big5", b"\xa4\xa4", "中");
        check("gb2312", b"\xd6\xd0", "中");
        check("gb18030", b"\xd6\xd0", "中");
        check("ibm850", b"\x82", "é");
    }

    #[test]
    fn seven_bit_shifts_are_decoded() {
        check("utf-7", b"Hi Mom -+Jjo--!+AKM.1 +- 2", "Hi Mom -☺-!£.1 + 2");
        check("utf-7", b"open +ZeVnLIqe", "open 日本語");
        check("hz-gb-2312", b"a~{VP~}b~~", "a中b~");
        check("iso-2022-kr", b"\x1b$)Cx\x0eGQ\x0fy", "x한y");
    }

    #[test]
    fn labels_are_read_through_their_debris() {
        check("\"3Dwindows-1252\"", b"\xe9", "é");
        check("_iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本");
        check("chinesebig5", b"\xa4\xa4", "中");
        check("eucgb2312_cn", b"\xd6\xd0", "中");
        check("x-windows-949", b"\xc7\xd1", "한");
    }

    #[test]
    fn text_without_a_charset_is_guessed() {
        check("us-ascii", "größe".as_bytes(), "größe");
        check("nonsense", b"gr\xf6\xdfe", "größe");
        check("", b"gr\xf6\xc3\x9fe \x93x\x94", "größe “x”");
        check("", b"\x1b$BF|K\\\x1b(B", "日本");
        check("", b"\xff\xfeA\0\xac\x20", "A€");
        check("utf-8", b"a\xffb", "a\u{fffd}b");
    }

    #[test]
    fn html_may_name_its_charset_itself() {
        let html = b"<META http-equiv=Content-Type content='text/html; charset=koi8-r'>\xed";
        assert!(decode_html("us-ascii", html).ends_with('М'));
        assert!(decode_html("iso-8859-1", html).ends_with('í'));
        assert!(decode_html("", b"<meta charset=\"windows-1251\">\xcc").ends_with('М'));
        assert!(decode_html("", b"<meta charset=utf-16>\xed").ends_with('í'));
    }
}
