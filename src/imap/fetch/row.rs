//! What FETCH takes from a mailbox's row: no record, no body, no allocation per message.

use super::{
    super::{
        date::write_date_time,
        sequence::SequenceNumber,
        session::Features,
        write::{FlagNames, push_decimal},
    },
    item::Item,
};
use crate::store::Row;

/// Writes `* n FETCH (`.
pub(crate) fn push_start(out: &mut Vec<u8>, number: SequenceNumber) {
    out.extend_from_slice(b"* ");
    push_decimal(out, u64::from(number.get()));
    out.extend_from_slice(b" FETCH (");
}

/// Writes `)` and the line end.
pub(crate) fn push_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b")\r\n");
}

/// Writes an item that stands in the row; tells whether it is one.
pub(crate) fn push_item(out: &mut Vec<u8>, item: &Item, row: &Row, names: &FlagNames) -> bool {
    match item {
        Item::Uid => {
            out.extend_from_slice(b"UID ");
            push_decimal(out, u64::from(row.uid.get()));
        }
        Item::Flags => {
            out.extend_from_slice(b"FLAGS ");
            names.push_row(out, row);
        }
        Item::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            write_date_time(out, row.internal_seconds);
        }
        Item::Size => {
            out.extend_from_slice(b"RFC822.SIZE ");
            push_decimal(out, row.octets);
        }
        Item::ModSeq => {
            out.extend_from_slice(b"MODSEQ (");
            push_decimal(out, row.modseq.get());
            out.push(b')');
        }
        _ => return false,
    }
    true
}

/// Writes a whole FETCH response that tells of flags.
pub(crate) fn push_flags(out: &mut Vec<u8>, number: SequenceNumber, row: &Row, names: &FlagNames, features: Features) {
    push_start(out, number);
    push_item(out, &Item::Uid, row, names);
    out.push(b' ');
    push_item(out, &Item::Flags, row, names);
    if features.condstore {
        out.push(b' ');
        push_item(out, &Item::ModSeq, row, names);
    }
    push_end(out);
}

/// Writes a whole FETCH response that tells of a mod-sequence alone.
pub(crate) fn push_modseq(out: &mut Vec<u8>, number: SequenceNumber, row: &Row) {
    push_start(out, number);
    out.extend_from_slice(b"UID ");
    push_decimal(out, u64::from(row.uid.get()));
    out.extend_from_slice(b" MODSEQ (");
    push_decimal(out, row.modseq.get());
    out.push(b')');
    push_end(out);
}
