//! Real mail through the real program: in by SMTP, out by IMAP, byte for byte; a kill -9 on the way.
//!
//! `POSTERN_CORPUS_MESSAGES` says how many messages go through (300 unless told otherwise).

use crate::support::{
    archive,
    client::{Imap, Smtp},
    corpora,
    server::{DOMAIN, PASSWORD, Server, prepared, succeed},
};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Nothing is refused for its content, and no name server is asked outside this machine.
const SETTINGS: &[&str] = &["spam.reject=1.0", "dns.servers=[\"127.0.0.1:9\"]", "dns.timeout_ms=100", "dns.attempts=1"];
const SESSIONS: usize = 8;

/// The message as a sender would put it on the wire: CRLF line ends, none bare, the last line ended.
fn as_sent(octets: &[u8]) -> Option<Vec<u8>> {
    let body = if octets.starts_with(b"From ") {
        octets.iter().position(|octet| *octet == b'\n').map(|end| &octets[end + 1..])?
    } else {
        octets
    };
    let mut sent = Vec::with_capacity(body.len() + body.len() / 30);
    for line in body.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\r') {
            return None;
        }
        sent.extend_from_slice(line);
        sent.extend_from_slice(b"\r\n");
    }
    if body.ends_with(b"\n") {
        sent.truncate(sent.len() - 2);
    }
    Some(sent)
}

/// The first messages of the mailing-list, spam and attachment corpora, in turn.
fn messages(corpora: &Path) -> Vec<Vec<u8>> {
    let wanted = std::env::var("POSTERN_CORPUS_MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let archives = ["spam/spamassassin", "spam/phishing_pot-2022-2025h1", "spam/ham-lists-2000-2024", "spam/csdmc2010"];
    let mut readers: Vec<_> =
        archives.iter().map(|name| archive::open(&corpora.join(name).join("messages.tar.zst"))).collect();
    let mut found: Vec<Vec<u8>> = archive::walk(&corpora.join("attachments/dedup-threads"))
        .chain(archive::walk(&corpora.join("mime")))
        .filter(|entry| entry.path.ends_with(".eml") || entry.path.ends_with(".msg"))
        .filter_map(|entry| as_sent(&entry.octets))
        .take(wanted / 5)
        .collect();
    while found.len() < wanted {
        let before = found.len();
        found.extend(readers.iter_mut().filter_map(Iterator::next).filter_map(|entry| as_sent(&entry.octets)));
        if found.len() == before {
            break;
        }
    }
    // Corpora repeat messages, and two sessions that send the same octets at once are taken for a repeat.
    let mut known = HashSet::new();
    found.retain(|message| known.insert(message.clone()));
    found.truncate(wanted);
    found
}

/// Messages by the order of sending: `Some(reply)` where one was read.
type Replies = HashMap<usize, String>;

/// Sends every message over several sessions. A connection that breaks ends its session.
fn send_all(
    smtp: SocketAddr,
    messages: &Arc<Vec<Vec<u8>>>,
    recipient: &str,
    acknowledged: &Arc<AtomicUsize>,
) -> Replies {
    let (next, replies) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Replies::new())));
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let (messages, next, replies) = (Arc::clone(messages), Arc::clone(&next), Arc::clone(&replies));
            let (recipient, acknowledged) = (recipient.to_owned(), Arc::clone(acknowledged));
            std::thread::spawn(move || {
                let Ok(mut session) = Smtp::open(smtp) else { return };
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(message) = messages.get(index) else { return };
                    let Ok(reply) = session.deliver("sender@example.net", &recipient, message) else { return };
                    acknowledged.fetch_add(usize::from(reply.starts_with("250")), Ordering::SeqCst);
                    replies.lock().unwrap().insert(index, reply);
                }
            })
        })
        .collect();
    sessions.into_iter().for_each(|session| session.join().unwrap());
    Arc::try_unwrap(replies).unwrap().into_inner().unwrap()
}

/// Every message of the account as IMAP shows it, with our trace fields.
fn fetch_all(imap: SocketAddr, login: &str) -> Vec<Vec<u8>> {
    let mut session = Imap::login(imap, login, PASSWORD).unwrap();
    let mut found = Vec::new();
    for mailbox in ["INBOX", "Junk"] {
        session.command(&format!("EXAMINE {mailbox}")).unwrap();
        let responses = session.command("UID FETCH 1:* (BODY.PEEK[])").unwrap();
        found.extend(responses.into_iter().filter_map(|mut response| response.literals.pop()));
    }
    found
}

/// Our trace fields, which stand before what was received.
const TRACE: &[&str] =
    &["return-path:", "delivered-to:", "received:", "authentication-results:", "received-spf:", "x-postern-verdict:"];

/// What was received: what is left when `length` octets are taken from the end, the rest being trace.
fn without_trace(shown: &[u8], received: &[u8]) -> bool {
    let Some(trace) = shown.strip_suffix(received) else { return false };
    trace.split(|octet| *octet == b'\n').all(|line| {
        let line = String::from_utf8_lossy(line).to_lowercase();
        line.is_empty() || line.starts_with([' ', '\t']) || TRACE.iter().any(|field| line.starts_with(field))
    })
}

