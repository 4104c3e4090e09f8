//! Appending messages: the one write path that a 250 or an OK stands on.

use super::{
    Appended, Inner, NewMessage, RepeatKey, Store, StoreError, Target,
    account_state::INBOX,
    blob::{Owner, Split},
    failpoint,
    index::Indexes,
    mailbox::Row,
    metadata::Table,
    outbox::{self, Delivery},
    quota::{Admission, Reservation, Usage},
    record::{StoredRecord, text_key},
    repeat::Recalled,
    transaction::Transaction,
};
use crate::{
    clock::UnixMillis,
    limits,
    mail::{AccountId, Flags, MessageNumber},
    message::{self, SearchText},
    work,
};
use bytes::Bytes;
use std::sync::Arc;

/// What all copies of a message share.
#[derive(Clone)]
pub(super) struct Letter {
    /// Its record, without what is each recipient's own.
    pub(super) record: StoredRecord,
    pub(super) sent_day: Option<i32>,
    /// The folded text, as the tail of the index keeps it.
    pub(super) text: Bytes,
}

/// One copy to be written, with its place in the caller's list.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) index: usize,
    pub(super) target: Target,
    /// What it asks for of the account's quota.
    pub(super) admission: Admission,
}

/// A message with its octets, ready to be written.
struct Prepared {
    letter: Letter,
    split: Split,
    repeat: Option<RepeatKey>,
}

impl Store {
    /// Appends one message to each target and returns what was given, in the order of `targets`.
    ///
    /// Durable once this returns. A crash before that leaves nothing visible, or all of it. Dropping
    /// the future does not undo it: the message is then stored or not, never half. A target whose
    /// mailbox is removed at the same moment may be left out. Quotas are not asked.
    pub async fn append(&self, message: NewMessage, targets: Vec<Target>) -> Result<Vec<Appended>, StoreError> {
        self.append_admitted(message, targets.into_iter().map(|target| (target, Admission::Always)).collect()).await
    }

