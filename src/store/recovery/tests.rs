//! P10: whatever is derived can be thrown away, or spoilt row by row, and comes back to the same answers.

use super::{Check, Depth, Examined, Mode, Plan, Remedy};
use crate::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flag, Flags, MailboxId},
    message::analyse,
    store::{
        FlagChange, FlagMode, NewMessage, Scope, SearchKey, Settings, Store, Target, Usage,
        account_state::Counters,
        metadata::{Batch, Domain, Durability, Table},
        state::Header,
    },
};
use bytes::Bytes;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

/// The same choices each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

fn settings(path: &Path) -> Settings {
    Settings { partitions: 2, pack_after_seconds: 3600, cache_octets: 4 << 20, ..Settings::at(path) }
}

fn clock() -> Clock {
    Clock::simulated(UnixMillis(1_767_225_600_000), 7)
}

async fn open(path: &Path) -> Store {
    Store::open(settings(path), clock()).await.unwrap()
}

async fn close(store: Store) {
    store.close().await;
    assert_eq!(Arc::strong_count(&store.inner), 1);
}

/// Some have an attachment, which two of them share.
fn letter(number: usize) -> NewMessage {
    let attachment = "QUJDREVG".repeat(1000 + number / 2);
    let part = "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let raw = match number % 3 {
        0 => format!(
            "From: ann@example.org\r\nSubject: plan {number}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee\r\n{part}{attachment}\r\n--b--\r\n"
        ),
        _ => format!("From: bob@example.net\r\nSubject: note {number}\r\n\r\nabout quinces and number {number}\r\n"),
    };
    let raw = Bytes::from(raw);
    let analysis = Arc::new(analyse(&raw));
    let internal_date = UnixMillis(1_700_000_000_000 + number as i64 * 86_400_000);
    NewMessage { raw, analysis, internal_date, repeat: None }
}

fn flags(names: &[&str]) -> Flags {
    names.iter().map(|name| Flag::parse(name).unwrap()).collect()
}

fn target(account: AccountId, mailbox: MailboxId, names: &[&str]) -> Target {
    let trace = Bytes::from(format!("Delivered-To: account {account}\r\n"));
    Target { account, mailbox, flags: flags(names), trace, verdict: None }
}

/// Three accounts with everything that a table can hold: copies, moves, expunged messages, packs, fresh contents,
/// segments and a tail.
async fn fill(path: &Path) {
    let store = open(path).await;
    let mut accounts = Vec::new();
    for _ in 0..3 {
        let account = store.create_account().await.unwrap();
        let inbox = store.mailbox(account, "INBOX").unwrap().id;
        let archive = store.create_mailbox(account, "Archive/2025", None).await.unwrap().id;
        accounts.push((account, inbox, archive));
    }
    for number in 0..24 {
        let names: &[&str] = [&["\\Seen"][..], &["$Forwarded", "work"], &[]][number % 3];
        let count = 1 + number % 3;
        let targets = accounts.iter().take(count).map(|(account, inbox, _)| target(*account, *inbox, names)).collect();
        store.append(letter(number), targets).await.unwrap();
        if number == 11 {
            store.pack().await.unwrap();
            for (account, ..) in &accounts {
                store.flush_index(*account).await.unwrap();
            }
        }
    }
    for (account, inbox, archive) in &accounts {
        let uids: Vec<_> = store.snapshot(*account, *inbox).unwrap().rows().map(|row| row.uid).collect();
        store.copy(*account, *inbox, uids[1..4].to_vec(), *archive).await.unwrap();
        store.move_messages(*account, *inbox, uids[4..6].to_vec(), *archive).await.unwrap();
        let change = FlagChange { mode: FlagMode::Add, flags: flags(&["\\Deleted"]), unchanged_since: None };
        store.change_flags(*account, *inbox, uids[..2].to_vec(), change).await.unwrap();
        store.expunge(*account, *inbox, None).await.unwrap();
        let change = FlagChange { mode: FlagMode::Add, flags: flags(&["\\Flagged", "later"]), unchanged_since: None };
        store.change_flags(*account, *archive, vec![uids[0]], change).await.unwrap();
        // Released messages are looked after at the beginning of a group.
        for _ in 0..4 {
            store.write(*account, |_| Ok(())).await.unwrap();
        }
    }
    close(store).await;
}

