//! What a dialogue cannot say: bounds, large answers, many connections, and messages that are checked as octets.

use super::{
    letters::letter,
    server::{Client, Security, Server},
};
use crate::support::{archive, corpora};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use imap_codec::{
    ResponseCodec,
    decode::Decoder,
    imap_types::{
        fetch::MessageDataItem,
        response::{Data, Response},
    },
};
use postern::{
    limits,
    mail::{Flag, Flags},
    message::{Body, Part},
};
use std::num::NonZeroU32;

/// Alice, logged in, with her INBOX selected.
fn selected(server: &Server, security: Security) -> Client {
    let mut client = server.client(security);
    client.login();
    let answer = client.command("s", "SELECT INBOX");
    assert!(answer.last().unwrap().starts_with("s OK"), "{answer:?}");
    client
}

fn last(answer: &[String]) -> &str {
    answer.last().unwrap()
}

/// RFC 5802 §3, RFC 7677, over a real server: the proof is right, wrong, or for nobody.
#[test]
fn scram_proves_both_sides() {
    let server = Server::start();
    server.fresh_account("alice");
    for (name, password, succeeds) in [
        ("alice@example.org", "secret", true),
        ("alice@example.org", "wrong", false),
        ("nobody@example.org", "secret", false),
    ] {
        let mut client = server.client(Security::Tls);
        client.line().unwrap();
        let bare = format!("n={name},r=client-nonce");
        client.send(format!("a AUTHENTICATE SCRAM-SHA-256 {}\r\n", STANDARD.encode(format!("n,,{bare}"))).as_bytes());
        let server_first = challenge(&mut client);
        let (final_message, server_signature) = scram_final(&bare, &server_first, password);
        client.send(format!("{}\r\n", STANDARD.encode(final_message)).as_bytes());
        if succeeds {
            assert_eq!(challenge(&mut client), format!("v={server_signature}"));
            client.send(b"\r\n");
            assert!(last(&client.until("a")).starts_with("a OK [CAPABILITY "));
        } else {
            assert_eq!(client.until("a"), ["a NO [AUTHENTICATIONFAILED] wrong name or password"]);
        }
    }
}

fn challenge(client: &mut Client) -> String {
    let line = client.line().unwrap();
    String::from_utf8(STANDARD.decode(line.strip_prefix("+ ").unwrap()).unwrap()).unwrap()
}

