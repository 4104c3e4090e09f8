//! Counters of mailboxes and of the account, held against the rows.
//!
//! What a counter has given out and no row shows any more (the UIDs of expunged messages) only it knows, so UIDNEXT,
//! HIGHESTMODSEQ and the account's next numbers are raised where rows are above them, and never lowered (P4, P5).

use super::{
    Check, Comparisons,
    account::{AccountRows, MailboxRows},
    begin,
    comparison::{Cure, Write},
    mailboxes::keywords,
};
use crate::{
    mail::{MailboxId, SystemFlags},
    store::{
        StoreError, Usage,
        account_state::Counters,
        inner::Inner,
        key::Place,
        mailbox::{MailboxStatus, Row},
        metadata::Table,
        state::Header,
    },
};

pub(super) fn examine(inner: &Inner, place: Place, checks: &mut Comparisons) -> Result<(), StoreError> {
    let Some((rows, comparison)) = begin(inner, place, checks, Check::Counters)? else { return Ok(()) };
    for (id, header) in &rows.headers {
        // What cannot be read is a finding of `mailboxes`, and nothing can be counted until it is mended.
        let (Some(header), Some(found)) = (header.good(), rows_of(&rows, *id)) else { continue };
        comparison.compared(1);
        let rightly = derived(header, found);
        if rightly != *header {
            let write = Write(Table::Mailbox, place.header(*id), Some(rightly.encode()));
            let place_text = rows.mailbox_place(*id);
            comparison.wrong(Some(place), (place_text, difference(header, &rightly)), Cure::Write(vec![write]))?;
        }
    }
    if let Some(counters) = rows.counters.good() {
        comparison.compared(1);
        let rightly = raised(*counters, &rows);
        if rightly != *counters {
            let write = Write(Table::Mailbox, place.counters(), Some(rightly.encode()));
            let what = account_difference(*counters, rightly);
            comparison.wrong(Some(place), ("account".to_owned(), what), Cure::Write(vec![write]))?;
        }
    }
    comparison.flush()
}

/// The rows of a mailbox, where all of them can be read.
fn rows_of(rows: &AccountRows, id: MailboxId) -> Option<&MailboxRows> {
    rows.mailboxes.get(&id).filter(|found| found.bad_blocks.is_empty() && found.bad_log.is_empty())
}

/// The header as the rows have it.
fn derived(header: &Header, found: &MailboxRows) -> Header {
    let mut rightly = header.clone();
    recount(&mut rightly.status, &found.rows);
    rightly.status.uid_next = rightly.status.uid_next.max(found.uid_next());
    rightly.status.highest_modseq =
        found.highest_modseq.map_or(header.status.highest_modseq, |found| found.max(header.status.highest_modseq));
    rightly.log.rows = found.log_rows;
    let bits = found.rows.iter().fold(0, |bits, row| bits | row.keywords);
    rightly.status.keywords = keywords(bits, &header.status.keywords);
    rightly
}

/// Sets what is counted over rows.
pub(super) fn recount(status: &mut MailboxStatus, rows: &[Row]) {
    let count = |which: &dyn Fn(&&Row) -> bool| u32::try_from(rows.iter().filter(which).count()).unwrap_or(u32::MAX);
    status.exists = count(&|_| true);
    status.unseen = count(&|row| !row.flags.contains(SystemFlags::SEEN));
    status.deleted = count(&|row| row.flags.contains(SystemFlags::DELETED));
    status.octets = octets(rows, |_| true);
    status.deleted_octets = octets(rows, |row| row.flags.contains(SystemFlags::DELETED));
}

fn octets(rows: &[Row], which: impl Fn(&Row) -> bool) -> u64 {
    rows.iter().filter(|row| which(row)).map(|row| row.octets).fold(0, u64::saturating_add)
}

fn raised(counters: Counters, rows: &AccountRows) -> Counters {
    let highest = rows.highest;
    Counters {
        next_modseq: counters.next_modseq.max(highest.modseq.saturating_add(1)),
        next_number: counters.next_number.max(highest.number.saturating_add(1)),
        next_mailbox: counters.next_mailbox.max(highest.mailbox.saturating_add(1)),
        last_uid_validity: counters.last_uid_validity.max(highest.uid_validity),
        usage: used(rows).unwrap_or(counters.usage),
        warned: counters.warned,
    }
}

/// What the account's messages use together; `None` where not all rows can be read.
pub(super) fn used(rows: &AccountRows) -> Option<Usage> {
    if rows.mailboxes.values().any(|mailbox| !mailbox.bad_blocks.is_empty()) {
        return None;
    }
    Some(rows.mailboxes.values().flat_map(|mailbox| &mailbox.rows).map(|row| Usage::of_message(row.octets)).sum())
}

fn account_difference(old: Counters, new: Counters) -> String {
    if old.usage != new.usage {
        let (old, new) = (old.usage, new.usage);
        return format!(
            "usage is {} messages and {} octets, rows say {} and {}",
            old.messages, old.octets, new.messages, new.octets
        );
    }
    "a number that it would give out next is given out already".to_owned()
}

/// What differs, in the words of IMAP.
fn difference(header: &Header, rightly: &Header) -> String {
    let (old, new) = (&header.status, &rightly.status);
    let numbers = [
        ("EXISTS", u64::from(old.exists), u64::from(new.exists)),
        ("UNSEEN", u64::from(old.unseen), u64::from(new.unseen)),
        ("DELETED", u64::from(old.deleted), u64::from(new.deleted)),
        ("DELETED-STORAGE", old.deleted_octets, new.deleted_octets),
        ("SIZE", old.octets, new.octets),
        ("UIDNEXT", u64::from(old.uid_next.get()), u64::from(new.uid_next.get())),
        ("HIGHESTMODSEQ", old.highest_modseq.get(), new.highest_modseq.get()),
        ("rows of the change log", u64::from(header.log.rows), u64::from(rightly.log.rows)),
        ("keywords", old.keywords.len() as u64, new.keywords.len() as u64),
    ];
    let differing = numbers.iter().filter(|(_, old, new)| old != new);
    differing.map(|(name, old, new)| format!("{name} is {old}, rows say {new}")).collect::<Vec<_>>().join("; ")
}
