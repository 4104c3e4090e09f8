//! Message records: one for each number that mailbox rows name, with the count of these rows.
//!
//! A record that no row names although nothing released it has lost its rows: it goes to a mailbox of its own
//! rather than away. A row whose record is lost gets another from the pack that names its body.

use super::{
    Check, Comparisons,
    account::{AccountRows, Read, take_uid_validity},
    begin,
    comparison::{Comparison, Cure, Write},
    mailboxes::{RECOVERED, free_name},
};
use crate::{
    mail::{MailboxId, MessageNumber, ModSeq, SystemFlags, Uid},
    message::Analysis,
    store::{
        StoreError,
        account_state::{Counters, Named},
        append::day_of,
        block::{Block, block_of},
        inner::Inner,
        key::{Column, Place},
        mailbox::Row,
        metadata::{Table, View},
        record::StoredRecord,
        state::Header,
    },
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rows of one record.
pub(super) struct RecordRows {
    pub(super) number: MessageNumber,
    /// The first chunk.
    first: Option<Vec<u8>>,
    /// Further chunks.
    chunks: BTreeMap<u16, Vec<u8>>,
    /// How many rows name it, where that is written.
    count: Option<Vec<u8>>,
}

impl RecordRows {
    /// The record, put together from its chunks.
    pub(super) fn record(&self) -> Read<StoredRecord> {
        Read::of(self.first.as_deref(), |first| {
            let (count, head) = first.split_first_chunk::<2>()?;
            let mut octets = head.to_vec();
            for chunk in 1..u16::from_be_bytes(*count) {
                octets.extend_from_slice(self.chunks.get(&chunk)?.get(2..)?);
            }
            let record = StoredRecord::decode(&Bytes::from(octets))?;
            Analysis::from_stored(&record.analysis).map(|_| record)
        })
    }

    /// How many rows it says that it has; `None` where the count cannot be read.
    fn counted(&self) -> Option<u64> {
        match &self.count {
            Some(count) => Some(u64::from_be_bytes(count.as_slice().try_into().ok()?)),
            None => Some(1),
        }
    }

    /// Its rows as they are removed.
    fn removal(&self, place: Place) -> Vec<Write> {
        let chunks = self.chunks.keys().map(|chunk| place.record_chunk(self.number, *chunk));
        let keys = [place.record(self.number), place.record_rows(self.number)].into_iter().chain(chunks);
        keys.map(|key| Write(Table::Record, key, None)).collect()
    }
}

/// Calls `visit` with each record of an account, by rising number, until it fails.
pub(super) fn scan(
    view: &View<'_>,
    place: Place,
    mut visit: impl FnMut(RecordRows) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let prefix = place.prefix();
    let (mut open, mut outcome): (Option<RecordRows>, _) = (None, Ok(()));
    view.scan_prefix(Table::Record, &prefix, |key, value| {
        let Some((number, rest)) = key.get(prefix.len()..).and_then(<[u8]>::split_first_chunk) else { return true };
        let Some(number) = MessageNumber::new(u32::from_be_bytes(*number)) else { return true };
        if open.as_ref().is_none_or(|open| open.number != number) {
            let new = RecordRows { number, first: None, chunks: BTreeMap::new(), count: None };
            outcome = open.replace(new).map_or(Ok(()), &mut visit);
        }
        if let Some(open) = &mut open {
            match rest {
                [] => open.first = Some(value.to_vec()),
                [b'n'] => open.count = Some(value.to_vec()),
                [b'c', high, low] => drop(open.chunks.insert(u16::from_be_bytes([*high, *low]), value.to_vec())),
                _ => {}
            }
        }
        outcome.is_ok()
    })?;
    outcome?;
    open.map_or(Ok(()), visit)
}

/// Compares, and returns the numbers of messages whose records are lost and are wanted back.
pub(super) fn examine(
    inner: &Inner,
    place: Place,
    checks: &mut Comparisons,
) -> Result<BTreeSet<MessageNumber>, StoreError> {
    let Some((rows, comparison)) = begin(inner, place, checks, Check::Records)? else { return Ok(BTreeSet::new()) };
    let mut examiner =
        Examiner { expected: expected(&rows), rows, comparison, homeless: Vec::new(), unread: BTreeSet::new() };
    let scanned = scan(&inner.engine.view(), place, |record| examiner.record(&record));
    if let Err(error) = scanned {
        // Those behind the damage are not missing: they could not be looked at.
        examiner.comparison.unreadable(place, error)?;
        return Ok(BTreeSet::new());
    }
    examiner.releases()?;
    examiner.missing()?;
    examiner.give_home(inner.clock.now().seconds())?;
    examiner.comparison.flush()?;
    Ok(examiner.unread)
}

/// How many rows, and releases that are not worked off, name each message.
fn expected(rows: &AccountRows) -> HashMap<MessageNumber, u64> {
    let mut expected = HashMap::new();
    let in_mailboxes = rows.mailboxes.values().flat_map(|mailbox| &mailbox.rows).map(|row| row.number);
    for number in in_mailboxes.chain(rows.released.iter().copied()) {
        *expected.entry(number).or_default() += 1;
    }
    expected
}

struct Examiner<'a> {
    rows: AccountRows,
    comparison: &'a mut Comparison,
    /// Messages that rows name and that were not yet met among the records.
    expected: HashMap<MessageNumber, u64>,
    /// Records in no mailbox, as rows without a UID of their own.
    homeless: Vec<Row>,
    unread: BTreeSet<MessageNumber>,
}

