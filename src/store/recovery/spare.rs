//! Spare copies of what packs do not tell: the installation's secret, accounts, and the names of mailboxes.
//!
//! Packs name account, number, mailbox, date and trace fields of each message that they hold. With what stands here
//! they are enough to make a lost metadata store again, with only flags, moves and removals lost (`packs`).
//!
//! | object | rows |
//! |---|---|
//! | `recovery/identity/VERSION` | `System`: `identity`, the secret under which contents are named |
//! | `recovery/directory/VERSION` | `Directory`: all of it, credentials too; `System`: `next account` |
//! | `recovery/mailboxes/PARTITION/VERSION` | `Mailbox`: counters, names, subscriptions and limits of the partition's accounts |
//!
//! An object is `PSTNSPR1`, BLAKE3 of all behind it, BLAKE3 of the rows that count as a change, then the rows (postcard,
//! zstd). It is written within `limits::SPARE_SECONDS` after a change, and on closing. Counters are as they were then: they
//! alone are no change. Objects are never written again: a change is another version, the one before is kept, those before
//! it go, and the highest that is whole holds. Whoever can read the objects can read all mail, so these give nothing away beside it but
//! hashed passwords; the folder or bucket has to be the server's alone.

use crate::{
    limits,
    store::{
        Store, StoreError,
        account::NEXT_ACCOUNT,
        blob::Objects,
        inner::{IDENTITY, Inner},
        metadata::{Batch, Domain, Durability, Engine, Table, View},
        off_the_reactor,
        upkeep::Rounds,
    },
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

const MAGIC: &[u8; 8] = b"PSTNSPR1";
const ZSTD_LEVEL: i32 = 3;
const MAILBOXES: &str = "recovery/mailboxes";

/// What one object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Part {
    Identity,
    Directory,
    /// A partition's.
    Mailboxes(u16),
}

/// The tables that spare rows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Of {
    System,
    Directory,
    Mailbox,
}

impl Of {
    const fn table(self) -> Table {
        match self {
            Self::System => Table::System,
            Self::Directory => Table::Directory,
            Self::Mailbox => Table::Mailbox,
        }
    }
}

/// A row as it is kept: table, key, value.
type Kept = (Of, Vec<u8>, Vec<u8>);
type Rows = Vec<Kept>;

/// Which parts have changed since they were written.
#[derive(Default)]
pub(in crate::store) struct Changed(Mutex<BTreeSet<Part>>);

impl Changed {
    /// A part has changed.
    pub(in crate::store) fn note(&self, part: Part) {
        self.0.lock().insert(part);
    }

    fn take(&self) -> BTreeSet<Part> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Part {
    fn folder(self) -> String {
        match self {
            Self::Identity => "recovery/identity".to_owned(),
            Self::Directory => "recovery/directory".to_owned(),
            Self::Mailboxes(partition) => format!("{MAILBOXES}/{partition:05}"),
        }
    }

    fn all(partitions: u16) -> impl Iterator<Item = Self> {
        [Self::Identity, Self::Directory].into_iter().chain((0..partitions).map(Self::Mailboxes))
    }

    /// Its rows as they are now.
    fn rows(self, view: &View<'_>) -> Result<Rows, StoreError> {
        let mut rows = Rows::new();
        match self {
            Self::Identity => rows.extend(system(view, IDENTITY)?),
            Self::Directory => {
                rows.extend(system(view, NEXT_ACCOUNT)?);
                view.scan_prefix(Table::Directory, b"", |key, value| {
                    rows.push((Of::Directory, key.to_vec(), value.to_vec()));
                    true
                })?;
            }
            Self::Mailboxes(partition) => {
                // Counters come first. A removed account that waits for its end has none, and stays away.
                let mut account = Vec::new();
                view.scan_prefix(Table::Mailbox, &partition.to_be_bytes(), |key, value| {
                    let Some((of, rest)) = key.split_at_checked(10) else { return true };
                    if rest == b"a" {
                        account = of.to_vec();
                    }
                    if of == account && matches!(rest.first(), Some(b'a' | b'n' | b's' | b'q')) {
                        rows.push((Of::Mailbox, key.to_vec(), value.to_vec()));
                    }
                    true
                })?;
            }
        }
        Ok(rows)
    }
}

fn system(view: &View<'_>, key: &[u8]) -> Result<Option<Kept>, StoreError> {
    Ok(view.get(Table::System, key)?.map(|value| (Of::System, key.to_vec(), value.to_vec())))
}

/// What a change of rows is told by: all but counters.
fn fingerprint(rows: &Rows) -> [u8; 32] {
    let is_counters = |of: Of, key: &[u8]| of == Of::Mailbox && key.get(10..) == Some(b"a");
    let mut hasher = blake3::Hasher::new();
    for (_, key, value) in rows.iter().filter(|(of, key, _)| !is_counters(*of, key)) {
        for octets in [key, value] {
            hasher.update(&(octets.len() as u64).to_be_bytes());
            hasher.update(octets);
        }
    }
    *hasher.finalize().as_bytes()
}

fn encode(rows: &Rows) -> Vec<u8> {
    let plain = postcard::to_allocvec(rows).expect("octets always encode");
    let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL).expect("compressing into memory does not fail");
    let body = [&fingerprint(rows)[..], &packed].concat();
    [&MAGIC[..], blake3::hash(&body).as_bytes(), &body].concat()
}

