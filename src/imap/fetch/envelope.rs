//! ENVELOPE (RFC 9051 §7.5.2).

use super::super::write::{Charset, push_nstring};
use crate::message::{Envelope, EnvelopeAddress};

/// Writes an ENVELOPE.
pub(crate) fn push(out: &mut Vec<u8>, envelope: &Envelope, charset: Charset) {
    out.push(b'(');
    push_nstring(out, envelope.date.as_deref(), charset);
    out.push(b' ');
    push_nstring(out, envelope.subject.as_deref(), charset);
    for addresses in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        push_addresses(out, addresses, charset);
    }
    out.push(b' ');
    push_nstring(out, envelope.in_reply_to.as_deref(), charset);
    out.push(b' ');
    push_nstring(out, envelope.message_id.as_deref(), charset);
    out.push(b')');
}

fn push_addresses(out: &mut Vec<u8>, addresses: &[EnvelopeAddress], charset: Charset) {
    if addresses.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in addresses {
        out.push(b'(');
        for (index, field) in [&address.name, &address.route, &address.mailbox, &address.host].into_iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            push_nstring(out, field.as_deref(), charset);
        }
        out.push(b')');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_ten_fields() {
        let address = |name: Option<&str>, mailbox: Option<&str>, host: Option<&str>| EnvelopeAddress {
            name: name.map(|text| text.as_bytes().to_vec()),
            route: None,
            mailbox: mailbox.map(|text| text.as_bytes().to_vec()),
            host: host.map(|text| text.as_bytes().to_vec()),
        };
        let envelope = Envelope {
            date: Some(b"Mon, 7 Feb 1994 21:52:25 -0800".to_vec()),
            subject: Some(b"caf\xe9 \"x\"".to_vec()),
            from: vec![address(Some("Ann \\ Bee"), Some("ann"), Some("example.org"))],
            to: vec![address(None, Some("team"), None), address(None, None, None)],
            ..Envelope::default()
        };
        let mut out = Vec::new();
        push(&mut out, &envelope, Charset::Ascii);
        assert_eq!(
            out.escape_ascii().to_string().replace("\\\"", "\""),
            "(\"Mon, 7 Feb 1994 21:52:25 -0800\" {8}\\r\\ncaf\\xe9 \"x\" ((\"Ann \\\\\\\\ Bee\" NIL \"ann\" \"example.org\")) NIL NIL \
             ((NIL NIL \"team\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)"
        );
    }
}
