//! Any octets are a header value: decoded it is one line, and an ENVELOPE made of it is well-formed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::message::{analyse, decode_header_value};

fuzz_target!(|value: &[u8]| {
    let decoded = decode_header_value(value);
    assert!(!decoded.contains(['\r', '\n', '\0']));

    let mut raw = b"From: ".to_vec();
    raw.extend(value.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')));
    let envelope = analyse(&raw).envelope;
    let mut is_group_open = false;
    for address in &envelope.from {
        match (&address.mailbox, &address.host) {
            (Some(_), Some(_)) => {}
            (Some(_), None) => assert!(!std::mem::replace(&mut is_group_open, true)),
            (None, None) => assert!(std::mem::replace(&mut is_group_open, false)),
            (None, Some(_)) => panic!("a host without a mailbox"),
        }
    }
    assert!(!is_group_open);
});