    /// As [`Store::append`], where each account's quota admits its copy; else nothing is written for anybody. A
    /// repeat is recognised before quotas are asked.
    pub async fn append_admitted(
        &self,
        message: NewMessage,
        targets: Vec<(Target, Admission)>,
    ) -> Result<Vec<Appended>, StoreError> {
        let Some(home) = targets.first().map(|(target, _)| self.inner.place(target.account).partition) else {
            return Ok(Vec::new());
        };
        self.inner.check_free_space()?;
        self.inner.check_targets(targets.iter().map(|(target, _)| target))?;
        let prepared = self.prepare(message).await?;
        failpoint::reach("append.after_stage");
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for (index, (target, admission)) in targets.into_iter().enumerate() {
            let is_here =
                self.inner.place(target.account).partition == home && here.len() < prepared.letter.copies_max();
            let copies = if is_here { &mut here } else { &mut elsewhere };
            copies.push(Copy { index, target, admission });
        }
        let given = if elsewhere.is_empty() {
            let append = move |transaction: &mut Transaction<'_>| append_once(transaction, &prepared, None, &here);
            self.inner.partition(home)?.write(append).await?.given
        } else {
            let room = self.reserve(home, &prepared, &elsewhere).await?;
            // A task, so that a caller who goes away does not stop it half way.
            let (store, delivery) =
                (self.clone(), Delivery::new(&self.inner, home, &prepared.letter, prepared.repeat, elsewhere));
            work::spawn(async move {
                let given = store.append_to_partitions(home, prepared, here, delivery).await;
                drop(room);
                given
            })
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))??
        };
        Ok(in_order(given))
    }

    /// Room for the copies that the first commit does not take. A repeat has had its room.
    async fn reserve(
        &self,
        home: u16,
        prepared: &Prepared,
        copies: &[Copy],
    ) -> Result<Option<Reservation>, StoreError> {
        match prepared.repeat {
            Some(repeat) if self.inner.is_remembered(home, repeat)? => Ok(None),
            _ => self.inner.reserve(copies, prepared.letter.record.raw_octets).await.map(Some),
        }
    }

    /// The delivery that one commit does not take: home first, the others from its outbox row.
    async fn append_to_partitions(
        &self,
        home: u16,
        prepared: Prepared,
        here: Vec<Copy>,
        delivery: Delivery,
    ) -> Result<Vec<(usize, Appended)>, StoreError> {
        let (repeat, letter) = (prepared.repeat, prepared.letter.clone());
        let delivery = Arc::new(delivery);
        let outbox_row = Arc::clone(&delivery);
        let append =
            move |transaction: &mut Transaction<'_>| append_once(transaction, &prepared, Some(&outbox_row), &here);
        let First { mut given, recalled } = self.inner.partition(home)?.write(append).await?;
        failpoint::reach("append.before_outbox");
        given.extend(match (recalled, repeat) {
            (Some(recalled), Some(repeat)) => outbox::go_on(self, home, repeat, &recalled).await?,
            _ => delivery.apply(self, &letter).await?,
        });
        Ok(given)
    }

    /// Appends several messages to one account (import, MULTIAPPEND), all or none, with one fsync. The
    /// messages together should stay well below `limits::BATCH_OCTETS_MAX`; more is refused ([`StoreError::Limit`]).
    pub async fn append_all(&self, messages: Vec<(NewMessage, Target)>) -> Result<Vec<Appended>, StoreError> {
        let Some(account) = messages.first().map(|(_, target)| target.account) else { return Ok(Vec::new()) };
        if messages.iter().any(|(_, target)| target.account != account) {
            return Err(StoreError::Failed("messages of one account are appended together".to_owned()));
        }
        self.inner.check_free_space()?;
        let mut group = Vec::with_capacity(messages.len());
        for (index, (message, target)) in messages.into_iter().enumerate() {
            group.push((self.prepare(message).await?, [Copy { index, target, admission: Admission::Always }]));
        }
        failpoint::reach("append.after_stage");
        let append = move |transaction: &mut Transaction<'_>| {
            let mut given = Vec::with_capacity(group.len());
            for (prepared, copy) in &group {
                given.extend(append_once(transaction, prepared, None, copy)?.given);
            }
            Ok(given)
        };
        self.write(account, append).await.map(in_order)
    }

    /// Tells an account's owner in INBOX how full it is, where a warning is still due; whatever the limits are. In one
    /// commit with the note that it was given.
    pub async fn append_warning(&self, account: AccountId, message: NewMessage) -> Result<bool, StoreError> {
        let mailbox = self.mailbox(account, INBOX)?.id;
        let prepared = self.prepare(message).await?;
        let target = Target { account, mailbox, flags: Flags::default(), trace: Bytes::new(), verdict: None };
        let copy = [Copy { index: 0, target, admission: Admission::Always }];
        self.write(account, move |transaction| {
            let is_due = transaction.take_warning(account)?;
            if is_due {
                append_once(transaction, &prepared, None, &copy)?;
            }
            Ok(is_due)
        })
        .await
    }

    /// Everything that can be done before the writer's turn: splitting, extraction, staging.
    async fn prepare(&self, message: NewMessage) -> Result<Prepared, StoreError> {
        let blobs = self.inner.blobs.clone();
        let is_small = message.raw.len() <= limits::INLINE_WORK_OCTETS_MAX;
        let task = move || {
            let split = blobs.split(&message.raw, &message.analysis.root);
            let text = message::search_text(&message.raw, &message.analysis);
            Prepared { letter: Letter::new(&message, &split, &text), split, repeat: message.repeat }
        };
        let prepared = if is_small { task() } else { super::off_the_reactor(task).await? };
        self.inner.blobs.stage_large(&prepared.split).await?;
        Ok(prepared)
    }
}

impl Inner {
    /// Whether every target is there to be written to. Those of other partitions may go until they are.
    fn check_targets<'t>(&self, mut targets: impl Iterator<Item = &'t Target>) -> Result<(), StoreError> {
        targets.try_for_each(|target| {
            if self.account(target.account)?.has(target.mailbox) { Ok(()) } else { Err(StoreError::NoMailbox) }
        })
    }
}

fn in_order(mut given: Vec<(usize, Appended)>) -> Vec<Appended> {
    given.sort_by_key(|(index, _)| *index);
    given.into_iter().map(|(_, copy)| copy).collect()
}

impl Letter {
    fn new(message: &NewMessage, split: &Split, text: &SearchText) -> Self {
        let record = StoredRecord {
            raw_id: split.raw_id,
            raw_octets: message.raw.len() as u64,
            internal_date: message.internal_date,
            trace: Bytes::new(),
            verdict: None,
            text_chunks: 0,
            manifest: split.manifest.clone(),
            analysis: message.analysis.to_stored().into(),
        };
        Self { record, sent_day: message.analysis.sent_day, text: Indexes::tail_value(text).into() }
    }

    /// What the copy of a target counts for.
    fn usage(&self, target: &Target) -> Usage {
        Usage::of_message(self.record.raw_octets + target.trace.len() as u64)
    }

    /// Copies that one commit takes: each has record and text of its own.
    pub(super) fn copies_max(&self) -> usize {
        /// Octets of trace fields, verdict, rows and keys, about.
        const OF_COPY: usize = 4 * 1024;
        let text = if self.text.len() > limits::TAIL_VALUE_OCTETS_MAX { 0 } else { self.text.len() };
        // The manifest is in the record and in the owner's row.
        let record = self.record.analysis.len() + 2 * self.record.manifest.encode().len();
        (limits::COPIES_OCTETS_MAX / (record + text + OF_COPY)).max(1)
    }
}

