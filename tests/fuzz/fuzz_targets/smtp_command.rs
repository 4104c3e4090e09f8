//! Any octets are a command or none; a command that is written is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::smtp::Command;

fuzz_target!(|line: &[u8]| {
    let Ok(command) = Command::parse(line) else { return };
    let written = command.to_string();
    assert!(!written.contains(['\r', '\n']));
    let again = Command::parse(written.as_bytes()).expect("what is written is a command");
    assert_eq!(again.to_string(), written);
});
