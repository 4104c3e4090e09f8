//! SEARCH (RFC 9051 §6.4.4): its keys and how results are told.
//!
//! Owns: reading of keys, and their translation into conditions of the store. Promises: nesting and number of keys
//! are bounded; a chain of OR costs depth that grows with its logarithm. Never: looks at a message.
//!
//! RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731 (ESEARCH), RFC 5032 (WITHIN), RFC 5182 (SEARCHRES), RFC 7162 §3.1.5 (MODSEQ).

pub(super) mod key;
pub(super) mod result;
