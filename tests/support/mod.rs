//! What the tests share.
#![allow(dead_code)]

pub mod archive;
pub mod client;
pub mod dialogue;
pub mod s3;
pub mod server;
pub mod split_mix;
pub mod task;

pub use archive::corpora;
