//! Making segments: from texts, and from other segments.

use super::{
    bundle::{self, OpenSegment, terms_name},
    schema::{all_fields, body_field, header_field, schema, tokenizers},
    tail::Text,
};
use crate::store::StoreError;
use std::{collections::BTreeMap, sync::Arc};
use tantivy::{
    Index, IndexBuilder, IndexSettings, SegmentReader, TantivyDocument,
    directory::{OwnedBytes, RamDirectory},
    fastfield::AliveBitSet,
    index::SegmentId,
    indexer::{AddOperation, SegmentWriter, merge_filtered_segments},
};
use tantivy_common::BitSet;

/// Octets of memory at which tantivy would want a segment closed; we close them by our own rule.
const MEMORY_OCTETS: usize = 64 * 1024 * 1024;

/// A segment ready to be put.
pub(super) struct Built {
    /// tantivy's name of it.
    pub(super) id: String,
    pub(super) documents: u32,
    pub(super) octets: Vec<u8>,
}

/// Builds a segment in memory from texts by rising message number. About 30 µs a usual message.
pub(super) fn from_texts(texts: &[(u32, Text)]) -> Result<Built, StoreError> {
    let directory = RamDirectory::create();
    let segment = write_segment(&directory, texts).map_err(|error| failed(&error))?;
    let numbers = texts.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    finish(&directory, &segment, &numbers)
}

fn write_segment(directory: &RamDirectory, texts: &[(u32, Text)]) -> tantivy::Result<SegmentId> {
    let index = IndexBuilder::new().schema(schema()).tokenizers(tokenizers()).open_or_create(directory.clone())?;
    let segment = index.new_segment();
    let mut writer = SegmentWriter::for_segment(MEMORY_OCTETS, segment.clone())?;
    for (opstamp, (_, text)) in (0..).zip(texts) {
        writer.add_document(AddOperation { opstamp, document: document(text) })?;
    }
    writer.finalize()?;
    Ok(segment.id())
}

fn document(text: &Text) -> TantivyDocument {
    let mut lines: BTreeMap<u32, String> = BTreeMap::new();
    for line in &text.headers {
        let name = line.split_once(':').map_or(&**line, |(name, _)| name);
        let of_field = lines.entry(header_field(name).field_id()).or_default();
        if !of_field.is_empty() {
            of_field.push('\n');
        }
        of_field.push_str(line);
    }
    let mut document = TantivyDocument::new();
    for (field, text) in lines {
        document.add_text(tantivy::schema::Field::from_field_id(field), text);
    }
    document.add_text(body_field(), &text.body);
    document
}

/// Merges segments into one, leaving out the documents for which `lives` says no. `None` where none is left.
pub(super) fn merge(segments: &[Arc<OpenSegment>], lives: impl Fn(u32) -> bool) -> Result<Option<Built>, StoreError> {
    let (mut filters, mut numbers) = (Vec::with_capacity(segments.len()), Vec::new());
    for segment in segments {
        let mut alive = BitSet::with_max_value(segment.documents());
        for document in (0..segment.documents()).filter(|document| lives(segment.number(*document))) {
            alive.insert(document);
            numbers.push(segment.number(document));
        }
        let mut octets = Vec::new();
        alive.serialize(&mut octets).map_err(|error| failed(&error))?;
        filters.push(Some(AliveBitSet::open(OwnedBytes::new(octets))));
    }
    if numbers.is_empty() {
        return Ok(None);
    }
    let directory = RamDirectory::create();
    let parts: Vec<_> = segments.iter().map(|segment| segment.segment.clone()).collect();
    let merged = merge_filtered_segments(&parts, IndexSettings::default(), filters, directory.clone())
        .map_err(|error| failed(&error))?;
    let id = only_segment(&merged)?;
    finish(&directory, &id, &numbers).map(Some)
}

fn only_segment(index: &Index) -> Result<SegmentId, StoreError> {
    let ids = index.searchable_segment_ids().map_err(|error| failed(&error))?;
    ids.into_iter().next().ok_or_else(|| failed(&"a merge gave no segment"))
}

/// Adds our own parts and writes the bundle.
fn finish(directory: &RamDirectory, id: &SegmentId, numbers: &[u32]) -> Result<Built, StoreError> {
    let mut index = Index::open(directory.clone()).map_err(|error| failed(&error))?;
    index.set_tokenizers(tokenizers());
    let documents = u32::try_from(numbers.len()).map_err(|error| failed(&error))?;
    let segment = index.segment(index.new_segment_meta(*id, documents));
    let reader = SegmentReader::open(&segment).map_err(|error| failed(&error))?;
    let mut parts = vec![("numbers".to_owned(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect())];
    for field in all_fields() {
        parts.push((terms_name(field), joined_terms(&reader, field).map_err(|error| failed(&error))?));
    }
    let octets = bundle::write(directory, id, &parts)?;
    Ok(Built { id: id.uuid_string(), documents, octets })
}

/// The terms of a field between line ends, for substring search by `memmem`.
fn joined_terms(reader: &SegmentReader, field: tantivy::schema::Field) -> tantivy::Result<Vec<u8>> {
    let index = reader.inverted_index(field)?;
    let mut stream = index.terms().stream()?;
    let mut joined = vec![b'\n'];
    while stream.advance() {
        joined.extend_from_slice(stream.key());
        joined.push(b'\n');
    }
    Ok(joined)
}

fn failed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("index segment: {error}"))
}
