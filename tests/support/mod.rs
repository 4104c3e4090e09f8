//! What the tests share.
#![allow(dead_code)]

pub mod archive;
pub mod client;
pub mod dialogue;
pub mod s3;
pub mod server;

pub use archive::corpora;
