//! The mailbox as this session's client knows it (RFC 9051 §2.3.1.2, §7.5.1).
//!
//! Owns: the mapping between sequence numbers and UIDs. Promises: UIDs rise; four octets per message; it
//! moves only when [`View::remove`] or [`View::announce`] is called, because the client counts from what it was
//! told. Never: looks into the store.

use super::sequence::{Addressing, Bound, SequenceNumber, SequenceSet, UidRanges, merged, ordered};
use crate::mail::Uid;
use std::{num::NonZeroU32, ops::Range};

/// The messages that were announced, by sequence number.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    uids: Vec<Uid>,
}

/// Why a set cannot be used with this view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnnounced {
    /// The sequence number that names no message; `*` of an empty mailbox is `None`.
    pub(crate) number: Option<NonZeroU32>,
}

/// Messages of a view that a command names: index ranges that rise and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection(pub(crate) Vec<Range<usize>>);

impl Selection {
    /// How many messages.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Walks a selection in batches. The view must not move meanwhile.
#[derive(Debug)]
pub(crate) struct Cursor {
    left: std::vec::IntoIter<Range<usize>>,
    current: Range<usize>,
}

impl Cursor {
    /// At the first message.
    pub(crate) fn new(selection: Selection) -> Self {
        Self { left: selection.0.into_iter(), current: 0..0 }
    }

    /// The next places that lie side by side, `most` at most; `None` at the end.
    pub(crate) fn next(&mut self, most: usize) -> Option<Range<usize>> {
        if self.current.is_empty() {
            self.current = self.left.next()?;
        }
        let end = self.current.end.min(self.current.start.saturating_add(most));
        let batch = self.current.start..end;
        self.current.start = end;
        Some(batch)
    }
}

impl View {
    /// A view of UIDs that rise.
    pub(crate) fn new(uids: impl Iterator<Item = Uid>) -> Self {
        let mut uids: Vec<Uid> = uids.collect();
        uids.shrink_to_fit();
        Self { uids }
    }

    /// How many messages the client knows of.
    pub(crate) fn len(&self) -> usize {
        self.uids.len()
    }

    /// The UIDs, by sequence number.
    #[cfg(test)]
    pub(crate) fn uids(&self) -> &[Uid] {
        &self.uids
    }

    /// The largest UID announced.
    pub(crate) fn last(&self) -> Option<Uid> {
        self.uids.last().copied()
    }

    /// The sequence number of a UID.
    pub(crate) fn number(&self, uid: Uid) -> Option<SequenceNumber> {
        self.uids.binary_search(&uid).ok().map(SequenceNumber::of_index)
    }

    /// The UIDs between two places.
    pub(crate) fn range(&self, range: &Range<usize>) -> &[Uid] {
        self.uids.get(range.clone()).unwrap_or_default()
    }

    /// The UIDs of a selection.
    pub(crate) fn selected<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = Uid> + 'a {
        selection.0.iter().flat_map(|range| self.range(range)).copied()
    }

    /// The first and the last UID between two places.
    pub(crate) fn ends(&self, range: &Range<usize>) -> Option<(Uid, Uid)> {
        let uids = self.range(range);
        Some((*uids.first()?, *uids.last()?))
    }

    /// How many messages are in a set.
    pub(crate) fn count(&self, uids: &UidRanges) -> usize {
        self.places(uids.ranges().iter().copied()).iter().map(ExactSizeIterator::len).sum()
    }

    /// Gives each of `items`, which come by rising UID, its number; what is not between the two places is left out.
    pub(crate) fn numbered<T>(
        &self,
        range: &Range<usize>,
        items: impl Iterator<Item = T>,
        uid: impl Fn(&T) -> Uid,
    ) -> impl Iterator<Item = (SequenceNumber, T)> {
        let (mut left, mut index) = (self.range(range), range.start);
        items.filter_map(move |item| {
            let wanted = uid(&item);
            let before = count_before(left, wanted);
            (left, index) = (left.get(before..).unwrap_or_default(), index + before);
            let (_, after) = left.split_first().filter(|(first, _)| **first == wanted)?;
            (left, index) = (after, index + 1);
            Some((SequenceNumber::of_index(index - 1), item))
        })
    }

