//! Partitions and their writers.
//!
//! Each partition has one writer, a thread. It takes what is waiting, runs it on one [`Transaction`],
//! commits the group with one fsync, publishes the new states and then answers everyone in it. So there
//! is no lock between accounts, and the order of commits is the order of mod-sequences (P5).

use super::{Inner, StoreError, changes, failpoint, metadata::Durability, transaction::Transaction};
use crate::limits;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

/// Runs on the group's transaction and returns what answers the caller once the group's fate is known.
type Work = Box<dyn FnOnce(&mut Transaction<'_>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), Outage>) + Send>;

/// Why a whole group was not committed.
#[derive(Clone)]
pub(super) enum Outage {
    Full,
    Failed(String),
}

impl From<&StoreError> for Outage {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Outage> for StoreError {
    fn from(outage: Outage) -> Self {
        match outage {
            Outage::Full => Self::Full,
            Outage::Failed(text) => Self::Failed(text),
        }
    }
}

/// The way to one partition's writer.
pub(super) struct Partition {
    sender: mpsc::Sender<Work>,
}

impl Partition {
    /// Starts the writer; it ends when `inner` is gone or the last sender is.
    pub(super) fn start(number: u16, inner: Weak<Inner>) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel(limits::WRITES_WAITING_MAX);
        let thread = std::thread::Builder::new().name(format!("partition-{number}"));
        let thread = thread.spawn(move || run(receiver, &inner))?;
        Ok((Self { sender }, thread))
    }

    /// Runs an operation in the next group. Returns once the group is durable; dropping the future does
    /// not undo it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let result = operation(transaction);
            Box::new(move |committed| {
                // A caller that is gone does not want to know.
                let _ = reply.send(committed.map_err(StoreError::from).and(result));
            })
        });
        self.sender.send(work).await.map_err(|_| StoreError::Closing)?;
        answer.await.map_err(|_| StoreError::Closing)?
    }
}

fn run(mut receiver: mpsc::Receiver<Work>, inner: &Weak<Inner>) {
    while let Some(first) = receiver.blocking_recv() {
        let Some(inner) = inner.upgrade() else { return };
        group(&inner, first, &mut receiver);
    }
}

/// Runs and commits what is waiting.
fn group(inner: &Arc<Inner>, first: Work, receiver: &mut mpsc::Receiver<Work>) {
    let mut transaction = Transaction::new(inner);
    let mut answers = vec![first(&mut transaction)];
    while transaction.octets() < limits::GROUP_OCTETS_MAX / 2
        && let Ok(work) = receiver.try_recv()
    {
        answers.push(work(&mut transaction));
    }
    let committed = commit(inner, transaction).map_err(|error| Outage::from(&error));
    answers.into_iter().for_each(|answer| answer(committed.clone()));
}

fn commit(inner: &Arc<Inner>, transaction: Transaction<'_>) -> Result<(), StoreError> {
    let (batch, published) = transaction.finish();
    if batch.is_empty() {
        return Ok(());
    }
    failpoint::reach("group.before_commit");
    // Nobody may load a mailbox from rows that are newer than the states the caches hold.
    let _loading = inner.loading.write();
    let committed = inner.engine.commit(batch, Durability::Synced);
    failpoint::reach("group.after_commit");
    if let Err(error) = committed {
        tracing::error!(%error, "a group of writes was not committed");
        return Err(error);
    }
    changes::publish(inner, published);
    Ok(())
}
