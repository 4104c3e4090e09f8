//! The change log of a mailbox: which UIDs vanished at which mod-sequence (RFC 7162 §3.2.5.2).
//!
//! A row for each EXPUNGE or MOVE, with its UIDs as ranges: emptying a mailbox of 100,000 messages is a
//! few octets. The log is bounded; where its older half was cut off, the header says how far it reaches.

use super::{
    Inner, Store, StoreError,
    metadata::Table,
    state::Header,
    varint::{put, take},
};
use crate::mail::{AccountId, MailboxId, ModSeq, Uid};
use std::ops::Bound;

/// Version of a row's encoding; its first octet.
const VERSION: u8 = 1;

/// Ranges of one row, at most 10 octets each: keeps the value within `limits::VALUE_OCTETS_MAX`.
const RANGES_MAX: usize = 6000;

/// The rows for UIDs that rise: the first UID of each, and its value.
pub(super) fn rows(uids: &[Uid]) -> Vec<(Uid, Vec<u8>)> {
    let ranges: Vec<&[Uid]> = uids.chunk_by(|one, other| one.next() == Some(*other)).collect();
    ranges.chunks(RANGES_MAX).filter_map(|ranges| Some((*ranges.first()?.first()?, row(ranges)))).collect()
}

fn row(ranges: &[&[Uid]]) -> Vec<u8> {
    let (mut octets, mut behind) = (vec![VERSION], 0);
    for range in ranges {
        let start = range.first().map_or(0, |uid| u64::from(uid.get()));
        put(&mut octets, start - behind);
        put(&mut octets, range.len() as u64);
        behind = start + range.len() as u64;
    }
    octets
}

/// Adds the UIDs of a row; `None` where it is damaged.
pub(super) fn read(value: &[u8], uids: &mut Vec<Uid>) -> Option<()> {
    let mut rest = value.strip_prefix(&[VERSION])?;
    let mut behind = 0_u64;
    while !rest.is_empty() {
        let start = behind.checked_add(take(&mut rest)?)?;
        behind = start.checked_add(take(&mut rest)?)?;
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(behind).ok()?);
        uids.extend((start..end).filter_map(Uid::new));
    }
    Some(())
}

impl Store {
    /// UIDs expunged after `modseq`, by rising UID; `None` where the log no longer reaches back so
    /// far and the client must compare (RFC 7162 §3.2.5.2).
    pub fn vanished_since(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: ModSeq,
    ) -> Result<Option<Vec<Uid>>, StoreError> {
        let place = self.inner.place(account);
        let prefix = place.blocks(mailbox);
        let (mut start, end) = (prefix.clone(), super::key::end_of(prefix));
        start.extend(modseq.get().saturating_add(1).to_be_bytes());
        let (mut uids, mut intact) = (Vec::new(), true);
        self.inner.engine.scan(Table::Change, (Bound::Included(&*start), Bound::Excluded(&*end)), |_, value| {
            intact = read(value, &mut uids).is_some();
            intact
        })?;
        if !intact {
            return Err(StoreError::Damaged(format!("the change log of mailbox {mailbox} of account {account}")));
        }
        // Read last: a cut made during the scan shows here.
        let header = self.inner.engine.get(Table::Mailbox, place.header(mailbox))?.ok_or(StoreError::NoMailbox)?;
        let reaches = Header::decode(&header)?.log.behind.is_none_or(|behind| behind <= modseq);
        uids.sort_unstable();
        Ok(reaches.then_some(uids))
    }
}

/// How far a mailbox's log reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogBounds {
    /// Rows in it.
    pub(super) rows: u32,
    /// It has everything that vanished after this mod-sequence; `None` while it was never cut.
    pub(super) behind: Option<ModSeq>,
}

/// Where a log that has too many rows is to be cut: the mod-sequence of the last row to go, and how many go.
pub(super) fn cut(inner: &Inner, prefix: &[u8], rows: u32) -> Result<Option<(ModSeq, u32)>, StoreError> {
    let (mut last, mut gone) = (None, 0);
    inner.engine.scan_prefix(Table::Change, prefix, |key, _| {
        let modseq = key.get(prefix.len()..).and_then(<[u8]>::first_chunk).map(|octets| u64::from_be_bytes(*octets));
        let modseq = modseq.and_then(ModSeq::new);
        let wanted = gone < rows || modseq == last;
        if wanted {
            (last, gone) = (modseq, gone + 1);
        }
        wanted
    })?;
    Ok(last.map(|last| (last, gone)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn uids(numbers: impl IntoIterator<Item = u32>) -> Vec<Uid> {
        numbers.into_iter().filter_map(Uid::new).collect()
    }

    proptest! {
        #[test]
        fn uids_read_back(numbers in proptest::collection::btree_set(1_u32.., 0..50), run in 1_u32..400) {
            let start = numbers.first().copied().unwrap_or(1).min(u32::MAX - 400);
            let numbers: BTreeSet<u32> = numbers.into_iter().chain(start..start + run).collect();
            let uids = uids(numbers);
            let mut found = Vec::new();
            for (_, value) in rows(&uids) {
                prop_assert!(read(&value, &mut found).is_some());
            }
            prop_assert_eq!(found, uids);
        }

        #[test]
        fn no_octets_make_the_reader_panic(value in proptest::collection::vec(0_u8..4, 0..40)) {
            let _ = read(&[&[VERSION], &*value].concat(), &mut Vec::new());
        }
    }

    #[test]
    fn a_row_keeps_within_a_value_of_the_engine() {
        let every_other = uids((1..400_000).step_by(2));
        let rows = rows(&every_other);
        assert!(rows.len() > 1 && rows.iter().all(|(_, value)| value.len() <= crate::limits::VALUE_OCTETS_MAX));
        assert!(self::rows(&uids(1..400_000)).iter().all(|(_, value)| value.len() < 10));
    }
}
