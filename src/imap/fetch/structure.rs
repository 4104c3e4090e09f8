//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).
//!
//! Promises: the response is well formed for every tree of parts. Text that is not ASCII is written in the forms
//! that MIME has for it, RFC 2231 for parameters and RFC 2047 for descriptions, so that every client can read it.

use super::{
    super::write::{Charset, push_decimal, push_string},
    envelope,
};
use crate::message::{Body, Part};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Whether extension data are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// BODYSTRUCTURE
    Data,
    /// BODY
    None,
}

/// Writes the structure of a part and all that is in it.
pub(crate) fn push(out: &mut Vec<u8>, part: &Part, extension: Extension, charset: Charset) {
    out.push(b'(');
    match &part.content {
        Body::Multipart(parts) if !parts.is_empty() => push_multipart(out, part, parts, extension, charset),
        _ => push_single(out, part, extension, charset),
    }
    out.push(b')');
}

fn push_multipart(out: &mut Vec<u8>, part: &Part, parts: &[Part], extension: Extension, charset: Charset) {
    for inner in parts {
        push(out, inner, extension, charset);
    }
    out.push(b' ');
    push_text(out, &part.media_subtype);
    if extension == Extension::Data {
        out.push(b' ');
        push_parameters(out, &part.parameters);
        push_common_extension(out, part);
    }
}

fn push_single(out: &mut Vec<u8>, part: &Part, extension: Extension, charset: Charset) {
    push_type(out, part, charset);
    out.push(b' ');
    push_parameters(out, &part.parameters);
    out.push(b' ');
    push_optional(out, part.content_id.as_deref());
    out.push(b' ');
    push_optional(out, part.description.as_deref());
    out.push(b' ');
    push_text(out, &part.encoding);
    out.push(b' ');
    push_decimal(out, part.body.end.saturating_sub(part.body.start));
    if let Body::Message(inner_envelope, inner) = &part.content {
        out.push(b' ');
        envelope::push(out, inner_envelope, charset);
        out.push(b' ');
        push(out, inner, extension, charset);
    }
    if matches!(part.content, Body::Message(..)) || part.media_type == "text" {
        out.push(b' ');
        push_decimal(out, part.lines);
    }
    if extension == Extension::Data {
        out.push(b' ');
        push_optional(out, part.md5.as_deref());
        push_common_extension(out, part);
    }
}

/// A client expects parts inside a multipart and an envelope inside a message. Where the reader stopped before
/// those (depth, number of parts), the octets are opaque. message/global has an envelope since RFC 9051 §9 only.
fn push_type(out: &mut Vec<u8>, part: &Part, charset: Charset) {
    let (media_type, subtype) = match (&part.content, part.media_type.as_str(), part.media_subtype.as_str()) {
        (Body::Message(..), _, "global") if charset == Charset::Utf8 => ("message", "global"),
        (Body::Message(..), ..) => ("message", "rfc822"),
        (_, "multipart", _) | (_, "message", "rfc822" | "global") => ("application", "octet-stream"),
        (_, media_type, subtype) => (media_type, subtype),
    };
    push_text(out, media_type);
    out.push(b' ');
    push_text(out, subtype);
}

