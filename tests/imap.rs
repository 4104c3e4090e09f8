//! IMAP: dialogues with a server on real sockets, in the clear and inside TLS, and what a dialogue cannot say.

mod conduct;
mod letters;
mod server;

use crate::support::dialogue::{ARRIVALS, dialogues};
use server::{Security, Server};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every dialogue under `fixtures/transcripts/imap` holds, however its octets arrive, in the clear and inside TLS.
///
/// Header lines: `messages: MAILBOX letter letter:flag,flag` puts letters into alice's mailboxes, oldest first;
/// `security: clear` or `security: strict` names a listener (STARTTLS with logins in the clear, or without), else the
/// dialogue runs on both the clear and the TLS listener. The letters are not `\Recent` any more, unless `recent: yes` says so.
/// `quota: octets=N messages=N` limits alice's account. The account is alice, with the password `secret`.
#[test]
fn dialogues_hold() {
    let mut server = Server::start();
    let mut failed = Vec::new();
    for dialogue in dialogues("imap") {
        let securities = match dialogue.words("security").next() {
            None => vec![Security::Clear, Security::Tls],
            Some("clear") => vec![Security::Clear],
            Some("strict") => vec![Security::Strict],
            Some(other) => panic!("{}: no such security: {other}", dialogue.file().display()),
        };
        for security in securities {
            for arrival in ARRIVALS {
                server.reset(&dialogue);
                // One that fails leaves the others their turn, and has said why.
                let held = catch_unwind(AssertUnwindSafe(|| dialogue.check(&mut server.peer(security), arrival)));
                failed.extend(
                    held.is_err().then(|| format!("{} ({security:?}, {arrival:?})", dialogue.file().display())),
                );
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
