//! The worker: turns tails into segments and small segments into larger ones.
//!
//! One job an account at a time, `limits::INDEX_JOBS_MAX` at once. A job that fails is logged and tried again
//! at the next message; until then the tail answers, so a failure costs speed and never an answer.

use super::{
    Indexes, Shared,
    build::{self, Built},
    row::{self, SegmentRow},
    segments,
    tail::Text,
};
use crate::{
    limits,
    mail::{AccountId, MessageNumber},
    message::SearchText,
    store::{
        StoreError, failpoint,
        key::{Place, end_of},
        metadata::{Batch, Domain, Durability, Table},
        off_the_reactor,
    },
    work,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// Accounts with a tail.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<BTreeMap<AccountId, Waiting>>,
    /// Messages whose text could not be indexed. They stay in the tail.
    poisonous: Mutex<HashSet<(AccountId, u32)>>,
    wake: Notify,
    task: Mutex<Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>>,
}

struct Waiting {
    messages: usize,
    since: Instant,
}

impl Queue {
    pub(super) fn enqueue(&self, account: AccountId) {
        let mut waiting = self.waiting.lock();
        let entry = waiting.entry(account).or_insert_with(|| Waiting { messages: 0, since: Instant::now() });
        entry.messages += 1;
        if entry.messages == limits::INDEX_TAIL_MESSAGES {
            self.wake.notify_one();
        }
    }

    pub(super) fn forget(&self, account: AccountId) {
        self.waiting.lock().remove(&account);
    }

    /// Takes the accounts whose tail is long or old enough.
    fn take_due(&self, running: &HashSet<AccountId>) -> Vec<AccountId> {
        let mut waiting = self.waiting.lock();
        let old = Duration::from_secs(limits::INDEX_TAIL_SECONDS);
        let due = waiting.iter().filter(|(account, tail)| {
            let due = tail.messages >= limits::INDEX_TAIL_MESSAGES || tail.since.elapsed() >= old;
            due && !running.contains(account)
        });
        let free = limits::INDEX_JOBS_MAX.saturating_sub(running.len());
        let due: Vec<AccountId> = due.map(|(account, _)| *account).take(free).collect();
        for account in &due {
            waiting.remove(account);
        }
        due
    }
}

pub(super) fn start(indexes: &Indexes) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    // The worker must not keep the indexes alive: it holds what it needs of them for a job only.
    let task = work::spawn(run(Arc::downgrade(&indexes.0), stopped));
    *indexes.0.worker.task.lock() = Some((stop, task));
}

pub(super) async fn stop(indexes: &Indexes) {
    let task = indexes.0.worker.task.lock().take();
    if let Some((stop, task)) = task {
        drop(stop);
        // A worker that panicked has left its tails where they are.
        let _ = task.await;
    }
}

async fn run(shared: std::sync::Weak<Shared>, mut stopped: tokio::sync::oneshot::Receiver<()>) {
    let (mut jobs, mut running) = (JoinSet::new(), HashSet::new());
    let mut tick = tokio::time::interval(Duration::from_millis(limits::INDEX_TICK_MILLIS));
    loop {
        let Some(indexes) = shared.upgrade().map(Indexes) else { break };
        for account in indexes.0.worker.take_due(&running) {
            running.insert(account);
            let indexes = indexes.clone();
            jobs.spawn(async move {
                job(&indexes, account).await;
                account
            });
        }
        let woken = Arc::clone(&indexes.0);
        drop(indexes);
        tokio::select! {
            biased;
            // Dropping the sender is the signal.
            _ = &mut stopped => break,
            Some(done) = jobs.join_next() => {
                if let Ok(account) = done {
                    running.remove(&account);
                }
            }
            _ = woken.worker.wake.notified() => {}
            _ = tick.tick() => {}
        }
    }
    while jobs.join_next().await.is_some() {}
}

async fn job(indexes: &Indexes, account: AccountId) {
    let result = async {
        let place = indexes.source()?.place(account)?;
        while flush(indexes, place).await? {}
        while merge(indexes, place).await? {}
        Ok::<(), StoreError>(())
    };
    match result.await {
        Ok(()) | Err(StoreError::NoAccount | StoreError::Closing) => {}
        Err(error) => tracing::warn!(%account, %error, "indexing failed, the tail answers until the next try"),
    }
}