/// The fingerprint and the packed rows of an object that is whole.
fn split(octets: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    let (hash, body) = octets.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    body.split_first_chunk::<32>()
}

fn decode(octets: &[u8]) -> Option<Rows> {
    let (_, packed) = split(octets)?;
    postcard::from_bytes(&zstd::stream::decode_all(packed).ok()?).ok()
}

/// The versions of a part that there are, rising.
async fn versions(objects: &Objects, part: Part) -> Result<Vec<u64>, StoreError> {
    let folder = part.folder();
    let version =
        |(name, _): &(String, u64)| u64::from_str_radix(name.strip_prefix(&folder)?.strip_prefix('/')?, 16).ok();
    let mut versions: Vec<u64> = objects.list(&folder).await?.iter().filter_map(version).collect();
    versions.sort_unstable();
    Ok(versions)
}

fn object(part: Part, version: u64) -> String {
    format!("{}/{version:08x}", part.folder())
}

/// The octets of the highest version of a part that is whole; `None` where there is none.
async fn read(objects: &Objects, part: Part) -> Result<Option<Bytes>, StoreError> {
    for version in versions(objects, part).await?.into_iter().rev() {
        let name = object(part, version);
        match objects.get(&name).await {
            Ok(Some(octets)) if split(&octets).is_some() => return Ok(Some(octets)),
            Ok(None) => {}
            Ok(Some(_)) | Err(StoreError::Damaged(_)) => tracing::warn!(object = name, "a spare copy is damaged"),
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// Writes another version of a part, and removes those before the last.
async fn write(objects: &Objects, part: Part, octets: Vec<u8>) -> Result<(), StoreError> {
    let versions = versions(objects, part).await?;
    let next = versions.last().map_or(1, |last| last + 1);
    objects.put(&object(part, next), vec![Bytes::from(octets)]).await?;
    for old in versions.into_iter().rev().skip(1) {
        objects.delete(&object(part, old)).await?;
    }
    Ok(())
}

/// The identity row that the objects of a store carry, where they carry one.
pub(super) async fn identity_of(objects: &Objects) -> Result<Option<Vec<u8>>, StoreError> {
    let octets = read(objects, Part::Identity).await?;
    let rows = octets.as_deref().and_then(decode).unwrap_or_default();
    Ok(rows.into_iter().next().map(|(_, _, value)| value))
}

impl Store {
    /// Refuses metadata that does not belong to the objects: it was made anew because the old was gone, and mail that came
    /// to it would stand in the way of what packs bring back.
    pub(in crate::store) async fn check_identity(&self) -> Result<(), StoreError> {
        let known = match identity_of(self.inner.blobs.objects()).await {
            Ok(Some(known)) => known,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the spare copy of the store's identity was not compared");
                return Ok(());
            }
        };
        let inner = Arc::clone(&self.inner);
        let ours = off_the_reactor(move || inner.engine.get(Table::System, IDENTITY)).await??;
        if ours.as_deref() == Some(&*known) {
            return Ok(());
        }
        Err(StoreError::Failed(
            "the objects are those of another store: where its metadata is gone, `postern doctor --repair --from-packs` makes \
             it again"
                .to_owned(),
        ))
    }
}

/// What was put back of spare copies.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    /// Partitions whose mailboxes are known. In others every account that packs name is made again.
    pub(super) known: BTreeSet<u16>,
    /// Whether domains, accounts and credentials are back.
    pub(super) directory: bool,
}

/// Writes every spare row into an empty engine, the identity left out. A damaged object is passed over.
pub(super) async fn put_back(objects: &Objects, engine: &Engine, partitions: u16) -> Result<PutBack, StoreError> {
    let mut back = PutBack::default();
    for part in Part::all(partitions).filter(|part| *part != Part::Identity) {
        let octets = read(objects, part).await?;
        let Some(rows) = octets.as_deref().and_then(decode) else { continue };
        match part {
            Part::Mailboxes(partition) => drop(back.known.insert(partition)),
            _ => back.directory = true,
        }
        let engine = engine.clone();
        off_the_reactor(move || write_rows(&engine, rows)).await??;
    }
    Ok(back)
}

/// Writes the rows of one part, which are of one domain.
fn write_rows(engine: &Engine, rows: Rows) -> Result<(), StoreError> {
    let Some(domain) = rows.first().map(|(of, key, _)| Domain::of(of.table(), key)) else { return Ok(()) };
    let mut batch = Batch::of(domain);
    for (of, key, value) in rows {
        batch.put(of.table(), key, value);
        engine.commit_beyond(limits::DOCTOR_BATCH_OCTETS, &mut batch, Durability::Buffered)?;
    }
    engine.commit(batch, Durability::Buffered)
}

/// Keeps spare copies in step, until `closing` resolves; what has changed by then is written first. Logs a warning
/// where an object cannot be written; it is tried again.
pub(in crate::store) async fn keep(inner: Weak<Inner>, closing: impl Future<Output = ()> + Send) {
    let mut rounds = Rounds::every(Duration::from_secs(limits::SPARE_SECONDS), closing);
    if let Some(inner) = inner.upgrade()
        && let Err(error) = inner.compare_spares().await
    {
        tracing::warn!(%error, "spare copies of names and accounts were not compared");
    }
    loop {
        let Some(open) = inner.upgrade() else { return };
        open.write_spares().await;
        drop(open);
        if !rounds.next().await {
            break;
        }
    }
    if let Some(inner) = inner.upgrade() {
        inner.write_spares().await;
    }
}

impl Inner {
    /// Notes the parts that are not as they were written last.
    async fn compare_spares(self: &Arc<Self>) -> Result<(), StoreError> {
        for part in Part::all(self.partitions()) {
            let octets = read(self.blobs.objects(), part).await?;
            let known = octets.as_deref().and_then(split).map(|(fingerprint, _)| *fingerprint);
            let inner = Arc::clone(self);
            let rows = off_the_reactor(move || part.rows(&inner.engine.view())).await??;
            if known.map_or(!rows.is_empty(), |known| known != fingerprint(&rows)) {
                self.spare.note(part);
            }
        }
        Ok(())
    }

    /// Writes the parts that have changed.
    async fn write_spares(self: &Arc<Self>) {
        for part in self.spare.take() {
            if let Err(error) = self.write_spare(part).await {
                tracing::warn!(%error, ?part, "a spare copy was not written, it is tried again");
                self.spare.note(part);
            }
        }
    }

    async fn write_spare(self: &Arc<Self>, part: Part) -> Result<(), StoreError> {
        let inner = Arc::clone(self);
        let octets = off_the_reactor(move || part.rows(&inner.engine.view()).map(|rows| encode(&rows))).await??;
        write(self.blobs.objects(), part, octets).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_damage_is_seen() {
        let key = |kind: &[u8]| [&[0; 10][..], kind].concat();
        let rows: Rows = vec![
            (Of::System, b"next account".to_vec(), vec![0; 8]),
            (Of::Mailbox, key(b"a"), vec![1]),
            (Of::Mailbox, key(b"nINBOX"), vec![2; 300]),
        ];
        let octets = encode(&rows);
        assert_eq!(decode(&octets), Some(rows.clone()));
        for at in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[at] ^= 4;
            assert_eq!(decode(&damaged), None, "{at}");
        }
        let mut counted = rows.clone();
        counted[1].2 = vec![9];
        assert_eq!(fingerprint(&counted), fingerprint(&rows), "counters alone are no change");
        counted[2].2 = vec![9];
        assert_ne!(fingerprint(&counted), fingerprint(&rows));
    }
}
