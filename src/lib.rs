//! Postern: a mail server in one binary.
//!
//! ```text
//!  socket       smtp session    authentication     spam       delivery            store                imap session      socket
//!   net ─bytes─▶ smtp ─event─▶ authentication ─▶ spam ─▶ delivery ─append─▶ metadata+blob+index ─read─▶ imap ─bytes─▶ net
//!                 └────────────── driven by mx/receive.rs ─────────┘             └──changes──▶ imap (IDLE)
//!                                                                         admin ◀── control socket ◀── cli
//! ```
//!
//! Imports point against the flow: a stage names what it receives and never who receives from it.
//! `mx` and `imap` meet only in `store`. Protocol cores (`smtp`, `imap`) do no I/O of their own.
//! `tests/architecture.rs` checks the table of modules, ranks and package owners.

pub mod accounts;
pub mod admin;
pub mod authentication;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod dns;
pub mod imap;
pub mod limits;
pub mod mail;
pub mod message;
pub mod mx;
pub mod net;
pub mod server;
pub mod smtp;
pub mod spam;
pub mod store;
pub mod submission;
pub mod tls;
pub mod work;
