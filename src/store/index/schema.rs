//! The fields of a segment.

use super::token::{Folded, Kind};
use tantivy::{
    schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{TextAnalyzer, TokenizerManager},
};

/// Version of fields and tokens; part of a segment's row. Segments of another one are built anew.
pub(super) const ANALYSIS_VERSION: u8 = 1;

/// Header fields with an index of their own, in the order of their numbers.
const NAMED: [&str; 5] = ["from", "to", "cc", "bcc", "subject"];
/// Every other header field.
const OTHER: u32 = 5;
/// The body.
const BODY: u32 = 6;

/// The field of a header field's lines.
pub(super) fn header_field(name: &str) -> Field {
    let named = NAMED.iter().position(|named| *named == name).and_then(|index| u32::try_from(index).ok());
    Field::from_field_id(named.unwrap_or(OTHER))
}

/// Whether lines of other names share the field.
pub(super) fn is_shared(field: Field) -> bool {
    field.field_id() == OTHER
}

pub(super) fn body_field() -> Field {
    Field::from_field_id(BODY)
}

/// Every field of header lines.
pub(super) fn header_fields() -> impl Iterator<Item = Field> {
    (0..=OTHER).map(Field::from_field_id)
}

pub(super) fn all_fields() -> impl Iterator<Item = Field> {
    (0..=BODY).map(Field::from_field_id)
}

pub(super) fn schema() -> Schema {
    let options = |tokenizer: &str| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
            .set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut builder = Schema::builder();
    for name in NAMED.iter().chain(&["other"]) {
        builder.add_text_field(name, options("headers"));
    }
    builder.add_text_field("body", options("body"));
    builder.build()
}

pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::new();
    tokenizers.register("headers", TextAnalyzer::from(Folded(Kind::Headers)));
    tokenizers.register("body", TextAnalyzer::from(Folded(Kind::Body)));
    tokenizers
}