/// Disposition, language and location.
fn push_common_extension(out: &mut Vec<u8>, part: &Part) {
    out.push(b' ');
    match &part.disposition {
        Some((kind, parameters)) => {
            out.push(b'(');
            push_text(out, kind);
            out.push(b' ');
            push_parameters(out, parameters);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    push_languages(out, &part.language);
    out.push(b' ');
    push_optional(out, part.location.as_deref());
}

fn push_languages(out: &mut Vec<u8>, languages: &[String]) {
    match languages {
        [] => out.extend_from_slice(b"NIL"),
        [one] => push_text(out, one),
        several => {
            for (index, language) in several.iter().enumerate() {
                out.push(if index == 0 { b'(' } else { b' ' });
                push_text(out, language);
            }
            out.push(b')');
        }
    }
}

fn push_parameters(out: &mut Vec<u8>, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (index, (name, value)) in parameters.iter().enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        if value.is_ascii() {
            push_text(out, name);
            out.push(b' ');
            push_text(out, value);
        } else {
            push_text(out, &format!("{name}*"));
            out.push(b' ');
            push_text(out, &extended_value(value));
        }
    }
    out.push(b')');
}

/// ext-value of RFC 2231 §4.
fn extended_value(value: &str) -> String {
    let mut encoded = String::from("utf-8''");
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

fn push_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_text(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes text; as encoded-words where it is not ASCII.
fn push_text(out: &mut Vec<u8>, text: &str) {
    if text.is_ascii() {
        push_string(out, text.as_bytes(), Charset::Ascii);
    } else {
        push_string(out, encoded_words(text).as_bytes(), Charset::Ascii);
    }
}

/// Encoded-words of at most 75 octets each (RFC 2047 §2).
fn encoded_words(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        // 45 octets give 60 in base64.
        if word.len() + character.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Span;

    fn part(media_type: &str, media_subtype: &str, content: Body) -> Part {
        Part {
            header: Span { start: 0, end: 10 },
            body: Span { start: 10, end: 110 },
            lines: 4,
            media_type: media_type.into(),
            media_subtype: media_subtype.into(),
            parameters: Vec::new(),
            content_id: None,
            description: None,
            encoding: "7bit".into(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            content,
        }
    }

    fn written(part: &Part, extension: Extension) -> String {
        let mut out = Vec::new();
        push(&mut out, part, extension, Charset::Ascii);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_part_has_lines() {
        let text = part("text", "plain", Body::Leaf);
        assert_eq!(written(&text, Extension::None), r#"("text" "plain" NIL NIL NIL "7bit" 100 4)"#);
        assert_eq!(written(&text, Extension::Data), r#"("text" "plain" NIL NIL NIL "7bit" 100 4 NIL NIL NIL NIL)"#);
    }

    #[test]
    fn a_multipart_holds_its_parts() {
        let mut image = part("image", "png", Body::Leaf);
        image.parameters = vec![("name".into(), "a \"b\".png".into())];
        image.disposition = Some(("attachment".into(), vec![("filename".into(), "gr\u{fc}n.png".into())]));
        image.language = vec!["de".into(), "en".into()];
        let mut mixed = part("multipart", "mixed", Body::Multipart(vec![part("text", "plain", Body::Leaf), image]));
        mixed.parameters = vec![("boundary".into(), "b".into())];
        assert_eq!(
            written(&mixed, Extension::Data),
            "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 100 4 NIL NIL NIL NIL)\
             (\"image\" \"png\" (\"name\" \"a \\\"b\\\".png\") NIL NIL \"7bit\" 100 NIL \
             (\"attachment\" (\"filename*\" \"utf-8''gr%C3%BCn.png\")) (\"de\" \"en\") NIL) \
             \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)"
        );
    }

    #[test]
    fn a_message_holds_envelope_and_structure() {
        let inner = part("text", "plain", Body::Leaf);
        let outer = part("message", "rfc822", Body::Message(Box::default(), Box::new(inner)));
        assert_eq!(
            written(&outer, Extension::None),
            "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 100 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" NIL NIL NIL \"7bit\" 100 4) 4)"
        );
    }

    #[test]
    fn a_global_message_shows_to_clients_that_know_it() {
        let inner = Box::new(part("text", "plain", Body::Leaf));
        let global = part("message", "global", Body::Message(Box::default(), inner));
        assert!(written(&global, Extension::None).starts_with(r#"("message" "rfc822" "#));
        let mut out = Vec::new();
        push(&mut out, &global, Extension::None, Charset::Utf8);
        assert!(out.starts_with(br#"("message" "global" "#));
    }

    #[test]
    fn parts_that_were_not_opened_are_opaque() {
        for (media_type, subtype) in [("multipart", "mixed"), ("message", "rfc822")] {
            let closed = written(&part(media_type, subtype, Body::Leaf), Extension::None);
            assert_eq!(closed, r#"("application" "octet-stream" NIL NIL NIL "7bit" 100)"#);
        }
        let status = written(&part("message", "delivery-status", Body::Leaf), Extension::None);
        assert_eq!(status, r#"("message" "delivery-status" NIL NIL NIL "7bit" 100)"#);
    }

    #[test]
    fn descriptions_are_encoded_words() {
        let mut text = part("text", "plain", Body::Leaf);
        text.description = Some("\u{fc}".repeat(30));
        let structure = written(&text, Extension::None);
        assert!(structure.is_ascii() && structure.matches("=?utf-8?B?").count() == 2, "{structure}");
    }
}
