//! P13: a store that a released version wrote opens, and shows what it showed then.
//!
//! `fixtures/stores` has for each format a closed store (`NAME.store`: zstd over path, length and octets of each file)
//! and what it shows (`NAME.txt`). A released one is never written again. Until format 1 is released, whoever changes
//! it runs `cargo test --test postern -- --ignored writes_the_store_of_this_format` and reads the difference of the text.

use bytes::Bytes;
use postern::{
    accounts::{Accounts, Alias, Password},
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flag, Flags, ModSeq},
    message::analyse,
    store::{
        AccountLimits, Check, Depth, FlagChange, FlagMode, Limit, Mode, NewMessage, Plan, Scope, SearchKey, Settings,
        Store, Target,
    },
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const NAME: &str = "format-1";
const PASSWORD: &[u8] = b"correct horse";

fn fixture(extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores").join(format!("{NAME}.{extension}"))
}

fn settings(folder: &Path) -> Settings {
    Settings { partitions: 2, pack_after_seconds: 3600, cache_octets: 4 << 20, ..Settings::at(folder) }
}

/// A moment that is the store's now, so that nothing in it grows old.
fn clock() -> Clock {
    Clock::simulated(UnixMillis(1_795_000_000_000), 13)
}

async fn open(folder: &Path) -> (Store, Accounts) {
    let store = Store::open(settings(folder), clock()).await.unwrap();
    let accounts = Accounts::new(store.clone(), clock()).unwrap();
    (store, accounts)
}

fn message(raw: String, day: i64) -> NewMessage {
    let raw = Bytes::from(raw);
    let analysis = Arc::new(analyse(&raw));
    NewMessage { raw, analysis, internal_date: UnixMillis(1_794_000_000_000 + day * 86_400_000), repeat: None }
}

fn plain(number: i64) -> String {
    format!(
        "From: bob@example.net\r\nSubject: note {number}\r\nMessage-ID: <{number}@example.net>\r\n\r\nquinces: {number}\r\n"
    )
}

/// A letter with an attachment of 30 KB that is the same in each, however long its lines.
fn with_attachment(number: i64, line: usize) -> String {
    let symbols: String =
        (0..10_000_u32).flat_map(|at| at.to_le_bytes()).map(|octet| char::from(b'A' + octet % 26)).collect();
    let lines: Vec<&str> = symbols.as_bytes().chunks(line).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhere\r\n--b\r\n";
    let part = "Content-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    format!("From: bob@example.net\r\nSubject: plan {number}\r\n{head}{part}{}\r\n--b--\r\n", lines.join("\r\n"))
}

fn flags(names: &[&str]) -> Flags {
    names.iter().map(|name| Flag::parse(name).unwrap()).collect()
}

async fn append(store: &Store, raw: String, day: i64, to: &[AccountId], names: &[&str]) {
    let target = |account: &AccountId| Target {
        account: *account,
        mailbox: store.mailbox(*account, "INBOX").unwrap().id,
        flags: flags(names),
        trace: Bytes::from_static(b"Return-Path: <bob@example.net>\r\n"),
        verdict: None,
    };
    store.append(message(raw, day), to.iter().map(target).collect()).await.unwrap();
}

/// Everything that a store keeps, once.
async fn fill(folder: &Path) {
    let (store, accounts) = open(folder).await;
    accounts.add_domain(&"example.org".parse().unwrap()).await.unwrap();
    for address in ["ann@example.org", "bea@example.org"] {
        accounts.add_account(&address.parse().unwrap(), &Password::new(PASSWORD).unwrap()).await.unwrap();
    }
    let ann = accounts.account(&"ann@example.org".parse().unwrap()).unwrap().id;
    let bea = accounts.account(&"bea@example.org".parse().unwrap()).unwrap().id;
    let alias = Alias { name: "info@example.org".parse().unwrap(), targets: vec!["ann@example.org".parse().unwrap()] };
    accounts.add_alias(&alias).await.unwrap();
    let projects = store.create_mailbox(ann, "Projekte/Grün", None).await.unwrap().id;
    for number in 0..12 {
        append(
            &store,
            plain(number),
            number,
            &[ann, bea],
            [&["\\Seen"][..], &["$Forwarded", "work"], &[]][number as usize % 3],
        )
        .await;
    }
    append(&store, with_attachment(1, 76), 13, &[ann], &[]).await;
    append(&store, with_attachment(2, 64), 14, &[bea], &["\\Flagged"]).await;
    store.pack().await.unwrap();
    store.flush_index(ann).await.unwrap();
    let inbox = store.mailbox(ann, "INBOX").unwrap().id;
    let uids: Vec<_> = store.snapshot(ann, inbox).unwrap().rows().map(|row| row.uid).collect();
    store.copy(ann, inbox, uids[..2].to_vec(), projects).await.unwrap();
    store.move_messages(ann, inbox, uids[2..4].to_vec(), projects).await.unwrap();
    let change = FlagChange { mode: FlagMode::Add, flags: flags(&["\\Deleted"]), unchanged_since: None };
    store.change_flags(ann, inbox, uids[5..8].to_vec(), change).await.unwrap();
    store.expunge(ann, inbox, None).await.unwrap();
    let limits = AccountLimits { octets: Limit::AtMost(1 << 20), messages: Limit::Default };
    store.set_account_limits(bea, limits).await.unwrap();
    // Neither packed nor indexed.
    append(&store, plain(99), 15, &[ann], &["\\Answered", "later"]).await;
    store.close().await;
}

