//! Answering a text condition from one segment, exactly.
//!
//! One token: the terms that contain it, found by `memmem` over the joined terms, and the union of their postings.
//! Several: the first is the end of a term, the last the beginning of one, those between are terms; their
//! document sets are intersected first, and positions are looked at only in what is left.

use super::{
    TextKey,
    bundle::OpenSegment,
    schema::{body_field, header_field, header_fields, is_shared},
    token::{LINE, LONG, NAME, Placed, TOUCHING, needle_tokens},
};
use crate::store::StoreError;
use memchr::memmem;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use tantivy::{
    DocSet, TERMINATED,
    index::InvertedIndexReader,
    postings::{Postings, SegmentPostings},
    schema::{Field, IndexRecordOption, Term},
};

/// What a segment says of a condition. Sets of message numbers.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Messages that match.
    pub(super) certain: RoaringBitmap,
    /// Messages whose text must be looked at.
    pub(super) possible: RoaringBitmap,
}

/// Answers a condition.
pub(super) fn answer(segment: &OpenSegment, key: &TextKey) -> Result<Answer, StoreError> {
    let found = match key {
        TextKey::Header { name, needle } => header(segment, name, needle),
        TextKey::Body(needle) => {
            FieldSearch::new(segment, body_field()).and_then(|field| field.find(needle, Names::Skip))
        }
        TextKey::Text(needle) => text(segment, needle),
    };
    let found = found.map_err(|error| StoreError::Failed(format!("index segment: {error}")))?;
    let numbers = |documents: RoaringBitmap| documents.iter().map(|document| segment.number(document)).collect();
    Ok(Answer { certain: numbers(found.certain), possible: numbers(found.possible) })
}

/// The same by document of the segment.
#[derive(Default)]
struct Found {
    certain: RoaringBitmap,
    possible: RoaringBitmap,
}

/// Whether the terms of field names are part of what is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Search,
    Skip,
}

fn text(segment: &OpenSegment, needle: &str) -> tantivy::Result<Found> {
    let mut found = FieldSearch::new(segment, body_field())?.find(needle, Names::Skip)?;
    for field in header_fields() {
        let in_field = FieldSearch::new(segment, field)?.find(needle, Names::Search)?;
        found.certain |= in_field.certain;
        found.possible |= in_field.possible;
    }
    found.possible -= &found.certain;
    Ok(found)
}

fn header(segment: &OpenSegment, name: &str, needle: &str) -> tantivy::Result<Found> {
    let search = FieldSearch::new(segment, header_field(name))?;
    let name_term = format!("{NAME}{name}:");
    let named = search.documents_of([name_term.as_bytes()].into_iter())?;
    if needle.is_empty() {
        return Ok(Found { certain: named, possible: RoaringBitmap::new() });
    }
    if !is_shared(search.field) {
        return search.find(needle, Names::Skip);
    }
    search.find_in_lines(needle, &name_term, &named)
}

/// One field of one segment.
struct FieldSearch<'a> {
    field: Field,
    terms: &'a [u8],
    index: std::sync::Arc<InvertedIndexReader>,
    documents: u32,
}

impl<'a> FieldSearch<'a> {
    fn new(segment: &'a OpenSegment, field: Field) -> tantivy::Result<Self> {
        let index = segment.reader.inverted_index(field)?;
        Ok(Self { field, terms: segment.terms(field), index, documents: segment.documents() })
    }

    /// Documents whose text in this field contains the needle.
    fn find(&self, needle: &str, names: Names) -> tantivy::Result<Found> {
        if needle.is_empty() {
            let all = (0..self.documents).collect();
            return Ok(Found { certain: all, possible: RoaringBitmap::new() });
        }
        let trimmed = needle.trim_matches(' ');
        let found = self.find_trimmed(trimmed, names)?;
        // A space at the needle's edge asks for a neighbour that the tokens do not show.
        Ok(match trimmed.len() == needle.len() {
            true => found,
            false => Found { certain: RoaringBitmap::new(), possible: found.certain | found.possible },
        })
    }

