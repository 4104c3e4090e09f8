//! The sweep, through the store and the command line (P9).

use crate::support::server::{Server, postern, prepared, succeed};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flags, MailboxId, SystemFlags, Uid},
    message::analyse,
    store::{Appended, ContentFate, NewMessage, Settings, Store, Swept, Target},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const START: UnixMillis = UnixMillis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A minute is a generation, and nothing waits for longer.
async fn open(folder: &Path, clock: &Clock) -> Store {
    let settings = Settings {
        partitions: 2,
        pack_after_seconds: 3600,
        cache_octets: 8 << 20,
        generation_seconds: 60,
        sweep_grace_hours: 0,
        ..Settings::at(folder)
    };
    Store::open(settings, clock.clone()).await.unwrap()
}

async fn account(store: &Store) -> (AccountId, MailboxId) {
    let account = store.create_account().await.unwrap();
    (account, store.mailbox(account, "INBOX").unwrap().id)
}

/// A message with an attachment that all messages of the same `file` share, large for some.
fn letter(number: usize, file: usize) -> Vec<u8> {
    use std::fmt::Write as _;
    let length = if file == 0 { 20_000 } else { 150 };
    let mut lines = String::new();
    for line in 0..length {
        let word = (file + 1) * 0x9e37_79b9 + line * 0x85eb_ca6b;
        writeln!(lines, "{}\r", base64_line(word as u64)).unwrap();
    }
    format!(
        "From: ada@example.org\r\nSubject: number {number}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\
         Text of number {number}.\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {lines}--b--\r\n"
    )
    .into_bytes()
}

/// 76 symbols that follow from a number.
fn base64_line(mut word: u64) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut next = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(SYMBOLS[(word >> 58) as usize])
    };
    (0..76).map(|_| next()).collect()
}

async fn append(store: &Store, raw: &[u8], to: &[(AccountId, MailboxId)]) -> Vec<Appended> {
    let message = NewMessage {
        raw: Bytes::copy_from_slice(raw),
        analysis: Arc::new(analyse(raw)),
        internal_date: START,
        repeat: None,
    };
    let flags = Flags { system: SystemFlags::DELETED, ..Flags::default() };
    let target = |(account, mailbox): &(AccountId, MailboxId)| Target {
        account: *account,
        mailbox: *mailbox,
        flags: flags.clone(),
        trace: Bytes::new(),
        verdict: None,
    };
    store.append(message, to.iter().map(target).collect()).await.unwrap()
}

async fn check(store: &Store, copy: &Appended, raw: &[u8]) {
    let record = store.record(copy.account, copy.number).unwrap();
    assert!(store.read(&record, 0..record.octets()).await.unwrap() == raw);
}

/// Delivers messages to both accounts, and expunges all but the last few.
async fn deliver(
    store: Store,
    accounts: [(AccountId, MailboxId); 2],
    first: usize,
    count: usize,
) -> Vec<(Appended, Vec<u8>)> {
    let mut kept: Vec<(Appended, Vec<u8>)> = Vec::new();
    for number in first..first + count {
        let raw = letter(number, number % 9);
        let to = if number % 3 == 0 { &accounts[..] } else { &accounts[number % 2..=number % 2] };
        for copy in append(&store, &raw, to).await {
            kept.push((copy, raw.clone()));
        }
        while kept.len() > 12 {
            let (copy, raw) = kept.remove(number * 7 % kept.len());
            check(&store, &copy, &raw).await;
            store.expunge(copy.account, copy.mailbox, Some(vec![copy.uid])).await.unwrap();
        }
    }
    kept
}

/// Deliveries, deletions, packing and sweeps side by side, with generations of a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_soak_loses_nothing_and_keeps_what_is_stored_bounded() {
    let count = std::env::var("POSTERN_SOAK_MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(120);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START, 3);
    let store = open(folder.path(), &clock).await;
    let accounts = [account(&store).await, account(&store).await];
    let running = Arc::new(AtomicUsize::new(3));
    let mut deliveries = Vec::new();
    for first in 0..3 {
        let (store, running) = (store.clone(), Arc::clone(&running));
        deliveries.push(tokio::spawn(async move {
            let kept = deliver(store, accounts, first * 100_000, count).await;
            running.fetch_sub(1, Ordering::SeqCst);
            kept
        }));
    }
    let (mut removed, mut repacked, mut most) = (0, 0, 0);
    while running.load(Ordering::SeqCst) > 0 {
        clock.advance(MINUTE / 2);
        store.pack().await.unwrap();
        let swept = store.sweep().await.unwrap();
        removed += swept.removed;
        repacked += swept.repacked + swept.dropped;
        most = most.max(store.content_statistics().await.unwrap().stored_octets);
    }
    let mut kept = Vec::new();
    for delivery in deliveries {
        kept.extend(delivery.await.unwrap());
    }
    assert!(removed > 10 && repacked > 3, "{removed} contents went with {repacked} objects");
    println!("{removed} contents went with {repacked} objects, at most {most} octets stored");
    for _ in 0..6 {
        clock.advance(MINUTE);
        store.pack().await.unwrap();
        store.sweep().await.unwrap();
    }
    for (copy, raw) in &kept {
        check(&store, copy, raw).await;
    }
    assert_eq!(store.verify_contents(|_| {}).await.unwrap().damage, []);
    let survey = store.content_survey().await.unwrap();
    let statistics = store.content_statistics().await.unwrap();
    let unneeded = survey.unnamed_stored_octets + survey.retired_octets;
    assert!(unneeded <= survey.named_stored_octets, "more than half is unneeded: {survey:?}");
    assert_eq!(statistics.fresh_octets, 0);

    for (account, _) in accounts {
        store.remove_account(account).await.unwrap();
    }
    for _ in 0..5 {
        clock.advance(MINUTE);
        store.pack().await.unwrap();
        store.sweep().await.unwrap();
    }
    let left = store.content_statistics().await.unwrap();
    assert_eq!((left.packs, left.contents, left.stored_octets), (0, 0, 0));
    store.close().await;
}

