//! Partitions and their writers.
//!
//! Each partition has one writer, a thread (in a simulation, a task). It takes what is waiting, runs it on one [`Transaction`],
//! commits the group with one fsync, publishes the new states and then answers everyone in it. So there
//! is no lock between accounts, and the order of commits is the order of mod-sequences (P5). Writers of
//! several partitions commit side by side and share the fsync of the log.
//!
//! An operation that fails, or panics, after it changed something is taken out of its group, and the others
//! run again: all or none holds for each of them. One that the batch has no room for beside the others waits for the
//! next group. After a commit whose outcome is unknown the store takes no
//! more writes until it is opened again.

use super::{Inner, StoreError, changes, failpoint, metadata::Durability, release, transaction::Transaction};
use crate::{
    limits,
    work::{self, Run, Worker},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};
use tokio::sync::{
    mpsc::{self, error::TryRecvError},
    oneshot,
};
use tracing::{error, warn};

/// Why a group was not committed.
#[derive(Clone, Debug)]
pub(super) enum Outage {
    Full,
    Limit(String),
    Failed(String),
}

impl From<StoreError> for Outage {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Limit(what) => Self::Limit(what),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Outage> for StoreError {
    fn from(outage: Outage) -> Self {
        match outage {
            Outage::Full => Self::Full,
            Outage::Limit(what) => Self::Limit(what),
            Outage::Failed(text) => Self::Failed(text),
        }
    }
}

/// What waits for the writer.
trait Work: Send {
    /// Runs the operation and keeps what it returns. `false` where it failed.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Whether its caller waits for stable storage.
    fn durability(&self) -> Durability;

    /// Answers the caller, who may be gone: with what the operation returned, or with the outage.
    fn answer(self: Box<Self>, committed: Result<(), Outage>);
}

struct Job<T, F> {
    operation: F,
    result: Result<T, StoreError>,
    /// Who waits, where somebody does.
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T: Send, F: Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send> Work for Job<T, F> {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let panicked = || Err(StoreError::Failed("a write panicked".to_owned()));
        let operation = AssertUnwindSafe(|| (self.operation)(transaction));
        // What a panic leaves in the transaction is thrown away with it.
        self.result = catch_unwind(operation).unwrap_or_else(|_| panicked());
        self.result.is_ok()
    }

    fn durability(&self) -> Durability {
        if self.reply.is_some() { Durability::Synced } else { Durability::Buffered }
    }

    fn answer(self: Box<Self>, committed: Result<(), Outage>) {
        let result = committed.map_err(StoreError::from).and(self.result);
        match (self.reply, result) {
            (Some(reply), result) => drop(reply.send(result)),
            (None, Err(error)) => warn!(%error, "a write that nobody waits for was not done"),
            (None, Ok(_)) => {}
        }
    }
}

/// The way to one partition's writer.
pub(super) struct Partition {
    sender: mpsc::Sender<Box<dyn Work>>,
}

impl Partition {
    /// Starts the writer; it ends when `inner` is gone or the last sender is.
    pub(super) fn start(number: u16, inner: Weak<Inner>) -> std::io::Result<(Self, Worker)> {
        let (sender, receiver) = mpsc::channel(limits::WRITES_WAITING_MAX);
        let writer = Writer::new(number, receiver, inner);
        Ok((Self { sender }, Worker::start(format!("partition-{number}"), writer)?))
    }

    /// Runs an operation in the next group; it may run more than once. Returns once the group is durable;
    /// dropping the future does not undo it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { operation, result: Err(StoreError::Closing), reply: Some(reply) };
        self.sender.send(Box::new(job)).await.map_err(|_| StoreError::Closing)?;
        answer.await.map_err(|_| StoreError::Closing)?
    }

