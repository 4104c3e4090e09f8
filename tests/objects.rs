//! The whole life of a store whose objects are elsewhere: in memory, in a folder named by URL, in a bucket of a real S3
//! server; and what it says of a place that is not its own.

use crate::{
    store::{contents, flags, inbox, letter, message, target},
    support::s3::{ACCOUNT, BUCKET, S3},
};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, MailboxId},
    store::{MemoryObjects, ObjectFaults, ObjectsAt, Scope, SearchKey, Settings, Store, StoreError},
};
use std::{fs, path::Path, time::Duration};

const START: UnixMillis = UnixMillis(1_767_225_600_000);

async fn open(folder: &Path, objects: &ObjectsAt) -> Result<Store, StoreError> {
    let settings = Settings {
        partitions: 2,
        pack_after_seconds: 3600,
        cache_octets: 1 << 20,
        objects: objects.clone(),
        ..Settings::at(folder)
    };
    Store::open(settings, Clock::simulated(START, 9)).await
}

/// One account and what is in it.
struct Life<'a> {
    folder: &'a Path,
    objects: ObjectsAt,
    store: Store,
    account: AccountId,
    inbox: MailboxId,
    stored: Vec<Vec<u8>>,
}

impl<'a> Life<'a> {
    async fn begin(folder: &'a Path, objects: ObjectsAt) -> Self {
        let store = open(folder, &objects).await.unwrap();
        let account = store.create_account().await.unwrap();
        let inbox = inbox(&store, account);
        Self { folder, objects, store, account, inbox, stored: Vec::new() }
    }

    async fn append(&mut self, raw: Vec<u8>) {
        let to = vec![target(self.account, self.inbox)];
        self.store.append(message(raw.clone()), to).await.unwrap();
        self.stored.push(raw);
    }

    /// Every message is there, and found by its words.
    async fn check(&self, stage: &str) {
        let there = contents(&self.store, self.account, self.inbox).await;
        assert!(there == self.stored.iter().map(|raw| Bytes::copy_from_slice(raw)).collect::<Vec<_>>(), "{stage}");
        for (needle, found) in [("letter", self.stored.len()), ("etter 3", 1), ("nowhere", 0)] {
            let key = SearchKey::Text(needle.to_owned());
            let hits = self.store.search(self.account, Scope::Mailbox(self.inbox), &key).await;
            assert_eq!(hits.unwrap_or_else(|error| panic!("{stage}: {error}")).len(), found, "{stage}: {needle}");
        }
    }

    async fn restart(self) -> Self {
        let Self { folder, objects, store, account, inbox, stored } = self;
        store.close().await;
        drop(store);
        let store = open(folder, &objects).await.unwrap();
        Self { folder, objects, store, account, inbox, stored }
    }

    fn copies(&self) -> Vec<std::path::PathBuf> {
        let files = fs::read_dir(self.folder.join("copies")).into_iter().flatten();
        files.map(|entry| entry.unwrap().path()).collect()
    }

    async fn expunge_first(&mut self) {
        let first = self.store.snapshot(self.account, self.inbox).unwrap().rows().next().unwrap().uid;
        let change = postern::store::FlagChange {
            mode: postern::store::FlagMode::Add,
            flags: flags(&["\\Deleted"]),
            unchanged_since: None,
        };
        self.store.change_flags(self.account, self.inbox, vec![first], change).await.unwrap();
        assert_eq!(self.store.expunge(self.account, self.inbox, None).await.unwrap(), [first]);
        self.stored.remove(0);
    }