    fn find_trimmed(&self, needle: &str, names: Names) -> tantivy::Result<Found> {
        let certain = match needle_tokens(needle).as_deref() {
            None | Some([]) => return self.unanswerable(needle),
            Some([only]) => self.documents_of(self.containing(only.text, names))?,
            Some(several) => self.phrase(several, names)?.into_keys().collect(),
        };
        Ok(Found { certain, possible: RoaringBitmap::new() })
    }

    /// Where a needle has a run that no piece of a long run holds for sure: texts with such runs, and every
    /// text for a needle of spaces alone.
    fn unanswerable(&self, needle: &str) -> tantivy::Result<Found> {
        let certain = match needle.contains(' ') || needle.is_empty() {
            true => RoaringBitmap::new(),
            false => self.documents_of(self.containing(needle, Names::Search))?,
        };
        let possible = match needle.is_empty() || needle.contains(' ') {
            true => (0..self.documents).collect(),
            false => self.documents_of([LONG.as_bytes()].into_iter())?,
        };
        Ok(Found { possible: possible - &certain, certain })
    }

    /// Documents in which the needle stands in a line of this name.
    fn find_in_lines(&self, needle: &str, name: &str, named: &RoaringBitmap) -> tantivy::Result<Found> {
        let trimmed = needle.trim_matches(' ');
        let tokens = needle_tokens(trimmed).filter(|tokens| !tokens.is_empty() && trimmed.len() == needle.len());
        let Some(tokens) = tokens else {
            return Ok(Found { certain: RoaringBitmap::new(), possible: named.clone() });
        };
        let matches = match &*tokens {
            [only] => self.positions_of(self.containing(only.text, Names::Skip), named)?,
            several => self.phrase(several, Names::Skip)?,
        };
        let there: RoaringBitmap = matches.keys().copied().filter(|document| named.contains(*document)).collect();
        let lines = self.positions_of([LINE.as_bytes()].into_iter(), &there)?;
        let names = self.positions_of([name.as_bytes()].into_iter(), &there)?;
        let in_line = |document: &u32| {
            let (Some(found), Some(lines), Some(names)) =
                (matches.get(document), lines.get(document), names.get(document))
            else {
                return false;
            };
            found.iter().any(|position| {
                // The name touches the mark of its line.
                let line = lines.iter().rev().find(|line| *line <= position);
                line.is_some_and(|line| names.binary_search(&(line + TOUCHING as u32)).is_ok())
            })
        };
        Ok(Found { certain: there.iter().filter(in_line).collect(), possible: RoaringBitmap::new() })
    }

    /// Documents with their sorted positions at which the tokens follow each other as the needle has them.
    fn phrase(&self, tokens: &[Placed<'_>], names: Names) -> tantivy::Result<HashMap<u32, Vec<u32>>> {
        let (Some((first, rest)), Some(last)) = (tokens.split_first(), tokens.last()) else {
            return Ok(HashMap::new());
        };
        let inner = rest.split_last().map(|(_, inner)| inner).unwrap_or_default();
        let mut documents: Option<RoaringBitmap> = None;
        let narrow = |set: RoaringBitmap, documents: &mut Option<RoaringBitmap>| match documents {
            Some(documents) => *documents &= set,
            None => *documents = Some(set),
        };
        for token in inner {
            narrow(self.documents_of([token.text.as_bytes()].into_iter())?, &mut documents);
        }
        let empty = |documents: &Option<RoaringBitmap>| documents.as_ref().is_some_and(RoaringBitmap::is_empty);
        if !empty(&documents) {
            narrow(self.documents_of(self.ending(first.text, names))?, &mut documents);
        }
        if !empty(&documents) {
            narrow(self.documents_of(self.beginning(last.text))?, &mut documents);
        }
        let documents = documents.unwrap_or_default();
        if documents.is_empty() {
            return Ok(HashMap::new());
        }
        let mut starts = self.positions_of(self.ending(first.text, names), &documents)?;
        for token in inner {
            let positions = self.positions_of([token.text.as_bytes()].into_iter(), &documents)?;
            keep_followed(&mut starts, &positions, token.offset);
        }
        let positions = self.positions_of(self.beginning(last.text), &documents)?;
        keep_followed(&mut starts, &positions, last.offset);
        Ok(starts)
    }

    /// Terms that contain a text.
    fn containing(&self, text: &str, names: Names) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.terms_around(text.as_bytes().to_vec(), names)
    }

