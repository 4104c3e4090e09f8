//! Bounds on what a client may do, and what is handed on of a message.

use super::machine::Machine;
use postern::{
    limits,
    smtp::{Authentication, Reply, Waits},
};
use proptest::prelude::*;

fn machine() -> Machine {
    let accounts = vec!["alice@example.org".to_owned()];
    let mut machine = Machine::with(10_000, Authentication::NotOffered, accounts, String::new());
    machine.feed(b"HELO client.example\r\n");
    lines(&mut machine);
    machine
}

fn lines(machine: &mut Machine) -> Vec<String> {
    std::iter::from_fn(|| machine.next_line()).collect()
}

/// The first three digits of each answer to `command`, said `times` times.
fn codes(machine: &mut Machine, command: &str, times: usize) -> Vec<String> {
    machine.feed(format!("{command}\r\n").repeat(times).as_bytes());
    lines(machine).iter().map(|line| line[..3].to_owned()).collect()
}

#[test]
fn commands_that_move_nothing_end_the_session() {
    for command in ["NOOP", "RSET", "HELO client.example", "VRFY x"] {
        let mut machine = machine();
        // The HELO before was one of them.
        let codes = codes(&mut machine, command, 200);
        assert_eq!(codes.len(), usize::try_from(limits::SMTP_IDLE_COMMANDS_MAX).unwrap(), "{command}");
        assert_eq!(codes.last().unwrap(), "421");
    }
}

#[test]
fn a_message_allows_new_idle_commands() {
    let mut machine = machine();
    for _ in 0..3 {
        assert_eq!(codes(&mut machine, "NOOP", 90).last().unwrap(), "250");
        machine.feed(b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n.\r\n");
        assert_eq!(lines(&mut machine).len(), 4);
    }
}

/// RFC 5321 §4.5.3.1.8, §4.5.3.1.10.
#[test]
fn recipients_over_the_limit_wait_for_another_transaction() {
    let mut machine = machine();
    machine.feed(b"MAIL FROM:<>\r\n");
    lines(&mut machine);
    let codes = codes(&mut machine, "RCPT TO:<alice@example.org>", 1200);
    assert_eq!(codes.iter().filter(|code| *code == "250").count(), limits::RECIPIENTS_MAX);
    assert!(codes[limits::RECIPIENTS_MAX..].iter().all(|code| code == "452"));
    assert_eq!(codes.len(), 1200);
    machine.feed(b"DATA\r\n.\r\n");
    assert_eq!(machine.messages[0].transaction.recipients.len(), limits::RECIPIENTS_MAX);
}

#[test]
fn somebody_who_tries_out_names_is_cut_off() {
    let mut machine = machine();
    machine.feed(b"MAIL FROM:<>\r\n");
    lines(&mut machine);
    let codes = codes(&mut machine, "RCPT TO:<nobody@example.org>", 200);
    assert_eq!(codes.len(), usize::try_from(limits::SMTP_RECIPIENTS_REFUSED_MAX).unwrap() + 1);
    assert_eq!(codes.last().unwrap(), "421");
}

#[test]
fn a_message_is_handed_on_as_it_was_meant() {
    let mut machine = machine();
    machine.feed(
        b"EHLO [192.0.2.1]\r\nMAIL FROM:<a@example.net> SMTPUTF8 SIZE=99\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n",
    );
    machine.feed(b"Subject: x\r\n\r\n..\r\n.\r\n");
    let message = &machine.messages[0];
    assert_eq!(message.content, b"Subject: x\r\n\r\n.\r\n");
    assert_eq!(message.protocol, "UTF8SMTP");
    assert_eq!(message.client.name.as_str(), "[192.0.2.1]");
    assert_eq!(message.transaction.reverse_path.to_string(), "a@example.net");
    assert_eq!(message.transaction.parameters.size, Some(99));
}

#[test]
fn content_that_there_is_no_room_for_is_dropped_and_refused_at_its_end() {
    let mut machine = machine();
    machine.feed(b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nSubject: x\r\n");
    assert_eq!(machine.session().waits_for(), Waits::Content);
    assert!(machine.session().content_octets_held() > 0);
    machine.session().refuse_content(Reply::new(452, "4.3.1", "no room"));
    assert_eq!(machine.session().content_octets_held(), 0);
    machine.feed(b"more\r\n.\r\n");
    assert_eq!(lines(&mut machine).last().unwrap(), "452 4.3.1 no room");
    assert!(machine.messages.is_empty());
}

#[test]
fn a_session_can_end_between_transactions() {
    let mut machine = machine();
    assert!(machine.session().is_between_transactions());
    machine.feed(b"MAIL FROM:<>\r\n");
    assert!(!machine.session().is_between_transactions());
    machine.feed(b"RSET\r\n");
    assert!(machine.session().is_between_transactions());
    machine.session().close(Reply::SHUTTING_DOWN);
    machine.feed(b"NOOP\r\n");
    assert_eq!(lines(&mut machine).last().unwrap(), &Reply::SHUTTING_DOWN.to_string());
}

/// What clients say, cut into pieces that make trouble.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 21] = [
        "MAIL FROM:<a@b>",
        "RCPT TO:<alice@example.org>",
        "DATA",
        "BDAT 5",
        "BDAT 3 LAST",
        "RSET",
        "EHLO x",
        "STARTTLS",
        "AUTH PLAIN",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r",
        "\n",
        ".",
        "\r\n.\r\n",
        "text",
        "\0",
        "é",
        "GET / HTTP/1.1",
        "QUIT",
    ];
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    /// The same octets give the same replies and messages, however they are cut.
    #[test]
    fn any_cut_of_a_session_gives_the_same(octets in octets(), cuts in proptest::collection::vec(0usize..200, 0..6)) {
        let (mut whole, mut cut) = (machine(), machine());
        whole.feed(&octets);
        let mut cuts: Vec<usize> = cuts.iter().map(|at| at % (octets.len() + 1)).chain([octets.len()]).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for at in cuts {
            cut.feed(&octets[from..at]);
            from = at;
        }
        prop_assert_eq!(lines(&mut whole), lines(&mut cut));
        prop_assert_eq!(whole.messages, cut.messages);
    }

    #[test]
    fn no_octets_whatever_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        machine().feed(&octets);
    }
}
