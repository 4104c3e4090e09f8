//! SMTP over sockets and TLS, into a store.

use super::{
    client::SocketPeer,
    server::{ALICE, Options, PASSWORD, Server},
};
use crate::support::dialogue::{Arrival, dialogues};
use postern::submission::TlsMode;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const MESSAGE: &str = "From: bob@example.net\r\nSubject: one\r\n\r\ntext\r\n..dots\r\n";

/// Every dialogue holds with a whole server too, over sockets and TLS.
#[test]
fn dialogues_hold_over_sockets() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut server = runtime.block_on(Server::start(Options::default()));
    let submission = runtime.block_on(server.submission(TlsMode::StartTls));
    for dialogue in dialogues("smtp") {
        if dialogue.headers("peer").any(|peer| peer == "machine") {
            continue;
        }
        let octets = dialogue.words("limits").find_map(|limit| limit.strip_prefix("message_octets_max="));
        let address = match (dialogue.headers("service").next(), octets) {
            (Some(_), _) => submission,
            (None, Some(octets)) => runtime.block_on(server.mx_for(octets.parse().unwrap())),
            (None, None) => runtime.block_on(server.mx()),
        };
        let client = runtime.block_on(server.connect(address));
        let mut peer = SocketPeer { client, runtime: runtime.handle().clone() };
        dialogue.check(&mut peer, Arrival::WholeLines);
    }
    runtime.block_on(server.end());
}

/// P1, P3: what was said 250 to is there, with its trace, octet for octet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_stored_as_it_came_behind_its_trace() {
    let mut server = Server::start(Options::default()).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example", "STARTTLS"]).await;
    client.start_tls().await;
    client
        .say_all(&["EHLO client.example", "MAIL FROM:<bob@example.net>", "RCPT TO:<alice@example.org>", "DATA"])
        .await;
    client.send(MESSAGE.as_bytes()).await;
    let stored = client.say(".").await;
    let id = stored.strip_prefix("250 2.0.0 stored as ").expect("a reply with an id");

    let messages = server.messages("INBOX").await;
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert!(message.ends_with(&format!("\r\n{}", MESSAGE.replace("..dots", ".dots"))), "{message}");
    assert!(message.starts_with("Return-Path: <bob@example.net>\r\nDelivered-To: alice@example.org\r\n"), "{message}");
    assert!(message.contains("\r\nAuthentication-Results: mx.example.org;"), "{message}");
    assert!(message.contains("spf=fail"), "{message}");
    assert!(message.contains("Received: from client.example ("), "{message}");
    let by = format!("[127.0.0.1])\r\n\tby mx.example.org with ESMTPS id {id}\r\n\tfor <alice@example.org>; ");
    assert!(message.contains(&by), "{message}");
    client.say_all(&["QUIT"]).await;
    server.end().await;
}

/// RFC 9989 §4.7: the author's domain decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dmarc_refuses_and_files_away() {
    let mut server = Server::start(Options::default()).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example"]).await;
    for (domain, reply) in [("strict", "550 5.7.26"), ("careful", "250 2.0.0")] {
        let sender = format!("MAIL FROM:<bob@{domain}.example.net>");
        client.say_all(&[&sender, "RCPT TO:<alice@example.org>", "DATA"]).await;
        client.send(MESSAGE.replace("example.net", &format!("{domain}.example.net")).as_bytes()).await;
        let answer = client.say(".").await;
        assert!(answer.starts_with(reply), "{domain}: {answer}");
    }
    assert_eq!((server.messages("INBOX").await.len(), server.messages("Junk").await.len()), (0, 1));
    assert!(server.messages("Junk").await[0].contains("X-Postern-Verdict: junk; "));
    server.end().await;
}