    /// Until small segments have become one: the worker begins once a tail is long.
    async fn merged(&mut self) {
        for number in 0..8 {
            self.append(letter(1100 + number, 100)).await;
            self.store.flush_index(self.account).await.unwrap();
        }
        let before = self.store.index_statistics(self.account).unwrap().segments;
        // The bundles have to come from where they are.
        self.copies().iter().for_each(|copy| fs::remove_file(copy).unwrap());
        for number in 0..128 {
            self.append(letter(1200 + number, 100)).await;
        }
        for _ in 0..3000 {
            if self.store.index_statistics(self.account).unwrap().segments < before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{before} segments were not merged");
    }
}

/// What a place has to bear, from the first letter to the last.
async fn lives(folder: &Path, objects: ObjectsAt) {
    let mut life = Life::begin(folder, objects).await;
    // Small, in a pack, in an object of its own; the last twice.
    for (number, octets) in [(1, 300), (2, 20_000), (3, 500_000), (4, 2_500_000), (4, 2_500_000)] {
        life.append(letter(number, octets)).await;
    }
    life.check("new").await;
    life.store.flush_index(life.account).await.unwrap();
    life.check("indexed").await;
    let packed = life.store.pack().await.unwrap();
    assert!(packed.packs > 0 && packed.duplicates > 0, "{packed:?}");
    life.check("packed").await;
    assert!(life.store.verify_contents(|_| {}).await.unwrap().damage.is_empty());

    let mut life = life.restart().await;
    life.check("restarted").await;
    let _ = fs::remove_dir_all(folder.join("copies"));
    life = life.restart().await;
    life.check("restarted without copies").await;
    life.copies().iter().for_each(|copy| fs::write(copy, "damage").unwrap());
    life = life.restart().await;
    life.check("restarted with damaged copies").await;

    life.expunge_first().await;
    life.check("expunged").await;
    life.merged().await;
    life.check("merged").await;
    let statistics = life.store.content_statistics().await.unwrap();
    assert_eq!((statistics.messages > 0, statistics.orphans), (true, 0), "{statistics:?}");
    life.store.remove_account(life.account).await.unwrap();
    assert_eq!(life.copies(), Vec::<std::path::PathBuf>::new());
    life.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    lives(folder.path(), ObjectsAt::Memory(MemoryObjects::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_with_objects_that_fail_now_and_then() {
    let (folder, objects) = (tempfile::tempdir().unwrap(), MemoryObjects::new());
    let faults =
        ObjectFaults { seed: 3, pause_millis_max: 1, refused: 50, lost_answers: 50, torn_reads: 50, torn_lists: 50 };
    objects.set_faults(faults);
    lives(folder.path(), ObjectsAt::Memory(objects.clone())).await;
    assert!(objects.faults_met() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_in_a_folder_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("elsewhere").display());
    lives(&folder.path().join("store"), ObjectsAt::Url { url, options: Default::default() }).await;
    assert!(folder.path().join("elsewhere/installation").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lives_in_a_bucket() {
    let Some(s3) = S3::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |prefix: &str| ObjectsAt::Url { url: format!("s3://{BUCKET}/{prefix}"), options: s3.options(ACCOUNT) };
    lives(&folder.path().join("store"), at("postern")).await;
    is_held_to_its_place(folder.path(), at("postern"), at("other")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_held_to_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let url = format!("file://{}", folder.path().join(name).display());
        ObjectsAt::Url { url, options: Default::default() }
    };
    let store = open(&folder.path().join("store"), &at("ours")).await.unwrap();
    store.close().await;
    drop(store);
    is_held_to_its_place(folder.path(), at("ours"), at("other")).await;
}

/// `store` in the folder has its objects at `ours`.
async fn is_held_to_its_place(folder: &Path, ours: ObjectsAt, other: ObjectsAt) {
    let told = |opened: Result<Store, StoreError>| match opened {
        Err(StoreError::Objects(told)) => told,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the store opens"),
    };
    let moved = told(open(&folder.join("store"), &other).await);
    assert!(moved.contains("set store.objects back"), "{moved}");
    let foreign = Settings { objects: ours.clone(), ..Settings::at(folder.join("foreign")) };
    let foreign = told(Store::open(foreign, Clock::simulated(START, 10)).await);
    assert!(foreign.contains("choose another prefix"), "{foreign}");
    open(&folder.join("store"), &ours).await.unwrap().close().await;
}