/// All that the store shows, in lines.
async fn shown(store: &Store, accounts: &Accounts) -> String {
    let mut text = String::new();
    writeln!(text, "domains {:?}", accounts.domains()).unwrap();
    writeln!(text, "aliases {:?}", accounts.aliases()).unwrap();
    for account in accounts.accounts() {
        let id = account.id;
        let known = accounts.authenticate(&account.address.to_string(), PASSWORD).await.unwrap().is_some();
        writeln!(text, "\n{} {id}, password {known}, {:?}", account.address, store.quota(id).unwrap()).unwrap();
        writeln!(text, "subscribed {:?}", store.subscriptions(id).unwrap()).unwrap();
        for entry in store.mailboxes(id).unwrap() {
            let snapshot = store.snapshot(id, entry.id).unwrap();
            let vanished = store.vanished_since(id, entry.id, ModSeq::FIRST).unwrap();
            writeln!(text, "\n{entry:?}\n{:?}\nvanished {vanished:?}", snapshot.status()).unwrap();
            for row in snapshot.rows() {
                let record = store.record(id, row.number).unwrap();
                let octets = store.read(&record, 0..u64::MAX).await.unwrap();
                let subject = &record.analysis.envelope.subject;
                writeln!(text, "{row:?} {:?} {} {subject:?}", snapshot.flags(&row), blake3::hash(&octets)).unwrap();
            }
        }
        for key in [
            SearchKey::Text("quince".to_owned()),
            SearchKey::Header { name: "Subject".to_owned(), needle: "plan".to_owned() },
            SearchKey::Flag(Flag::parse("work").unwrap()),
            SearchKey::Larger(20_000),
        ] {
            let hits = store.search(id, Scope::Account, &key).await.unwrap();
            let hits: Vec<String> = hits.iter().map(|hit| format!("{}:{}", hit.mailbox, hit.uid)).collect();
            writeln!(text, "{key:?} finds {}", hits.join(" ")).unwrap();
        }
    }
    let contents = store.content_statistics().await.unwrap();
    writeln!(text, "\n{} contents, {} attachments of {}", contents.contents, contents.unique_parts, contents.parts)
        .unwrap();
    text
}

fn files(folder: &Path, below: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(below).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(folder, &entry.path(), found);
        } else if !name.starts_with("LOG") && name != "LOCK" {
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push((path, fs::read(entry.path()).unwrap()));
        }
    }
}

fn unpack(archive: &[u8], folder: &Path) {
    let octets = zstd::stream::decode_all(archive).unwrap();
    let mut rest = &*octets;
    while !rest.is_empty() {
        let end = rest.iter().position(|octet| *octet == b'\n').unwrap();
        let (path, length) = std::str::from_utf8(&rest[..end]).unwrap().split_once('\t').unwrap();
        let (file, behind) = rest[end + 1..].split_at(length.parse().unwrap());
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
        rest = behind;
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

#[test]
#[ignore = "writes fixtures/stores"]
fn writes_the_store_of_this_format() {
    let folder = tempfile::tempdir().unwrap();
    block_on(fill(folder.path()));
    let (mut found, mut octets) = (Vec::new(), Vec::new());
    files(folder.path(), folder.path(), &mut found);
    found.sort();
    for (path, file) in found {
        octets.extend(format!("{path}\t{}\n", file.len()).into_bytes());
        octets.extend(file);
    }
    let archive = zstd::bulk::compress(&octets, 19).unwrap();
    assert!(archive.len() < 300_000, "{} octets", archive.len());
    fs::write(fixture("store"), archive).unwrap();
    let text = block_on(async {
        let (store, accounts) = open(folder.path()).await;
        let text = shown(&store, &accounts).await;
        store.close().await;
        text
    });
    fs::write(fixture("txt"), text).unwrap();
}

#[test]
fn a_store_of_format_1_opens_and_shows_what_it_showed() {
    let folder = tempfile::tempdir().unwrap();
    unpack(&fs::read(fixture("store")).unwrap(), folder.path());
    block_on(async {
        let store = Store::open_idle(settings(folder.path()), clock()).await.unwrap();
        let plan = Plan { checks: Check::ALL.to_vec(), depth: Depth::Contents, mode: Mode::Look };
        let wrong: Vec<_> =
            store.examine(&plan, |_| {}).await.unwrap().into_iter().filter(|check| check.wrong > 0).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        store.close().await;
        drop(store);
        let (store, accounts) = open(folder.path()).await;
        let (now, then) = (shown(&store, &accounts).await, fs::read_to_string(fixture("txt")).unwrap());
        for (now, then) in now.lines().zip(then.lines()) {
            assert_eq!(now, then);
        }
        assert_eq!(now.lines().count(), then.lines().count());
        store.close().await;
    });
}
