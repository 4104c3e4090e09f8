//! Answering FETCH (RFC 9051 §6.4.5, §7.5.2).
//!
//! Owns: the items a client can ask for and how each is written. Promises: whatever a message holds, the
//! response is well formed; items that stand in a mailbox's rows or a message's record read no body; bodies stream by
//! ranges. Never: changes a flag.
//!
//! RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 3516 (BINARY), RFC 7162 §3.1.4 (MODSEQ).

pub(super) mod binary;
pub(super) mod body;
pub(super) mod envelope;
pub(super) mod item;
pub(super) mod row;
pub(super) mod section;
pub(super) mod structure;
