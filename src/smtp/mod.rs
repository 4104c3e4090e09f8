//! The SMTP session as a machine without I/O (RFC 5321): octets in, events and replies out.
//!
//! Owns: command lines and their grammar, the order of commands, extensions, the framing of DATA and BDAT, every reply that
//! follows from these alone, and the bounds on a client's conduct. `mx` and `submission` drive it and decide what needs
//! knowledge of accounts or of the message. Promises: the same octets give the same replies and events, however they
//! are cut; lines end with CRLF only, so no other server can see an end of data where this one does not (SMTP smuggling);
//! memory is bounded by one command line and, within the announced SIZE, one message. Never: reads a clock, waits, or
//! knows an account. Nothing is logged here; a peer's faults become replies.
//!
//! Implements RFC 5321, RFC 1870 (SIZE), RFC 2034 and RFC 3463 (ENHANCEDSTATUSCODES), RFC 2920 (PIPELINING), RFC 3030
//! (CHUNKING), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 9422 (LIMITS). Not
//! implemented: RFC 3030 BINARYMIME, RFC 3461 (DSN), RFC 8689 (REQUIRETLS), PRDR.

mod command;
mod conduct;
mod content;
mod line;
mod reply;
mod session;

pub use command::{ClientName, Command, CommandError, MailParameters};
pub use reply::Reply;
pub use session::{Authentication, Client, Event, Message, Refused, Session, Settings, Tls, Transaction, Waits};
