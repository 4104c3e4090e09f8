//! Any octets as an SPF record: it is read or refused as a whole, and what means nothing changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::{authentication::spf::Record, limits};

fuzz_target!(|octets: &[u8]| {
    // Room for what is added below.
    let octets = octets.get(..limits::SPF_RECORD_OCTETS_MAX / 2).unwrap_or(octets);
    let record = [b"v=spf1 ", octets].concat();
    assert!(Record::is_spf(&record));
    if let Ok(parsed) = Record::parse(&record) {
        assert!(record.is_ascii());
        assert_eq!(Record::parse(&[&record, &b"   "[..]].concat()).as_ref(), Ok(&parsed));
        assert_eq!(Record::parse(&[&record, &b" unknown=%{d}"[..]].concat()).as_ref(), Ok(&parsed));
        assert!(Record::parse(&[&record, &b" nonsense"[..]].concat()).is_err());
    }
});