    /// Leaves an operation for the next group, or drops it where too much is waiting. For what can be done again.
    pub(super) fn post(&self, operation: impl Fn(&mut Transaction<'_>) -> Result<(), StoreError> + Send + 'static) {
        let job = Job { operation, result: Err(StoreError::Closing), reply: None };
        if self.sender.try_send(Box::new(job)).is_err() {
            warn!("too many writes are waiting, one that can be done again was dropped");
        }
    }
}

/// One partition's writer.
struct Writer {
    number: u16,
    receiver: mpsc::Receiver<Box<dyn Work>>,
    inner: Weak<Inner>,
    left: Left,
}

/// What a writer finds when it looks for something to do.
enum Next {
    /// A group, which may begin with this.
    Group(Option<Box<dyn Work>>),
    /// Nothing, until something comes.
    Nothing,
    /// Nothing any more.
    End,
}

impl Writer {
    fn new(number: u16, receiver: mpsc::Receiver<Box<dyn Work>>, inner: Weak<Inner>) -> Self {
        // There may be notes of deleted rows from before.
        Self { number, receiver, inner, left: Left { due: Some(0), failed: false, put_off: None } }
    }

    /// With something left to do, only what is waiting already goes first.
    fn next(&mut self) -> Next {
        match self.left.put_off.take().map_or_else(|| self.receiver.try_recv(), Ok) {
            Ok(work) => Next::Group(Some(work)),
            Err(TryRecvError::Disconnected) => Next::End,
            Err(TryRecvError::Empty) if self.left.is_due(&self.inner) && !self.left.failed => Next::Group(None),
            Err(TryRecvError::Empty) => Next::Nothing,
        }
    }

    fn process(&mut self, inner: &Arc<Inner>, first: Option<Box<dyn Work>>) {
        let group = Group {
            inner,
            partition: self.number,
            due: self.left.due,
            is_due: self.left.due.is_some_and(|due| due <= inner.clock.now().seconds()),
            waiting: Vec::new(),
            refused: Vec::new(),
            put_off: None,
        };
        self.left = group.process(first, &mut self.receiver);
    }
}

impl Run for Writer {
    fn run_on_thread(mut self) {
        loop {
            let first = match self.next() {
                Next::Group(first) => first,
                Next::Nothing => match self.receiver.blocking_recv() {
                    Some(work) => Some(work),
                    None => return,
                },
                Next::End => return,
            };
            let Some(inner) = self.inner.upgrade() else { return };
            self.process(&inner, first);
        }
    }

    async fn run_as_task(mut self) {
        loop {
            let first = match self.next() {
                Next::Group(first) => first,
                Next::Nothing => match self.receiver.recv().await {
                    Some(work) => Some(work),
                    None => return,
                },
                Next::End => return,
            };
            work::pause().await;
            let Some(inner) = self.inner.upgrade() else { return };
            self.process(&inner, first);
        }
    }
}

/// What a group leaves for the next one.
struct Left {
    /// When a note of deleted rows is to be worked off, in seconds since 1970; `None` where there is none.
    due: Option<i64>,
    /// The group was not committed, so there is no use in trying at once.
    failed: bool,
    /// What the group had no room for.
    put_off: Option<Box<dyn Work>>,
}

impl Left {
    fn is_due(&self, inner: &Weak<Inner>) -> bool {
        let Some(due) = self.due else { return false };
        inner.upgrade().is_some_and(|inner| due <= inner.clock.now().seconds())
    }
}

/// Operations that are committed together.
struct Group<'a> {
    inner: &'a Arc<Inner>,
    partition: u16,
    /// When the next note of deleted rows is to be worked off.
    due: Option<i64>,
    /// Whether one is in this group.
    is_due: bool,
    waiting: Vec<Box<dyn Work>>,
    /// Operations that failed; they are answered with the others.
    refused: Vec<Box<dyn Work>>,
    /// An operation that the batch had no room for beside the others.
    put_off: Option<Box<dyn Work>>,
}

