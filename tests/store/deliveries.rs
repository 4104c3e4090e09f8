//! Deliveries to accounts of several partitions: once for each recipient, however often the sender repeats them.
//! Ends on the way: `crash::deliveries`.

use super::{block_on, contents, inbox, letter, message, open, open_with, reopen, target};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::AccountId,
    store::{Appended, NewMessage, RepeatKey, Store, StoreError, Target},
};
use std::time::Duration;

pub const ACCOUNTS: usize = 6;

/// A delivery with its recipients, and the key that the same delivery has each time.
pub fn delivery(store: &Store, accounts: &[AccountId], number: u64) -> (NewMessage, Vec<Target>) {
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

pub fn trace(account: AccountId) -> Bytes {
    format!("Delivered-To: {account}@example.org\r\n").into()
}

/// How often an account shows a delivery.
pub async fn shown(store: &Store, account: AccountId, number: u64) -> usize {
    let octets = if number % 5 == 4 { 300_000 } else { 100 };
    let whole = [&*trace(account), &*letter(number, octets)].concat();
    contents(store, account, inbox(store, account)).await.iter().filter(|octets| **octets == whole).count()
}

pub async fn make_accounts(store: &Store) -> Vec<AccountId> {
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(store.create_account().await.unwrap());
    }
    accounts
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
            store.acknowledge(message.repeat.unwrap(), first[0].account);
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
