//! Quotas over SMTP: each recipient is answered at RCPT, and the end of data loses and doubles nothing.

use super::server::{Options, PASSWORD, Server};
use postern::{
    mail::AccountId,
    store::{AccountLimits, Limit},
    submission::TlsMode,
};

const MESSAGE: &str = "From: bob@example.net\r\nSubject: one\r\n\r\ntext\r\n";

async fn limit(server: &Server, account: AccountId, octets: u64) {
    let limits = AccountLimits { octets: Limit::AtMost(octets), messages: Limit::Default };
    server.store.set_account_limits(account, limits).await.unwrap();
}

/// RFC 5321 §4.2.3, RFC 3463 §3.3: full for now is 452, never large enough is 552, and others are not concerned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_without_room_are_refused_at_rcpt() {
    let mut server = Server::start(Options::default()).await;
    let bob = server.add_account("bob@example.org").await;
    limit(&server, server.alice, 10_000).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example", "MAIL FROM:<s@example.net> SIZE=50000"]).await;
    assert!(client.say("RCPT TO:<alice@example.org>").await.starts_with("552 5.2.2 "));
    client.say_all(&["RCPT TO:<bob@example.org>", "RSET", "MAIL FROM:<s@example.net> SIZE=5000"]).await;
    client.say_all(&["RCPT TO:<alice@example.org>", "DATA"]).await;
    client.send(format!("{MESSAGE}{}\r\n", "x".repeat(900)).repeat(5).as_bytes()).await;
    client.say_all(&["."]).await;
    client.say_all(&["MAIL FROM:<s@example.net> SIZE=6000"]).await;
    assert!(client.say("RCPT TO:<alice@example.org>").await.starts_with("452 4.2.2 "));
    client.say_all(&["RCPT TO:<bob@example.org>", "DATA"]).await;
    client.send(MESSAGE.as_bytes()).await;
    client.say_all(&[".", "QUIT"]).await;
    assert_eq!(server.messages("INBOX").await.len(), 1);
    assert_eq!(server.store.quota(bob).unwrap().usage.messages, 1);
    server.end().await;
}

/// Without an announced size a message for one account is measured at its end; a full account is refused at RCPT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_data_measures_to_the_octet() {
    let mut server = Server::start(Options::default()).await;
    limit(&server, server.alice, 2000).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example"]).await;
    for (octets, reply) in [(3000, "552 5.2.2 "), (200, "250 2.0.0 "), (1000, "452 4.2.2 ")] {
        client.say_all(&["MAIL FROM:<s@example.net>", "RCPT TO:<alice@example.org>", "DATA"]).await;
        client.send(format!("{MESSAGE}{}\r\n", "x".repeat(octets)).as_bytes()).await;
        let answer = client.say(".").await;
        assert!(answer.starts_with(reply), "{octets}: {answer}");
    }
    let used = server.store.quota(server.alice).unwrap().usage.octets;
    assert_eq!(server.messages("INBOX").await[0].len() as u64, used, "trace fields are counted");
    limit(&server, server.alice, used).await;
    client.say_all(&["MAIL FROM:<s@example.net>"]).await;
    assert!(client.say("RCPT TO:<alice@example.org>").await.starts_with("452 4.2.2 "));
    client.say_all(&["QUIT"]).await;
    server.end().await;
}

/// An account that fills up between RCPT and the end of data defers the message for everybody, once: at the next try it is
/// refused for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_fills_up_meanwhile_loses_and_doubles_nothing() {
    let mut server = Server::start(Options::default()).await;
    let bob = server.add_account("bob@example.org").await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example", "MAIL FROM:<s@example.net>"]).await;
    client.say_all(&["RCPT TO:<alice@example.org>", "RCPT TO:<bob@example.org>", "DATA"]).await;
    limit(&server, bob, 0).await;
    client.send(MESSAGE.as_bytes()).await;
    assert!(client.say(".").await.starts_with("452 4.2.2 "));
    assert_eq!(server.messages("INBOX").await.len(), 0);
    client.say_all(&["MAIL FROM:<s@example.net>", "RCPT TO:<alice@example.org>"]).await;
    assert!(client.say("RCPT TO:<bob@example.org>").await.starts_with("452 4.2.2 "));
    client.say_all(&["DATA"]).await;
    client.send(MESSAGE.as_bytes()).await;
    client.say_all(&[".", "QUIT"]).await;
    assert_eq!((server.messages("INBOX").await.len(), server.store.quota(bob).unwrap().usage.messages), (1, 0));
    server.end().await;
}

/// One message may carry an account beyond its limit where several get it, and no more than one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_takes_mail_while_one_of_its_accounts_has_room() {
    let mut server = Server::start(Options::default()).await;
    let bob = server.add_account("bob@example.org").await;
    server.add_alias("all@example.org", &["alice@example.org", "bob@example.org"]).await;
    limit(&server, bob, 1).await;
    limit(&server, server.alice, 3000).await;
    let address = server.mx().await;
    let mut client = server.connect(address).await;
    client.reply().await;
    client.say_all(&["EHLO client.example"]).await;
    for _ in 0..2 {
        client.say_all(&["MAIL FROM:<s@example.net>", "RCPT TO:<all@example.org>", "DATA"]).await;
        client.send(MESSAGE.as_bytes()).await;
        client.say_all(&["."]).await;
    }
    assert_eq!((server.messages("INBOX").await.len(), server.store.quota(bob).unwrap().usage.messages), (2, 2));
    client.say_all(&["MAIL FROM:<s@example.net>"]).await;
    assert!(client.say("RCPT TO:<bob@example.org>").await.starts_with("452 4.2.2 "));
    client.say_all(&["RCPT TO:<all@example.org>"]).await;
    limit(&server, server.alice, 1).await;
    assert!(client.say("RCPT TO:<all@example.org>").await.starts_with("452 4.2.2 "));
    client.say_all(&["QUIT"]).await;
    server.end().await;
}

/// Submission asks the same of local recipients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_keeps_quotas_too() {
    let mut server = Server::start(Options::default()).await;
    limit(&server, server.alice, 10).await;
    let address = server.submission(TlsMode::Implicit).await;
    let mut client = server.connect(address).await;
    client.start_tls().await;
    client.reply().await;
    client.say_all(&["EHLO client.example"]).await;
    assert!(super::scram::log_in(&mut client, super::server::ALICE, PASSWORD).await.starts_with("235"));
    client.say_all(&["MAIL FROM:<alice@example.org> SIZE=5000"]).await;
    assert!(client.say("RCPT TO:<alice@example.org>").await.starts_with("552 5.2.2 "));
    client.say_all(&["QUIT"]).await;
    server.end().await;
}