impl Examiner<'_> {
    fn record(&mut self, record: &RecordRows) -> Result<(), StoreError> {
        self.comparison.compared(1);
        let (place, number) = (self.rows.place, record.number);
        let rows = self.expected.remove(&number);
        match (record.record(), rows) {
            (Read::Good(stored), None) => {
                self.homeless.extend(row_of(&stored, number));
                let what = format!("it is in no mailbox, though nobody removed it; it goes to `{RECOVERED}`");
                let count = vec![Write(Table::Record, place.record_rows(number), None)];
                // Without the account's counters there is no number for the mailbox: `mailboxes` comes first.
                let cure = if self.rows.counters.good().is_some() { Cure::Write(count) } else { Cure::None };
                self.wrong(number, &what, cure)
            }
            (Read::Good(_), Some(rows)) if record.counted() == Some(rows) => Ok(()),
            (Read::Good(_), Some(rows)) => {
                let value = (rows != 1).then(|| rows.to_be_bytes().to_vec());
                let write = Write(Table::Record, place.record_rows(number), value);
                self.wrong(number, &format!("its count of rows is not {rows}"), Cure::Write(vec![write]))
            }
            (_, None) => self.wrong(number, "parts of a record that nothing names", Cure::Write(record.removal(place))),
            (_, Some(rows)) => {
                self.unread.insert(number);
                self.wrong(number, "its record cannot be read", Cure::Work)?;
                let value = (rows != 1).then(|| rows.to_be_bytes().to_vec());
                self.comparison.write(Write(Table::Record, place.record_rows(number), value))
            }
        }
    }

    fn wrong(&mut self, number: MessageNumber, what: &str, cure: Cure) -> Result<(), StoreError> {
        self.comparison.wrong(Some(self.rows.place), (self.message_place(number), what.to_owned()), cure)
    }

    /// Where people look for a message.
    fn message_place(&self, number: MessageNumber) -> String {
        if !self.comparison.tells() {
            return String::new();
        }
        let row =
            self.rows.mailboxes.iter().find_map(|(id, mailbox)| {
                mailbox.rows.iter().find(|row| row.number == number).map(|row| (*id, row.uid))
            });
        match row {
            Some((mailbox, uid)) => format!("message {number}, {} UID {uid}", self.rows.mailbox_place(mailbox)),
            None => format!("message {number}"),
        }
    }

    /// A release that cannot be read would keep its messages for ever.
    fn releases(&mut self) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.rows.bad_releases) {
            let what = ("expunged messages".to_owned(), "the row that names them cannot be read".to_owned());
            self.comparison.wrong(Some(self.rows.place), what, Cure::Write(vec![Write(Table::Outbox, key, None)]))?;
        }
        Ok(())
    }

    /// What rows name and no record is there of. What is only named by a release is gone already.
    fn missing(&mut self) -> Result<(), StoreError> {
        let in_mailboxes = self.rows.mailboxes.values().flat_map(|mailbox| &mailbox.rows).map(|row| row.number);
        let missing: BTreeSet<_> = in_mailboxes.filter(|number| self.expected.contains_key(number)).collect();
        for number in missing {
            self.unread.insert(number);
            self.comparison.compared(1);
            self.wrong(number, "its record is missing", Cure::Work)?;
            let rows = self.expected.get(&number).copied().filter(|rows| *rows != 1);
            let value = rows.map(|rows| rows.to_be_bytes().to_vec());
            self.comparison.write(Write(Table::Record, self.rows.place.record_rows(number), value))?;
        }
        Ok(())
    }

    /// Puts the messages without a mailbox into a new one: first the numbers it takes, then its blocks, then
    /// what makes it seen.
    fn give_home(&mut self, now_seconds: i64) -> Result<(), StoreError> {
        let Some(counters) = self.rows.counters.good().copied().filter(|_| !self.homeless.is_empty()) else {
            return Ok(());
        };
        let name = free_name(&self.rows, RECOVERED);
        let Some(home) = Home::new(counters, std::mem::take(&mut self.homeless), now_seconds) else { return Ok(()) };
        home.writes(self.rows.place, &name).into_iter().try_for_each(|write| self.comparison.write(write))
    }
}

