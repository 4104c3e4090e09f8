//! Quotas of the store: what many do at once never gets beyond a limit, and usage can be counted again.

use bytes::Bytes;
use postern::{
    accounts::{Accounts, Password},
    clock::{Clock, UnixMillis},
    delivery::Delivery,
    mail::{AccountId, Address, Flag, Flags, Uid},
    message::analyse,
    store::{
        AccountLimits, Admission, FlagChange, FlagMode, Limit, NewMessage, QuotaPolicy, RepeatKey, ResourceLimits,
        Settings, Store, StoreError, Target, Usage,
    },
};
use std::sync::Arc;

async fn open(folder: &tempfile::TempDir) -> Store {
    let settings = Settings { partitions: 4, pack_after_seconds: 3600, ..Settings::at(folder.path().join("store")) };
    Store::open(settings, Clock::real()).await.unwrap()
}

async fn limit(store: &Store, account: AccountId, octets: u64) {
    let limits = AccountLimits { octets: Limit::AtMost(octets), messages: Limit::Default };
    store.set_account_limits(account, limits).await.unwrap();
}

/// A message of 1,000 octets.
fn message(number: u64) -> NewMessage {
    let raw = format!("Subject: {number:0983}\r\n\r\nhi\r\n");
    NewMessage {
        analysis: Arc::new(analyse(raw.as_bytes())),
        raw: Bytes::from(raw),
        internal_date: UnixMillis(1_700_000_000_000),
        repeat: None,
    }
}

fn target(store: &Store, account: AccountId) -> Target {
    let mailbox = store.mailbox(account, "INBOX").unwrap().id;
    Target { account, mailbox, flags: Flags::default(), trace: Bytes::new(), verdict: None }
}

/// Writers that race for the last room: as many get in as fit, not one more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_and_copies_stay_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let account = store.create_account().await.unwrap();
    let first = store.append(message(0), vec![target(&store, account)]).await.unwrap()[0].clone();
    assert_eq!(store.quota(account).unwrap().usage, Usage { octets: 1000, messages: 1 });
    limit(&store, account, 10_999).await;
    let archive = store.mailbox(account, "Archive").unwrap().id;
    let writers = (1..=40).map(|number| {
        let (store, inbox) = (store.clone(), first.mailbox);
        tokio::spawn(async move {
            if number % 4 == 0 {
                return store.copy(account, inbox, vec![Uid::FIRST], archive).await.map(|_| ());
            }
            let target = target(&store, account);
            store.append_admitted(message(number), vec![(target, Admission::Fits)]).await.map(|_| ())
        })
    });
    let mut stored = 1;
    for outcome in futures_util::future::join_all(writers).await {
        match outcome.unwrap() {
            Ok(()) => stored += 1,
            Err(StoreError::OverQuota(over)) => assert_eq!(over, account),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((stored, store.quota(account).unwrap().usage), (10, Usage { octets: 10_000, messages: 10 }));
    assert_eq!(store.count_usage(account).unwrap(), store.quota(account).unwrap().usage);
    store.close().await;
}

/// Deliveries to accounts of several partitions hold the room that they will need: all or none, and no account is carried
/// beyond its limit twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_to_several_partitions_hold_their_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let mut accounts = Vec::new();
    for _ in 0..6 {
        accounts.push(store.create_account().await.unwrap());
    }
    for account in &accounts[1..] {
        limit(&store, *account, 5500).await;
    }
    let deliveries = (0..30).map(|number| {
        let (store, accounts) = (store.clone(), accounts.clone());
        tokio::spawn(async move {
            let targets = accounts.iter().map(|account| (target(&store, *account), Admission::NotOver)).collect();
            store.append_admitted(message(number), targets).await.map(|given| given.len())
        })
    });
    let outcomes: Vec<_> = futures_util::future::join_all(deliveries).await.into_iter().map(Result::unwrap).collect();
    let stored = outcomes.iter().filter(|outcome| matches!(outcome, Ok(6))).count() as u64;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(6) | Err(StoreError::OverQuota(_)))), "{outcomes:?}");
    assert!((1..=6).contains(&stored), "{stored}");
    for account in &accounts {
        assert_eq!(store.quota(*account).unwrap().usage, Usage { octets: 1000 * stored, messages: stored });
    }
    // Nothing is held any more: one goes in after another until the limit is passed by one message.
    let mut more = stored;
    while let Ok(given) = {
        let targets = accounts.iter().map(|account| (target(&store, *account), Admission::NotOver)).collect();
        store.append_admitted(message(100 + more), targets).await
    } {
        more += u64::from(given.len() == 6);
        assert!(more <= 6);
    }
    assert_eq!(more, 6);
    store.close().await;
}

