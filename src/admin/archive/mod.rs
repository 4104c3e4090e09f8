//! Mail in files: mbox, Maildir and folders of `.eml`, read and written.
//!
//! Owns: where a message begins and ends in a file, when it came, its flags and its mailbox; line ends. Promises: what
//! was written reads back as it was, up to what a form cannot hold (see [`Form`]); a file of any size is read with
//! the memory of one message and some 100 octets for each. Never: changes a file that it reads; writes over one that
//! exists.
//!
//! RFC 4155 (mbox), in the variant that quotes `From ` and `>From ` alike ("mboxrd"), so that quoting can be undone;
//! Maildir with the folders of Maildir++.

mod eml;
mod line_ends;
mod maildir;
mod mbox;
mod modified_utf7;
mod survey;
mod write;

pub(super) use line_ends::{as_imported, as_written};
pub(super) use survey::{Found, Survey};
pub(super) use write::{Outgoing, Writer};

use serde::{Deserialize, Serialize};

/// How mail lies in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A file for each mailbox, messages one after another. Holds no flags, and ends each message with a line end.
    Mbox,
    /// A folder for each mailbox, a file for each message. Holds dates, system flags and `$Forwarded`.
    Maildir,
    /// A file for each message, octet for octet. Holds neither flags nor dates.
    Eml,
}
