//! SMTP: dialogues with the machine and with a whole server, and what a dialogue cannot say.

mod client;
mod conduct;
mod end_to_end;
mod machine;
mod quota;
mod scram;
mod server;

use crate::support::dialogue::{ARRIVALS, dialogues};
use machine::Machine;

/// Every dialogue under `fixtures/transcripts/smtp` holds, however its octets arrive.
#[test]
fn dialogues_hold() {
    for dialogue in dialogues("smtp") {
        for arrival in ARRIVALS {
            dialogue.check(&mut Machine::new(&dialogue), arrival);
        }
    }
}