/// What a row says of a record, without its place.
fn row_of(record: &StoredRecord, number: MessageNumber) -> Option<Row> {
    let internal_seconds = record.internal_date.seconds();
    let sent_day = Analysis::from_stored(&record.analysis)?.sent_day;
    Some(Row {
        uid: Uid::FIRST,
        number,
        modseq: ModSeq::FIRST,
        flags: SystemFlags::default(),
        keywords: 0,
        octets: record.raw_octets + record.trace.len() as u64,
        internal_seconds,
        sent_day: sent_day.unwrap_or_else(|| day_of(internal_seconds)),
        saved_seconds: internal_seconds,
    })
}

/// A mailbox for messages that have lost theirs.
struct Home {
    id: MailboxId,
    counters: Counters,
    header: Header,
    rows: Vec<Row>,
}

impl Home {
    fn new(mut counters: Counters, mut rows: Vec<Row>, now_seconds: i64) -> Option<Self> {
        let id = MailboxId::new(counters.next_mailbox)?;
        counters.next_mailbox += 1;
        let modseq = ModSeq::new(counters.next_modseq)?;
        counters.next_modseq += 1;
        let mut header = Header::new(take_uid_validity(&mut counters, now_seconds)?, modseq);
        let mut uid = Uid::FIRST;
        for row in &mut rows {
            *row = Row { uid, modseq, saved_seconds: now_seconds, ..*row };
            uid = uid.next()?;
        }
        header.status.uid_next = uid;
        super::counters::recount(&mut header.status, &rows);
        Some(Self { id, counters, header, rows })
    }

    fn writes(&self, place: Place, name: &str) -> Vec<Write> {
        let mut writes = vec![Write(Table::Mailbox, place.counters(), Some(self.counters.encode()))];
        for rows in self.rows.chunk_by(|one, other| block_of(one.uid) == block_of(other.uid)) {
            let Some(number) = rows.first().map(|row| block_of(row.uid)) else { continue };
            let block = Block::new(rows.to_vec());
            let key = |column| place.block(self.id, number, column);
            writes.push(Write(Table::Row, key(Column::Fixed), Some(block.fixed())));
            writes.push(Write(Table::Row, key(Column::Variable), Some(block.variable())));
        }
        let named = Named { id: self.id, special_use: None };
        writes.push(Write(Table::Mailbox, place.header(self.id), Some(self.header.encode())));
        writes.push(Write(Table::Mailbox, place.name(name), Some(named.encode())));
        writes.push(Write(Table::Mailbox, place.subscription(name), Some(Vec::new())));
        writes
    }
}
