//! Rows that were deleted: noted, kept for the grace time in which they may be brought back, then released.
//!
//! EXPUNGE and DELETE note the rows in the outbox, in the same commit that takes them out of the mailbox, with all
//! that is needed to bring them back (`undelete`). A note holds what a row held: its record and the record's
//! references stay, so nothing is ever removed too early. Each partition's writer works off the notes that are older
//! than the grace (`Settings::undelete_days`), oldest first, in small steps between other writes: each record is
//! counted down, and removed with the last row or note that names it.

use super::{
    Inner, SpecialUse, StoreError, failpoint,
    key::{Place, end_of, releases},
    mailbox::Row,
    metadata::Table,
    transaction::Transaction,
    varint::{put, put_signed, take, take_signed},
};
use crate::mail::{AccountId, Keyword, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid};
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use tracing::error;

/// Version of a note's encoding; its first octet.
const VERSION: u8 = 1;

/// Rows of one note, which is one step of the writer: some milliseconds.
const ROWS_MAX: usize = 256;

/// Why rows left their mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// EXPUNGE.
    Expunged,
    /// DELETE of the mailbox, with the use that it had.
    MailboxDeleted(Option<SpecialUse>),
}

/// Rows that left a mailbox together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) mailbox: MailboxId,
    /// The mailbox's name then.
    pub(super) name: String,
    pub(super) cause: Cause,
    /// The mailbox's keywords, which the rows' bits count on.
    pub(super) keywords: Vec<Keyword>,
    /// By rising UID. Mod-sequences are not kept.
    pub(super) rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    mailbox: u64,
    name: &'a str,
    cause: Cause,
    #[serde(borrow)]
    keywords: Vec<&'a str>,
}

impl Note {
    /// The values of the rows that keep it, each complete in itself.
    pub(super) fn values(&self) -> impl Iterator<Item = Vec<u8>> {
        let keywords = self.keywords.iter().map(Keyword::as_str).collect();
        let head = Head { mailbox: self.mailbox.get(), name: &self.name, cause: self.cause, keywords };
        let head = postcard::to_extend(&head, vec![VERSION]).expect("numbers and texts always encode");
        self.rows.chunks(ROWS_MAX).map(move |rows| {
            let mut octets = head.clone();
            put_rows(&mut octets, rows);
            octets
        })
    }

    /// Reads one value.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (head, rest) = postcard::take_from_bytes::<Head<'_>>(value.strip_prefix(&[VERSION])?).ok()?;
        Some(Self {
            mailbox: MailboxId::new(head.mailbox)?,
            name: head.name.to_owned(),
            cause: head.cause,
            keywords: head.keywords.into_iter().map(Keyword::new).collect::<Option<_>>()?,
            rows: take_rows(rest)?,
        })
    }
}

/// Adds rows, each number as the difference to the row before: about ten octets a row.
fn put_rows(octets: &mut Vec<u8>, rows: &[Row]) {
    let (mut uid, mut number, mut internal) = (0, 0, 0);
    for row in rows {
        put(octets, u64::from(row.uid.get()).saturating_sub(uid));
        put_signed(octets, i64::from(row.number.get()) - number);
        octets.push(row.flags.0);
        put(octets, row.keywords);
        put(octets, row.octets);
        put_signed(octets, row.internal_seconds - internal);
        put_signed(octets, i64::from(row.sent_day) - row.internal_seconds.div_euclid(86_400));
        put_signed(octets, row.saved_seconds - row.internal_seconds);
        (uid, number, internal) = (u64::from(row.uid.get()), i64::from(row.number.get()), row.internal_seconds);
    }
}

fn take_rows(mut rest: &[u8]) -> Option<Vec<Row>> {
    let (mut rows, mut uid, mut number, mut internal) = (Vec::new(), 0_u64, 0_i64, 0_i64);
    while !rest.is_empty() {
        uid = uid.checked_add(take(&mut rest)?)?;
        number = number.checked_add(take_signed(&mut rest)?)?;
        let (flags, behind) = rest.split_first()?;
        rest = behind;
        let (keywords, octets) = (take(&mut rest)?, take(&mut rest)?);
        internal = internal.checked_add(take_signed(&mut rest)?)?;
        let sent_day = internal.div_euclid(86_400).checked_add(take_signed(&mut rest)?)?;
        let saved_seconds = internal.checked_add(take_signed(&mut rest)?)?;
        rows.push(Row {
            uid: Uid::new(u32::try_from(uid).ok()?)?,
            number: MessageNumber::new(u32::try_from(number).ok()?)?,
            modseq: ModSeq::FIRST,
            flags: SystemFlags(*flags),
            keywords,
            octets,
            internal_seconds: internal,
            sent_day: i32::try_from(sent_day).ok()?,
            saved_seconds,
        });
    }
    Some(rows)
}

/// Whose a note is and when it was made, from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seconds: i64,
    pub(super) account: AccountId,
}

