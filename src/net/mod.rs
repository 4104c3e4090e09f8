//! Listeners, connection permits, streams with TLS upgrade, shutdown.
//!
//! Owns: sockets from `bind` to `accept`, the bounds on how many connections there are, the TLS upgrade of a
//! stream, and the tasks of sessions. Promises: a connection over the bounds costs one short write and no task; a
//! permit is held for as long as its connection; [`serve`] returns after its sessions. Never: knows a protocol; reads or
//! writes a session's octets by itself. Errors are `io::Error`; a lack of file descriptors is logged and waited out, and a
//! session that panics is logged and takes nobody else with it. A simulation has listeners and streams of a network in memory
//! (`simulated`); nothing above can tell.
//!
//! RFC 3207 §4 and RFC 8314 for where TLS begins. Not implemented: the PROXY protocol.

mod listener;
mod serve;
mod shutdown;
mod simulated;
mod stream;

pub use crate::tls::Acceptor;
pub use listener::{Accepted, Activity, Listener, ListenerSettings, Permit};
pub use serve::serve;
pub use shutdown::{Drain, Shutdown};
pub use simulated::{Pipe, SimulatedNetwork};
pub use stream::Stream;
