//! IDLE (RFC 2177, RFC 9051 §6.3.13): changes are pushed at once.
//!
//! Promises: every change committed after IDLE began is reported (P8), because the watch is taken before the first
//! comparison; what the client pipelined behind DONE stays for the next command.

use super::{
    super::{
        response::{Completion, Failure, Outcome},
        session::Session,
        wire::Wire,
    },
    Numbers,
};
use crate::limits;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// DONE and its line end, with room for what is none.
const DONE_OCTETS_MAX: usize = 64;

/// Pushes changes until the client says DONE.
pub(crate) async fn execute(session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let account = session.account()?;
    let mut shutdown = session.shutdown.clone();
    let mut watch = session.services.store.watch(account)?;
    wire.out.extend_from_slice(b"+ idling\r\n");
    let period = Duration::from_secs(limits::IMAP_STILL_HERE_SECONDS);
    let mut still_here = interval_at(Instant::now() + period, period);
    still_here.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        session.report(Numbers::Ignores, wire)?;
        wire.flush().await?;
        if let Some(line) = wire.arrived_line(DONE_OCTETS_MAX) {
            return ended_by(&line);
        }
        wire.rest();
        // Each branch is cancel-safe: what arrived stays in the framer, a change stays in the watch.
        tokio::select! {
            biased;
            arrived = wire.fill() => arrived?,
            changed = watch.changed() => drop(changed?),
            _ = still_here.tick() => wire.out.extend_from_slice(b"* OK Still here\r\n"),
            () = shutdown.begun() => return Err(Failure::Draining),
        }
    }
}

fn ended_by(line: &[u8]) -> Outcome {
    if line.eq_ignore_ascii_case(b"DONE") {
        return Ok(Completion::ok("IDLE completed"));
    }
    Err(Failure::Bad("IDLE: expected DONE".into()))
}