/// A content is explained from its delivery to its end; an index bundle that no row names goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_is_explained_all_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(START, 4);
    let store = open(folder.path(), &clock).await;
    let inbox = account(&store).await;
    let raw = b"Subject: one\r\n\r\ntext\r\n";
    let copy = append(&store, raw, &[inbox]).await.remove(0);
    let content = store.record(copy.account, copy.number).unwrap().raw_id;
    let explained = store.explain_content(content).await.unwrap();
    assert!(explained.is_under_way && explained.references == [(copy.account, 1)]);
    assert_eq!(explained.fate, ContentFate::Named);
    store.pack().await.unwrap();
    let explained = store.explain_content(content).await.unwrap();
    assert_eq!((explained.is_under_way, explained.octets), (false, Some(raw.len() as u64)));

    store.expunge(inbox.0, inbox.1, Some(vec![Uid::FIRST])).await.unwrap();
    // Groups of writes work off what was released.
    for _ in 0..3 {
        append(&store, b"Subject: other\r\n\r\n", &[inbox]).await;
    }
    let explained = store.explain_content(content).await.unwrap();
    assert_eq!(explained.fate, ContentFate::Open(UnixMillis(START.0 + 120_000)));
    clock.advance(MINUTE * 2);
    assert_eq!(store.explain_content(content).await.unwrap().fate, ContentFate::Unnoted);
    assert_eq!(store.sweep_dry().await.unwrap().removed, 0, "a dry run begins no grace time");
    store.sweep().await.unwrap();
    clock.advance(MINUTE);
    store.sweep().await.unwrap();
    assert_eq!(store.explain_content(content).await.unwrap().fate, ContentFate::Unknown);

    let bundle = folder.path().join("blobs/index/77/5ca1ab1e");
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::write(&bundle, "left by a crash").unwrap();
    store.flush_index(inbox.0).await.unwrap();
    assert_eq!(store.sweep().await.unwrap().orphans, 1);
    clock.advance(MINUTE * 60 * 23);
    assert_eq!(store.sweep().await.unwrap().orphans_removed, 0);
    clock.advance(MINUTE * 60);
    assert_eq!(store.sweep().await.unwrap().orphans_removed, 1);
    assert!(!bundle.exists());
    assert_eq!(store.index_statistics(inbox.0).unwrap().segments, 1, "the account's own bundle stays");
    assert_eq!(store.sweep().await.unwrap(), Swept::default());
    store.close().await;
}

fn stats(data: &Path) -> serde_json::Value {
    serde_json::from_str(&succeed(data, &["blob", "stats", "--json"], "")).unwrap()
}

#[test]
fn the_command_line_sweeps_explains_and_counts() {
    let (folder, data) = prepared(&["ann", "bob"]);
    let file = folder.path().join("a.eml");
    for (number, account) in ["ann@example.org", "bob@example.org", "bob@example.org"].iter().enumerate() {
        fs::write(&file, letter(number, 1)).unwrap();
        succeed(&data, &["import", account, file.to_str().unwrap()], "");
    }
    succeed(&data, &["blob", "pack"], "");
    // The same through a server as without one.
    for server in [true, false] {
        let _server = server.then(|| Server::start(&data, &[]));
        let figures = stats(&data);
        assert_eq!((figures["messages"].as_u64(), figures["objects"].as_u64()), (Some(3), Some(1)));
        let ratio = figures["dedup_ratio"].as_f64().unwrap();
        assert!(ratio > 2.5, "three messages, one attachment: {ratio}");
        assert!(figures["stored_octets"].as_u64() < figures["raw_octets"].as_u64());
        assert_eq!(figures["logical_octets"].as_u64(), figures["raw_octets"].as_u64());
        let told = succeed(&data, &["blob", "stats"], "");
        assert!(told.contains("########") && told.contains("1 object by the share"), "{told}");
        let told = succeed(&data, &["blob", "gc", "--dry-run"], "");
        assert!(
            told.contains("0 contents older than two generations") && told.ends_with("nothing was changed\n"),
            "{told}"
        );
        let told = succeed(&data, &["blob", "gc"], "");
        assert!(told.contains("removed         0 contents") && !told.contains("nothing was changed"), "{told}");
        let told = succeed(&data, &["blob", "gc", "--explain", &"0a".repeat(32)], "");
        assert!(told.contains("it is not in this store"), "{told}");
    }
    let wrong = postern(&data, &["blob", "gc", "--explain", "0a"], "");
    assert_eq!(wrong.status.code(), Some(2));
}