impl<'a> Group<'a> {
    /// Runs and commits what is waiting.
    fn process(mut self, first: Option<Box<dyn Work>>, receiver: &mut mpsc::Receiver<Box<dyn Work>>) -> Left {
        let mut transaction = self.begin();
        let mut next = first;
        while let Some(work) = next {
            transaction = self.add(transaction, work);
            let has_room = self.put_off.is_none() && transaction.octets() < limits::GROUP_OCTETS_MAX;
            next = if has_room { receiver.try_recv().ok() } else { None };
        }
        // What is worked off alone can be worked off again, so it waits for nothing either.
        let is_synced = self.waiting.iter().any(|work| work.durability() == Durability::Synced);
        let durability = if is_synced { Durability::Synced } else { Durability::Buffered };
        let committed = commit(self.inner, transaction, durability);
        let grace = self.inner.clock.now().seconds().saturating_add(self.inner.undelete_seconds);
        let of_new_notes = committed.as_ref().is_ok_and(|released| *released).then_some(grace);
        let left = Left {
            due: self.due.into_iter().chain(of_new_notes).min(),
            failed: committed.is_err(),
            put_off: self.put_off,
        };
        let committed = committed.map(|_| ());
        self.refused.into_iter().for_each(|work| work.answer(Ok(())));
        self.waiting.into_iter().for_each(|work| work.answer(committed.clone()));
        left
    }

    /// A transaction in which a note is worked off, where one is due. That comes first: what an operation removes it
    /// must not write again.
    fn begin(&mut self) -> Transaction<'a> {
        let mut transaction = Transaction::new(self.inner, self.partition);
        if !self.is_due {
            return transaction;
        }
        match release::step(&mut transaction, self.partition) {
            Ok(due) => {
                self.due = due;
                transaction
            }
            Err(error) => {
                error!(%error, partition = self.partition, "deleted messages stay until more are deleted");
                (self.is_due, self.due) = (false, None);
                Transaction::new(self.inner, self.partition)
            }
        }
    }

    /// Runs an operation on the transaction, or on a new one without it.
    fn add(&mut self, mut transaction: Transaction<'a>, mut work: Box<dyn Work>) -> Transaction<'a> {
        let (before, octets) = (transaction.changes(), transaction.octets());
        if work.run(&mut transaction) {
            if octets > 0 && transaction.octets() > limits::BATCH_OCTETS_MAX {
                self.put_off = Some(work);
                return self.again();
            }
            self.waiting.push(work);
            return transaction;
        }
        self.refused.push(work);
        if transaction.changes() == before { transaction } else { self.again() }
    }

    /// Runs the operations again, without any that fails now.
    fn again(&mut self) -> Transaction<'a> {
        loop {
            let mut transaction = self.begin();
            match self.waiting.iter_mut().position(|work| !work.run(&mut transaction)) {
                Some(at) => self.refused.push(self.waiting.remove(at)),
                None => return transaction,
            }
        }
    }
}

/// Commits and publishes a transaction; `true` where it noted deleted rows.
fn commit(inner: &Arc<Inner>, transaction: Transaction<'_>, durability: Durability) -> Result<bool, Outage> {
    if let Some(outage) = inner.outage.get() {
        return Err(outage.clone());
    }
    let (batch, published) = transaction.finish();
    if batch.is_empty() {
        return Ok(false);
    }
    failpoint::reach("group.before_commit");
    let committed = inner.engine.commit(batch, durability);
    failpoint::reach("group.after_commit");
    if let Err(error) = committed {
        error!(%error, "a group of writes was not committed");
        let outage = Outage::from(error);
        if let Outage::Failed(_) = &outage {
            // Whether the group is in the log is known when the store is opened again; until then its UIDs
            // must not be given out a second time.
            let _ = inner.outage.set(outage.clone());
        }
        return Err(outage);
    }
    let released = published.released;
    changes::publish(inner, published);
    failpoint::reach("group.published");
    Ok(released)
}
