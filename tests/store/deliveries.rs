//! Deliveries to accounts of several partitions: once for each recipient, whenever the process ends and however
//! often the sender repeats them.

use super::{block_on, contents, inbox, letter, message, open, open_with, reopen, target};
use crate::crash::victim::{Start, Victim, seeds, tell, victim};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::AccountId,
    store::{Appended, NewMessage, RepeatKey, Store, StoreError, Target},
};
use std::{path::Path, time::Duration};

const ACCOUNTS: usize = 6;
const DELIVERIES: u64 = 12;
const FAILPOINTS: &[&str] = &[
    "append.after_stage",
    "group.before_commit",
    "group.after_commit",
    "group.published",
    "append.before_outbox",
    "outbox.after_step",
    "outbox.before_forget",
];

/// A delivery with its recipients, and the key that the same delivery has each time.
fn delivery(store: &Store, accounts: &[AccountId], number: u64) -> (NewMessage, Vec<Target>) {
    let octets = if number % 5 == 4 { 300_000 } else { 100 };
    let key = blake3::hash(&number.to_le_bytes());
    let message = NewMessage {
        repeat: Some(RepeatKey(*key.as_bytes().first_chunk().unwrap())),
        ..message(letter(number, octets))
    };
    // Every delivery begins with another recipient, most go to several.
    let recipients = accounts.iter().cycle().skip(number as usize).take(1 + number as usize % ACCOUNTS);
    let targets =
        recipients.map(|account| Target { trace: trace(*account), ..target(*account, inbox(store, *account)) });
    (message, targets.collect())
}

fn trace(account: AccountId) -> Bytes {
    format!("Delivered-To: {account}@example.org\r\n").into()
}

/// How often an account shows a delivery.
async fn shown(store: &Store, account: AccountId, number: u64) -> usize {
    let octets = if number % 5 == 4 { 300_000 } else { 100 };
    let whole = [&*trace(account), &*letter(number, octets)].concat();
    contents(store, account, inbox(store, account)).await.iter().filter(|octets| **octets == whole).count()
}

async fn make_accounts(store: &Store) -> Vec<AccountId> {
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(store.create_account().await.unwrap());
    }
    accounts
}

/// The same, where the seed is odd without a key: then only the outbox knows what is left to do.
fn delivery_of(seed: u64, store: &Store, accounts: &[AccountId], number: u64) -> (NewMessage, Vec<Target>) {
    let (message, targets) = delivery(store, accounts, number);
    let repeat = message.repeat.filter(|_| seed.is_multiple_of(2));
    (NewMessage { repeat, ..message }, targets)
}

/// Delivers, one after another, and tells which were acknowledged.
#[test]
#[ignore = "is started by the other tests"]
fn mail_server_until_the_end() {
    let Some((folder, seed)) = victim() else { return };
    block_on(async {
        let store = open(&folder).await;
        let accounts = store.account_ids().unwrap();
        for number in 0..DELIVERIES {
            let (message, targets) = delivery_of(seed, &store, &accounts, number);
            let count = targets.len();
            assert_eq!(store.append(message, targets).await.unwrap().len(), count);
            tell(&number.to_string());
        }
        tell("end");
    });
}

#[test]
fn a_crash_during_a_delivery_leaves_it_to_be_finished_once() {
    let mut reached = 0;
    for failpoint in FAILPOINTS {
        for seed in 0..seeds(4) {
            let folder = tempfile::tempdir().unwrap();
            block_on(async {
                let store = open(folder.path()).await;
                make_accounts(&store).await;
                store.close().await;
            });
            let point = format!("{failpoint}:{}", 1 + seed * 5 % 14);
            let test = "store::deliveries::mail_server_until_the_end";
            let told = Victim::start(&Start::new(test, folder.path(), seed).ending_at(Some(point))).rest();
            reached += usize::from(told.last().is_none_or(|line| line != "end"));
            let acknowledged = told.iter().filter_map(|line| line.parse().ok()).max();
            block_on(check(folder.path(), acknowledged));
            if seed.is_multiple_of(2) {
                block_on(check_repeats(folder.path(), acknowledged));
            } else {
                block_on(check(folder.path(), acknowledged));
            }
        }
    }
    println!("{reached} crashes");
    assert!(reached >= FAILPOINTS.len(), "only {reached} crashes");
}

/// After a restart each delivery is there once, for all or for none.
async fn check(folder: &Path, acknowledged: Option<u64>) {
    let store = open(folder).await;
    let accounts = store.account_ids().unwrap();
    for number in 0..DELIVERIES {
        let (_, targets) = delivery(&store, &accounts, number);
        let mut counts = Vec::new();
        for target in &targets {
            counts.push(shown(&store, target.account, number).await);
        }
        let (none, once) = (counts.iter().all(|count| *count == 0), counts.iter().all(|count| *count == 1));
        assert!(once || none && Some(number) > acknowledged, "delivery {number} is shown {counts:?}");
    }
    store.close().await;
}

