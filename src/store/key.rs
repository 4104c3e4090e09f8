//! Keys of rows, and the store's format.
//!
//! Everything of an account begins with its partition (2 octets) and its id (8), so that an account
//! is one range of each table and a partition can move as a whole. All numbers are big-endian.
//!
//! | table | key behind the account | value |
//! |---|---|---|
//! | `Mailbox` | `a` | the account's counters |
//! | `Mailbox` | `z` | the same while the account is removed and may still be brought back |
//! | `Mailbox` | `q` | the account's limits, where any was set |
//! | `Mailbox` | `h` mailbox | the mailbox's header |
//! | `Mailbox` | `n` name | a mailbox's id and use |
//! | `Mailbox` | `s` name | nothing: the name is subscribed |
//! | `Row` | mailbox, block, `f` | what never changes in 256 consecutive UIDs |
//! | `Row` | mailbox, block, `v` | flags, keywords and mod-sequences of the same |
//! | `Record` | number | the message record; `c` chunk behind it: what does not fit one value |
//! | `Record` | number, `n` | how many mailbox rows name the record, where it is not one |
//! | `Change` | mailbox, modseq, uid | UIDs from that one on that vanished at that mod-sequence |
//! | `Reference` | content | how many records of the account name the content |
//!
//! Each value begins with a version octet, counts and empty values apart.
//!
//! Behind the partition alone:
//!
//! | table | key behind the partition | value |
//! |---|---|---|
//! | `Repeat` | repeat key | what the delivery's first commit gave out, and where its further steps are |
//! | `Repeat` | repeat key, step | what a further step gave out in this partition |
//! | `Outbox` | `d` delivery, chunk | what is left of a delivery that began in this partition |
//! | `Outbox` | `m` delivery, step | nothing: the step was applied in this partition |
//! | `Outbox` | `r` seconds, account, modseq, chunk | rows that were deleted then, whose records wait for their release |
//! | `Outbox` | `x` account | it was removed: the caller's note while it may be brought back, nothing while its index has still to go |
//! | `Outbox` | `b` account, number | a message that packs name, while metadata is made again from them |
//!
//! So what a batch of one partition writes stays in it, and the rows of a partition are all that its writer needs.
//! `Fresh` and `Location` are `blob`'s and know no partition: a content is the installation's, whoever brought it
//! (`metadata` says what that means for an engine of many databases). `Tail` and `Segment` are `index`'s, behind
//! the account. Of the installation are `System`: `identity` (format, partitions, secret), `next account`,
//! `objects` (their place is marked as ours); `Directory`: those of `accounts`.
//!
//! Copies of `identity`, `Directory` and the names of `Mailbox` stand among the objects (`recovery::spare`): with them and
//! what packs name, all of this can be made again but flags and moves.

use super::{
    StoreError,
    metadata::{Engine, Table, after_prefix},
};
use crate::mail::{AccountId, ContentId, MailboxId, MessageNumber, ModSeq, Uid};
use std::ops::Bound;

/// The version of everything that the store writes. A store of another one is refused.
pub(super) const FORMAT: u8 = 1;

/// The partition of an account; part of the format.
pub(super) fn partition_of(account: AccountId, partitions: u16) -> u16 {
    let mixed = account.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u16::try_from(mixed % u64::from(partitions.max(1))).unwrap_or(0)
}

/// Octets of a [`Place`] in a key.
const PLACE_OCTETS: usize = 10;

/// An account with its partition: the beginning of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) partition: u16,
    pub(super) account: AccountId,
}

