//! Who sent a message: iprev, SPF, DKIM, DMARC, ARC, and the Authentication-Results field that says so.
//!
//! Owns: mail_auth (cryptography and canonical forms of DKIM and ARC, DMARC's evaluation) and an SPF evaluator of our own. Promises:
//! every check has an [`Outcome`], whatever the message, the DNS or the clock do; the number of look-ups, signatures and fields
//! and the time are bounded; a check that could not be made is never a pass; one reading of From serves every
//! check. mail_auth asks through our resolver, so that there is one cache, and its mistakes that matter are mended at this
//! border (see `dkim`, `arc`, `dmarc`). Never: changes a message; blocks the reactor with cryptography; lets a panic of a
//! parser that is not ours out. There is no error: what goes wrong is an outcome. Nothing is logged here.
//!
//! RFC 6376, RFC 7208, RFC 8301, RFC 8463, RFC 8601, RFC 8616, RFC 8617, RFC 9989. Not implemented: RFC 6541 (third-party DKIM
//! signatures), RFC 6651, RFC 9990 and RFC 9991 (reports), sealing with ARC.

mod arc;
mod authenticator;
mod dkim;
mod dkim_key;
mod dmarc;
mod header;
mod iprev;
mod public_key;
mod report;
mod results;
mod signature;
pub mod spf;
mod tag_list;

pub use authenticator::{Authenticator, Client};
pub use dkim_key::{DkimKey, DkimKeyError};
pub use header::header_from_domain;
pub use report::{DkimResult, DmarcPolicy, DmarcResult, Outcome, Report, SpfResult};
