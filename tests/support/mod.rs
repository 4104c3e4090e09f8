//! What the tests share.
#![allow(dead_code)]

pub mod archive;
pub mod dialogue;

pub use archive::corpora;
