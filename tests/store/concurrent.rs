//! P5, P8: clients that only read what changed since their mod-sequence hold what the mailbox holds, while several
//! writers change it.

use super::{block_on, flags, inbox, letter, message, open, target};
use postern::{
    mail::{AccountId, Flags, MailboxId, ModSeq, Uid},
    store::{FlagChange, FlagMode, Snapshot, Store, StoreError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 40;

/// A client with CONDSTORE and QRESYNC (RFC 7162): it never reads the whole mailbox.
struct Client {
    store: Store,
    account: AccountId,
    mailbox: MailboxId,
    highest: Option<ModSeq>,
    messages: BTreeMap<Uid, Flags>,
}

impl Client {
    fn new(store: &Store, account: AccountId, mailbox: MailboxId) -> Self {
        Self { store: store.clone(), account, mailbox, highest: None, messages: BTreeMap::new() }
    }

    /// Reads the difference, and finds that it makes the whole.
    fn resynchronise(&mut self) {
        let snapshot = self.store.snapshot(self.account, self.mailbox).unwrap();
        let highest = snapshot.status().highest_modseq;
        assert!(Some(highest) >= self.highest, "HIGHESTMODSEQ went back");
        for row in snapshot.rows_changed_since(self.highest) {
            assert!(row.modseq <= highest);
            self.messages.insert(row.uid, snapshot.flags(&row));
        }
        if let Some(since) = self.highest {
            let vanished = self.store.vanished_since(self.account, self.mailbox, since).unwrap().unwrap();
            // The log is read after the snapshot and may be ahead of it.
            for uid in vanished.iter().filter(|uid| snapshot.row(**uid).is_none()) {
                self.messages.remove(uid);
            }
        }
        self.highest = Some(highest);
        assert_eq!(self.messages, whole(&snapshot));
    }
}

fn whole(snapshot: &Snapshot) -> BTreeMap<Uid, Flags> {
    snapshot.rows().map(|row| (row.uid, snapshot.flags(&row))).collect()
}

/// Appends, flags, moves there and back, expunges.
async fn write(store: Store, account: AccountId, mailbox: MailboxId, elsewhere: MailboxId, writer: u64) -> Vec<Uid> {
    let mut given = Vec::new();
    for round in 0..ROUNDS {
        let octets = letter(writer << 32 | round, 50);
        let copy = &store.append(message(octets), vec![target(account, mailbox)]).await.unwrap()[0];
        given.push(copy.uid);
        let change = |mode, names: &[&str]| FlagChange { mode, flags: flags(names), unchanged_since: None };
        let uids: Vec<Uid> = given.iter().rev().take(3).copied().collect();
        store.change_flags(account, mailbox, uids, change(FlagMode::Add, &["\\Seen", "one"])).await.unwrap();
        match round % 4 {
            0 => {
                let there = store.move_messages(account, mailbox, vec![copy.uid], elsewhere).await.unwrap();
                let uids = there.uids.iter().map(|(_, uid)| *uid).collect();
                let back = store.move_messages(account, elsewhere, uids, mailbox).await.unwrap();
                given.extend(back.uids.iter().map(|(_, uid)| *uid));
            }
            1 => {
                store
                    .change_flags(account, mailbox, vec![copy.uid], change(FlagMode::Add, &["\\Deleted"]))
                    .await
                    .unwrap();
                store.expunge(account, mailbox, Some(vec![copy.uid])).await.unwrap();
            }
            _ => {
                let copied = store.copy(account, mailbox, vec![copy.uid], mailbox).await.unwrap();
                given.extend(copied.uids.iter().map(|(_, uid)| *uid));
            }
        }
    }
    given
}

#[test]
fn clients_that_read_differences_hold_the_whole() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let (mailbox, elsewhere) = (inbox(&store, account), store.mailbox(account, "Archive").unwrap().id);
        let done = Arc::new(AtomicBool::new(false));
        let busy = reader(Client::new(&store, account, mailbox), Arc::clone(&done));
        let woken = tokio::spawn(sleeper(Client::new(&store, account, mailbox), store.clone()));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(store.clone(), account, mailbox, elsewhere, writer)))
            .collect();
        let mut given = Vec::new();
        for writer in writers {
            given.extend(writer.await.unwrap());
        }
        done.store(true, Ordering::SeqCst);
        busy.join().unwrap();
        let unique: BTreeSet<Uid> = given.iter().copied().collect();
        assert_eq!(unique.len(), given.len(), "a UID was given out twice");
        let last = store.snapshot(account, mailbox).unwrap();
        // The account goes, which ends the watch.
        store.remove_account(account).await.unwrap();
        assert_eq!(woken.await.unwrap(), whole(&last));
        store.close().await;
    });
}

/// Looks again and again.
fn reader(mut client: Client, done: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !done.load(Ordering::SeqCst) {
            client.resynchronise();
            std::thread::yield_now();
        }
        client.resynchronise();
    })
}

/// Looks only when woken, and returns what it holds when the account is gone.
async fn sleeper(mut client: Client, store: Store) -> BTreeMap<Uid, Flags> {
    let mut watch = store.watch(client.account).unwrap();
    client.resynchronise();
    let mut highest = None;
    loop {
        match watch.changed().await {
            Ok(modseq) => {
                assert!(Some(modseq) > highest, "a wake-up without news");
                highest = Some(modseq);
                client.resynchronise_unless_gone();
            }
            Err(StoreError::NoAccount) => return client.messages,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Client {
    fn resynchronise_unless_gone(&mut self) {
        if self.store.status(self.account, self.mailbox).is_ok() {
            self.resynchronise();
        }
    }
}

/// RFC 7162 §3.1.3: of two clients that both saw a message at m, one wins.
#[test]
fn of_two_conditional_stores_one_wins() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let mailbox = inbox(&store, account);
        let copy = store.append(message(letter(1, 50)), vec![target(account, mailbox)]).await.unwrap()[0].clone();
        for (round, bound) in [Some(Some(copy.modseq)), Some(None), None].into_iter().enumerate() {
            let rounds = (0..8).map(|client| {
                let (store, name) = (store.clone(), format!("k{round}-{client}"));
                tokio::spawn(async move {
                    let change = FlagChange { mode: FlagMode::Add, flags: flags(&[&name]), unchanged_since: bound };
                    store.change_flags(account, mailbox, vec![copy.uid], change).await.unwrap()
                })
            });
            let (mut stored, mut modified) = (0, 0);
            for client in rounds.collect::<Vec<_>>() {
                let changed = client.await.unwrap();
                stored += changed.stored.len();
                modified += changed.modified.len();
            }
            assert_eq!((stored, modified), [(1, 7), (0, 8), (8, 0)][round]);
        }
        store.close().await;
    });
}