    /// Those of a selection that are among `uids`, which rise.
    pub(crate) fn narrow(&self, selection: &Selection, uids: impl Iterator<Item = Uid>) -> Selection {
        let mut wanted = selection.0.iter().peekable();
        let mut narrowed: Vec<Range<usize>> = Vec::new();
        for index in uids.filter_map(|uid| self.uids.binary_search(&uid).ok()) {
            while wanted.next_if(|range| range.end <= index).is_some() {}
            if !wanted.peek().is_some_and(|range| range.contains(&index)) {
                continue;
            }
            match narrowed.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => narrowed.push(index..index + 1),
            }
        }
        Selection(narrowed)
    }

    /// Finds what a set names. UIDs that are not there are passed over (RFC 9051 §6.4.9); a sequence
    /// number that was never announced is an error of the client's.
    pub(crate) fn select(
        &self,
        set: &SequenceSet,
        addressing: Addressing,
        saved: &UidRanges,
    ) -> Result<Selection, NotAnnounced> {
        let ranges = match (set, addressing) {
            (SequenceSet::Saved, _) => self.places(saved.ranges().iter().copied()),
            (SequenceSet::Ranges(ranges), Addressing::Sequence) => self.by_number(ranges)?,
            (SequenceSet::Ranges(ranges), Addressing::Uid) => self.by_uid(ranges),
        };
        Ok(selection(ranges))
    }

    /// As [`View::select`], with numbers that were never announced passed over.
    pub(crate) fn select_known(&self, set: &SequenceSet, addressing: Addressing, saved: &UidRanges) -> Selection {
        match (set, addressing) {
            (SequenceSet::Ranges(ranges), Addressing::Sequence) => selection(self.known_by_number(ranges)),
            _ => self.select(set, addressing, saved).unwrap_or_default(),
        }
    }

    fn largest_number(&self) -> Option<NonZeroU32> {
        u32::try_from(self.len()).ok().and_then(NonZeroU32::new)
    }

    fn known_by_number(&self, ranges: &[(Bound, Bound)]) -> Vec<Range<usize>> {
        let Some(largest) = self.largest_number() else { return Vec::new() };
        let known = ordered(ranges, largest).filter(|(start, _)| *start <= largest);
        known.map(|(start, end)| index(start)..index(end.min(largest)) + 1).collect()
    }

    fn by_number(&self, ranges: &[(Bound, Bound)]) -> Result<Vec<Range<usize>>, NotAnnounced> {
        let Some(largest) = self.largest_number() else {
            // `1:*` on an empty mailbox is what clients send to see whether there is anything.
            let open = ranges.iter().all(|(start, end)| *start == Bound::Largest || *end == Bound::Largest);
            return if open { Ok(Vec::new()) } else { Err(NotAnnounced { number: None }) };
        };
        ordered(ranges, largest)
            .zip(ranges)
            .map(|((start, end), (first, last))| {
                // `n:*` with n above the largest names the largest, as ranges have no order.
                let open = *first == Bound::Largest || *last == Bound::Largest;
                if end > largest && !open {
                    return Err(NotAnnounced { number: Some(end) });
                }
                Ok(index(start.min(largest))..index(end.min(largest)) + 1)
            })
            .collect()
    }

    fn by_uid(&self, ranges: &[(Bound, Bound)]) -> Vec<Range<usize>> {
        let Some(largest) = self.last().and_then(|uid| NonZeroU32::new(uid.get())) else { return Vec::new() };
        self.places(
            ordered(ranges, largest).filter_map(|(start, end)| Some((Uid::new(start.get())?, Uid::new(end.get())?))),
        )
    }

    fn places(&self, ranges: impl Iterator<Item = (Uid, Uid)>) -> Vec<Range<usize>> {
        ranges
            .map(|(start, end)| {
                self.uids.partition_point(|uid| *uid < start)..self.uids.partition_point(|uid| *uid <= end)
            })
            .collect()
    }

    /// Takes out every message that is not among `present`, which rises, and returns the numbers to be reported, in
    /// that order: each counts from what is left after the one before (RFC 9051 §7.5.1).
    pub(crate) fn remove(&mut self, mut present: impl Iterator<Item = Uid>) -> Vec<SequenceNumber> {
        let mut next = present.next();
        let mut gone = Vec::new();
        let mut kept = 0;
        self.uids.retain(|uid| {
            while next.is_some_and(|present| present < *uid) {
                next = present.next();
            }
            let keep = next == Some(*uid);
            if keep {
                kept += 1;
            } else {
                gone.push(SequenceNumber::of_index(kept));
            }
            keep
        });
        gone
    }

    /// Adds messages that arrived; their UIDs rise and are above the last one.
    pub(crate) fn announce(&mut self, arrived: impl Iterator<Item = Uid>) {
        let last = self.last();
        self.uids.extend(arrived.filter(|uid| Some(*uid) > last));
    }
}

