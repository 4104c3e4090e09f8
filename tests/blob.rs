//! Bodies through the store: kept once, given back as they came, damage reported.

use crate::support::{archive, corpora};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flags, MailboxId},
    message::analyse,
    store::{Appended, NewMessage, Settings, Store, StoreError, Target},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const START: UnixMillis = UnixMillis(1_767_225_600_000);
const TRACE: &[u8] = b"Received: from mail.example.com by mx.example.org; Thu, 1 Jan 2026 00:00:00 +0000\r\n";

async fn open(folder: &Path) -> Store {
    let settings = Settings { partitions: 4, pack_after_seconds: 3600, cache_octets: 8 << 20, ..Settings::at(folder) };
    Store::open(settings, Clock::simulated(START, 5)).await.unwrap()
}

async fn account(store: &Store) -> (AccountId, MailboxId) {
    let account = store.create_account().await.unwrap();
    (account, store.mailbox(account, "INBOX").unwrap().id)
}

async fn append(store: &Store, raw: &[u8], to: &[(AccountId, MailboxId)]) -> Vec<Appended> {
    let message = NewMessage {
        raw: Bytes::copy_from_slice(raw),
        analysis: Arc::new(analyse(raw)),
        internal_date: START,
        repeat: None,
    };
    let target = |(account, mailbox): &(AccountId, MailboxId)| Target {
        account: *account,
        mailbox: *mailbox,
        flags: Flags::default(),
        trace: Bytes::from_static(TRACE),
        verdict: None,
    };
    store.append(message, to.iter().map(target).collect()).await.unwrap()
}

async fn read(store: &Store, copy: &Appended) -> Result<Bytes, StoreError> {
    let record = store.record(copy.account, copy.number).unwrap();
    store.read(&record, 0..record.octets()).await
}

async fn all_come_back(store: &Store, stored: &[(Vec<Appended>, Vec<u8>)]) {
    for (copies, raw) in stored {
        for copy in copies {
            assert!(read(store, copy).await.unwrap() == [TRACE, raw].concat());
        }
    }
}

fn packs(folder: &Path) -> Vec<PathBuf> {
    let generations = fs::read_dir(folder.join("blobs/packs")).unwrap().map(|entry| entry.unwrap().path());
    generations.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_with_attachments_is_kept_once_for_all_its_readers() {
    let Some(corpora) = corpora() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let (first, second) = (account(&store).await, account(&store).await);
    let mut stored = Vec::new();
    for entry in archive::open(&corpora.join("attachments/dedup-threads/messages.tar.zst")) {
        stored.push((append(&store, &entry.octets, &[first, second]).await, entry.octets));
    }
    all_come_back(&store, &stored).await;
    let fresh = store.content_statistics().await.unwrap();
    store.pack().await.unwrap();
    all_come_back(&store, &stored).await;
    let packed = store.content_statistics().await.unwrap();
    println!("{packed:?}");
    assert_eq!((packed.messages, packed.raw_octets), (108, 2 * 23_808_656));
    assert_eq!((packed.messages, packed.parts, packed.contents), (fresh.messages, fresh.parts, fresh.contents));
    assert_eq!((packed.fresh_octets, packed.orphans), (0, 0));
    assert!(packed.stored_octets < 4_000_000, "two accounts cost as much as one");
    store.close().await;
    drop(store);

    let store = open(folder.path()).await;
    all_come_back(&store, &stored).await;
    assert!(store.verify_contents(|_| {}).await.unwrap().damage.is_empty());
    store.close().await;
}

/// P12.
#[tokio::test(flavor = "multi_thread")]
async fn damage_to_one_message_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let inbox = account(&store).await;
    let mut stored = Vec::new();
    for number in 0..40 {
        let raw = format!("From: ada@example.org\r\nSubject: number {number}\r\n\r\nText of number {number}.\r\n");
        stored.push((append(&store, raw.as_bytes(), &[inbox]).await, raw.into_bytes()));
    }
    store.pack().await.unwrap();
    let pack = packs(folder.path()).pop().unwrap();
    let mut octets = fs::read(&pack).unwrap();
    let middle = octets.len() / 3;
    octets[middle] ^= 0x10;
    fs::write(&pack, octets).unwrap();

    let mut damaged = 0;
    for (copies, raw) in &stored {
        match read(&store, &copies[0]).await {
            Ok(octets) => assert!(octets == [TRACE, raw].concat()),
            Err(StoreError::Damaged(_)) => damaged += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(damaged, 1);
    let verified = store.verify_contents(|_| {}).await.unwrap();
    assert_eq!(verified.damage.len(), 1, "{:?}", verified.damage);
    store.close().await;
}

/// P10. Locations are made again from packs while the store is open.
#[tokio::test(flavor = "multi_thread")]
async fn locations_can_be_rebuilt_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let inbox = account(&store).await;
    let mut stored = Vec::new();
    for number in 0..30 {
        let raw = format!("Subject: number {number}\r\n\r\n{}\r\n", "words ".repeat(number * 100));
        stored.push((append(&store, raw.as_bytes(), &[inbox]).await, raw.into_bytes()));
        if number % 10 == 9 {
            store.pack().await.unwrap();
        }
    }
    let before = store.content_statistics().await.unwrap();
    let rebuilt = store.rebuild_locations().await.unwrap();
    assert_eq!((rebuilt.packs, rebuilt.locations, rebuilt.messages, rebuilt.damaged), (3, 30, 30, 0));
    assert_eq!(store.content_statistics().await.unwrap(), before);
    all_come_back(&store, &stored).await;
    store.close().await;
}

#[test]
fn archives_give_every_file() {
    let Some(corpora) = corpora() else { return };
    let files = archive::open(&corpora.join("attachments/dedup-threads/messages.tar.zst")).collect::<Vec<_>>();
    let messages = files.iter().filter(|file| file.path.ends_with(".eml")).collect::<Vec<_>>();
    assert_eq!(messages.len(), 54);
    assert_eq!(messages.iter().map(|message| message.octets.len()).sum::<usize>(), 23_808_656);
}