/// Every answer that a client or an administrator may get, in words.
async fn answers(path: &Path) -> Vec<String> {
    let store = open(path).await;
    let mut answers = Vec::new();
    for account in store.account_ids().unwrap() {
        for entry in store.mailboxes(account).unwrap() {
            let status = store.status(account, entry.id).unwrap();
            answers.push(format!("{account} {entry:?} {status:?}"));
            answers.push(format!("{:?}", store.vanished_since(account, entry.id, crate::mail::ModSeq::FIRST).unwrap()));
            for row in store.snapshot(account, entry.id).unwrap().rows() {
                let record = store.record(account, row.number).unwrap();
                let octets = store.read(&record, 0..u64::MAX).await.unwrap();
                answers.push(format!("{row:?} {:?} {}", record.analysis, String::from_utf8_lossy(&octets)));
            }
        }
        answers.push(format!("{:?} {:?}", store.subscriptions(account).unwrap(), store.quota(account).unwrap()));
        for key in keys() {
            let hits = store.search(account, Scope::Account, &key).await.unwrap();
            answers.push(format!("{account} {key:?} {hits:?}"));
        }
    }
    answers.push(format!("{:?}", store.statistics().unwrap()));
    let contents = store.content_statistics().await.unwrap();
    answers.push(format!("{} contents, {} parts", contents.contents, contents.unique_parts));
    answers.push(format!("references {:x?}", dump(&store, Table::Reference)));
    let keys: Vec<Vec<u8>> = dump(&store, Table::Record).into_iter().map(|(key, _)| key).collect();
    answers.push(format!("records {keys:x?}"));
    close(store).await;
    answers
}

fn keys() -> Vec<SearchKey> {
    vec![
        SearchKey::All,
        SearchKey::Text("quinc".to_owned()),
        SearchKey::Body("number 1".to_owned()),
        SearchKey::Header { name: "Subject".to_owned(), needle: "plan".to_owned() },
        SearchKey::Header { name: "Delivered-To".to_owned(), needle: "account".to_owned() },
        SearchKey::Not(Box::new(SearchKey::Text("bob".to_owned()))),
        SearchKey::Flag(Flag::Seen),
        SearchKey::Flag(Flag::parse("later").unwrap()),
        SearchKey::Larger(4000),
        SearchKey::Since(19_680),
    ]
}

fn dump(store: &Store, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    };
    store.inner.engine.scan_prefix(table, b"", visit).unwrap();
    rows
}

/// A copy of a closed store.
fn copy(store: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut waiting = vec![(store.to_owned(), folder.path().to_owned())];
    while let Some((from, to)) = waiting.pop() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push((entry.path(), to)),
                false => drop(fs::copy(entry.path(), to).unwrap()),
            }
        }
    }
    folder
}

async fn examine(path: &Path, mode: Mode) -> BTreeMap<Check, Examined> {
    let store = Store::open_idle(settings(path), clock()).await.unwrap();
    let plan = Plan { checks: Check::ALL.to_vec(), depth: Depth::Contents, mode };
    let examined = store.examine(&plan, |_| {}).await.unwrap();
    close(store).await;
    examined.into_iter().map(|examined| (examined.check, examined)).collect()
}

/// What is wrong, by check.
fn wrong(examined: &BTreeMap<Check, Examined>) -> Vec<String> {
    let findings = examined.values().flat_map(|examined| &examined.findings);
    findings.filter(|finding| finding.remedy != Remedy::Harmless).map(|finding| format!("{finding:?}")).collect()
}

#[track_caller]
fn same(before: &[String], after: &[String], what: &str) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after, "{what}");
    }
    assert_eq!(before.len(), after.len(), "{what}");
}

/// Which rows of a table are spoilt, by their keys.
type IsMeant = fn(&[u8]) -> bool;

/// How rows are spoilt.
type Spoil = fn(&mut Random, &[u8]) -> Option<Vec<u8>>;

fn delete(_: &mut Random, _: &[u8]) -> Option<Vec<u8>> {
    None
}

/// One row in two is lost, cut short, or other octets.
fn corrupt(random: &mut Random, value: &[u8]) -> Option<Vec<u8>> {
    let mut value = value.to_vec();
    match random.below(6) {
        0 => return None,
        1 => value.truncate(value.len() / 2),
        2 => value.iter_mut().for_each(|octet| *octet = !*octet),
        _ => {}
    }
    Some(value)
}