/// Makes one segment of the tail. Says whether there may be more to do.
pub(super) async fn flush(indexes: &Indexes, place: Place) -> Result<bool, StoreError> {
    let shared = Arc::clone(&indexes.0);
    let mut texts = off_the_reactor(move || read_tail(&shared, place)).await??;
    fetch_long_texts(indexes, place, &mut texts).await?;
    let shared = Arc::clone(&indexes.0);
    let built = off_the_reactor(move || build(&shared, place.account, texts)).await??;
    let Some((built, numbers)) = built else { return Ok(false) };
    failpoint::reach("index.before_put");
    let row = put(indexes, place.account, built).await?;
    failpoint::reach("index.before_commit");
    let mut batch = Batch::of(Domain::Partition(place.partition));
    row.put(place, &mut batch);
    for number in &numbers {
        let key = [&*place.prefix(), &number.to_be_bytes()].concat();
        batch.delete_range(Table::Tail, &key, end_of(key.clone()));
    }
    commit(indexes, batch).await?;
    failpoint::reach("index.after_commit");
    Ok(numbers.len() >= limits::INDEX_SEGMENT_MESSAGES)
}

/// The oldest messages of the tail, as many as make a segment. `None` for a text too long for its batch.
fn read_tail(shared: &Shared, place: Place) -> Result<Vec<(u32, Option<Text>)>, StoreError> {
    let rows = segments::tail_rows(&shared.engine.view(), place, limits::INDEX_SEGMENT_MESSAGES)?;
    let (mut texts, mut octets) = (Vec::with_capacity(rows.len()), 0);
    for (number, row) in rows {
        if shared.worker.poisonous.lock().contains(&(place.account, number)) {
            continue;
        }
        let text = if row.is_empty() { None } else { Some(segments::read(place, number, &row)?) };
        octets += text.as_ref().map_or(limits::TAIL_VALUE_OCTETS_MAX, Text::octets);
        texts.push((number, text));
        if octets > limits::INDEX_SEGMENT_OCTETS {
            break;
        }
    }
    Ok(texts)
}

/// Extracts the texts that their batches could not carry. A message that is gone leaves an empty one.
async fn fetch_long_texts(
    indexes: &Indexes,
    place: Place,
    texts: &mut [(u32, Option<Text>)],
) -> Result<(), StoreError> {
    for (number, text) in texts.iter_mut().filter(|(_, text)| text.is_none()) {
        let Some(number) = MessageNumber::new(*number) else { continue };
        let extracted = indexes.source()?.text(place.account, number).await?;
        *text = Some(extracted.as_ref().map(Text::of).unwrap_or_default());
    }
    Ok(())
}

/// A segment of the texts, and their numbers.
fn build(
    shared: &Shared,
    account: AccountId,
    texts: Vec<(u32, Option<Text>)>,
) -> Result<Option<(Built, Vec<u32>)>, StoreError> {
    let mut texts: Vec<(u32, Text)> = texts.into_iter().filter_map(|(number, text)| Some((number, text?))).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let built = match try_build(&texts) {
        Some(built) => built,
        None => {
            set_aside(shared, account, &mut texts);
            if texts.is_empty() {
                return Ok(None);
            }
            build::from_texts(&texts)?
        }
    };
    Ok(Some((built, texts.iter().map(|(number, _)| *number).collect())))
}

/// `None` where a text makes the indexer fail or panic.
fn try_build(texts: &[(u32, Text)]) -> Option<Built> {
    catch_unwind(AssertUnwindSafe(|| build::from_texts(texts))).ok()?.ok()
}

/// Finds the texts that cannot be indexed, and leaves them to the tail.
fn set_aside(shared: &Shared, account: AccountId, texts: &mut Vec<(u32, Text)>) {
    texts.retain(|text| {
        let good = try_build(std::slice::from_ref(text)).is_some();
        if !good {
            tracing::warn!(%account, number = text.0, "a message cannot be indexed and is scanned instead");
            shared.worker.poisonous.lock().insert((account, text.0));
        }
        good
    });
}

async fn put(indexes: &Indexes, account: AccountId, built: Built) -> Result<SegmentRow, StoreError> {
    let row = SegmentRow::new(built.id, built.documents, built.octets.len() as u64);
    indexes.0.blobs.put_object(&row.object(account), Bytes::from(built.octets)).await?;
    Ok(row)
}

async fn commit(indexes: &Indexes, batch: Batch) -> Result<(), StoreError> {
    let engine = indexes.0.engine.clone();
    off_the_reactor(move || engine.commit(batch, Durability::Synced)).await?
}