/// How many of `uids`, which rise, are below one: found by doubling steps, so that few of many cost little, and neighbours
/// nothing.
fn count_before(uids: &[Uid], wanted: Uid) -> usize {
    let is_before = |at: usize| uids.get(at).is_some_and(|uid| *uid < wanted);
    let mut step = 0;
    while is_before(step) {
        step = 2 * step + 1;
    }
    uids.get(..step.min(uids.len())).unwrap_or_default().partition_point(|uid| *uid < wanted)
}

/// Ranges in any order, which may overlap, as a selection.
fn selection(ranges: Vec<Range<usize>>) -> Selection {
    let ranges = merged(ranges.into_iter().map(|range| (range.start, range.end)).collect(), Some);
    Selection(ranges.into_iter().map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect())
}

fn index(number: NonZeroU32) -> usize {
    number.get() as usize - 1
}

#[cfg(test)]
mod tests {
    use super::{super::parser::Parser, *};

    fn view(uids: &[u32]) -> View {
        View::new(uids.iter().map(|uid| Uid::new(*uid).unwrap()))
    }

    fn select(view: &View, set: &str, addressing: Addressing) -> Result<Vec<u32>, NotAnnounced> {
        let set = SequenceSet::parse(&mut Parser::new(set.as_bytes())).unwrap();
        let selection = view.select(&set, addressing, &UidRanges::default())?;
        Ok(view.selected(&selection).map(Uid::get).collect())
    }

    #[test]
    fn sequence_numbers_count_what_was_announced() {
        let view = view(&[10, 20, 30, 40]);
        assert_eq!(select(&view, "2", Addressing::Sequence), Ok(vec![20]));
        assert_eq!(select(&view, "4:2,3", Addressing::Sequence), Ok(vec![20, 30, 40]));
        assert_eq!(select(&view, "*", Addressing::Sequence), Ok(vec![40]));
        assert_eq!(select(&view, "9:*", Addressing::Sequence), Ok(vec![40]));
        assert_eq!(select(&view, "3:9", Addressing::Sequence), Err(NotAnnounced { number: NonZeroU32::new(9) }));
        assert_eq!(select(&view, "5", Addressing::Sequence), Err(NotAnnounced { number: NonZeroU32::new(5) }));
    }

    #[test]
    fn uids_that_are_gone_are_passed_over() {
        let view = view(&[10, 20, 30, 40]);
        assert_eq!(select(&view, "11:29,40", Addressing::Uid), Ok(vec![20, 40]));
        assert_eq!(select(&view, "15", Addressing::Uid), Ok(vec![]));
        assert_eq!(select(&view, "41:*", Addressing::Uid), Ok(vec![40]));
        assert_eq!(select(&view, "*:1", Addressing::Uid), Ok(vec![10, 20, 30, 40]));
    }

