//! Any octets are a message: its parts lie within each other, and its stored form gives it back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::{
    limits,
    message::{Analysis, Body, Part, analyse, decode_part, fold, search_text},
};

fuzz_target!(|raw: &[u8]| {
    let analysis = analyse(raw);
    assert_eq!((analysis.root.header.start, analysis.root.body.end), (0, raw.len() as u64));
    assert!(analysis.root.parts().count() <= limits::MIME_PARTS_MAX);
    lies_within(&analysis.root);
    for part in analysis.root.leaves() {
        assert!(decode_part(raw, part).len() as u64 <= part.body.octets());
    }
    assert_eq!(Analysis::from_stored(&analysis.to_stored()).as_ref(), Some(&analysis));
    let folded = fold(&search_text(raw, &analysis).body);
    assert_eq!(fold(&folded), folded);
});

fn lies_within(part: &Part) {
    assert!(part.header.start <= part.header.end && part.header.end == part.body.start && part.body.start <= part.body.end);
    let inside = match &part.content {
        Body::Leaf => &[],
        Body::Multipart(parts) => parts.as_slice(),
        Body::Message(_, inside) => std::slice::from_ref(&**inside),
    };
    let mut end = part.body.start;
    for part in inside {
        assert!(part.header.start >= end);
        end = part.body.end;
        lies_within(part);
    }
    assert!(end <= part.body.end);
}
