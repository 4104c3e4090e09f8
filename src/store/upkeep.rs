//! What runs beside the callers, and what an administrator asks of the store.

use super::{
    Store, StoreError, contents,
    index::{self, IndexStatistics},
    inner::Inner,
    key::Place,
    metadata::Table,
    off_the_reactor, recovery,
};
use crate::{
    limits,
    mail::{AccountId, MessageNumber},
    message,
    work::{self, Mark},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, Interval, MissedTickBehavior},
};

/// Counts over the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes of all accounts.
    pub mailboxes: u64,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Octets of these, each copy counted.
    pub octets: u64,
}

/// What has to be waited for on closing.
#[derive(Default)]
pub(super) struct Tasks {
    /// Raised as the signal to stop.
    closing: Arc<Mark>,
    running: Vec<JoinHandle<()>>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.closing.raise(1);
    }
}

impl Store {
    /// Starts packer, index workers and the hourly removal of what is too old.
    pub(super) fn start_upkeep(&self, pack_after: Duration) -> Result<(), StoreError> {
        let closing = Arc::<Mark>::default();
        let packer = self.inner.blobs.clone().run_packer(pack_after, is_closed(Arc::clone(&closing)));
        let sweeper = contents::sweep_daily(Arc::downgrade(&self.inner), is_closed(Arc::clone(&closing)));
        let spares = recovery::keep(Arc::downgrade(&self.inner), is_closed(Arc::clone(&closing)));
        let repeats = remove_old(Arc::downgrade(&self.inner), Arc::clone(&closing));
        *self.inner.tasks.lock() = Tasks {
            closing,
            running: vec![work::spawn(packer), work::spawn(sweeper), work::spawn(spares), work::spawn(repeats)],
        };
        self.start_indexes()
    }

    /// Starts the index workers.
    pub(super) fn start_indexes(&self) -> Result<(), StoreError> {
        self.inner.indexes.start(Arc::new(Source(Arc::downgrade(&self.inner))))
    }

    /// Waits for the current jobs.
    pub(super) async fn stop_upkeep(&self) {
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        tasks.closing.raise(1);
        self.inner.blobs.stop_sweeping();
        for task in std::mem::take(&mut tasks.running) {
            // One that panicked has left everything as it was; the next start goes on.
            let _ = task.await;
        }
        self.inner.indexes.stop().await;
    }

    /// Counts over the whole store. O(mailboxes).
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        let mut statistics = Statistics::default();
        for account in self.account_ids()? {
            statistics.accounts += 1;
            for entry in self.mailboxes(account)? {
                let status = self.status(account, entry.id)?;
                statistics.mailboxes += 1;
                statistics.messages += u64::from(status.exists);
                statistics.octets += status.octets;
            }
        }
        Ok(statistics)
    }

    /// Builds an account's index again from its messages (P10). Searches stay right meanwhile.
    pub async fn rebuild_index(&self, account: AccountId) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let numbers = off_the_reactor(move || inner.message_numbers(account)).await??;
        self.inner.indexes.rebuild(account, &numbers).await
    }

    /// Puts what the index has not yet seen of an account into segments now, without waiting for more.
    pub async fn flush_index(&self, account: AccountId) -> Result<(), StoreError> {
        self.inner.indexes.flush(account).await
    }

    /// Counts segments and messages of an account's index.
    pub fn index_statistics(&self, account: AccountId) -> Result<IndexStatistics, StoreError> {
        self.inner.indexes.statistics(account)
    }
}

impl Inner {
    /// The number of every message that an account has a record of.
    fn message_numbers(&self, account: AccountId) -> Result<Vec<MessageNumber>, StoreError> {
        self.account(account)?;
        let prefix = self.place(account).prefix();
        let mut numbers = Vec::new();
        self.engine.scan_prefix(Table::Record, &prefix, |key, _| {
            // Further chunks and counts have longer keys.
            if let Some((number, [])) = key.get(prefix.len()..).and_then(<[u8]>::split_first_chunk) {
                numbers.extend(MessageNumber::new(u32::from_be_bytes(*number)));
            }
            true
        })?;
        Ok(numbers)
    }
}

/// Rounds of work at intervals, until the store closes. One that takes longer puts off the next.
pub(super) struct Rounds<C> {
    ticks: Interval,
    closing: Pin<Box<C>>,
}

impl<C: Future<Output = ()>> Rounds<C> {
    /// The first round comes after one interval.
    pub(super) fn every(interval: Duration, closing: C) -> Self {
        Self::from(Instant::now() + interval, interval, closing)
    }

    /// The first round comes at once.
    fn at_once_and_every(interval: Duration, closing: C) -> Self {
        Self::from(Instant::now(), interval, closing)
    }

    fn from(first: Instant, interval: Duration, closing: C) -> Self {
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, closing: Box::pin(closing) }
    }

    /// Waits for the next round; `false` once the store closes, after which it is not to be called again.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = &mut self.closing => false,
            _ = self.ticks.tick() => true,
        }
    }
}

/// Resolves once the store closes.
async fn is_closed(closing: Arc<Mark>) {
    closing.above(0).await;
}

/// Forgets deliveries whose senders have given up, and removes what can no longer be brought back: at the start and
/// each hour.
async fn remove_old(inner: Weak<Inner>, closing: Arc<Mark>) {
    let every = Duration::from_secs(limits::REPEAT_SWEEP_SECONDS);
    let mut rounds = Rounds::at_once_and_every(every, is_closed(closing));
    while rounds.next().await {
        let Some(inner) = inner.upgrade() else { return };
        inner.wake_writers();
        let store = Store { inner: Arc::clone(&inner) };
        if let Err(error) = store.finish_removals().await {
            tracing::warn!(%error, "removed accounts stay until the next hour");
        }
        drop(store);
        let forgotten = off_the_reactor(move || inner.forget_old_repeats()).await;
        if let Err(error) | Ok(Err(error)) = forgotten {
            tracing::warn!(%error, "old deliveries stay remembered");
        }
    }
}

/// Where the indexes get a message's text again. Holds no store open.
struct Source(Weak<Inner>);

impl index::TextSource for Source {
    fn text(
        &self,
        account: AccountId,
        number: MessageNumber,
    ) -> Pin<Box<dyn Future<Output = Result<Option<message::SearchText>, StoreError>> + Send + '_>> {
        Box::pin(async move {
            let store = Store { inner: self.0.upgrade().ok_or(StoreError::Closing)? };
            let record = match store.record(account, number) {
                Ok(record) => record,
                Err(StoreError::NoMessage) => return Ok(None),
                Err(error) => return Err(error),
            };
            let raw = store.read_raw(&record, 0..record.raw_octets).await?;
            let work = move || {
                let mut text = message::search_text(&raw, &record.analysis);
                text.headers.splice(0..0, message::header_texts(&record.trace));
                text
            };
            off_the_reactor(work).await.map(Some)
        })
    }

    fn place(&self, account: AccountId) -> Result<Place, StoreError> {
        Ok(self.0.upgrade().ok_or(StoreError::Closing)?.place(account))
    }
}