    #[test]
    fn an_empty_mailbox_has_no_numbers() {
        let view = view(&[]);
        assert_eq!(select(&view, "1:*", Addressing::Sequence), Ok(vec![]));
        assert_eq!(select(&view, "1:*", Addressing::Uid), Ok(vec![]));
        assert_eq!(select(&view, "1", Addressing::Sequence), Err(NotAnnounced { number: None }));
    }

    #[test]
    fn removal_is_reported_number_by_number() {
        let mut view = view(&[1, 2, 3, 4, 5]);
        let present = [2, 4, 9].map(|uid| Uid::new(uid).unwrap());
        let numbers: Vec<u32> = view.remove(present.into_iter()).into_iter().map(SequenceNumber::get).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(view.uids().iter().map(|uid| uid.get()).collect::<Vec<_>>(), [2, 4]);
        view.announce([3, 4, 9].into_iter().filter_map(Uid::new));
        assert_eq!(view.uids().iter().map(|uid| uid.get()).collect::<Vec<_>>(), [2, 4, 9]);
    }

    #[test]
    fn a_saved_result_names_what_is_left_of_it() {
        let view = view(&[1, 3, 4, 7]);
        let saved = UidRanges::new([1, 2, 3, 7].into_iter().filter_map(Uid::new));
        let selection = view.select(&SequenceSet::Saved, Addressing::Sequence, &saved).unwrap();
        assert_eq!(view.selected(&selection).map(Uid::get).collect::<Vec<_>>(), [1, 3, 7]);
    }

    #[test]
    fn batches_walk_a_selection() {
        let mut cursor = Cursor::new(Selection(vec![0..5, 7..8]));
        let batches: Vec<_> = std::iter::from_fn(|| cursor.next(3)).collect();
        assert_eq!(batches, [0..3, 3..5, 7..8]);
    }

    #[test]
    fn items_get_the_numbers_of_their_uids() {
        let view = view(&[10, 20, 30, 40]);
        let items = [5, 20, 25, 40].map(|uid| Uid::new(uid).unwrap());
        let numbered: Vec<_> =
            view.numbered(&(1..4), items.into_iter(), |uid| *uid).map(|(number, _)| number.get()).collect();
        assert_eq!(numbered, [2, 4]);
    }

    #[test]
    fn few_of_many_are_counted_by_steps() {
        let uids: Vec<Uid> = (1..1000).filter_map(|half| Uid::new(2 * half)).collect();
        for wanted in 1..2010 {
            let wanted = Uid::new(wanted).unwrap();
            assert_eq!(count_before(&uids, wanted), uids.iter().filter(|uid| **uid < wanted).count(), "{wanted}");
        }
        assert_eq!(count_before(&[], Uid::FIRST), 0);
    }

    #[test]
    fn a_selection_narrows_to_what_changed() {
        let view = view(&[10, 20, 30, 40, 50]);
        let changed = [10, 20, 30, 50, 60].into_iter().filter_map(Uid::new);
        assert_eq!(view.narrow(&Selection(vec![1..4, 4..5]), changed), Selection(vec![1..3, 4..5]));
    }

    proptest::proptest! {
        /// A client that applies what `remove` reports keeps the same mailbox as the view.
        #[test]
        fn reported_removals_reproduce_the_view(uids in proptest::collection::btree_set(1_u32..500, 0..60), kept in proptest::collection::btree_set(1_u32..500, 0..60)) {
            let mut view = view(&uids.iter().copied().collect::<Vec<_>>());
            let mut client: Vec<u32> = uids.iter().copied().collect();
            for number in view.remove(kept.iter().filter_map(|uid| Uid::new(*uid))) {
                client.remove(number.get() as usize - 1);
            }
            proptest::prop_assert_eq!(client, view.uids().iter().map(|uid| uid.get()).collect::<Vec<_>>());
        }
    }
}