impl Place {
    /// Whose a key is that begins with partition and account.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let (partition, rest) = key.split_first_chunk::<2>()?;
        let account = AccountId::new(u64::from_be_bytes(*rest.first_chunk()?))?;
        Some(Self { partition: u16::from_be_bytes(*partition), account })
    }

    pub(super) fn prefix(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        key.extend(self.partition.to_be_bytes());
        key.extend(self.account.get().to_be_bytes());
        key
    }

    fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = self.prefix();
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    pub(super) fn counters(self) -> Vec<u8> {
        self.key(&[b"a"])
    }

    pub(super) fn limits(self) -> Vec<u8> {
        self.key(&[b"q"])
    }

    pub(super) fn name(self, name: &str) -> Vec<u8> {
        self.key(&[b"n", name.as_bytes()])
    }

    pub(super) fn subscription(self, name: &str) -> Vec<u8> {
        self.key(&[b"s", name.as_bytes()])
    }

    /// The name in the key of a name or a subscription.
    pub(super) fn name_of(self, key: &[u8]) -> Option<&str> {
        std::str::from_utf8(key.get(self.prefix().len() + 1..)?).ok()
    }

    pub(super) fn header(self, mailbox: MailboxId) -> Vec<u8> {
        self.key(&[b"h", &mailbox.get().to_be_bytes()])
    }

    pub(super) fn blocks(self, mailbox: MailboxId) -> Vec<u8> {
        self.key(&[&mailbox.get().to_be_bytes()])
    }

    pub(super) fn block(self, mailbox: MailboxId, block: u32, column: Column) -> Vec<u8> {
        self.key(&[&mailbox.get().to_be_bytes(), &block.to_be_bytes(), &[column as u8]])
    }

    pub(super) fn record(self, number: MessageNumber) -> Vec<u8> {
        self.key(&[&number.get().to_be_bytes()])
    }

    /// The key of a record's further chunk.
    pub(super) fn record_chunk(self, number: MessageNumber, chunk: u16) -> Vec<u8> {
        self.key(&[&number.get().to_be_bytes(), b"c", &chunk.to_be_bytes()])
    }

    pub(super) fn record_rows(self, number: MessageNumber) -> Vec<u8> {
        self.key(&[&number.get().to_be_bytes(), b"n"])
    }

    pub(super) fn vanished(self, mailbox: MailboxId, modseq: ModSeq, uid: Uid) -> Vec<u8> {
        self.key(&[&mailbox.get().to_be_bytes(), &modseq.get().to_be_bytes(), &uid.get().to_be_bytes()])
    }

    /// The key of the counters while the account is removed and may still be brought back.
    pub(super) fn retired_counters(self) -> Vec<u8> {
        self.key(&[b"z"])
    }

    /// The key of the row that says that the account was removed.
    pub(super) fn removal(self) -> Vec<u8> {
        [&*outbox(self.partition, Task::Removal), &self.account.get().to_be_bytes()].concat()
    }

    /// The key of a note of deleted rows. Notes of a partition lie in the order of time, whatever account they are of.
    pub(super) fn release(self, seconds: i64, modseq: ModSeq, chunk: u16) -> Vec<u8> {
        let mut key = releases(self.partition);
        key.extend(u64::try_from(seconds).unwrap_or(0).to_be_bytes());
        key.extend(self.account.get().to_be_bytes());
        key.extend(modseq.get().to_be_bytes());
        key.extend(chunk.to_be_bytes());
        key
    }

    pub(super) fn reference(self, content: ContentId) -> Vec<u8> {
        self.key(&[&content.0])
    }
}

/// What the keys of all notes of deleted rows of a partition begin with.
pub(super) fn releases(partition: u16) -> Vec<u8> {
    outbox(partition, Task::Release)
}

/// What is left to be done, as the outbox sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Task {
    /// Deliveries whose first commit was in this partition.
    Delivery = b'd',
    /// Steps of deliveries that were applied in this partition.
    Applied = b'm',
    /// Rows that were deleted, whose records wait for their release.
    Release = b'r',
    /// Removed accounts of which something is still there.
    Removal = b'x',
    /// Messages that packs name and that are not yet back in their accounts.
    Found = b'b',
}

/// What the keys of a partition's outbox rows of one sort begin with.
pub(super) fn outbox(partition: u16, task: Task) -> Vec<u8> {
    let [high, low] = partition.to_be_bytes();
    vec![high, low, task as u8]
}

/// Every account that a table has rows of, by partition and id: one short scan each.
pub(super) fn places_in(engine: &Engine, table: Table) -> Result<Vec<Place>, StoreError> {
    let (mut places, mut from) = (Vec::new(), Some(Vec::new()));
    while let Some(start) = from.take() {
        engine.scan(table, (Bound::Included(&*start), Bound::Unbounded), |key, _| {
            if let Some(prefix) = key.get(..PLACE_OCTETS) {
                places.extend(Place::of_key(prefix));
                from = after_prefix(prefix.to_vec());
            }
            false
        })?;
    }
    Ok(places)
}

/// The two values of a block of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Column {
    /// What never changes.
    Fixed = b'f',
    /// Flags, keywords, mod-sequences.
    Variable = b'v',
}

/// The first key behind all that begin with `prefix`.
pub(super) fn end_of(prefix: Vec<u8>) -> Vec<u8> {
    after_prefix(prefix).unwrap_or_else(|| vec![0xff; 64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_spread_over_partitions_and_stay_there() {
        let of = |id| partition_of(AccountId::new(id).unwrap(), 8);
        assert_eq!((1..=8).map(of).collect::<Vec<_>>(), (1..=8).map(of).collect::<Vec<_>>());
        let mut filled = [0; 8];
        (1..=8000).for_each(|id| filled[usize::from(of(id))] += 1);
        assert!(filled.iter().all(|count| (800..1200).contains(count)), "{filled:?}");
    }

    #[test]
    fn the_end_of_a_prefix_lies_behind_its_keys() {
        assert_eq!(end_of(vec![1, 2]), [1, 3]);
        assert_eq!(end_of(vec![1, 0xff]), [2]);
    }
}