/// Merges the segments of the smallest size that has enough of them. Says whether it did.
async fn merge(indexes: &Indexes, place: Place) -> Result<bool, StoreError> {
    let rows = row::all(&indexes.0.engine.view(), place)?;
    let Some(chosen) = to_merge(rows) else { return Ok(false) };
    segments::fetch(&indexes.0, place.account, &chosen).await?;
    let (shared, old) = (Arc::clone(&indexes.0), chosen.clone());
    let built = off_the_reactor(move || merge_segments(&shared, place, &old)).await??;
    let mut batch = Batch::of(Domain::Partition(place.partition));
    if let Some(built) = built {
        put(indexes, place.account, built).await?.put(place, &mut batch);
    }
    failpoint::reach("index.before_merge_commit");
    chosen.iter().for_each(|row| row.remove(place, &mut batch));
    commit(indexes, batch).await?;
    failpoint::reach("index.after_merge_commit");
    remove(indexes, place.account, &chosen).await?;
    Ok(true)
}

async fn remove(indexes: &Indexes, account: AccountId, rows: &[SegmentRow]) -> Result<(), StoreError> {
    for row in rows {
        indexes.0.open.forget_segment(account, &row.id);
        indexes.0.blobs.delete_object(&row.object(account)).await?;
    }
    Ok(())
}

/// Eight segments of one level, where a level is a power of eight in documents.
fn to_merge(rows: Vec<SegmentRow>) -> Option<Vec<SegmentRow>> {
    let mut levels: BTreeMap<u32, Vec<SegmentRow>> = BTreeMap::new();
    for row in rows {
        levels.entry(row.documents.max(1).ilog2() / 3).or_default().push(row);
    }
    levels.into_values().find(|level| level.len() >= limits::INDEX_MERGE_SEGMENTS)
}

fn merge_segments(shared: &Shared, place: Place, rows: &[SegmentRow]) -> Result<Option<Built>, StoreError> {
    let mut open = Vec::with_capacity(rows.len());
    for row in rows {
        open.push(segments::open(shared, place.account, row)?);
    }
    let numbers: Vec<u32> =
        open.iter().flat_map(|segment| (0..segment.documents()).map(|document| segment.number(document))).collect();
    let live = live(shared, place, &numbers)?;
    build::merge(&open, |number| live.contains(number))
}

/// Which of the messages still have a record.
fn live(shared: &Shared, place: Place, numbers: &[u32]) -> Result<roaring::RoaringBitmap, StoreError> {
    let keys: Vec<Vec<u8>> =
        numbers.iter().filter_map(|number| MessageNumber::new(*number)).map(|number| place.record(number)).collect();
    let records = shared.engine.multi_get(Table::Record, &keys)?;
    Ok(numbers.iter().zip(records).filter(|(_, record)| record.is_some()).map(|(number, _)| *number).collect())
}

/// Puts the texts of all messages back into the tail and drops the segments.
pub(super) async fn rebuild(indexes: &Indexes, place: Place, numbers: &[MessageNumber]) -> Result<(), StoreError> {
    let old = row::all(&indexes.0.engine.view(), place).unwrap_or_default();
    for group in numbers.chunks(limits::INDEX_SEGMENT_MESSAGES) {
        let mut batch = Batch::of(Domain::Partition(place.partition));
        for number in group {
            let text = match indexes.source()?.text(place.account, *number).await {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                // Nothing can be found in it until it is brought back; the others can.
                Err(StoreError::Damaged(what)) => {
                    tracing::warn!(account = %place.account, %number, %what, "a damaged message is indexed without text");
                    SearchText::default()
                }
                Err(other) => return Err(other),
            };
            let value = Indexes::tail_value(&text);
            let key = Indexes::tail_key(place, *number);
            batch.delete_range(Table::Tail, &key, end_of(key.clone()));
            for (index, chunk) in (0_u16..).zip(value.chunks(limits::VALUE_OCTETS_MAX)) {
                batch.put(Table::Tail, [&*Indexes::tail_key(place, *number), &index.to_be_bytes()].concat(), chunk);
                if batch.octets() > limits::GROUP_OCTETS_MAX {
                    commit(indexes, batch.take()).await?;
                }
            }
        }
        failpoint::reach("index.before_tail_again");
        commit(indexes, batch).await?;
    }
    let mut batch = Batch::of(Domain::Partition(place.partition));
    batch.delete_range(Table::Segment, place.prefix(), end_of(place.prefix()));
    failpoint::reach("index.before_segments_drop");
    commit(indexes, batch).await?;
    remove(indexes, place.account, &old).await
}