/// The sender that never saw our 250 sends again to an account that is full by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_recognised_although_the_account_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let (one, two) = (store.create_account().await.unwrap(), store.create_account().await.unwrap());
    let repeated = || NewMessage { repeat: Some(RepeatKey([7; 16])), ..message(1) };
    let targets = || [one, two].map(|account| (target(&store, account), Admission::NotOver)).to_vec();
    let first = store.append_admitted(repeated(), targets()).await.unwrap();
    for account in [one, two] {
        limit(&store, account, 1).await;
    }
    let again = store.append_admitted(repeated(), targets()).await.unwrap();
    assert!(again.iter().all(|copy| copy.repeated));
    assert_eq!(
        again.iter().map(|copy| copy.uid).collect::<Vec<_>>(),
        first.iter().map(|copy| copy.uid).collect::<Vec<_>>()
    );
    assert!(matches!(store.append_admitted(message(2), targets()).await, Err(StoreError::OverQuota(_))));
    store.close().await;
}

/// Limits are kept, and removing an account takes them with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let account = store.create_account().await.unwrap();
    limit(&store, account, 1500).await;
    store.append(message(1), vec![target(&store, account)]).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&folder).await;
    let quota = store.quota(account).unwrap();
    assert_eq!((quota.limits.octets, quota.usage.octets, quota.percent()), (Some(1500), 1000, Some(66)));
    let refused = store.append_admitted(message(2), vec![(target(&store, account), Admission::Fits)]).await;
    assert!(matches!(refused, Err(StoreError::OverQuota(_))));
    store.close().await;
}

/// A warning comes once for each crossing, whatever the limits are, and again after the usage has fallen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_are_warned_once_for_each_crossing() {
    let folder = tempfile::tempdir().unwrap();
    let policy =
        QuotaPolicy { limits: ResourceLimits { octets: Some(10_000), messages: None }, warnings: vec![80, 95] };
    let settings = Settings { partitions: 2, quota: policy, ..Settings::at(folder.path().join("store")) };
    let store = Store::open(settings, Clock::real()).await.unwrap();
    let accounts = Accounts::new(store.clone(), Clock::real()).unwrap();
    let address: Address = "ann@example.org".parse().unwrap();
    accounts.add_domain(address.domain()).await.unwrap();
    let account = accounts.add_account(&address, &Password::new(b"secret").unwrap()).await.unwrap().id;
    let delivery = Delivery::new(store.clone(), Clock::real(), "mx.example.org".into());
    let mut warned = Vec::new();
    let mut fill = async |count: u64| {
        for number in 0..count {
            store.append(message(number), vec![target(&store, account)]).await.unwrap();
        }
        // What is due is given; a moment later nothing more is.
        while store.warning_due(account).unwrap().is_some() {
            let warning = tokio::time::timeout(std::time::Duration::from_millis(20), delivery.warn_owners(&accounts));
            assert!(warning.await.is_err());
        }
        warned.push(warnings(&store, account).await);
    };
    // The warnings count too, so that the ninth message is beyond 95 %.
    fill(7).await;
    fill(1).await;
    fill(1).await;
    fill(1).await;
    fill(1).await;
    let inbox = store.mailbox(account, "INBOX").unwrap().id;
    let all: Vec<Uid> = store.snapshot(account, inbox).unwrap().rows().map(|row| row.uid).collect();
    let deleted = FlagChange { mode: FlagMode::Add, flags: Flags::from_iter([Flag::Deleted]), unchanged_since: None };
    store.change_flags(account, inbox, all, deleted).await.unwrap();
    store.expunge(account, inbox, None).await.unwrap();
    fill(8).await;
    assert_eq!(warned, [vec![], vec![80], vec![80, 95], vec![80, 95], vec![80, 95], vec![80]]);
    assert_eq!(store.count_usage(account).unwrap(), store.quota(account).unwrap().usage);
    store.close().await;
}

/// The percentages of the warnings in INBOX.
async fn warnings(store: &Store, account: AccountId) -> Vec<u8> {
    let inbox = store.mailbox(account, "INBOX").unwrap().id;
    let mut levels = Vec::new();
    for row in store.snapshot(account, inbox).unwrap().rows() {
        let record = store.record(account, row.number).unwrap();
        let text = store.read(&record, 0..u64::MAX).await.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        if let Some((_, rest)) = text.split_once("Subject: Your mailbox is more than ") {
            assert!(text.starts_with("From: Postmaster <postmaster@mx.example.org>\r\nTo: ann@example.org\r\n"));
            levels.push(rest.split_once(' ').unwrap().0.parse().unwrap());
        }
    }
    levels
}