/// Spoils rows that `is_meant` picks, and says how many changed.
async fn spoil(path: &Path, table: Table, is_meant: IsMeant, spoil: Spoil, random: &mut Random) -> usize {
    let store = Store::open_idle(settings(path), clock()).await.unwrap();
    let mut spoilt = 0;
    for (key, value) in dump(&store, table).into_iter().filter(|(key, _)| is_meant(key)) {
        let now = spoil(random, &value);
        spoilt += usize::from(now.as_ref() != Some(&value));
        let mut batch = Batch::of(Domain::of(table, &key));
        match now {
            Some(now) => batch.put(table, key, now),
            None => batch.delete(table, key),
        }
        store.inner.engine.commit(batch, Durability::Buffered).unwrap();
    }
    close(store).await;
    spoilt
}

/// Octets of a key behind account and partition.
fn behind_account(key: &[u8]) -> &[u8] {
    &key[10..]
}

#[test]
fn derived_rows_can_be_thrown_away_or_spoilt_and_come_back_the_same() {
    let derived: [(&str, Check, Table, IsMeant); 8] = [
        ("settled locations", Check::Locations, Table::Location, |key| key[0] == 0),
        ("rows of objects", Check::Locations, Table::Location, |key| key[0] == 2),
        ("all locations", Check::Locations, Table::Location, |_| true),
        ("records", Check::Records, Table::Record, |_| true),
        ("counts of rows", Check::Records, Table::Record, |key| behind_account(key).ends_with(b"n") && key.len() == 15),
        ("references", Check::References, Table::Reference, |_| true),
        ("segments", Check::Index, Table::Segment, |_| true),
        ("tail", Check::Index, Table::Tail, |_| true),
    ];
    block_on(async {
        let filled = tempfile::tempdir().unwrap();
        fill(filled.path()).await;
        let before = answers(copy(filled.path()).path()).await;
        assert_eq!(wrong(&examine(filled.path(), Mode::Look).await), Vec::<String>::new());
        let mut random = Random(11);
        for (what, check, table, is_meant) in derived {
            for how in [delete as Spoil, corrupt] {
                let folder = copy(filled.path());
                let path = folder.path();
                let spoilt = spoil(path, table, is_meant, how, &mut random).await;
                assert!(spoilt > 0, "{what}");
                let looked = examine(path, Mode::Look).await;
                assert!(looked[&check].wrong > 0, "{what}: {looked:?}");
                let mended = examine(path, Mode::Mend).await;
                assert_eq!(mended[&check].wrong, mended[&check].mended, "{what}: {mended:#?}");
                assert_eq!(wrong(&examine(path, Mode::Mend).await), Vec::<String>::new(), "{what}");
                same(&before, &answers(path).await, what);
            }
        }
    });
}

/// Counters in headers and accounts: what rows tell comes back the same; what only they know is never lowered.
#[test]
fn counters_are_counted_again_and_never_lowered() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fill(path).await;
        let before = answers(path).await;
        let store = Store::open_idle(settings(path), clock()).await.unwrap();
        let mut spoilt = 0;
        for (key, value) in dump(&store, Table::Mailbox) {
            let mut batch = Batch::of(Domain::of(Table::Mailbox, &key));
            if behind_account(&key).starts_with(b"h") {
                let mut header = Header::decode(&value).unwrap();
                let status = &mut header.status;
                (status.exists, status.unseen, status.deleted, status.octets) = (77, 3, status.deleted + 1, 5);
                status.deleted_octets += 1;
                header.log.rows += 9;
                batch.put(Table::Mailbox, &key, header.encode());
                spoilt += 1;
            }
            if let (b"a", Some(counters)) = (behind_account(&key), Counters::decode(&value)) {
                let usage = Usage { octets: 1, messages: 1 << 40 };
                batch.put(Table::Mailbox, &key, Counters { usage, ..counters }.encode());
                spoilt += 1;
            }
            store.inner.engine.commit(batch, Durability::Buffered).unwrap();
        }
        close(store).await;
        let looked = examine(path, Mode::Look).await;
        assert_eq!(looked[&Check::Counters].wrong, spoilt);
        let mended = examine(path, Mode::Mend).await;
        assert_eq!((mended[&Check::Counters].wrong, mended[&Check::Counters].mended), (spoilt, spoilt));
        assert_eq!(wrong(&examine(path, Mode::Mend).await), Vec::<String>::new());
        same(&before, &answers(path).await, "counters");
    });
}