fn scram_final(bare: &str, server_first: &str, password: &str) -> (String, String) {
    let field = |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let (salt, iterations) = (STANDARD.decode(field("s=")).unwrap(), field("i=").parse::<u32>().unwrap());
    let mut salted = [0; 32];
    let iterations = NonZeroU32::new(iterations).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let without_proof = format!("c=biws,r={}", field("r="));
    let signed = format!("{bare},{server_first},{without_proof}");
    let signature = sign(stored_key.as_ref(), signed.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
    let server_signature = sign(&sign(&salted, b"Server Key"), signed.as_bytes());
    (format!("{without_proof},p={}", STANDARD.encode(proof)), STANDARD.encode(server_signature))
}

/// RFC 9051 §11.1, CVE-2011-0411: what came in the clear is not answered inside TLS.
#[test]
fn commands_pipelined_behind_starttls_are_thrown_away() {
    let server = Server::start();
    let mut client = server.client(Security::Strict);
    client.line().unwrap();
    client.send(b"a STARTTLS\r\nb CAPABILITY\r\n");
    assert_eq!(client.line().unwrap(), "a OK begin TLS now");
    client.start_tls();
    assert_eq!(client.command("c", "NOOP"), ["c OK NOOP completed"]);
}

/// Before login: small literals, small commands, few mistakes.
#[test]
fn an_unknown_client_gets_little() {
    let server = Server::start();
    let mut client = server.client(Security::Clear);
    client.line().unwrap();
    assert_eq!(client.command("a", "LOGIN {8193}"), ["a BAD the command or one of its literals is too long"]);
    client.send(&[b"b LOGIN {8193+}\r\n".as_slice(), &[b'x'; 8193], b" y\r\n"].concat());
    assert_eq!(client.until("b"), ["b BAD the command or one of its literals is too long"]);
    let fields = format!("\"{}\" \"{}\"", "n".repeat(30), "v".repeat(1024));
    let answer = client.command("i", &format!("ID ({})", vec![fields; 30].join(" ")));
    assert_eq!(last(&answer), "i OK ID completed");
    client.send(&[b"c ".as_slice(), &[b'x'; 50_000], b"\r\n"].concat());
    assert_eq!(client.until("c"), ["c BAD the command or one of its literals is too long"]);
    client.send(b"d LOGIN {999999999999+}\r\nxxxx");
    assert_eq!(client.line().unwrap(), "* BYE the command is too long");
    assert!(client.is_closed());
}

/// Whoever speaks another protocol is not listened to for long.
#[test]
fn many_mistakes_end_the_session() {
    let server = Server::start();
    let mut client = server.client(Security::Clear);
    client.line().unwrap();
    let mut answers = 0;
    for number in 0..limits::IMAP_BAD_COMMANDS_MAX {
        answers += usize::from(last(&client.command(&format!("t{number}"), "GET / HTTP/1.1")).contains(" BAD "));
    }
    assert_eq!(answers, limits::IMAP_BAD_COMMANDS_MAX as usize);
    assert_eq!(client.line().unwrap(), "* BYE too many errors");
    assert!(client.is_closed());
}

#[test]
fn many_failed_logins_end_the_session() {
    let server = Server::start();
    server.fresh_account("alice");
    let mut client = server.client(Security::Clear);
    client.line().unwrap();
    for number in 0..limits::IMAP_LOGIN_FAILURES_MAX {
        let answer = client.command(&format!("t{number}"), "LOGIN alice@example.org wrong");
        assert!(last(&answer).contains("AUTHENTICATIONFAILED"), "{answer:?}");
    }
    assert_eq!(client.line().unwrap(), "* BYE too many errors");
    assert!(client.is_closed());
}

/// Clients open several connections for each device: 50 are no exception, and beyond the bound the client is told.
#[test]
fn an_account_has_many_connections_and_not_endlessly_many() {
    let server = Server::start();
    server.fresh_account("alice");
    let open: Vec<Client> = (0..limits::IMAP_CONNECTIONS_PER_ACCOUNT_MAX)
        .map(|_| {
            let mut client = server.client(Security::Clear);
            client.login();
            client
        })
        .collect();
    assert!(open.len() >= 50);
    let mut client = server.client(Security::Clear);
    client.line().unwrap();
    let answer = client.command("a", "LOGIN alice@example.org secret");
    assert_eq!(answer, ["a NO [LIMIT] too many connections of this account"]);
}

/// RFC 7162 §4 and clients that name each UID: a command of almost 1 MiB.
#[test]
fn a_command_may_be_long() {
    let server = Server::start();
    let alice = server.fresh_account("alice");
    for day in 0..3 {
        server.append(alice, "INBOX", &letter("plain"), Flags::default(), day);
    }
    let mut client = selected(&server, Security::Clear);
    let uids: Vec<String> = (2..150_000).step_by(2).map(|uid| uid.to_string()).collect();
    let command = format!("UID FETCH {} UID", uids.join(","));
    assert!(command.len() > 450_000);
    assert_eq!(client.command("a", &command), ["* 2 FETCH (UID 2)", "a OK FETCH completed"]);
    let too_long = format!("UID FETCH {} UID", vec!["1000000"; 140_000].join(","));
    assert_eq!(client.command("b", &too_long), ["b BAD the command or one of its literals is too long"]);
    assert_eq!(client.command("c", "NOOP"), ["c OK NOOP completed"]);
}

/// Commands that arrive together are answered in their order.
#[test]
fn pipelined_commands_are_answered_in_order() {
    let server = Server::start();
    let alice = server.fresh_account("alice");
    server.append(alice, "INBOX", &letter("plain"), Flags::default(), 0);
    let mut client = selected(&server, Security::Tls);
    let commands: String =
        (0..200).map(|number| format!("t{number} UID FETCH 1 (BODY.PEEK[TEXT] FLAGS)\r\n")).collect();
    client.send(commands.as_bytes());
    for number in 0..200 {
        let answer = client.until(&format!("t{number}"));
        assert_eq!(last(&answer), format!("t{number} OK FETCH completed"));
        assert_eq!(answer[1], "One line about tulips.");
    }
}

/// A message larger than every buffer comes out as it went in, whole, in ranges and by APPEND.
#[test]
fn large_messages_stream() {
    let server = Server::start();
    let alice = server.fresh_account("alice");
    let mut raw = b"Subject: large\r\n\r\n".to_vec();
    for number in 0..60_000 {
        raw.extend_from_slice(format!("line {number} of a long letter\r\n").as_bytes());
    }
    server.append(alice, "INBOX", &raw, Flags::default(), 0);
    let mut client = selected(&server, Security::Tls);
    client.send(b"a FETCH 1 BODY.PEEK[]\r\n");
    let answer = client.raw_until("a");
    let start = answer.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    assert_eq!(answer[..start].escape_ascii().to_string(), format!(r"* 1 FETCH (BODY[] {{{}}}\r\n", raw.len()));
    assert!(answer[start..].starts_with(&raw));
    assert_eq!(&answer[start + raw.len()..], b")\r\na OK FETCH completed\r\n");

    client.send(b"b FETCH 1 BODY.PEEK[]<1000000.100000>\r\n");
    let answer = client.raw_until("b");
    let start = answer.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    assert!(answer[start..].starts_with(&raw[1_000_000..1_100_000]));

    let part = &raw[..150_000];
    client.send(&[format!("c APPEND INBOX {{{}+}}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    assert!(last(&client.until("c")).starts_with("c OK [APPENDUID "));
    client.send(b"d FETCH 2 BODY.PEEK[]\r\n");
    let answer = client.raw_until("d");
    let start = answer.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    assert!(answer[start..].starts_with(part));
}

/// RFC 9051 §9, CHAR8: NUL octets are in no string; BINARY alone shows them.
#[test]
fn nul_octets_leave_in_literal8_only() {
    let server = Server::start();
    let alice = server.fresh_account("alice");
    server.append(alice, "INBOX", &letter("nul"), Flags::default(), 0);
    server.append(alice, "INBOX", b"Subject: a\0b\r\nFrom: \"x\0y\" <z@example.net>\r\n\r\n", Flags::default(), 1);
    let mut client = selected(&server, Security::Clear);
    client
        .send(b"a FETCH 1:2 (ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (Subject)] RFC822.HEADER)\r\n");
    let answer = client.raw_until("a");
    assert!(!answer.contains(&0), "{}", answer.escape_ascii());
    assert!(answer.windows(4).any(|octets| octets == b"a\x80b\r"));
    client.send(b"b FETCH 1 BINARY.PEEK[1]\r\n");
    let answer = client.raw_until("b");
    assert_eq!(
        answer.escape_ascii().to_string(),
        r"* 1 FETCH (BINARY[1] ~{5}\r\na\x00b\r\n)\r\nb OK FETCH completed\r\n"
    );
}

/// A server that goes down says so, also to a client in IDLE.
#[test]
fn a_drain_says_bye() {
    let mut server = Server::start();
    server.fresh_account("alice");
    let mut waiting = selected(&server, Security::Clear);
    let mut idle = selected(&server, Security::Tls);
    idle.send(b"a IDLE\r\n");
    assert_eq!(idle.line().unwrap(), "+ idling");
    server.drain();
    for client in [&mut waiting, &mut idle] {
        assert_eq!(client.line().unwrap(), "* BYE the server is shutting down");
        assert!(client.is_closed());
    }
}

/// P8: a client that only listens in IDLE ends up with what the mailbox holds, whatever is merged or missed meanwhile.
#[test]
fn idle_converges() {
    let server = Server::start();
    let alice = server.fresh_account("alice");
    let mut listener = selected(&server, Security::Clear);
    listener.send(b"a IDLE\r\n");
    assert_eq!(listener.line().unwrap(), "+ idling");
    let mut actor = selected(&server, Security::Tls);
    for round in 0..20 {
        server.append(alice, "INBOX", &letter("plain"), Flags::default(), round);
        if round % 3 == 2 {
            actor.command("x", "UID STORE * +FLAGS (\\Deleted)");
            actor.command("y", "EXPUNGE");
        }
        actor.command("z", "UID STORE * +FLAGS (\\Flagged)");
    }
    listener.send(b"DONE\r\n");
    let mut exists = 0;
    for line in listener.until("a") {
        let mut words = line.split(' ').skip(1);
        match (words.next().and_then(|word| word.parse::<usize>().ok()), words.next()) {
            (Some(number), Some("EXISTS")) => exists = number,
            (Some(number), Some("EXPUNGE")) => {
                assert!((1..=exists).contains(&number), "{line} with {exists} messages");
                exists -= 1;
            }
            _ => {}
        }
    }
    let status = actor.command("s", "STATUS INBOX (MESSAGES)");
    assert_eq!(status[0], format!("* STATUS INBOX (MESSAGES {exists})"));
    assert_eq!(exists, 14);
}

/// ENVELOPE and BODYSTRUCTURE of real and of hostile mail are well formed: an independent reader takes each of them.
#[test]
fn structures_of_real_mail_are_well_formed() {
    let Some(corpora) = corpora() else { return };
    let server = Server::start();
    let alice = server.fresh_account("alice");
    let messages: Vec<Vec<u8>> = archive::walk(&corpora.join("mime"))
        .map(|entry| entry.octets)
        .filter(|octets| octets.len() < 500_000)
        .chain(
            archive::open(&corpora.join("spam/phishing_pot-2022-2025h1/messages.tar.zst"))
                .take(300)
                .map(|entry| entry.octets),
        )
        .collect();
    for (day, message) in (0..).zip(&messages) {
        server.append(alice, "INBOX", message, Flags::from_iter([Flag::Seen]), day);
    }
    let mut client = selected(&server, Security::Clear);
    client.send(b"a FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY)\r\n");
    let answer = client.raw_until("a");
    let mut rest = answer.as_slice();
    for (number, message) in (1..).zip(&messages) {
        let end = expression(rest, number);
        if depth(&postern::message::analyse(message).root) > DEPTH_OF_IMAP_CODEC {
            rest = &rest[end..];
            continue;
        }
        let (after, response) = ResponseCodec::default().decode(rest).unwrap_or_else(|error| {
            panic!("message {number}: {error:?}: {}", rest[..rest.len().min(3000)].escape_ascii())
        });
        let Response::Data(Data::Fetch { seq, items }) = response else { panic!("{response:?}") };
        assert_eq!(seq.get(), number);
        let [MessageDataItem::Envelope(_), MessageDataItem::BodyStructure(_), MessageDataItem::Body(_)] =
            items.as_ref()
        else {
            panic!("{items:?}")
        };
        rest = after;
    }
    println!("{} structures read by imap_codec", messages.len());
    assert!(rest.starts_with(b"a OK"));
}

/// imap_codec gives up on structures that are nested deeper.
const DEPTH_OF_IMAP_CODEC: usize = 7;

fn depth(part: &Part) -> usize {
    1 + match &part.content {
        Body::Leaf => 0,
        Body::Multipart(parts) => parts.iter().map(depth).max().unwrap_or(0),
        Body::Message(_, inner) => depth(inner),
    }
}

/// The length of a response that is a well-formed parenthesised list: strings closed, literals whole, parentheses even.
fn expression(response: &[u8], number: u32) -> usize {
    let start = format!("* {number} FETCH ");
    assert!(response.starts_with(start.as_bytes()));
    let (mut at, mut open) = (start.len(), 0_i32);
    loop {
        match response[at] {
            b'(' => open += 1,
            b')' => open -= 1,
            b'"' => {
                at += 1;
                while response[at] != b'"' {
                    assert!(response[at] != b'\r' && response[at] != 0, "message {number}: an open string");
                    at += if response[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => {
                let end = at + response[at..].iter().position(|octet| *octet == b'}').unwrap();
                let length: usize = std::str::from_utf8(&response[at + 1..end]).unwrap().parse().unwrap();
                at = end + 2 + length;
            }
            b'\r' => break,
            _ => {}
        }
        assert!(open >= 0, "message {number}: closed too often");
        at += 1;
    }
    assert_eq!(open, 0, "message {number}: not closed");
    assert!(response[at..].starts_with(b"\r\n"));
    at + 2
}
