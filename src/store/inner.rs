//! What the store's parts share, and its identity on disk.

use super::{
    Settings, Store, StoreError,
    account_state::AccountState,
    blob::{Blobs, Keeping, Objects, Secret},
    cache::Cache,
    failpoint,
    index::Indexes,
    key::{self, Place, partition_of},
    metadata::{Batch, Domain, Durability, Engine, Table},
    partition::{Outage, Partition},
    quota::Quotas,
    read::MessageRecord,
    recovery::Changed,
    state::State,
    upkeep::Tasks,
};
use crate::{
    clock::Clock,
    limits,
    mail::{AccountId, MailboxId, MessageNumber},
    work::{Mark, Worker},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// What the store's parts share.
pub(super) struct Inner {
    pub(super) clock: Clock,
    path: PathBuf,
    partitions: u16,
    /// How long what was deleted may be brought back.
    pub(super) undelete_seconds: i64,
    pub(super) engine: Engine,
    pub(super) blobs: Blobs,
    pub(super) indexes: Indexes,
    pub(super) accounts: Cache<AccountId, AccountState>,
    pub(super) mailboxes: Cache<(AccountId, MailboxId), State>,
    pub(super) records: Cache<(AccountId, MessageNumber), MessageRecord>,
    pub(super) quotas: Quotas,
    pub(super) watches: Mutex<HashMap<AccountId, Arc<Mark>>>,
    /// What has changed of the names and accounts that spare copies are kept of.
    pub(super) spare: Changed,
    /// One change to the directory or to the account ids at a time.
    pub(super) directory: Mutex<()>,
    /// Set once the outcome of a commit is unknown: no further writes.
    pub(super) outage: OnceLock<Outage>,
    writers: Mutex<Writers>,
    pub(super) tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Writers {
    partitions: Vec<Arc<Partition>>,
    workers: Vec<Worker>,
}

/// The folder of the metadata engine.
pub(super) const METADATA: &str = "metadata";

/// The key of the store's identity in `Table::System`.
pub(super) const IDENTITY: &[u8] = b"identity";

impl Inner {
    pub(super) fn open(settings: &Settings, clock: Clock) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", settings.path.display()));
        std::fs::create_dir_all(&settings.path).map_err(failed)?;
        let engine = Engine::open(&settings.metadata, &settings.path.join(METADATA), settings.cache_octets)?;
        Self::assemble(settings, engine, clock)
    }

    /// Makes a metadata engine in a folder of its own for the store that has this identity.
    pub(super) fn open_known(
        settings: &Settings,
        folder: &str,
        identity: &[u8],
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let engine = Engine::open(&settings.metadata, &settings.path.join(folder), settings.cache_octets)?;
        let mut batch = Batch::of(Domain::Installation);
        batch.put(Table::System, IDENTITY, identity);
        engine.commit(batch, Durability::Synced)?;
        Self::assemble(settings, engine, clock)
    }

    fn assemble(settings: &Settings, engine: Engine, clock: Clock) -> Result<Self, StoreError> {
        let (secret, partitions) = identity(&engine, &clock, settings.partitions.max(1))?;
        let objects = Objects::open(&settings.objects, &settings.path)?;
        let (generation_seconds, grace_hours) = (settings.generation_seconds, settings.sweep_grace_hours);
        let keeping = Keeping { generation_seconds, grace_hours };
        let blobs = Blobs::open(objects, engine.clone(), &secret, clock.clone(), keeping)?;
        let indexes = Indexes::open(engine.clone(), blobs.clone())?;
        Ok(Self {
            clock,
            path: settings.path.clone(),
            partitions,
            undelete_seconds: i64::from(settings.undelete_days) * 86_400,
            engine,
            blobs,
            indexes,
            accounts: Cache::new(limits::ACCOUNTS_CACHED_OCTETS_MAX),
            mailboxes: Cache::new(limits::OPEN_MAILBOX_OCTETS_MAX),
            records: Cache::new(limits::RECORDS_CACHED_OCTETS_MAX),
            watches: Mutex::default(),
            quotas: Quotas::new(settings.quota.clone()),
            directory: Mutex::new(()),
            spare: Changed::default(),
            outage: OnceLock::new(),
            writers: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Where an account's rows are.
    pub(super) fn place(&self, account: AccountId) -> Place {
        Place { partition: partition_of(account, self.partitions), account }
    }

    /// Every partition.
    pub(super) fn partition_numbers(&self) -> std::ops::Range<u16> {
        0..self.partitions
    }

    /// The way to a partition's writer.
    pub(super) fn partition(&self, number: u16) -> Result<Arc<Partition>, StoreError> {
        self.writers.lock().partitions.get(usize::from(number)).cloned().ok_or(StoreError::Closing)
    }

    /// Has every writer look whether deleted messages are to go for good.
    pub(super) fn wake_writers(&self) {
        self.writers.lock().partitions.iter().for_each(|partition| partition.post(|_| Ok(())));
    }

    /// How many partitions accounts are hashed onto.
    pub(super) fn partitions(&self) -> u16 {
        self.partitions
    }

    /// Whether no writer runs.
    pub(super) fn is_idle(&self) -> bool {
        self.writers.lock().partitions.is_empty()
    }

    /// A full disk is told before the write, never after.
    pub(super) fn check_free_space(&self) -> Result<(), StoreError> {
        let statistics = rustix::fs::statvfs(&self.path).map_err(|error| StoreError::Failed(error.to_string()))?;
        let free = statistics.f_bavail.saturating_mul(statistics.f_frsize);
        if free < limits::DISK_FREE_OCTETS_MIN { Err(StoreError::Full) } else { Ok(()) }
    }
}

impl Store {
    pub(super) fn start_writers(&self) -> Result<(), StoreError> {
        for number in 0..self.inner.partitions {
            let (partition, worker) = Partition::start(number, Arc::downgrade(&self.inner))
                .map_err(|error| StoreError::Failed(error.to_string()))?;
            let mut writers = self.inner.writers.lock();
            writers.partitions.push(Arc::new(partition));
            writers.workers.push(worker);
        }
        Ok(())
    }

    /// Takes no more writes. The writers end once they have done those that wait.
    pub(super) fn stop_writers(&self) -> Vec<Worker> {
        std::mem::take(&mut *self.inner.writers.lock()).workers
    }
}

/// The installation's secret and number of partitions, made once and kept.
fn identity(engine: &Engine, clock: &Clock, partitions: u16) -> Result<(Secret, u16), StoreError> {
    if let Some(row) = engine.get(Table::System, IDENTITY)? {
        let damaged = || StoreError::Damaged("the identity of the store".to_owned());
        let (version, row) = row.split_first().ok_or_else(damaged)?;
        if *version != key::FORMAT {
            let reads = key::FORMAT;
            return Err(StoreError::Failed(format!("the store has format {version}; this release reads {reads}")));
        }
        let (partitions, secret) = row.split_first_chunk::<2>().ok_or_else(damaged)?;
        let secret = secret.first_chunk::<32>().ok_or_else(damaged)?;
        return Ok((Secret(*secret), u16::from_be_bytes(*partitions)));
    }
    let mut secret = [0; 32];
    clock.fill_random(&mut secret);
    let mut batch = Batch::of(Domain::Installation);
    batch.put(Table::System, IDENTITY, [&[key::FORMAT][..], &partitions.to_be_bytes(), &secret].concat());
    failpoint::reach("identity.before_commit");
    engine.commit(batch, Durability::Synced)?;
    failpoint::reach("identity.after_commit");
    Ok((Secret(secret), partitions))
}
