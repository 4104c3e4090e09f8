//! Search: conditions on records from rows, text from the index, joined as sets.

use super::{
    Store, StoreError,
    index::TextKey,
    mailbox::{Row, Snapshot},
};
use crate::mail::{AccountId, Flag, MailboxId, MessageNumber, ModSeq, SystemFlags, Uid};
use roaring::RoaringBitmap;
use std::collections::{HashMap, hash_map::Entry};

/// A search condition (RFC 9051 §6.4.4). Dates are days since 1970; sequence numbers were resolved to UIDs before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// Every part holds. Empty is every message.
    And(Vec<SearchKey>),
    /// Either holds.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// It does not hold.
    Not(Box<SearchKey>),
    /// UID in one of these inclusive ranges.
    Uids(Vec<(Uid, Uid)>),
    /// The flag is set.
    Flag(Flag),
    /// Size above, in octets.
    Larger(u64),
    /// Size below, in octets.
    Smaller(u64),
    /// INTERNALDATE's day in UTC is earlier.
    Before(i32),
    /// INTERNALDATE's day in UTC is this one.
    On(i32),
    /// INTERNALDATE's day in UTC is this one or later.
    Since(i32),
    /// The Date field's day is earlier.
    SentBefore(i32),
    /// The Date field's day is this one.
    SentOn(i32),
    /// The Date field's day is this one or later.
    SentSince(i32),
    /// INTERNALDATE within the last so many seconds (RFC 5032).
    Younger(u64),
    /// INTERNALDATE before that (RFC 5032).
    Older(u64),
    /// Mod-sequence at least this (RFC 7162 §3.1.5).
    ModSeq(ModSeq),
    /// A header field of this name contains the text; empty text asks whether the field exists.
    Header {
        /// Field name, any case.
        name: String,
        /// Text, not folded.
        needle: String,
    },
    /// The body text contains it.
    Body(String),
    /// Header or body contains it.
    Text(String),
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One mailbox.
    Mailbox(MailboxId),
    /// Every mailbox of the account.
    Account,
}

/// One message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The UID in it.
    pub uid: Uid,
    /// The number in the account.
    pub number: MessageNumber,
    /// Its mod-sequence.
    pub modseq: ModSeq,
}

impl Store {
    /// Every message that matches, by mailbox and rising UID: what a scan of the messages visible
    /// at the call answers (P7).
    pub async fn search(&self, account: AccountId, scope: Scope, key: &SearchKey) -> Result<Vec<Hit>, StoreError> {
        let mailboxes = match scope {
            Scope::Mailbox(mailbox) => vec![mailbox],
            Scope::Account => self.mailboxes(account)?.into_iter().map(|entry| entry.id).collect(),
        };
        let mut snapshots = Vec::with_capacity(mailboxes.len());
        for mailbox in mailboxes {
            let snapshot = self.snapshot(account, mailbox)?;
            if snapshot.status().exists > 0 {
                snapshots.push((mailbox, snapshot));
            }
        }
        if snapshots.is_empty() {
            return Ok(Vec::new());
        }
        // The texts come after the snapshots: every message of a snapshot is in the index or its tail by then.
        let texts = self.texts(account, key).await?;
        let (key, now) = (key.clone(), self.inner.clock.now().seconds());
        super::off_the_reactor(move || {
            let hits = snapshots.iter().flat_map(|(mailbox, snapshot)| {
                let condition = Condition::of(&key, snapshot, &texts, now);
                let rows: Vec<Row> = condition.candidates(snapshot).filter(|row| condition.holds(row)).collect();
                rows.into_iter().map(|row| Hit {
                    mailbox: *mailbox,
                    uid: row.uid,
                    number: row.number,
                    modseq: row.modseq,
                })
            });
            hits.collect()
        })
        .await
    }

    /// Messages of the account by each text condition of the key, each looked up once.
    async fn texts(&self, account: AccountId, key: &SearchKey) -> Result<Texts, StoreError> {
        let (mut keys, mut texts) = (Vec::new(), Texts::new());
        key.text_keys(&mut keys);
        for key in keys {
            if let Entry::Vacant(place) = texts.entry(key) {
                let numbers = self.inner.indexes.search(account, place.key()).await?;
                place.insert(numbers);
            }
        }
        Ok(texts)
    }
}

type Texts = HashMap<TextKey, RoaringBitmap>;

impl SearchKey {
    /// The text condition that it is, where it is one.
    fn text_key(&self) -> Option<TextKey> {
        match self {
            Self::Header { name, needle } => Some(TextKey::header(name, needle)),
            Self::Body(needle) => Some(TextKey::body(needle)),
            Self::Text(needle) => Some(TextKey::text(needle)),
            _ => None,
        }
    }

    fn text_keys(&self, found: &mut Vec<TextKey>) {
        match self {
            Self::And(keys) => keys.iter().for_each(|key| key.text_keys(found)),
            Self::Or(one, other) => [one, other].iter().for_each(|key| key.text_keys(found)),
            Self::Not(key) => key.text_keys(found),
            other => found.extend(other.text_key()),
        }
    }
}

