//! Reading of messages: fixtures with what must be seen in them, real mail, and anything at all.

use crate::support;
use postern::{
    limits,
    message::{
        Analysis, Body, Envelope, EnvelopeAddress, Part, Span, analyse, decode_part, fold, header_fields, search_text,
    },
};
use proptest::prelude::*;
use std::{fmt::Write, fs, path::PathBuf};

/// Every message under `fixtures/messages/mime` reads as the text file beside it says.
/// `POSTERN_WRITE_EXPECTED=1` writes these files anew, to be read before they are committed.
#[test]
fn fixtures_read_as_written_beside_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/messages/mime");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    assert!(paths.len() >= 20, "{} fixtures", paths.len());
    for path in paths {
        let raw = fs::read(&path).unwrap();
        invariants_hold(&path.to_string_lossy(), &raw);
        let seen = shown(&raw);
        if std::env::var_os("POSTERN_WRITE_EXPECTED").is_some_and(|value| value == "1") {
            fs::write(path.with_extension("txt"), &seen).unwrap();
        }
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!(seen, expected, "{}", path.display());
    }
}

/// A fixture with its line ends changed has the same parts with the same text.
#[test]
fn line_ends_change_no_structure() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/messages/mime");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let lf: Vec<u8> = fs::read(&path).unwrap().into_iter().filter(|octet| *octet != b'\r').collect();
        let crlf = lf.split_inclusive(|octet| *octet == b'\n').flat_map(|line| match line.split_last() {
            Some((b'\n', text)) => [text, b"\r\n"].concat(),
            _ => line.to_vec(),
        });
        let crlf: Vec<u8> = crlf.collect();
        let (from_lf, from_crlf) = (analyse(&lf), analyse(&crlf));
        assert_eq!(from_lf.envelope, from_crlf.envelope, "{}", path.display());
        assert_eq!(from_lf.preview, from_crlf.preview, "{}", path.display());
        assert_eq!(without_offsets(from_lf.root), without_offsets(from_crlf.root), "{}", path.display());
    }
}

/// Every message of the corpora is read, and what is promised of any message holds.
#[test]
fn real_mail_is_read() {
    let Some(corpora) = support::corpora() else { return };
    let (mut files, mut octets) = (0, 0);
    for folder in ["mime", "charsets", "imap", "auth", "attachments", "spam", "mailboxes"] {
        for file in support::archive::walk(&corpora.join(folder)) {
            invariants_hold(&file.path, &file.octets);
            files += 1;
            octets += file.octets.len();
        }
    }
    println!("{files} files, {octets} octets");
    assert!(files > 30_000, "{files} files");
}

proptest! {
    #[test]
    fn anything_is_read(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
        invariants_hold("random octets", &raw);
    }

    #[test]
    fn anything_like_mail_is_read(pieces in proptest::collection::vec(mail_piece(), 0..60)) {
        invariants_hold("random pieces", &pieces.concat());
    }

    #[test]
    fn a_message_built_of_parts_gives_them_back(
        bodies in proptest::collection::vec(proptest::collection::vec("[ -~é]{0,20}", 0..4), 1..6),
        line_end in prop_oneof![Just("\r\n"), Just("\n")],
        is_closed in any::<bool>(),
    ) {
        let mut raw = format!("Content-Type: multipart/mixed; boundary=\"=b\"{line_end}{line_end}");
        for body in &bodies {
            write!(raw, "--=b{line_end}{line_end}{}{line_end}", body.join(line_end)).unwrap();
        }
        raw += if is_closed { "--=b--" } else { "--=b" };
        let analysis = analyse(raw.as_bytes());
        let Body::Multipart(parts) = &analysis.root.content else { panic!("no multipart: {raw}") };
        prop_assert_eq!(parts.len(), bodies.len() + usize::from(!is_closed));
        for (part, body) in parts.iter().zip(&bodies) {
            let expected = body.join(line_end);
            prop_assert_eq!(part.lines, expected.matches('\n').count() as u64);
            prop_assert_eq!(part.body.of(raw.as_bytes()), expected.as_bytes());
        }
    }
}

