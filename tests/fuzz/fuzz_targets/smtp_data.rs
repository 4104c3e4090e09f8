//! A whole session of any octets gives the same however it is cut, and no message has a line end but CRLF.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use postern::{
    mail::AccountId,
    smtp::{Authentication, Event, Reply, Session, Settings, Tls},
};
use std::sync::Arc;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, octets) = input;
    let whole = hold(octets, octets.len());
    let cut = hold(octets, usize::from(piece) + 1);
    assert_eq!(whole, cut);
    for message in whole.1 {
        let rest = message.iter().collect::<Vec<_>>();
        for (at, octet) in rest.iter().enumerate() {
            match octet {
                b'\r' => assert_eq!(rest.get(at + 1), Some(&&b'\n')),
                b'\n' => assert_eq!(at.checked_sub(1).and_then(|at| rest.get(at)), Some(&&b'\r')),
                _ => {}
            }
        }
    }
});

/// What is said, and the messages that are taken, in a session that has collected a recipient.
fn hold(octets: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let settings = Settings {
        hostname: "mx.example.org".into(),
        message_octets_max: 1000,
        authentication: Authentication::NotOffered,
    };
    let mut session = Session::new(Arc::new(settings), Tls::NotOffered);
    let (mut input, mut output, mut messages) = (BytesMut::new(), Vec::new(), Vec::new());
    let begin = &b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n"[..];
    for octets in std::iter::once(begin).chain(octets.chunks(piece.max(1))) {
        input.extend_from_slice(octets);
        loop {
            match session.step(&mut input) {
                Event::Read => break,
                Event::Close => {
                    output.extend(session.take_output());
                    return (output, messages);
                }
                Event::Refused(_) => {}
                Event::Recipient(_) => session.accept_recipient(vec![AccountId::FIRST]),
                Event::Message(message) => {
                    messages.push(message.content);
                    session.answer(Reply::OK);
                }
                _ => session.answer(Reply::OK),
            }
            output.extend(session.take_output());
        }
        output.extend(session.take_output());
    }
    (output, messages)
}
