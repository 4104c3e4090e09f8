//! Names, headers and blocks of rows: not derived, so what is lost of them is lost, and the rest must not be.
//!
//! A mailbox whose header is lost gets another UIDVALIDITY, since nobody knows which UIDs it gave out (P4). A block
//! that has lost its flags keeps its messages; one that has lost them too leaves records without a row, which
//! `records` brings back.

use super::{
    Check, Comparisons,
    account::{AccountRows, MailboxRows, Read, take_uid_validity},
    begin,
    comparison::{Comparison, Cure, Write},
};
use crate::{
    limits,
    mail::{Keyword, MailboxId, ModSeq},
    store::{
        SpecialUse, StoreError,
        account::FIRST_MAILBOXES,
        account_state::{Counters, INBOX, Named},
        block::Block,
        inner::Inner,
        key::{Column, Place},
        metadata::Table,
        state::Header,
    },
};

/// What a mailbox is called whose name is lost, and one for messages whose mailbox is.
pub(super) const RECOVERED: &str = "Recovered";

struct Examiner<'a> {
    rows: AccountRows,
    comparison: &'a mut Comparison,
    counters: Counters,
    now_seconds: i64,
}

pub(super) fn examine(inner: &Inner, place: Place, checks: &mut Comparisons) -> Result<(), StoreError> {
    let Some((rows, comparison)) = begin(inner, place, checks, Check::Mailboxes)? else { return Ok(()) };
    comparison.compared(1 + rows.headers.len() as u64);
    let counters = known_counters(&rows);
    let mut examiner = Examiner { counters, rows, comparison, now_seconds: inner.clock.now().seconds() };
    examiner.counters()?;
    examiner.limits()?;
    examiner.names()?;
    let ids: Vec<MailboxId> = examiner.rows.headers.keys().copied().collect();
    ids.into_iter().try_for_each(|id| examiner.mailbox(id))?;
    if examiner.rows.counters.good() != Some(&examiner.counters) {
        let (key, value) = (place.counters(), examiner.counters.encode());
        examiner.comparison.write(Write(Table::Mailbox, key, Some(value)))?;
    }
    examiner.comparison.flush()
}

/// The account's counters, or where their row is lost, others that are surely above all that were given out.
fn known_counters(rows: &AccountRows) -> Counters {
    if let Some(counters) = rows.counters.good() {
        return *counters;
    }
    let highest = rows.highest;
    Counters {
        next_modseq: highest.modseq.saturating_add(limits::DOCTOR_NUMBERS_SKIPPED),
        next_number: highest.number.saturating_add(limits::DOCTOR_NUMBERS_SKIPPED as u32),
        next_mailbox: highest.mailbox.saturating_add(limits::DOCTOR_NUMBERS_SKIPPED),
        last_uid_validity: highest.uid_validity,
        usage: super::counters::used(rows).unwrap_or_default(),
        warned: 0,
    }
}