/// Pieces that messages are made of, whole and broken.
fn mail_piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = [
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/digest; boundary=\"c d\"\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: text/html; charset=utf-7\r\n",
        "Content-Type: text/plain\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Subject: =?utf-8?Q?a",
        "From: \"a\" <b@c",
        "To: g: a, (b",
        "Date: 1 Jan 70 ",
        "\r\n",
        "\n",
        "\r",
        "--b\r\n",
        "--b--\r\n",
        "--c d\n",
        "--c d--\n",
        "--b",
        " ",
        "\t",
        "=?",
        "?=",
        "<p>",
        "&amp",
        "<!--",
        "=3D",
        "aGVsbG8=",
        "+AKM-",
        "\0",
        "\u{fffd}",
    ];
    prop_oneof![
        4 => proptest::sample::select(fixed.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

/// What the module promises of any octets.
#[track_caller]
fn invariants_hold(name: &str, raw: &[u8]) {
    let analysis = analyse(raw);
    let root = &analysis.root;
    assert_eq!((root.header.start, root.body.end), (0, raw.len() as u64), "{name}: the root is the message");
    spans_hold(name, raw, root);
    assert!(root.parts().count() <= limits::MIME_PARTS_MAX, "{name}: parts");
    paths_lead_to_parts(name, root);
    values_are_clean(name, &analysis);
    assert!(analysis.preview.chars().count() <= limits::PREVIEW_CHARACTERS_MAX, "{name}: preview");

    let text = search_text(raw, &analysis);
    let octets: usize = text.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    assert!(octets + text.body.len() <= limits::SEARCH_TEXT_OCTETS_MAX + root.parts().count(), "{name}: text");
    assert_eq!(text.headers.len(), header_fields(root.header.of(raw)).count(), "{name}: header fields");
    let folded = fold(&text.body);
    assert!(!folded.contains("  ") && !folded.contains(['\r', '\n', '\t']), "{name}: white space");
    let stored = serde_json::to_vec(&analysis).unwrap();
    assert_eq!(serde_json::from_slice::<Analysis>(&stored).unwrap(), analysis, "{name}: stored form");
}

#[track_caller]
fn spans_hold(name: &str, raw: &[u8], part: &Part) {
    assert_eq!(part.header.end, part.body.start, "{name}: the body follows the header");
    assert!(part.header.start <= part.header.end && part.body.start <= part.body.end, "{name}: order");
    let lines = part.body.of(raw).iter().filter(|octet| **octet == b'\n').count();
    assert_eq!(part.lines, lines as u64, "{name}: lines");
    match &part.content {
        Body::Leaf => {
            assert!(part.media_type != "multipart" && !part.is("message", "rfc822"), "{name}: a leaf that needs parts");
            assert!(decode_part(raw, part).len() as u64 <= part.body.octets(), "{name}: decoding grows");
        }
        Body::Multipart(parts) => {
            assert!(!parts.is_empty() && part.media_type == "multipart", "{name}: multipart");
            let mut end = part.body.start;
            for part in parts {
                assert!(part.header.start >= end, "{name}: parts overlap");
                end = part.body.end;
                spans_hold(name, raw, part);
            }
            assert!(end <= part.body.end, "{name}: a part ends behind its parent");
        }
        Body::Message(_, inside) => {
            assert_eq!((inside.header.start, inside.body.end), (part.body.start, part.body.end), "{name}: message");
            spans_hold(name, raw, inside);
        }
    }
}

/// Each part is found by the number that IMAP gives it, and no number leads past the last.
#[track_caller]
fn paths_lead_to_parts(name: &str, root: &Part) {
    for (path, part) in numbered(root) {
        let found = root.find(&path).unwrap_or_else(|| panic!("{name}: {path:?}"));
        assert!(std::ptr::eq(found, part), "{name}: {path:?}");
    }
    assert!(root.find(&[0]).is_none() && root.find(&[u32::MAX]).is_none(), "{name}");
}

/// The parts of a message that have numbers, by RFC 9051 §6.4.5.1, in order.
fn numbered(message: &Part) -> Vec<(Vec<u32>, &Part)> {
    let mut found = Vec::new();
    match &message.content {
        Body::Multipart(parts) => number_parts(&[], parts, &mut found),
        Body::Leaf | Body::Message(..) => number_part(vec![1], message, &mut found),
    }
    found
}

fn number_parts<'a>(above: &[u32], parts: &'a [Part], found: &mut Vec<(Vec<u32>, &'a Part)>) {
    for (number, part) in (1..).zip(parts) {
        number_part([above, &[number]].concat(), part, found);
    }
}

fn number_part<'a>(path: Vec<u32>, part: &'a Part, found: &mut Vec<(Vec<u32>, &'a Part)>) {
    found.push((path.clone(), part));
    match &part.content {
        Body::Leaf => {}
        Body::Multipart(parts) => number_parts(&path, parts, found),
        Body::Message(_, inside) => {
            let below = numbered(inside).into_iter().map(|(rest, part)| ([path.as_slice(), &rest].concat(), part));
            found.extend(below);
        }
    }
}

/// CR, LF and NUL never leave in a value, since they would break the responses that carry it.
#[track_caller]
fn values_are_clean(name: &str, analysis: &Analysis) {
    let mut values: Vec<&[u8]> = envelope_values(&analysis.envelope);
    values.push(analysis.preview.as_bytes());
    for part in analysis.root.parts() {
        if let Body::Message(envelope, _) = &part.content {
            values.extend(envelope_values(envelope));
        }
        let disposed = part.disposition.iter();
        let texts = [&part.content_id, &part.description, &part.md5, &part.location].into_iter().flatten();
        let texts = texts.chain([&part.media_type, &part.media_subtype, &part.encoding]).chain(&part.language);
        let texts = texts.chain(part.parameters.iter().flat_map(|(name, value)| [name, value]));
        let texts = texts.chain(disposed.clone().map(|(kind, _)| kind));
        let texts =
            texts.chain(disposed.flat_map(|(_, parameters)| parameters).flat_map(|(name, value)| [name, value]));
        values.extend(texts.map(String::as_bytes));
        assert!(!part.media_type.is_empty() && !part.media_subtype.is_empty() && !part.encoding.is_empty(), "{name}");
        assert!(part.media_type != "text" || part.parameter("charset").is_some(), "{name}: charset");
    }
    for value in values {
        assert!(
            !value.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)),
            "{name}: {:?}",
            String::from_utf8_lossy(value)
        );
        assert!(value.len() <= limits::STRUCTURE_VALUE_OCTETS_MAX, "{name}: long value");
    }
}