/// Ranges in rising order, each UID in one of them at most: a client may name a hundred thousand.
fn rising(ranges: &[(Uid, Uid)]) -> Vec<(Uid, Uid)> {
    let mut sorted: Vec<(Uid, Uid)> = ranges.iter().filter(|(start, end)| start <= end).copied().collect();
    sorted.sort_unstable();
    let mut joined: Vec<(Uid, Uid)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match joined.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// A key made ready for the rows of one snapshot.
enum Condition<'a> {
    All,
    None,
    And(Vec<Condition<'a>>),
    Or(Box<Condition<'a>>, Box<Condition<'a>>),
    Not(Box<Condition<'a>>),
    /// Ranges that rise and do not overlap.
    Uids(Vec<(Uid, Uid)>),
    System(SystemFlags),
    Keyword(u64),
    Octets(std::ops::RangeInclusive<u64>),
    InternalDay(std::ops::RangeInclusive<i64>),
    SentDay(std::ops::RangeInclusive<i64>),
    InternalSeconds(std::ops::RangeInclusive<i64>),
    ModSeq(ModSeq),
    Numbers(&'a RoaringBitmap),
}

impl<'a> Condition<'a> {
    fn of(key: &'a SearchKey, snapshot: &Snapshot, texts: &'a Texts, now: i64) -> Self {
        let of = |key: &'a SearchKey| Self::of(key, snapshot, texts, now);
        match key {
            SearchKey::All => Self::All,
            SearchKey::And(keys) => Self::And(keys.iter().map(of).collect()),
            SearchKey::Or(one, other) => Self::Or(Box::new(of(one)), Box::new(of(other))),
            SearchKey::Not(key) => Self::Not(Box::new(of(key))),
            SearchKey::Uids(ranges) => Self::Uids(rising(ranges)),
            SearchKey::Flag(flag) => match (SystemFlags::of(flag), snapshot.keyword_bit(flag)) {
                (Some(system), _) => Self::System(system),
                (None, Some(bit)) => Self::Keyword(bit),
                (None, None) => Self::None,
            },
            SearchKey::Larger(octets) => octets.checked_add(1).map_or(Self::None, |more| Self::Octets(more..=u64::MAX)),
            SearchKey::Smaller(octets) => octets.checked_sub(1).map_or(Self::None, |less| Self::Octets(0..=less)),
            SearchKey::Before(day) => Self::InternalDay(i64::MIN..=i64::from(*day) - 1),
            SearchKey::On(day) => Self::InternalDay(i64::from(*day)..=i64::from(*day)),
            SearchKey::Since(day) => Self::InternalDay(i64::from(*day)..=i64::MAX),
            SearchKey::SentBefore(day) => Self::SentDay(i64::MIN..=i64::from(*day) - 1),
            SearchKey::SentOn(day) => Self::SentDay(i64::from(*day)..=i64::from(*day)),
            SearchKey::SentSince(day) => Self::SentDay(i64::from(*day)..=i64::MAX),
            SearchKey::Younger(seconds) => Self::InternalSeconds(now.saturating_sub_unsigned(*seconds)..=i64::MAX),
            SearchKey::Older(seconds) => Self::InternalSeconds(i64::MIN..=now.saturating_sub_unsigned(*seconds)),
            SearchKey::ModSeq(modseq) => Self::ModSeq(*modseq),
            SearchKey::Header { .. } | SearchKey::Body(_) | SearchKey::Text(_) => {
                let numbers = key.text_key().and_then(|key| texts.get(&key));
                numbers.map_or(Self::None, Self::Numbers)
            }
        }
    }

    /// The rows that it can hold for: all of them, or those that it names by UID.
    fn candidates<'s>(&'s self, snapshot: &'s Snapshot) -> Box<dyn Iterator<Item = Row> + 's> {
        match self.uids() {
            Some(ranges) => {
                let ranges = ranges.iter().copied();
                Box::new(ranges.flat_map(|(start, end)| snapshot.rows_between(start, end)))
            }
            None => Box::new(snapshot.rows()),
        }
    }

    /// UIDs beside which it never holds.
    fn uids(&self) -> Option<&[(Uid, Uid)]> {
        match self {
            Self::None => Some(&[]),
            Self::Uids(ranges) => Some(ranges),
            Self::And(conditions) => conditions.iter().find_map(Self::uids),
            _ => None,
        }
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::And(conditions) => conditions.iter().all(|condition| condition.holds(row)),
            Self::Or(one, other) => one.holds(row) || other.holds(row),
            Self::Not(condition) => !condition.holds(row),
            Self::Uids(ranges) => {
                let at = ranges.partition_point(|(_, end)| *end < row.uid);
                ranges.get(at).is_some_and(|(start, _)| *start <= row.uid)
            }
            Self::System(flags) => row.flags.contains(*flags),
            Self::Keyword(bit) => row.keywords & bit != 0,
            Self::Octets(range) => range.contains(&row.octets),
            Self::InternalDay(range) => range.contains(&row.internal_seconds.div_euclid(86_400)),
            Self::SentDay(range) => range.contains(&i64::from(row.sent_day)),
            Self::InternalSeconds(range) => range.contains(&row.internal_seconds),
            Self::ModSeq(modseq) => row.modseq >= *modseq,
            Self::Numbers(numbers) => numbers.contains(row.number.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_rise_and_do_not_overlap() {
        let ranges = |ranges: &[(u32, u32)]| {
            ranges.iter().map(|(start, end)| (Uid::new(*start).unwrap(), Uid::new(*end).unwrap())).collect::<Vec<_>>()
        };
        for (given, joined) in [
            (&[(5, 9), (1, 2)][..], &[(1, 2), (5, 9)][..]),
            (&[(1, 9), (2, 3), (9, 12)], &[(1, 12)]),
            (&[(3, 2), (4, 4), (4, 4)], &[(4, 4)]),
            (&[], &[]),
        ] {
            assert_eq!(rising(&ranges(given)), ranges(joined));
        }
    }
}