/// What a delivery's first commit gave out.
struct First {
    given: Vec<(usize, Appended)>,
    /// Where it was done before.
    recalled: Option<Recalled>,
}

/// Appends a message with its octets, and the outbox row of what is left to do elsewhere, unless it is a repeat.
fn append_once(
    transaction: &mut Transaction<'_>,
    prepared: &Prepared,
    elsewhere: Option<&Delivery>,
    copies: &[Copy],
) -> Result<First, StoreError> {
    if let Some((given, recalled)) = transaction.recall(prepared.repeat)? {
        return Ok(First { given, recalled: Some(recalled) });
    }
    for Copy { target, admission, .. } in copies {
        transaction.mailbox(target.account, target.mailbox)?;
        transaction.admit(target.account, prepared.letter.usage(target), *admission)?;
    }
    let (given, owners) = append_copies(transaction, &prepared.letter, copies)?;
    transaction.inner().blobs.add_to(&prepared.split, &owners, transaction.batch())?;
    let recalled = elsewhere.map(Delivery::recalled).unwrap_or_default();
    transaction.remember(prepared.repeat, &recalled, &given);
    if let Some(delivery) = elsewhere {
        delivery.remember(transaction.batch());
    }
    Ok(First { given, recalled: None })
}

/// A row, a record and text for each copy, without the octets. Also returns whose they are.
#[expect(clippy::type_complexity, reason = "two lists of one walk")]
pub(super) fn append_copies(
    transaction: &mut Transaction<'_>,
    letter: &Letter,
    copies: &[Copy],
) -> Result<(Vec<(usize, Appended)>, Vec<Owner>), StoreError> {
    let (mut given, mut owners) = (Vec::with_capacity(copies.len()), Vec::with_capacity(copies.len()));
    for Copy { index, target, .. } in copies {
        let appended = append_copy(transaction, letter, target)?;
        owners.push(owner(&appended, target, letter.record.internal_date));
        given.push((*index, appended));
    }
    Ok((given, owners))
}

fn append_copy(transaction: &mut Transaction<'_>, letter: &Letter, target: &Target) -> Result<Appended, StoreError> {
    let (account, mailbox) = (target.account, target.mailbox);
    let keywords = transaction.keyword_bits(account, mailbox, target.flags.keywords.iter())?;
    let state = transaction.account_mut(account)?;
    let (modseq, number) = (state.take_modseq()?, state.take_number()?);
    let internal_seconds = letter.record.internal_date.seconds();
    let saved_seconds = transaction.now().seconds();
    let row = transaction.add_row(account, mailbox, |uid| Row {
        uid,
        number,
        modseq,
        flags: target.flags.system,
        keywords,
        octets: letter.record.raw_octets + target.trace.len() as u64,
        internal_seconds,
        sent_day: letter.sent_day.unwrap_or_else(|| day_of(internal_seconds)),
        saved_seconds,
    })?;
    let text_chunks = write_text(transaction, account, number, &[&*trace_text(&target.trace), &letter.text].concat());
    transaction.add_record(account, number, &letter.record.for_target(target, text_chunks))?;
    let uid_validity = transaction.mailbox(account, mailbox)?.header.status.uid_validity;
    Ok(Appended { account, mailbox, uid_validity, uid: row.uid, number, modseq, repeated: false })
}

pub(super) fn day_of(seconds: i64) -> i32 {
    i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0)
}

/// The text of our trace fields: they are part of the header that a search looks at.
pub(super) fn trace_text(trace: &[u8]) -> Vec<u8> {
    Indexes::tail_value(&SearchText { headers: message::header_texts(trace), body: String::new() })
}

/// Adds a text to the tail of the index, in chunks, and returns how many. A long one is left out: it
/// is read from the body again.
pub(super) fn write_text(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    number: MessageNumber,
    text: &[u8],
) -> u16 {
    let text = if text.len() > limits::TAIL_VALUE_OCTETS_MAX { &[] } else { text };
    let place = transaction.place(account);
    let chunks = if text.is_empty() { vec![text] } else { text.chunks(limits::VALUE_OCTETS_MAX).collect() };
    let mut count = 0;
    for chunk in chunks {
        transaction.batch().put(Table::Tail, text_key(place, number, count), chunk);
        count += 1;
    }
    count
}

fn owner(copy: &Appended, target: &Target, internal_date: UnixMillis) -> Owner {
    // A part of the fields would be none.
    let tag = if target.trace.len() > limits::OWNER_TAG_OCTETS_MAX { Bytes::new() } else { target.trace.clone() };
    Owner { account: copy.account, number: copy.number, mailbox: copy.mailbox, internal_date, tag }
}