fn envelope_values(envelope: &Envelope) -> Vec<&[u8]> {
    let Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id } = envelope;
    let texts = [date, subject, in_reply_to, message_id].into_iter().flatten();
    let addresses = [from, sender, reply_to, to, cc, bcc].into_iter().flatten();
    let pieces =
        addresses.flat_map(|address| [&address.name, &address.route, &address.mailbox, &address.host]).flatten();
    texts.chain(pieces).map(Vec::as_slice).collect()
}

fn without_offsets(mut part: Part) -> Part {
    part.header = Span::default();
    part.body = Span::default();
    part.content = match part.content {
        Body::Leaf => Body::Leaf,
        Body::Multipart(parts) => Body::Multipart(parts.into_iter().map(without_offsets).collect()),
        Body::Message(envelope, inside) => Body::Message(envelope, Box::new(without_offsets(*inside))),
    };
    part
}

/// Everything that is seen in a message, as text.
fn shown(raw: &[u8]) -> String {
    let analysis = analyse(raw);
    let mut out = String::new();
    show_part(&mut out, raw, "message", &analysis.root);
    for (path, part) in numbered(&analysis.root) {
        let path: Vec<String> = path.iter().map(u32::to_string).collect();
        show_part(&mut out, raw, &path.join("."), part);
    }
    show_envelope(&mut out, "", &analysis.envelope);
    writeln!(out, "sent: {:?} {:?}", analysis.sent_day, analysis.sent_seconds).unwrap();
    writeln!(out, "preview: {}", analysis.preview).unwrap();
    let text = search_text(raw, &analysis);
    for header in &text.headers {
        writeln!(out, "search {}: {}", header.name, header.value).unwrap();
    }
    for line in text.body.lines() {
        writeln!(out, "search body: {line}").unwrap();
    }
    out
}

fn show_part(out: &mut String, raw: &[u8], place: &str, part: &Part) {
    let Span { start, end } = part.body;
    writeln!(
        out,
        "{place}: {}/{} {}..{start}..{end}, {} lines",
        part.media_type, part.media_subtype, part.header.start, part.lines
    )
    .unwrap();
    for (name, value) in &part.parameters {
        writeln!(out, "  {name}={value:?}").unwrap();
    }
    if part.encoding != "7bit" {
        writeln!(out, "  encoding {}", part.encoding).unwrap();
    }
    let fields = [
        ("id", &part.content_id),
        ("description", &part.description),
        ("md5", &part.md5),
        ("location", &part.location),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(out, "  {name} {value}").unwrap();
        }
    }
    if let Some((kind, parameters)) = &part.disposition {
        writeln!(out, "  disposition {kind} {parameters:?}").unwrap();
    }
    if !part.language.is_empty() {
        writeln!(out, "  language {}", part.language.join(" ")).unwrap();
    }
    match &part.content {
        Body::Leaf => writeln!(out, "  \"{}\"", part.body.of(raw).escape_ascii()).unwrap(),
        Body::Multipart(parts) => writeln!(out, "  {} parts", parts.len()).unwrap(),
        Body::Message(envelope, _) => show_envelope(out, "  ", envelope),
    }
}

fn show_envelope(out: &mut String, indent: &str, envelope: &Envelope) {
    let Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id } = envelope;
    for (name, value) in
        [("date", date), ("subject", subject), ("in-reply-to", in_reply_to), ("message-id", message_id)]
    {
        if let Some(value) = value {
            writeln!(out, "{indent}{name}: {}", value.escape_ascii()).unwrap();
        }
    }
    let lists = [("from", from), ("sender", sender), ("reply-to", reply_to), ("to", to), ("cc", cc), ("bcc", bcc)];
    for (name, addresses) in lists {
        for address in addresses {
            writeln!(out, "{indent}{name}: {}", show_address(address)).unwrap();
        }
    }
}

fn show_address(address: &EnvelopeAddress) -> String {
    let pieces = [&address.name, &address.route, &address.mailbox, &address.host];
    let pieces =
        pieces.map(|piece| piece.as_ref().map_or("NIL".to_owned(), |piece| format!("\"{}\"", piece.escape_ascii())));
    pieces.join(" ")
}
