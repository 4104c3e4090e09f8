//! Mail over SMTP to the real program, ended on the way. What counts as acknowledged is a 250 that a client has read.
//! Afterwards every message is there for all of its recipients or for none, and once for all after its client has sent
//! it again, as a client does that saw no 250.

use super::{
    disk::tree,
    doctor::check_derived,
    journal::Journal,
    scenario::{End, Fault, Scenario},
    shim,
};
use crate::{
    store::{block_on, contents, letter},
    support::{
        client::Smtp,
        server::{DOMAIN, Server, prepared},
    },
};
use postern::{
    accounts::Accounts,
    clock::Clock,
    store::{Settings, Store},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub const SMTP: Scenario = Scenario {
    name: "smtp",
    victim: None,
    failpoints: &[
        "append.after_stage",
        "append.before_outbox",
        "outbox.after_step",
        "outbox.before_forget",
        "repeat.before_forget",
    ],
    prepare,
    check,
};

const USERS: [&str; 4] = ["ann", "bob", "cid", "dan"];
const MESSAGES: u64 = 36;
const SESSIONS: usize = 3;
/// Nothing is refused for its content, and no name server is asked outside this machine.
pub const SETTINGS: &[&str] =
    &["spam.reject=1.0", "dns.servers=[\"127.0.0.1:9\"]", "dns.timeout_ms=100", "dns.attempts=1"];

fn raw(number: u64) -> Vec<u8> {
    letter(number, [60, 7000, 200, 300_000][number as usize % 4])
}

fn recipients(number: u64) -> Vec<String> {
    let names = USERS.iter().cycle().skip(number as usize).take(1 + number as usize % USERS.len());
    names.map(|name| format!("{name}@{DOMAIN}")).collect()
}

/// A data folder with the accounts: made once, copied for each seed.
pub fn prepare(folder: &Path, _seed: u64) {
    static TEMPLATE: OnceLock<BTreeMap<String, Option<Vec<u8>>>> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let (_folder, data) = prepared(&USERS);
        tree(&data)
    });
    super::damage::copy(template, folder);
}

/// Runs the server under the shim until its end, with some clients; returns the messages that they saw a 250 for.
pub fn run(data: &Path, end: &End, point: Option<&str>) -> (Vec<String>, bool, Journal) {
    let journal = data.with_extension("journal");
    let (watched, library) = (data.join("store"), shim::library());
    let mut environment = vec![
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("POSTERN_SHIM_FOLDER", watched.to_str().unwrap()),
        ("POSTERN_SHIM_JOURNAL", journal.to_str().unwrap()),
    ];
    environment.extend(point.map(|point| ("POSTERN_FAILPOINT", point)));
    let server = Server::start_with(data, SETTINGS, &environment);
    let (smtp, server) = (server.smtp, Mutex::new(Some(server)));
    let acknowledged = send(smtp, 0..MESSAGES, |count| {
        if matches!(end, End::Kill(after) if count > *after) {
            server.lock().unwrap().take().into_iter().for_each(Server::kill);
        }
    });
    let has_ended = acknowledged.len() < MESSAGES as usize && !matches!(end, End::Kill(_));
    server.lock().unwrap().take().into_iter().for_each(Server::kill);
    let read = Journal::read(&journal);
    let _ = fs::remove_file(&journal);
    let _ = fs::remove_file(data.with_extension("log"));
    (acknowledged.iter().map(u64::to_string).collect(), has_ended, read)
}

/// Sends messages over several sessions, each until its connection breaks. `after` is called with the number of 250s.
fn send(
    smtp: std::net::SocketAddr,
    numbers: impl IntoIterator<Item = u64>,
    after: impl Fn(usize) + Sync,
) -> BTreeSet<u64> {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let (next, acknowledged) = (AtomicU64::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..SESSIONS {
            scope.spawn(|| {
                let Ok(mut session) = Smtp::open(smtp) else { return };
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let to = recipients(*number);
                    let to: Vec<&str> = to.iter().map(String::as_str).collect();
                    let Ok(reply) = session.deliver_to("sender@example.net", &to, &raw(*number)) else { return };
                    assert!(reply.starts_with("250"), "{reply}");
                    let mut acknowledged = acknowledged.lock().unwrap();
                    acknowledged.insert(*number);
                    after(acknowledged.len());
                }
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

/// The reply to one message.
pub fn deliver(smtp: std::net::SocketAddr, number: u64) -> String {
    let to = recipients(number);
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    Smtp::open(smtp).unwrap().deliver_to("sender@example.net", &to, &raw(number)).unwrap()
}

/// Which messages a store shows: those of `numbers` that are there once for all, and no other in part.
pub fn check_only(data: &Path, numbers: &[u64]) -> Result<(), Fault> {
    let told: Vec<String> = numbers.iter().map(u64::to_string).collect();
    check(&data.join("store"), 0, &told).map(drop)
}

/// Sends again what nobody was told to be taken; each message is there once for all afterwards.
pub fn check_repeats(data: &Path, acknowledged: &[String]) -> Result<(), Fault> {
    let server = Server::start(data, SETTINGS);
    let open = (0..MESSAGES).filter(|number| !acknowledged.contains(&number.to_string()));
    send(server.smtp, open, |_| {});
    server.kill();
    let _ = fs::remove_file(data.with_extension("log"));
    let all: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    check(&data.join("store"), 0, &all).map(drop)
}

/// `folder` is the store's, or the data folder that has it.
fn check(folder: &Path, _seed: u64, told: &[String]) -> Result<u64, Fault> {
    let inner = folder.join("store");
    block_on(check_store(if inner.exists() { &inner } else { folder }, told))
}

async fn check_store(folder: &Path, told: &[String]) -> Result<u64, Fault> {
    let settings = Settings { cache_octets: 8 * 1024 * 1024, ..Settings::at(folder) };
    let store = Store::open(settings, Clock::real()).await.expect("the store opens");
    let accounts = Accounts::new(store.clone(), Clock::real()).unwrap();
    let mut shown = BTreeMap::new();
    for name in USERS {
        let address = format!("{name}@{DOMAIN}");
        let account = accounts.account(&address.parse().unwrap()).expect("the account was made before").id;
        let mut octets = contents(&store, account, store.mailbox(account, "INBOX").unwrap().id).await;
        octets.extend(contents(&store, account, store.mailbox(account, "Junk").unwrap().id).await);
        shown.insert(address, octets);
    }
    let mut copies = 0;
    for number in 0..MESSAGES {
        let (raw, to) = (raw(number), recipients(number));
        let counts: Vec<usize> =
            to.iter().map(|address| shown[address].iter().filter(|octets| octets.ends_with(&raw)).count()).collect();
        let is_acknowledged = told.contains(&number.to_string());
        copies += if is_acknowledged { to.len() as u64 } else { 0 };
        let text = format!("message {number} is shown {counts:?}, acknowledged: {is_acknowledged}");
        match (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0)) {
            (1, 1) => {}
            (0, 0) if !is_acknowledged => {}
            (_, 2..) => return Err(Fault::Duplicated(text)),
            _ if is_acknowledged => return Err(Fault::Lost(text)),
            _ => return Err(Fault::Half(text)),
        }
    }
    check_derived(&store).await?;
    store.close().await;
    Ok(copies)
}
