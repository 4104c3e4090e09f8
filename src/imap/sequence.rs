//! Sequence numbers and sets of them or of UIDs (RFC 9051 §9, sequence-set; RFC 5182).
//!
//! Owns: the two kinds of number and the sets a client writes. Promises: a set is bounded by the line it
//! came on, reversed ranges mean what ordered ones do. Never: turns one kind of number into the other;
//! that is the view's.

use super::parser::{Parsed, Parser};
use crate::mail::Uid;
use std::num::NonZeroU32;

/// A message's 1-based place in what this session has shown its client (RFC 9051 §2.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceNumber(pub(crate) NonZeroU32);

impl SequenceNumber {
    /// The number of the message at `index` of the view.
    pub(crate) fn of_index(index: usize) -> Self {
        let number = u32::try_from(index).ok().and_then(|index| NonZeroU32::new(index.saturating_add(1)));
        Self(number.unwrap_or(NonZeroU32::MAX))
    }

    /// The number itself.
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

/// Which kind of number a command's set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// Message sequence numbers.
    Sequence,
    /// UIDs.
    Uid,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the largest number in use.
    Largest,
}

/// What a client wrote as a sequence-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SequenceSet {
    /// Ranges, in the order written; the ends of one may be reversed.
    Ranges(Vec<(Bound, Bound)>),
    /// `$`: the saved search result (RFC 5182 §2.1).
    Saved,
}

impl SequenceSet {
    /// Reads a set.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Parsed<Self> {
        if parser.take(b'$') {
            return Ok(Self::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let start = bound(parser)?;
            let end = if parser.take(b':') { bound(parser)? } else { start };
            ranges.push((start, end));
            if !parser.take(b',') {
                return Ok(Self::Ranges(ranges));
            }
        }
    }
}

fn bound(parser: &mut Parser<'_>) -> Parsed<Bound> {
    if parser.take(b'*') {
        return Ok(Bound::Largest);
    }
    if !parser.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        return parser.expected("a message set such as 1:5,7 or *");
    }
    parser.nonzero().map(Bound::Number)
}

/// Ordered numbers of `ranges`, with `*` standing for `largest`.
pub(crate) fn ordered(
    ranges: &[(Bound, Bound)],
    largest: NonZeroU32,
) -> impl Iterator<Item = (NonZeroU32, NonZeroU32)> {
    let number = move |bound: Bound| match bound {
        Bound::Number(number) => number,
        Bound::Largest => largest,
    };
    ranges.iter().map(move |(start, end)| {
        let (start, end) = (number(*start), number(*end));
        (start.min(end), start.max(end))
    })
}

/// Inclusive ranges that rise and do not touch.
pub(crate) fn merged<T: Copy + Ord>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len().min(1024));
    for (start, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if next(*last).is_none_or(|next| start <= next) => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// A set of UIDs, such as a saved search result (RFC 5182 §2.1): inclusive ranges that rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UidRanges(Vec<(Uid, Uid)>);

impl UidRanges {
    /// Keeps rising UIDs.
    pub(crate) fn new(uids: impl IntoIterator<Item = Uid>) -> Self {
        Self(merged(uids.into_iter().map(|uid| (uid, uid)).collect(), Uid::next))
    }

    /// Adds a range above all others.
    pub(crate) fn push(&mut self, start: Uid, end: Uid) {
        match self.0.last_mut() {
            Some((_, last)) if last.next() == Some(start) => *last = end,
            _ => self.0.push((start, end)),
        }
    }

    /// Whether a UID is in it.
    pub(crate) fn contains(&self, uid: Uid) -> bool {
        let place = self.0.partition_point(|(_, end)| *end < uid);
        self.0.get(place).is_some_and(|(start, _)| *start <= uid)
    }

    /// The ranges.
    pub(crate) fn ranges(&self) -> &[(Uid, Uid)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(written: &str) -> Parsed<SequenceSet> {
        SequenceSet::parse(&mut Parser::new(written.as_bytes()))
    }

    fn numbers(written: &str, largest: u32) -> Vec<(u32, u32)> {
        let SequenceSet::Ranges(ranges) = set(written).unwrap() else { panic!("{written} is saved") };
        ordered(&ranges, NonZeroU32::new(largest).unwrap()).map(|(start, end)| (start.get(), end.get())).collect()
    }

    #[test]
    fn sets_name_ranges_in_either_order() {
        assert_eq!(numbers("1,3:5,9:7,*", 20), [(1, 1), (3, 5), (7, 9), (20, 20)]);
        assert_eq!(numbers("*:4", 2), [(2, 4)]);
        assert_eq!(numbers("4294967295:*", 2), [(2, u32::MAX)]);
        assert_eq!(set("$").unwrap(), SequenceSet::Saved);
    }

    #[test]
    fn sets_without_sense_are_refused() {
        for wrong in ["", "0", "1:", ":1", "1,,2", "4294967296", "a", "-1", "1:0"] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_of_uids_grow_at_the_end() {
        let uid = |number| Uid::new(number).unwrap();
        let mut ranges = UidRanges::new([3, 4].map(uid));
        ranges.push(uid(5), uid(6));
        ranges.push(uid(9), uid(9));
        assert_eq!(ranges.ranges(), [(uid(3), uid(6)), (uid(9), uid(9))]);
        let inside: Vec<u32> = (1..12).filter(|number| ranges.contains(uid(*number))).collect();
        assert_eq!(inside, [3, 4, 5, 6, 9]);
    }

    #[test]
    fn merging_joins_what_touches() {
        let next = |number: u32| number.checked_add(1);
        assert_eq!(
            merged(vec![(5, 9), (1, 2), (3, 3), (8, 20), (30, u32::MAX), (40, 50)], next),
            [(1, 3), (5, 20), (30, u32::MAX)]
        );
        assert_eq!(merged(Vec::<(u32, u32)>::new(), next), []);
    }
}
