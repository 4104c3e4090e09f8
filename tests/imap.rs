//! IMAP: dialogues with a server on real sockets, in the clear and inside TLS, and what a dialogue cannot say.

mod conduct;
mod letters;
mod server;

use crate::support::dialogue::{ARRIVALS, dialogues};
use server::{Security, Server};

/// Every dialogue under `fixtures/transcripts/imap` holds, however its octets arrive, in the clear and inside TLS.
///
/// Header lines: `messages: MAILBOX letter letter:flag,flag` puts letters into alice's mailboxes, oldest first;
/// `security: clear` or `security: strict` names a listener (STARTTLS with logins in the clear, or without), else the
/// dialogue runs on both the clear and the TLS listener. Accounts are alice and bob, with the password `secret`.
#[test]
fn dialogues_hold() {
    let mut server = Server::start();
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
                dialogue.check(&mut server.peer(security), arrival);
            }
        }
    }
}
