//! Any text as a master file: it is read or refused with the line of the fault, and comments change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::dns::Zone;

fuzz_target!(|text: &str| match text.parse::<Zone>() {
    Ok(zone) => {
        assert!(zone.record_count() <= text.lines().count());
        assert_eq!(format!("; a comment\n{text}\n; another").parse::<Zone>().as_ref(), Ok(&zone));
    }
    Err(error) => assert!(error.line <= text.split('\n').count()),
});
