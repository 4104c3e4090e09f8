//! Every integration test, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]

mod accounts;
mod admin;
mod authentication;
mod blob;
mod cli;
mod config;
mod crash;
mod end_to_end;
mod imap;
mod message;
mod objects;
mod quota;
mod recovery;
mod search;
mod simulation;
mod smtp;
mod store;
mod support;
mod sweep;
mod undelete;