    /// Terms that end with a text.
    fn ending(&self, text: &str, names: Names) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.terms_around([text.as_bytes(), b"\n"].concat(), names)
    }

    /// Terms that begin with a text. A name never follows anything.
    fn beginning(&self, text: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.terms_around([b"\n", text.as_bytes()].concat(), Names::Skip)
    }

    /// The terms whose lines hold a pattern, each once.
    fn terms_around(&self, pattern: Vec<u8>, names: Names) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let terms = self.terms;
        let finder = memmem::Finder::new(&pattern).into_owned();
        let skipped = usize::from(pattern.starts_with(b"\n"));
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let at = from + finder.find(terms.get(from..)?)? + skipped;
                let start = memchr::memrchr(b'\n', terms.get(..at)?).map_or(0, |before| before + 1);
                let end = at + memchr::memchr(b'\n', terms.get(at..)?)?;
                // The line end that closes this term opens the next one.
                from = end;
                let term = terms.get(start..end)?;
                if names == Names::Search || term.first() != Some(&(NAME as u8)) {
                    return Some(term);
                }
            }
        })
    }

    /// Documents that have one of the terms.
    fn documents_of<'t>(&self, terms: impl Iterator<Item = &'t [u8]>) -> tantivy::Result<RoaringBitmap> {
        let mut documents = RoaringBitmap::new();
        for term in terms {
            let Some(mut postings) = self.postings(term, IndexRecordOption::Basic)? else { continue };
            let mut document = postings.doc();
            while document != TERMINATED {
                documents.insert(document);
                document = postings.advance();
            }
        }
        Ok(documents)
    }

    /// Sorted positions of the terms in those of `documents` that have one.
    fn positions_of<'t>(
        &self,
        terms: impl Iterator<Item = &'t [u8]>,
        documents: &RoaringBitmap,
    ) -> tantivy::Result<HashMap<u32, Vec<u32>>> {
        let (mut found, mut buffer) = (HashMap::<u32, Vec<u32>>::new(), Vec::new());
        for term in terms {
            let Some(mut postings) = self.postings(term, IndexRecordOption::WithFreqsAndPositions)? else { continue };
            for document in documents {
                if postings.doc() < document {
                    postings.seek(document);
                }
                if postings.doc() == TERMINATED {
                    break;
                }
                if postings.doc() == document {
                    postings.positions(&mut buffer);
                    found.entry(document).or_default().append(&mut buffer);
                }
            }
        }
        found.values_mut().for_each(|positions| positions.sort_unstable());
        Ok(found)
    }

    fn postings(&self, term: &[u8], option: IndexRecordOption) -> tantivy::Result<Option<SegmentPostings>> {
        let Ok(text) = std::str::from_utf8(term) else { return Ok(None) };
        Ok(self.index.read_postings(&Term::from_field_text(self.field, text), option)?)
    }
}