impl Examiner<'_> {
    fn place(&self) -> Place {
        self.rows.place
    }

    fn wrong(&mut self, place: String, what: &str, writes: Vec<Write>) -> Result<(), StoreError> {
        self.comparison.wrong(Some(self.rows.place), (place, what.to_owned()), Cure::Write(writes))
    }

    fn counters(&mut self) -> Result<(), StoreError> {
        let what = match self.rows.counters {
            Read::Good(_) => return Ok(()),
            Read::Damaged => "the row of its next numbers cannot be read",
            Read::Missing => "the row of its next numbers is missing",
        };
        // Before anything is given a number of it.
        let value = Some(self.counters.encode());
        self.wrong("account".to_owned(), what, vec![Write(Table::Mailbox, self.place().counters(), value)])
    }

    fn limits(&mut self) -> Result<(), StoreError> {
        if !self.rows.limits_readable {
            let what = "the limits of its quota cannot be read; those of all accounts hold";
            let write = Write(Table::Mailbox, self.place().limits(), None);
            self.wrong("account".to_owned(), what, vec![write])?;
        }
        Ok(())
    }

    fn names(&mut self) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.rows.bad_names) {
            let what = "the row of a mailbox's name, or of a subscription, cannot be read";
            self.wrong(key.escape_ascii().to_string(), what, vec![Write(Table::Mailbox, key, None)])?;
        }
        let named: Vec<MailboxId> = self.rows.names.values().map(|named| named.id).collect();
        let nameless: Vec<MailboxId> = self.rows.headers.keys().filter(|id| !named.contains(id)).copied().collect();
        for id in nameless {
            let (name, special_use) = self.name_for(id);
            self.give_name(id, &name, special_use, &format!("it has no name; it becomes {name}"))?;
        }
        if !self.rows.names.contains_key(INBOX) {
            let used_up = || StoreError::Failed("a range of numbers is used up".to_owned());
            let id = MailboxId::new(self.counters.next_mailbox).ok_or_else(used_up)?;
            self.counters.next_mailbox += 1;
            self.rows.headers.insert(id, Read::Missing);
            self.give_name(id, INBOX, None, "the account has no INBOX; it gets one")?;
        }
        Ok(())
    }

    fn give_name(
        &mut self,
        id: MailboxId,
        name: &str,
        special_use: Option<SpecialUse>,
        what: &str,
    ) -> Result<(), StoreError> {
        let named = Named { id, special_use };
        let write = Write(Table::Mailbox, self.place().name(name), Some(named.encode()));
        self.rows.names.insert(name.to_owned(), named);
        self.wrong(format!("mailbox {id}"), what, vec![write])
    }

    /// A free name for a mailbox that has lost its own: what it was called when the account was made, where it is
    /// one of the first.
    fn name_for(&self, id: MailboxId) -> (String, Option<SpecialUse>) {
        let first = usize::try_from(id.get() - 1).ok().and_then(|at| FIRST_MAILBOXES.get(at));
        match first.filter(|(name, _)| !self.rows.names.contains_key(*name)) {
            Some((name, special_use)) => ((*name).to_owned(), *special_use),
            None => (free_name(&self.rows, &format!("{RECOVERED}/{id}")), None),
        }
    }

    fn mailbox(&mut self, id: MailboxId) -> Result<(), StoreError> {
        let place = self.rows.mailbox_place(id);
        let found = self.rows.mailboxes.remove(&id).unwrap_or_default();
        let known = match self.rows.headers.get(&id) {
            Some(Read::Good(header)) => Ok(header.clone()),
            Some(Read::Damaged) => Err("its header cannot be read"),
            Some(Read::Missing) | None => Err("its header is missing"),
        };
        let mut header = match known {
            Ok(header) => header,
            Err(what) => {
                let header = self.new_header(&found)?;
                let write = Write(Table::Mailbox, self.place().header(id), Some(header.encode()));
                self.wrong(place.clone(), &format!("{what}; it gets another UIDVALIDITY"), vec![write])?;
                header
            }
        };
        for (number, fixed) in &found.bad_blocks {
            let writes = self.block(id, *number, fixed.as_deref(), &mut header)?;
            let (first, last) = (number.saturating_mul(256).max(1), number.saturating_mul(256).saturating_add(255));
            let what = match writes.1 {
                Some(messages) => {
                    format!("the flags of {messages} messages in the block of UIDs {first}:{last} are lost")
                }
                None => format!("the block of UIDs {first}:{last} is lost; its messages go to `{RECOVERED}`"),
            };
            self.wrong(place.clone(), &what, writes.0)?;
        }
        self.log(id, &place, &found, &mut header)
    }

    /// A header for rows whose own is lost. Its counters are brought in step by `counters`.
    fn new_header(&mut self, found: &MailboxRows) -> Result<Header, StoreError> {
        let used_up = || StoreError::Failed("a range of numbers is used up".to_owned());
        let uid_validity = take_uid_validity(&mut self.counters, self.now_seconds).ok_or_else(used_up)?;
        let mut header = Header::new(uid_validity, self.take_modseq()?);
        header.status.uid_next = found.uid_next();
        header.log.behind = Some(header.status.highest_modseq);
        let bits = found.rows.iter().fold(0, |bits, row| bits | row.keywords);
        header.status.keywords = keywords(bits, &[]);
        Ok(header)
    }

    fn take_modseq(&mut self) -> Result<ModSeq, StoreError> {
        let modseq = ModSeq::new(self.counters.next_modseq);
        self.counters.next_modseq = self.counters.next_modseq.saturating_add(1);
        modseq.ok_or_else(|| StoreError::Failed("a range of numbers is used up".to_owned()))
    }

    /// Saves what is left of a block, and tells clients that they have to compare: their log has a gap. Also
    /// says how many messages are left in it, where any are.
    fn block(
        &mut self,
        id: MailboxId,
        number: u32,
        fixed: Option<&[u8]>,
        header: &mut Header,
    ) -> Result<(Vec<Write>, Option<usize>), StoreError> {
        let modseq = self.take_modseq()?;
        header.status.highest_modseq = modseq;
        header.log.behind = Some(modseq);
        let place = self.place();
        let (fixed_key, variable_key) =
            (place.block(id, number, Column::Fixed), place.block(id, number, Column::Variable));
        let block =
            fixed.and_then(|fixed| Block::salvage(number, fixed, modseq)).filter(|block| !block.rows.is_empty());
        let mut writes = vec![Write(Table::Mailbox, place.header(id), Some(header.encode()))];
        match &block {
            Some(block) => writes.push(Write(Table::Row, variable_key, Some(block.variable()))),
            None => writes.extend([Write(Table::Row, fixed_key, None), Write(Table::Row, variable_key, None)]),
        }
        Ok((writes, block.map(|block| block.rows.len())))
    }

    fn log(&mut self, id: MailboxId, place: &str, found: &MailboxRows, header: &mut Header) -> Result<(), StoreError> {
        for (key, modseq) in &found.bad_log {
            // Clients that ask for what vanished before this have to compare.
            header.log.behind = header.log.behind.max(*modseq);
            let writes = vec![
                Write(Table::Mailbox, self.place().header(id), Some(header.encode())),
                Write(Table::Change, key.clone(), None),
            ];
            self.wrong(place.to_owned(), "a row of its change log cannot be read", writes)?;
        }
        Ok(())
    }
}

/// The keywords that bits stand for: the known ones, and made-up names for those whose own are lost.
pub(super) fn keywords(bits: u64, known: &[Keyword]) -> Vec<Keyword> {
    let used = usize::try_from(u64::BITS - bits.leading_zeros()).unwrap_or(0);
    let made_up = (known.len()..used).filter_map(|bit| Keyword::new(&format!("recovered-{bit}")));
    known.iter().cloned().chain(made_up).collect()
}

/// The name, or where it is taken, the name with a number.
pub(super) fn free_name(rows: &AccountRows, name: &str) -> String {
    let numbered = (2..u32::MAX).map(|number| format!("{name} {number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !rows.names.contains_key(name));
    free.unwrap_or_else(|| name.to_owned())
}