impl Stamp {
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let (seconds, rest) = key.get(releases(0).len()..)?.split_first_chunk()?;
        let seconds = i64::try_from(u64::from_be_bytes(*seconds)).ok()?;
        Some(Self { seconds, account: AccountId::new(u64::from_be_bytes(*rest.first_chunk()?))? })
    }
}

/// The keys of an account's notes that are committed. Reads every key of its partition's notes.
pub(super) fn keys_of(inner: &Inner, place: Place) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    inner.engine.scan_prefix(Table::Outbox, &releases(place.partition), |key, _| {
        if Stamp::of_key(key).is_some_and(|stamp| stamp.account == place.account) {
            keys.push(key.to_vec());
        }
        true
    })?;
    Ok(keys)
}

/// Works off the oldest note of a partition where its grace is over, and returns when the next step is due, in seconds
/// since 1970; `None` where no note is left.
pub(super) fn step(transaction: &mut Transaction<'_>, partition: u16) -> Result<Option<i64>, StoreError> {
    let inner = transaction.inner();
    let prefix = releases(partition);
    let end = end_of(prefix.clone());
    let mut first = None;
    inner.engine.scan(Table::Outbox, (Bound::Included(&*prefix), Bound::Excluded(&*end)), |key, value| {
        first = Some((key.to_vec(), value.to_vec()));
        false
    })?;
    let Some((key, value)) = first else { return Ok(None) };
    let now = transaction.now().seconds();
    match (Stamp::of_key(&key), Note::read(&value)) {
        (Some(stamp), _) if stamp.seconds.saturating_add(inner.undelete_seconds) > now => {
            return Ok(Some(stamp.seconds.saturating_add(inner.undelete_seconds)));
        }
        (Some(stamp), Some(note)) => release(transaction, stamp.account, &note.rows)?,
        _ => error!("a note of deleted rows is damaged; their records stay"),
    }
    transaction.delete(Table::Outbox, key);
    failpoint::reach("release.before_commit");
    Ok(Some(now))
}

fn release(transaction: &mut Transaction<'_>, account: AccountId, rows: &[Row]) -> Result<(), StoreError> {
    if !transaction.inner().has_rows(account)? {
        // The account went in the group that made the note.
        return Ok(());
    }
    for number in rows.iter().map(|row| row.number) {
        match transaction.release_record(account, number) {
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

impl Inner {
    /// Whether an account is there, or removed and may still be brought back.
    fn has_rows(&self, account: AccountId) -> Result<bool, StoreError> {
        let place = self.place(account);
        let is_there = |key: Vec<u8>| self.engine.get(Table::Mailbox, key).map(|row| row.is_some());
        Ok(is_there(place.counters())? || is_there(place.retired_counters())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row() -> impl Strategy<Value = Row> {
        let numbers = (1_u32.., any::<u8>(), any::<u64>(), 0_u64..1 << 40);
        let dates = (-1_i64 << 40..1 << 40, -1_i32 << 20..1 << 20, -1_i64 << 40..1 << 40);
        (numbers, dates).prop_map(|((number, flags, keywords, octets), (internal, sent_day, saved))| Row {
            uid: Uid::FIRST,
            number: MessageNumber::new(number).unwrap(),
            modseq: ModSeq::FIRST,
            flags: SystemFlags(flags),
            keywords,
            octets,
            internal_seconds: internal,
            sent_day,
            saved_seconds: saved,
        })
    }

    fn note(rows: BTreeMap<u32, Row>) -> Note {
        Note {
            mailbox: MailboxId::new(7).unwrap(),
            name: "Ablage/Über".to_owned(),
            cause: Cause::MailboxDeleted(Some(SpecialUse::Archive)),
            keywords: ["$Label", "x"].map(|name| Keyword::new(name).unwrap()).to_vec(),
            rows: rows.into_iter().map(|(uid, row)| Row { uid: Uid::new(uid).unwrap(), ..row }).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_note_reads_back(rows in proptest::collection::btree_map(1_u32.., row(), 0..300)) {
            let note = note(rows);
            let mut found = Vec::new();
            for value in note.values() {
                prop_assert!(value.len() <= limits::VALUE_OCTETS_MAX / 2);
                let read = Note::read(&value).unwrap();
                prop_assert_eq!(Note { rows: Vec::new(), ..read.clone() }, Note { rows: Vec::new(), ..note.clone() });
                found.extend(read.rows);
            }
            prop_assert_eq!(found, note.rows);
        }

        #[test]
        fn no_octets_make_the_reader_panic(value in any::<Vec<u8>>()) {
            let _ = Note::read(&[&[VERSION], &*value].concat());
        }
    }

    #[test]
    fn a_key_says_whose_and_when() {
        let place = Place { partition: 3, account: AccountId::new(9).unwrap() };
        let key = place.release(1_700_000_000, ModSeq::FIRST, 2);
        assert_eq!(Stamp::of_key(&key), Some(Stamp { seconds: 1_700_000_000, account: place.account }));
        assert!(key.starts_with(&releases(3)));
        assert_eq!(Stamp::of_key(b"r"), None);
    }
}
