//! The store, seen from outside: its promises against models, concurrent clients and crashes.

mod concurrent;
pub mod deliveries;

mod mailboxes;
mod model;
pub mod operation;
mod throughput;

use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flag, Flags, MailboxId},
    message::analyse,
    store::{NewMessage, Settings, Store, Target},
};
use std::{path::Path, sync::Arc};

/// Opens the store in a folder, with four partitions where it is new.
pub async fn open(path: &Path) -> Store {
    open_with(path, Clock::real()).await
}

pub async fn open_with(path: &Path, clock: Clock) -> Store {
    let settings =
        Settings { partitions: 4, pack_after_seconds: 3600, cache_octets: 8 * 1024 * 1024, ..Settings::at(path) };
    Store::open(settings, clock).await.expect("the store opens")
}

/// Closes a store of which no clone is left elsewhere, and opens it again.
pub async fn reopen(store: Store, path: &Path) -> Store {
    store.close().await;
    drop(store);
    open(path).await
}

/// A runtime as the server has one.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(future)
}

pub fn message(raw: impl Into<Bytes>) -> NewMessage {
    let raw = raw.into();
    let analysis = Arc::new(analyse(&raw));
    NewMessage { raw, analysis, internal_date: UnixMillis(1_700_000_000_000), repeat: None }
}

pub fn target(account: AccountId, mailbox: MailboxId) -> Target {
    Target { account, mailbox, flags: Flags::default(), trace: Bytes::new(), verdict: None }
}

pub fn flags(names: &[&str]) -> Flags {
    names.iter().map(|name| Flag::parse(name).expect("a flag")).collect()
}

pub fn inbox(store: &Store, account: AccountId) -> MailboxId {
    store.mailbox(account, "INBOX").expect("every account has an INBOX").id
}

/// A letter that differs from that of any other number: `octets` long at least, with an attachment where it is large.
pub fn letter(number: u64, octets: usize) -> Vec<u8> {
    let head = format!("From: ann@example.org\r\nSubject: letter {number}\r\nMessage-ID: <{number}@example.org>\r\n");
    let filler = noise(number, octets);
    if octets < 4096 {
        return format!("{head}\r\nNumber {number} says {filler}\r\n").into_bytes();
    }
    let lines: Vec<&str> = filler.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!(
        "{head}MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

/// So many characters of base64 (a multiple of four) that follow from a number.
pub fn noise(seed: u64, octets: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 32) as usize % 64])
    };
    (0..octets.div_ceil(4) * 4).map(|_| next()).collect()
}

/// Octets of every message of a mailbox, by rising UID.
pub async fn contents(store: &Store, account: AccountId, mailbox: MailboxId) -> Vec<Bytes> {
    let mut found = Vec::new();
    for row in store.snapshot(account, mailbox).unwrap().rows() {
        let record = store.record(account, row.number).unwrap();
        let octets = store.read(&record, 0..u64::MAX).await.unwrap();
        assert_eq!((octets.len() as u64, record.octets()), (row.octets, row.octets));
        found.push(octets);
    }
    found
}

/// How often a test that has no end of cases tries: `POSTERN_STORE_CASES`, else a few.
pub fn cases(few: u32) -> u32 {
    std::env::var("POSTERN_STORE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}