/// RFC 8314 §3.3, RFC 7677: implicit TLS, SCRAM by a client that checks the server, and a message to oneself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_submits_over_implicit_tls_with_scram() {
    let mut server = Server::start(Options::default()).await;
    let address = server.submission(TlsMode::Implicit).await;
    let mut client = server.connect(address).await;
    client.start_tls().await;
    client.reply().await;
    client.say_all(&["EHLO client.example"]).await;
    let reply = super::scram::log_in(&mut client, ALICE, "wrong").await;
    assert!(reply.starts_with("535 5.7.8"), "{reply}");
    let reply = super::scram::log_in(&mut client, ALICE, PASSWORD).await;
    assert!(reply.starts_with("235 2.7.0"), "{reply}");
    client.say_all(&["MAIL FROM:<alice@example.org>", "RCPT TO:<alice@example.org>", "DATA"]).await;
    client.send(MESSAGE.as_bytes()).await;
    client.say_all(&[".", "QUIT"]).await;
    let messages = server.messages("INBOX").await;
    assert!(messages[0].contains("with ESMTPSA id "), "{messages:?}");
    assert!(!messages[0].contains("Authentication-Results"), "{messages:?}");
    server.end().await;
}

/// How a client ends that has sent its message.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It breaks down before it reads the reply, so that its system resets the connection.
    Unread,
    /// It reads the reply and closes without a word.
    Close,
    /// It reads the reply and says QUIT.
    Quit,
}

async fn send_and_end(address: SocketAddr, end: End) {
    let mut client = TcpStream::connect(address).await.unwrap();
    for (line, reply) in [
        ("", "220"),
        ("HELO client.example\r\n", "250"),
        ("MAIL FROM:<>\r\n", "250"),
        ("RCPT TO:<alice@example.org>\r\n", "250"),
        ("DATA\r\n", "354"),
    ] {
        client.write_all(line.as_bytes()).await.unwrap();
        let mut octets = [0; 512];
        let count = client.read(&mut octets).await.unwrap();
        assert!(octets[..count].starts_with(reply.as_bytes()) && octets[..count].ends_with(b"\r\n"), "{line}");
    }
    client.write_all(format!("{MESSAGE}.\r\n").as_bytes()).await.unwrap();
    client.peek(&mut [0]).await.unwrap();
    match end {
        End::Unread => return,
        End::Close => client.shutdown().await.unwrap(),
        End::Quit => client.write_all(b"QUIT\r\n").await.unwrap(),
    }
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("250 2.0.0 "), "{rest}");
}

/// A sender that never saw the 250 sends again and is told the same; one that saw it means a second copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_recognised_until_the_reply_was_seen() {
    let mut server = Server::start(Options::default()).await;
    let address = server.mx().await;
    for (end, copies) in
        [(End::Unread, 1), (End::Unread, 1), (End::Close, 1), (End::Unread, 2), (End::Quit, 2), (End::Quit, 3)]
    {
        send_and_end(address, end).await;
        assert_eq!(server.messages("INBOX").await.len(), copies, "{end:?}");
    }
    server.end().await;
}

/// RFC 5321 §3.8: a transaction under way is finished, then the session ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_transactions_finish() {
    let mut server = Server::start(Options::default()).await;
    let address = server.mx().await;
    let (mut idle, mut busy) = (server.connect(address).await, server.connect(address).await);
    idle.reply().await;
    busy.reply().await;
    busy.say_all(&["HELO client.example", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA"]).await;
    server.begin_drain();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.line().await, None);
    busy.send(MESSAGE.as_bytes()).await;
    busy.say_all(&["."]).await;
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert_eq!(server.messages("INBOX").await.len(), 1);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_over_the_budget_of_all_sessions_is_refused_for_now() {
    let mut server = Server::start(Options { content_octets_max: 32 * 1024, ..Options::default() }).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    for (lines, reply) in [(4000, "452 4.3.1"), (100, "250 2.0.0")] {
        client.say_all(&["HELO client.example", "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA"]).await;
        client.send(format!("Subject: x\r\n\r\n{}", "text of a line\r\n".repeat(lines)).as_bytes()).await;
        let answer = client.say(".").await;
        assert!(answer.starts_with(reply), "{lines}: {answer}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_the_bounds_are_turned_away() {
    let mut server = Server::start(Options { connections_per_address_max: 2, ..Options::default() }).await;
    let address = server.mx().await;
    let (mut one, mut two) = (server.connect(address).await, server.connect(address).await);
    assert!(one.reply().await.starts_with("220 ") && two.reply().await.starts_with("220 "));
    let mut three = server.connect(address).await;
    assert!(three.reply().await.starts_with("421 4.7.0"));
    assert_eq!(three.line().await, None);
    server.end().await;
}
