//! Any octets as an IMAP command: the parser answers without panic, and in time linear in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _ = postern::imap::is_command(octets);
    let _ = postern::imap::is_command(&[b"a ", octets, b"\r\n"].concat());
});