/// After the sender has repeated everything, each is there once for all.
async fn check_repeats(folder: &Path, acknowledged: Option<u64>) {
    let store = open(folder).await;
    let accounts = store.account_ids().unwrap();
    for number in 0..DELIVERIES {
        let (message, targets) = delivery(&store, &accounts, number);
        let given = store.append(message, targets.clone()).await.unwrap();
        assert_eq!(given.len(), targets.len());
        assert!(given.iter().all(|copy| copy.repeated) || Some(number) > acknowledged);
        for target in &targets {
            assert_eq!(shown(&store, target.account, number).await, 1, "delivery {number} was repeated");
        }
    }
    store.close().await;
}

/// The numbers of copies, without whether they are repeats.
fn numbers(given: &[Appended]) -> Vec<(AccountId, u32, u32)> {
    given.iter().map(|copy| (copy.account, copy.uid.get(), copy.number.get())).collect()
}

#[test]
fn a_repeat_gives_what_the_first_gave_until_it_is_acknowledged_or_old() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(UnixMillis(1_700_000_000_000), 7);
        let store = open_with(folder.path(), clock.clone()).await;
        let accounts = make_accounts(&store).await;
        for number in [0, 5] {
            let deliver = || async {
                let (message, targets) = delivery(&store, &accounts, number);
                (store.append(message.clone(), targets.clone()).await.unwrap(), targets)
            };
            let (first, targets) = deliver().await;
            assert!(first.iter().zip(&targets).all(|(copy, target)| copy.account == target.account && !copy.repeated));
            let (repeat, _) = deliver().await;
            assert_eq!(numbers(&first), numbers(&repeat), "in the order of the targets");
            assert!(repeat.iter().all(|copy| copy.repeated));
            let (message, _) = delivery(&store, &accounts, number);
            store.acknowledge(message.repeat.unwrap());
            // The forgetting stands before this in the partition's queue, or in that of another: either is done
            // with once each partition has answered.
            for account in &accounts {
                store.subscribe(*account, &format!("round-{number}")).await.unwrap();
            }
            let (second, _) = deliver().await;
            assert!(second.iter().all(|copy| !copy.repeated), "a second copy that the sender means");
            clock.advance(Duration::from_secs(8 * 86_400));
            let (third, _) = deliver().await;
            assert!(third.iter().all(|copy| !copy.repeated), "nobody tries for so long");
            assert_eq!(shown(&store, targets[0].account, number).await, 3);
        }
        store.close().await;
    });
}

#[test]
fn repeats_at_the_same_moment_are_one_delivery() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let accounts = make_accounts(&store).await;
        for number in [0, 5, 4] {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    let (store, (message, targets)) = (store.clone(), delivery(&store, &accounts, number));
                    tokio::spawn(async move { store.append(message, targets).await.unwrap() })
                })
                .collect();
            let mut given = Vec::new();
            for try_ in tries {
                given.push(numbers(&try_.await.unwrap()));
            }
            given.dedup();
            assert_eq!(given.len(), 1, "everyone was told the same");
            for (account, ..) in &given[0] {
                assert_eq!(shown(&store, *account, number).await, 1);
            }
        }
        store.close().await;
    });
}

#[test]
fn more_recipients_than_one_batch_takes_are_all_reached() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let account = store.create_account().await.unwrap();
        let inbox = inbox(&store, account);
        // Text that does not compress and is kept with each copy until it is indexed: 400 kB each.
        let words = super::noise(1, 400_000);
        let lines: Vec<&str> = words.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let raw = format!("Subject: long\r\n\r\n{}\r\n", lines.join("\r\n")).into_bytes();
        let targets: Vec<Target> = (0..40)
            .map(|number| Target { trace: format!("X-Copy: {number}\r\n").into(), ..target(account, inbox) })
            .collect();
        let message = NewMessage { repeat: Some(RepeatKey([9; 16])), ..message(raw.clone()) };
        let given = store.append(message.clone(), targets.clone()).await.unwrap();
        for (copy, target) in given.iter().zip(&targets) {
            let record = store.record(account, copy.number).unwrap();
            assert_eq!(record.trace, target.trace);
        }
        let repeat = store.append(message, targets).await.unwrap();
        assert_eq!(numbers(&repeat), numbers(&given));
        let store = reopen(store, folder.path()).await;
        assert_eq!(contents(&store, account, inbox).await.len(), 40);
        store.close().await;
    });
}

#[test]
fn a_recipient_without_a_mailbox_refuses_the_delivery_for_all() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let accounts = make_accounts(&store).await;
        let mut targets: Vec<Target> =
            accounts.iter().map(|account| target(*account, inbox(&store, *account))).collect();
        targets[ACCOUNTS - 1].mailbox = postern::mail::MailboxId::new(4711).unwrap();
        let refused = store.append(message(letter(1, 100)), targets).await;
        assert!(matches!(refused, Err(StoreError::NoMailbox)));
        for account in accounts {
            assert_eq!(store.status(account, inbox(&store, account)).unwrap().exists, 0);
        }
        store.close().await;
    });
}