/// Keeps the starts that are followed by one of `positions` at a distance.
fn keep_followed(starts: &mut HashMap<u32, Vec<u32>>, positions: &HashMap<u32, Vec<u32>>, offset: u32) {
    starts.retain(|document, starts| {
        let Some(positions) = positions.get(document) else { return false };
        starts.retain(|start| positions.binary_search(&(start + offset)).is_ok());
        !starts.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::{super::build, super::tail::Text, *};
    use crate::message::{HeaderText, SearchText};
    use proptest::prelude::*;
    use std::sync::Arc;
    use tantivy::directory::OwnedBytes;

    fn open(texts: &[(u32, Text)]) -> OpenSegment {
        let built = build::from_texts(texts).unwrap();
        OpenSegment::open(&built.id, built.documents, OwnedBytes::new(built.octets)).unwrap()
    }

    /// Asks a segment and a scan; what is possible only is looked at, as a search does.
    fn check(segment: &OpenSegment, texts: &[(u32, Text)], key: &TextKey) {
        let answer = answer(segment, key).unwrap();
        for (number, text) in texts {
            let said = answer.certain.contains(*number);
            let expected = text.matches(key);
            if !answer.possible.contains(*number) {
                assert_eq!(said, expected, "{key:?} in {text:?}");
            } else {
                assert!(!said);
            }
        }
    }

    fn fragment() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[ab]{1,3}",
            3 => Just(" ".to_owned()),
            1 => Just("日".to_owned()),
            1 => Just("本語".to_owned()),
            1 => Just("@.".to_owned()),
            1 => Just("to:".to_owned()),
            1 => (250_usize..270).prop_map(|length| "ba".repeat(length / 2)),
            1 => Just("é".to_owned()),
        ]
    }

    fn some_text(most: usize) -> impl Strategy<Value = String> {
        proptest::collection::vec(fragment(), 0..most).prop_map(|fragments| fragments.concat())
    }

    fn message() -> impl Strategy<Value = SearchText> {
        let header = (prop_oneof![Just("to"), Just("subject"), Just("x-a"), Just("x-b")], some_text(6))
            .prop_map(|(name, value)| HeaderText { name: name.to_owned(), value: value.trim().to_owned() });
        (proptest::collection::vec(header, 0..5), some_text(12))
            .prop_map(|(headers, body)| SearchText { headers, body })
    }

    fn keys(needle: &str) -> Vec<TextKey> {
        let headers = ["to", "subject", "x-a", "x-b", "x-c"].map(|name| TextKey::header(name, needle));
        headers.into_iter().chain([TextKey::body(needle), TextKey::text(needle)]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn a_segment_answers_what_a_scan_answers(
            messages in proptest::collection::vec(message(), 1..12),
            needles in proptest::collection::vec(some_text(4), 1..12),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 6),
        ) {
            let texts: Vec<(u32, Text)> = (1..).zip(messages.iter().map(Text::of)).collect();
            let segment = open(&texts);
            let bodies: Vec<&str> = texts.iter().map(|(_, text)| text.body.as_str()).filter(|body| !body.is_empty()).collect();
            let parts = cuts.iter().filter(|_| !bodies.is_empty()).map(|(which, at)| {
                let characters: Vec<char> = which.get(&bodies).chars().collect();
                let start = at.index(characters.len());
                characters[start..characters.len().min(start + 7)].iter().collect::<String>()
            });
            for needle in needles.iter().cloned().chain(parts) {
                for key in keys(&needle) {
                    check(&segment, &texts, &key);
                }
            }
        }

        #[test]
        fn a_merge_answers_the_same_without_the_removed(
            messages in proptest::collection::vec(message(), 2..12),
            needle in some_text(3),
            removed in 1_u32..12,
        ) {
            let texts: Vec<(u32, Text)> = (1..).zip(messages.iter().map(Text::of)).collect();
            let (first, second) = texts.split_at(texts.len() / 2);
            let parts = [Arc::new(open(first)), Arc::new(open(second))];
            let Some(merged) = build::merge(&parts, |number| number != removed).unwrap() else { return Ok(()) };
            let merged = OpenSegment::open(&merged.id, merged.documents, OwnedBytes::new(merged.octets)).unwrap();
            let left: Vec<_> = texts.iter().filter(|(number, _)| *number != removed).cloned().collect();
            for key in keys(&needle) {
                check(&merged, &left, &key);
                prop_assert!(!answer(&merged, &key).unwrap().certain.contains(removed));
            }
        }
    }

    #[test]
    fn a_damaged_bundle_is_refused() {
        let text = Text::of(&SearchText { headers: Vec::new(), body: "some words".to_owned() });
        let built = build::from_texts(&[(1, text)]).unwrap();
        for at in (0..built.octets.len()).step_by(7) {
            let mut octets = built.octets.clone();
            octets[at] ^= 1;
            let opened = OpenSegment::open(&built.id, built.documents, OwnedBytes::new(octets));
            assert!(matches!(opened, Err(StoreError::Damaged(_))), "octet {at}");
        }
    }
}
