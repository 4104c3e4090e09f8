//! Benchmarks over real sockets: Postern, and Postfix with Dovecot beside it in the same run where
//! Debian's packages are installed and we are root.
//!
//! `make bench` runs all of it; `make bench BENCH="--messages 5000 --sessions 16"` sizes it, `BENCH="large --messages
//! 1000000"` measures one large mailbox. Load goes to
//! loopback only and ends by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs
)]

mod client;
mod debian;
mod generate;
mod io;
mod large;
mod measure;
mod postern;
#[path = "../support/split_mix.rs"]
mod split_mix;

use measure::{Figures, Plan};

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "large").is_some() {
        return large::run(large::Plan::from_arguments(arguments));
    }
    let plan = Plan::from_arguments(arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{} messages of about {} octets, {} sessions, {} accounts; then {} pushes and {} searches a class\n",
        plan.messages, plan.octets, plan.sessions, plan.accounts, plan.pushes, plan.searches
    );
    let mut rows: Vec<(String, Figures)> = Vec::new();
    for round in 1..=plan.rounds {
        match runtime.block_on(postern::start(&plan)) {
            Ok(server) => {
                rows.push((format!("postern, round {round}"), runtime.block_on(measure::run(&server, &plan))))
            }
            Err(reason) => println!("postern: not measured, {reason}"),
        }
        match debian::start(&plan) {
            Ok(server) => {
                rows.push((format!("postfix + dovecot, round {round}"), runtime.block_on(measure::run(&server, &plan))))
            }
            Err(reason) => println!("postfix + dovecot: not measured, {reason}"),
        }
    }
    measure::print(&rows);
}
