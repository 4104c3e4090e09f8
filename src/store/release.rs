//! Records that have lost a mailbox row: counted down, and removed with the last one.
//!
//! EXPUNGE and DELETE note the message numbers in the outbox, in the same commit as the rows; each partition's
//! writer works the notes off in small steps between other writes. Until then a record and its references are
//! kept, so nothing is ever removed too early.

use super::{
    StoreError, failpoint,
    key::end_of,
    metadata::Table,
    transaction::Transaction,
    varint::{put_signed, take_signed},
};
use crate::mail::{AccountId, MessageNumber};
use std::ops::Bound;
use tracing::error;

/// Version of a row's encoding; its first octet.
const VERSION: u8 = 1;

/// Messages of one row, which is one step of the writer: some milliseconds.
const NUMBERS_MAX: usize = 256;

/// The values of the rows that name these messages.
pub(super) fn rows(numbers: &[MessageNumber]) -> impl Iterator<Item = Vec<u8>> {
    numbers.chunks(NUMBERS_MAX).map(|numbers| {
        let (mut octets, mut before) = (vec![VERSION], 0);
        for number in numbers {
            let number = i64::from(number.get());
            put_signed(&mut octets, number - before);
            before = number;
        }
        octets
    })
}

/// The messages that a row names; `None` where it is damaged.
pub(super) fn read(value: &[u8]) -> Option<Vec<MessageNumber>> {
    let mut rest = value.strip_prefix(&[VERSION])?;
    let (mut numbers, mut number) = (Vec::new(), 0_i64);
    while !rest.is_empty() {
        number = number.checked_add(take_signed(&mut rest)?)?;
        numbers.push(MessageNumber::new(u32::try_from(number).ok()?)?);
    }
    Some(numbers)
}

/// Works off the first row of a partition; `false` where there is none.
pub(super) fn step(transaction: &mut Transaction<'_>, partition: u16) -> Result<bool, StoreError> {
    let prefix = [b"r", &partition.to_be_bytes()[..]].concat();
    let end = end_of(prefix.clone());
    let mut first = None;
    let range = (Bound::Included(&*prefix), Bound::Excluded(&*end));
    transaction.inner().engine.scan(Table::Outbox, range, |key, value| {
        first = Some((key.to_vec(), value.to_vec()));
        false
    })?;
    let Some((key, value)) = first else { return Ok(false) };
    let account =
        key.get(prefix.len()..).and_then(<[u8]>::first_chunk).and_then(|id| AccountId::new(u64::from_be_bytes(*id)));
    match (account, read(&value)) {
        (Some(account), Some(numbers)) => release(transaction, account, &numbers)?,
        _ => error!("a row of released messages is damaged; their records stay"),
    }
    transaction.batch().delete(Table::Outbox, key);
    failpoint::reach("release.before_commit");
    Ok(true)
}

fn release(transaction: &mut Transaction<'_>, account: AccountId, numbers: &[MessageNumber]) -> Result<(), StoreError> {
    for number in numbers {
        match transaction.release_record(account, *number) {
            Ok(()) => {}
            // Its contents keep a reference too many, which loses nothing.
            Err(error @ (StoreError::Damaged(_) | StoreError::NoMessage)) => {
                error!(%account, %number, %error, "a released record cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(numbers in proptest::collection::vec(1_u32.., 0..600)) {
            let numbers: Vec<_> = numbers.into_iter().filter_map(MessageNumber::new).collect();
            let found: Vec<_> = rows(&numbers).flat_map(|value| read(&value).unwrap()).collect();
            prop_assert_eq!(found, numbers);
        }

        #[test]
        fn no_octets_make_the_reader_panic(value in any::<Vec<u8>>()) {
            let _ = read(&[&[VERSION], &*value].concat());
        }
    }
}
