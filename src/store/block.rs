//! Blocks of mailbox rows: 256 consecutive UIDs, as variable-length integers in two values.
//!
//! What never changes (number, size, dates) is one value, what STORE changes (mod-sequence, flags,
//! keywords) another, so that a flag change rewrites about a kilobyte. In memory a block is a list
//! of rows shared by all snapshots.

use super::{
    StoreError,
    mailbox::Row,
    varint::{put, put_signed, take, take_signed},
};
use crate::mail::{MessageNumber, ModSeq, SystemFlags, Uid};

/// UIDs of one block. Part of the format.
pub(super) const UIDS: u32 = 256;

/// Version of both values' encoding; their first octet.
const VERSION: u8 = 1;

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

    /// Changes the rows; they stay in order.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Vec<Row>)) {
        edit(&mut self.rows);
        self.highest = self.rows.iter().map(|row| row.modseq).max();
    }

    pub(super) fn get(&self, uid: Uid) -> Option<&Row> {
        self.position(uid).and_then(|at| self.rows.get(at))
    }

    fn position(&self, uid: Uid) -> Option<usize> {
        self.rows.binary_search_by_key(&uid, |row| row.uid).ok()
    }

    /// The value of what never changes: each number as the difference to the row before.
    pub(super) fn fixed(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(1 + self.rows.len() * 10);
        octets.push(VERSION);
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
        let mut octets = Vec::with_capacity(1 + self.rows.len() * 4);
        octets.push(VERSION);
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

    /// Reads the rows whose second value is lost: without flags and keywords, changed at `modseq`.
    pub(super) fn salvage(block: u32, fixed: &[u8], modseq: ModSeq) -> Option<Self> {
        let mut variable = vec![VERSION];
        for number in 0..UIDS {
            let by = if number == 0 { i64::try_from(modseq.get()).ok()? } else { 0 };
            put_signed(&mut variable, by);
            variable.extend([0, 0]);
        }
        take_rows(block, fixed, &mut &*variable).map(Self::new)
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

fn rows(block: u32, fixed: &[u8], mut variable: &[u8]) -> Option<Vec<Row>> {
    let rows = take_rows(block, fixed, &mut variable)?;
    variable.is_empty().then_some(rows)
}

/// Reads as many rows as the first value has, and takes their part off the second.
fn take_rows(block: u32, fixed: &[u8], rest: &mut &[u8]) -> Option<Vec<Row>> {
    let (mut fixed, mut variable) = (fixed.strip_prefix(&[VERSION])?, rest.strip_prefix(&[VERSION])?);
    let (mut rows, mut before) = (Vec::with_capacity(UIDS as usize), Before::default());
    while !fixed.is_empty() {
        let uid = block.checked_mul(UIDS)?.checked_add(u32::try_from(take(&mut fixed)?).ok()?)?;
        let number = before.number.checked_add(take_signed(&mut fixed)?)?;
        let octets = take(&mut fixed)?;
        let internal = before.internal.checked_add(take_signed(&mut fixed)?)?;
        let sent_day = internal.div_euclid(86_400).checked_add(take_signed(&mut fixed)?)?;
        let saved = internal.checked_add(take_signed(&mut fixed)?)?;
        let modseq = before.modseq.checked_add(take_signed(&mut variable)?)?;
        let (flags, behind) = variable.split_first()?;
        variable = behind;
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
    *rest = variable;
    Some(rows)
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
        fn what_never_changes_reads_back_alone(rows in proptest::collection::btree_map(0..UIDS, row(), 0..40)) {
            let rows = rows.into_iter().map(|(low, row)| Row { uid: Uid::new(7 * UIDS + low).unwrap(), ..row }).collect();
            let (block, modseq) = (Block::new(rows), ModSeq::new(77).unwrap());
            let bare = |row: &Row| Row { modseq, flags: SystemFlags(0), keywords: 0, ..*row };
            let expected: Vec<Row> = block.rows.iter().map(bare).collect();
            prop_assert_eq!(Block::salvage(7, &block.fixed(), modseq).unwrap().rows, expected);
        }

        #[test]
        fn no_octets_make_the_reader_panic(fixed in any::<Vec<u8>>(), variable in any::<Vec<u8>>()) {
            let versioned = |octets: &[u8]| [&[VERSION], octets].concat();
            let _ = Block::read(3, &versioned(&fixed), &versioned(&variable));
        }
    }
}