/// Nothing that names a message is ever removed for being alone: a block of rows that is lost leaves its messages
/// in a mailbox of their own, and a mailbox that lost its header, or its name, keeps its messages under another
/// UIDVALIDITY (P4).
#[test]
fn what_is_not_derived_is_saved_as_far_as_it_can_be() {
    block_on(async {
        let filled = tempfile::tempdir().unwrap();
        fill(filled.path()).await;
        let messages = {
            let store = open(filled.path()).await;
            let messages = store.statistics().unwrap().messages;
            close(store).await;
            messages
        };
        let parts: [(&str, Table, IsMeant); 6] = [
            ("headers", Table::Mailbox, |key| behind_account(key).starts_with(b"h")),
            ("names", Table::Mailbox, |key| behind_account(key).starts_with(b"n")),
            ("next numbers", Table::Mailbox, |key| behind_account(key).starts_with(b"a")),
            ("flags", Table::Row, |key| key.ends_with(b"v")),
            ("rows", Table::Row, |key| key.ends_with(b"f")),
            ("change log", Table::Change, |_| true),
        ];
        for (what, table, is_meant) in parts {
            for how in [delete as Spoil, truncate] {
                let folder = copy(filled.path());
                let path = folder.path();
                assert!(spoil(path, table, is_meant, how, &mut Random(1)).await > 0, "{what}");
                let mended = examine(path, Mode::Mend).await;
                assert!(mended.values().all(|examined| examined.lost == 0), "{what}: {mended:#?}");
                assert_eq!(wrong(&examine(path, Mode::Mend).await), Vec::<String>::new(), "{what}");
                let store = open(path).await;
                let statistics = store.statistics().unwrap();
                // A message that was in two mailboxes comes back into one where the rows of both are lost.
                let lost_copies = if what == "rows" { 6 } else { 0 };
                assert_eq!((statistics.accounts, statistics.messages), (3, messages - lost_copies), "{what}");
                for account in store.account_ids().unwrap() {
                    for entry in store.mailboxes(account).unwrap() {
                        for row in store.snapshot(account, entry.id).unwrap().rows() {
                            let record = store.record(account, row.number).unwrap();
                            assert_eq!(store.read(&record, 0..u64::MAX).await.unwrap().len() as u64, row.octets);
                        }
                    }
                    assert!(store.mailbox(account, "INBOX").is_ok(), "{what}");
                }
                close(store).await;
            }
        }
    });
}

fn truncate(_: &mut Random, value: &[u8]) -> Option<Vec<u8>> {
    Some(value[..value.len().min(1)].to_vec())
}

/// P13: nothing is guessed about a format that another release has made.
#[test]
fn a_store_of_another_format_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        close(open(folder.path()).await).await;
        let store = Store::open_idle(settings(folder.path()), clock()).await.unwrap();
        let mut identity = store.inner.engine.get(Table::System, "identity").unwrap().unwrap().to_vec();
        identity[0] += 1;
        let mut batch = Batch::of(Domain::Installation);
        batch.put(Table::System, "identity", &identity);
        store.inner.engine.commit(batch, Durability::Synced).unwrap();
        close(store).await;
        for refused in [
            Store::open(settings(folder.path()), clock()).await.err(),
            Store::open_idle(settings(folder.path()), clock()).await.err(),
        ] {
            let told = refused.expect("it does not open").to_string();
            assert!(told.contains("the store has format 2; this release reads 1"), "{told}");
        }
    });
}

/// What is left of a damaged mailbox can be taken out of it, and the rest is named.
#[test]
fn mail_is_taken_out_past_damage() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path()).await;
        let is_flags_of_inbox: IsMeant = |key| key.ends_with(b"v") && behind_account(key)[..8] == 1_u64.to_be_bytes();
        assert!(spoil(folder.path(), Table::Row, is_flags_of_inbox, delete, &mut Random(1)).await > 0);
        let store = Store::open_idle(settings(folder.path()), clock()).await.unwrap();
        for account in store.account_ids().unwrap() {
            let inbox = store.mailbox(account, "INBOX").unwrap().id;
            let archive = store.mailbox(account, "Archive/2025").unwrap().id;
            assert!(store.snapshot(account, inbox).is_err());
            let salvaged = store.salvage(account, inbox).unwrap();
            assert_eq!((salvaged.rows.len(), salvaged.damage.len()), (0, 1));
            let whole = store.snapshot(account, archive).unwrap();
            let salvaged = store.salvage(account, archive).unwrap();
            assert_eq!(salvaged.rows, whole.rows().map(|row| (row, whole.flags(&row))).collect::<Vec<_>>());
            assert!(salvaged.damage.is_empty() && !salvaged.rows.is_empty());
            assert_eq!(store.salvage_names(account).unwrap().len(), store.mailboxes(account).unwrap().len());
        }
        close(store).await;
    });
}
