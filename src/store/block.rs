//! Blocks of mailbox rows: 256 consecutive UIDs, as variable-length integers in two values.
//!
//! What never changes (number, size, dates) is one value, what STORE changes (mod-sequence, flags,
//! keywords) another, so that a flag change rewrites about a kilobyte. In memory a block is a list
//! of rows shared by all snapshots.

use super::{StoreError, mailbox::Row};
use crate::mail::{MessageNumber, ModSeq, SystemFlags, Uid};

/// UIDs of one block. Part of the format.
pub(super) const UIDS: u32 = 256;

/// The block of a UID.
pub(super) fn block_of(uid: Uid) -> u32 {
    uid.get() / UIDS
}

/// The rows of a block, by rising UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) rows: Vec<Row>,
    /// The highest mod-sequence of its rows, for skipping it.
    pub(super) highest: Option<ModSeq>,
}

impl Block {
    pub(super) fn new(rows: Vec<Row>) -> Self {
        let highest = rows.iter().map(|row| row.modseq).max();
        Self { rows, highest }
    }

    pub(super) fn position(&self, uid: Uid) -> Option<usize> {
        self.rows.binary_search_by_key(&uid, |row| row.uid).ok()
    }

    /// The value of what never changes: each number as the difference to the row before.
    pub(super) fn fixed(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.rows.len() * 10);
        let mut before = Before::default();
        for row in &self.rows {
            put(&mut octets, u64::from(row.uid.get() % UIDS));
            put_signed(&mut octets, i64::from(row.number.get()) - before.number);
            put(&mut octets, row.octets);
            put_signed(&mut octets, row.internal_seconds - before.internal);
            put_signed(&mut octets, i64::from(row.sent_day) - row.internal_seconds.div_euclid(86_400));
            put_signed(&mut octets, row.saved_seconds - row.internal_seconds);
            before = Before { number: i64::from(row.number.get()), internal: row.internal_seconds, modseq: 0 };
        }
        octets
    }

    /// The value of what changes.
    pub(super) fn variable(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.rows.len() * 4);
        let mut before = 0;
        for row in &self.rows {
            let modseq = i64::try_from(row.modseq.get()).unwrap_or(i64::MAX);
            put_signed(&mut octets, modseq - before);
            octets.push(row.flags.0);
            put(&mut octets, row.keywords);
            before = modseq;
        }
        octets
    }

    /// Reads both values.
    pub(super) fn read(block: u32, fixed: &[u8], variable: &[u8]) -> Result<Self, StoreError> {
        rows(block, fixed, variable).map(Self::new).ok_or_else(|| StoreError::Damaged(format!("block {block} of rows")))
    }
}

#[derive(Default)]
struct Before {
    number: i64,
    internal: i64,
    modseq: i64,
}

fn rows(block: u32, mut fixed: &[u8], mut variable: &[u8]) -> Option<Vec<Row>> {
    let (mut rows, mut before) = (Vec::with_capacity(UIDS as usize), Before::default());
    while !fixed.is_empty() {
        let uid = block.checked_mul(UIDS)?.checked_add(u32::try_from(take(&mut fixed)?).ok()?)?;
        let number = before.number.checked_add(take_signed(&mut fixed)?)?;
        let octets = take(&mut fixed)?;
        let internal = before.internal.checked_add(take_signed(&mut fixed)?)?;
        let sent_day = internal.div_euclid(86_400).checked_add(take_signed(&mut fixed)?)?;
        let saved = internal.checked_add(take_signed(&mut fixed)?)?;
        let modseq = before.modseq.checked_add(take_signed(&mut variable)?)?;
        let (flags, rest) = variable.split_first()?;
        variable = rest;
        rows.push(Row {
            uid: Uid::new(uid)?,
            number: MessageNumber::new(u32::try_from(number).ok()?)?,
            modseq: ModSeq::new(u64::try_from(modseq).ok()?)?,
            flags: SystemFlags(*flags),
            keywords: take(&mut variable)?,
            octets,
            internal_seconds: internal,
            sent_day: i32::try_from(sent_day).ok()?,
            saved_seconds: saved,
        });
        before = Before { number, internal, modseq };
    }
    variable.is_empty().then_some(rows)
}

/// LEB128.
fn put(octets: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        octets.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
}

fn put_signed(octets: &mut Vec<u8>, value: i64) {
    put(octets, ((value << 1) ^ (value >> 63)) as u64);
}

fn take(octets: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_signed(octets: &mut &[u8]) -> Option<i64> {
    let value = take(octets)?;
    Some(((value >> 1) as i64) ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = Row> {
        let numbers = (1_u32.., 1_u64..1 << 62, any::<u8>(), any::<u64>());
        let dates = (0_u64..1 << 40, -1_i64 << 40..1 << 40, -1_i32 << 20..1 << 20, -1_i64 << 40..1 << 40);
        (numbers, dates).prop_map(|((number, modseq, flags, keywords), (octets, internal, sent_day, saved))| Row {
            uid: Uid::FIRST,
            number: MessageNumber::new(number).unwrap(),
            modseq: ModSeq::new(modseq).unwrap(),
            flags: SystemFlags(flags),
            keywords,
            octets,
            internal_seconds: internal,
            sent_day,
            saved_seconds: saved,
        })
    }

    proptest! {
        #[test]
        fn a_block_reads_back(rows in proptest::collection::btree_map(0..UIDS, row(), 0..40)) {
            let rows = rows.into_iter().map(|(low, row)| Row { uid: Uid::new(7 * UIDS + low).unwrap(), ..row }).collect();
            let block = Block::new(rows);
            prop_assert_eq!(Block::read(7, &block.fixed(), &block.variable()).unwrap(), block);
        }

        #[test]
        fn no_octets_make_the_reader_panic(fixed in any::<Vec<u8>>(), variable in any::<Vec<u8>>()) {
            let _ = Block::read(3, &fixed, &variable);
        }
    }
}