/// A sent message as IMAP shows it: NUL cannot stand in a literal (RFC 3501 §9) and is shown as 0x80.
fn as_shown(sent: &[u8]) -> Vec<u8> {
    sent.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect()
}

/// The last octets of a message: so few that no message is shorter and has trace in them.
fn tail(octets: &[u8]) -> Vec<u8> {
    octets[octets.len().saturating_sub(8)..].to_vec()
}

fn by_tail(messages: &[Vec<u8>]) -> HashMap<Vec<u8>, Vec<&Vec<u8>>> {
    let mut by_tail: HashMap<Vec<u8>, Vec<&Vec<u8>>> = HashMap::new();
    for octets in messages {
        by_tail.entry(tail(octets)).or_default().push(octets);
    }
    by_tail
}

/// How many of the shown messages are a sent one behind our trace fields, and nothing else.
fn whole(sent: &[Vec<u8>], shown: &[Vec<u8>]) -> usize {
    let sent: Vec<Vec<u8>> = sent.iter().map(|message| as_shown(message)).collect();
    let by_tail = by_tail(&sent);
    let is_whole = |shown: &&Vec<u8>| {
        let candidates = by_tail.get(&tail(shown)).map(Vec::as_slice).unwrap_or_default();
        candidates.iter().any(|sent| without_trace(shown, sent))
    };
    shown.iter().filter(is_whole).count()
}

/// How many times each sent message is shown. Looks only at those with the same last octets.
fn shown_times(sent: &[Vec<u8>], shown: &[Vec<u8>]) -> Vec<usize> {
    let by_tail = by_tail(shown);
    sent.iter()
        .map(|message| {
            let message = as_shown(message);
            let candidates = by_tail.get(&tail(&message)).map(Vec::as_slice).unwrap_or_default();
            candidates.iter().filter(|shown| without_trace(shown, &message)).count()
        })
        .collect()
}

#[test]
fn real_mail_comes_out_as_it_went_in() {
    let Some(corpora) = corpora() else { return };
    let messages = Arc::new(messages(&corpora));
    let (_folder, data) = prepared(&["alice"]);
    let server = Server::start(&data, SETTINGS);
    let login = format!("alice@{DOMAIN}");
    let start = Instant::now();
    let replies = send_all(server.smtp, &messages, &login, &Arc::new(AtomicUsize::new(0)));
    let seconds = start.elapsed().as_secs_f64();
    let shown = fetch_all(server.imap, &login);
    let times = shown_times(&messages, &shown);
    let (mut accepted, mut refused) = (0, HashMap::<String, usize>::new());
    for (index, reply) in &replies {
        if reply.starts_with("250") {
            accepted += 1;
            assert!(times[*index] >= 1, "message {index} was accepted and is not shown as it was sent");
        } else {
            *refused.entry(reply.trim_end().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(replies.len(), messages.len(), "every message was answered");
    assert_eq!(shown.len(), accepted, "each accepted message is shown once, and no other");
    println!("{} messages sent in {seconds:.1} s, {accepted} accepted, all of them byte-identical", messages.len());
    refused.iter().for_each(|(reply, count)| println!("  {count} refused: {reply}"));
    drop(server);
    println!("{}", succeed(&data, &["blob", "verify"], ""));
    println!("{}", succeed(&data, &["stats"], ""));
}

#[test]
fn a_kill_in_the_middle_loses_nothing_that_was_acknowledged() {
    let Some(corpora) = corpora() else { return };
    let messages = Arc::new(messages(&corpora));
    let (_folder, data) = prepared(&["alice"]);
    let login = format!("alice@{DOMAIN}");
    let server = Server::start(&data, SETTINGS);
    let (smtp, acknowledged) = (server.smtp, Arc::new(AtomicUsize::new(0)));
    let sender = {
        let (messages, login, acknowledged) = (Arc::clone(&messages), login.clone(), Arc::clone(&acknowledged));
        std::thread::spawn(move || send_all(smtp, &messages, &login, &acknowledged))
    };
    while acknowledged.load(Ordering::SeqCst) < messages.len() / 3 {
        assert!(!sender.is_finished(), "the senders ended before the kill");
        std::thread::yield_now();
    }
    server.kill();
    let replies = sender.join().unwrap();

    let start = Instant::now();
    let server = Server::start(&data, SETTINGS);
    let restart = start.elapsed();
    let shown = fetch_all(server.imap, &login);
    let times = shown_times(&messages, &shown);
    let acknowledged: Vec<usize> =
        replies.iter().filter(|(_, reply)| reply.starts_with("250")).map(|(index, _)| *index).collect();
    for index in &acknowledged {
        assert!(times[*index] >= 1, "message {index} was acknowledged and is lost");
    }
    assert_eq!(whole(&messages, &shown), shown.len(), "no message is shown in part");
    assert!(shown.len() >= acknowledged.len() && shown.len() <= acknowledged.len() + SESSIONS);
    println!(
        "killed after {} of {} messages were acknowledged: 0 lost, {} shown; listening again after {} ms",
        acknowledged.len(),
        messages.len(),
        shown.len(),
        restart.as_millis()
    );
}
