//! P7: a search answers what a scan of the visible messages answers, from the moment of the commit.
//!
//! Real messages in many charsets go into a store; needles are cut out of their own text. Every condition is
//! asked while the text is in the tail, in segments, after a merge, after a rebuild and after a restart, and each answer is
//! compared with a scan. `POSTERN_SEARCH_MESSAGES` says how many messages (600 unless told otherwise).

use crate::support::{archive, corpora};
use bytes::Bytes;
use postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flag, Flags, MailboxId, Uid},
    message::{self, SearchText, fold},
    store::{NewMessage, Scope, SearchKey, Settings, Store, Target},
};
use std::{path::Path, sync::Arc};

struct Message {
    uid: Uid,
    text: SearchText,
    octets: u64,
    seen: bool,
}

/// A fixed sequence: the same needles each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

fn settings(path: &Path) -> Settings {
    Settings { partitions: 2, pack_after_seconds: 3600, cache_octets: 8 << 20, ..Settings::at(path) }
}

fn raw_messages(corpora: &Path) -> Vec<Vec<u8>> {
    let wanted = std::env::var("POSTERN_SEARCH_MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let charsets = archive::walk(&corpora.join("charsets")).map(|entry| entry.octets);
    let modern =
        archive::open(&corpora.join("spam/phishing_pot-2022-2025h1/messages.tar.zst")).map(|entry| entry.octets);
    let old = archive::open(&corpora.join("spam/csdmc2010/messages.tar.zst")).map(|entry| entry.octets);
    let mixed = modern.zip(old).flat_map(|(one, other)| [one, other]);
    charsets.chain(mixed).filter(|octets| octets.len() < 200_000).take(wanted).collect()
}

async fn fill(store: &Store, account: AccountId, mailbox: MailboxId, raw: &[Vec<u8>]) -> Vec<Message> {
    let mut messages = Vec::new();
    for (index, octets) in raw.iter().enumerate() {
        let analysis = Arc::new(message::analyse(octets));
        let text = message::search_text(octets, &analysis);
        let seen = index % 3 == 0;
        let flags: Flags = seen.then_some(Flag::Seen).into_iter().collect();
        let new = NewMessage {
            raw: Bytes::copy_from_slice(octets),
            analysis,
            internal_date: UnixMillis(1_700_000_000_000),
            repeat: None,
        };
        let target = Target { account, mailbox, flags, trace: Bytes::new(), verdict: None };
        let appended = store.append(new, vec![target]).await.unwrap();
        messages.push(Message { uid: appended[0].uid, text, octets: octets.len() as u64, seen });
    }
    messages
}

/// Parts of real texts: inside words, over spaces, over line ends, from headers; and some that are nowhere.
fn needles(messages: &[Message], count: usize) -> Vec<String> {
    let mut random = Random(11);
    let mut needles = vec!["e".to_owned(), "th".to_owned(), "qzxqzxq".to_owned(), ".".to_owned(), "@".to_owned()];
    while needles.len() < count {
        let message = &messages[random.below(messages.len())];
        let header = message.text.headers.get(random.below(message.text.headers.len()));
        let source = match (random.below(3), header) {
            (0, Some(header)) => header.value.as_str(),
            _ => message.text.body.as_str(),
        };
        let characters: Vec<char> = source.chars().collect();
        if characters.is_empty() {
            continue;
        }
        let start = random.below(characters.len());
        let length = [1, 2, 4, 7, 12, 25, 60, 180][random.below(8)];
        needles.push(characters[start..characters.len().min(start + length)].iter().collect());
    }
    needles
}

fn keys(needle: &str, random: &mut Random) -> Vec<SearchKey> {
    let names = ["subject", "from", "to", "cc", "received", "x-mailer", "message-id", "content-type"];
    let header = |name: &str| SearchKey::Header { name: name.to_owned(), needle: needle.to_owned() };
    let text = SearchKey::Text(needle.to_owned());
    vec![
        text.clone(),
        SearchKey::Body(needle.to_owned()),
        header(names[random.below(names.len())]),
        header("subject"),
        SearchKey::And(vec![text.clone(), SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen)))]),
        SearchKey::Or(Box::new(SearchKey::Larger(20_000)), Box::new(text)),
    ]
}

fn folded_contains(text: &str, needle: &str) -> bool {
    fold(text).contains(&fold(needle))
}

/// What a scan of one message says.
fn scan(message: &Message, key: &SearchKey) -> bool {
    match key {
        SearchKey::And(keys) => keys.iter().all(|key| scan(message, key)),
        SearchKey::Or(one, other) => scan(message, one) || scan(message, other),
        SearchKey::Not(key) => !scan(message, key),
        SearchKey::Flag(_) => message.seen,
        SearchKey::Larger(octets) => message.octets > *octets,
        SearchKey::Header { name, needle } => {
            let mut fields = message.text.headers.iter().filter(|field| field.name == *name);
            // White space at the edges of a value belongs to the folding of the field (RFC 5322 §2.2.3).
            fields.any(|field| folded_contains(field.value.trim(), needle))
        }
        SearchKey::Body(needle) => folded_contains(&message.text.body, needle),
        SearchKey::Text(needle) => {
            let line = |field: &message::HeaderText| {
                folded_contains(&format!("{}: {}", field.name, field.value.trim()), needle)
            };
            folded_contains(&message.text.body, needle) || message.text.headers.iter().any(line)
        }
        other => panic!("{other:?} is not asked here"),
    }
}

async fn compare(store: &Store, account: AccountId, messages: &[Message], needles: &[String], stage: &str) -> usize {
    let (mut random, mut compared) = (Random(5), 0);
    let inbox = store.mailbox(account, "INBOX").unwrap().id;
    for needle in needles {
        for key in keys(needle, &mut random) {
            let found = store.search(account, Scope::Mailbox(inbox), &key).await.unwrap();
            let found: Vec<Uid> = found.iter().map(|hit| hit.uid).collect();
            let expected: Vec<Uid> =
                messages.iter().filter(|message| scan(message, &key)).map(|message| message.uid).collect();
            assert_eq!(found, expected, "{stage}: {key:?}");
            compared += 1;
        }
    }
    println!("  {stage}: {compared} searches over {} messages, no difference", messages.len());
    compared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_answers_what_a_scan_answers() {
    let Some(corpora) = corpora() else { return };
    let raw = raw_messages(&corpora);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(settings(folder.path()), Clock::real()).await.unwrap();
    let account = store.create_account().await.unwrap();
    let inbox = store.mailbox(account, "INBOX").unwrap().id;

    // Few enough to stay in the tail, then enough for segments and merges.
    let (first, rest) = raw.split_at(raw.len().min(60));
    let mut messages = fill(&store, account, inbox, first).await;
    let few = needles(&messages, 40);
    let mut compared = compare(&store, account, &messages, &few, "in the tail").await;

    messages.extend(fill(&store, account, inbox, rest).await);
    let many = needles(&messages, 150);
    compared += compare(&store, account, &messages, &many, "while workers may run").await;
    store.flush_index(account).await.unwrap();
    compared += compare(&store, account, &messages, &many, "in segments").await;

    store.rebuild_index(account).await.unwrap();
    compared += compare(&store, account, &messages, &few, "rebuilt").await;
    store.close().await;
    drop(store);

    let store = Store::open(settings(folder.path()), Clock::real()).await.unwrap();
    compared += compare(&store, account, &messages, &few, "after a restart").await;
    let statistics = store.index_statistics(account).unwrap();
    println!("  {statistics:?}; {compared} searches in all");
    store.close().await;
}
