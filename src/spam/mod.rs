//! The spam verdict: signals, a model over hashed features, one written-down combination.
//!
//! Owns: features, signals, the model's file format, training and the [`Verdict`].
//!
//! Promises: judging is a pure function of the [`Evidence`], costs some hundred microseconds of CPU and
//! at most [`limits::SPAM_TEXT_OCTETS_MAX`](crate::limits::SPAM_TEXT_OCTETS_MAX) octets of text are looked at. Features are a pure function of
//! the stored octets, so they are made again for explanation and replay instead of being kept.
//!
//! The combination: log-odds = model's log-odds + the sum of the signals' weights; probability = logistic of it.
//! The model's log-odds are calibrated on messages held back from training; a signal's weight is a
//! constant beside its code, with the reason for its size.
//!
//! Never: rejects on a signal alone (the model must agree), reads the network, learns from a
//! verdict of its own. Fails open: what cannot be read adds nothing.

mod corpus;
mod features;
mod filter;
mod measure;
mod model;
mod signal;
mod train;
mod verdict;

pub use corpus::{Corpus, Example, Label};
pub use filter::{Evidence, Filter, Thresholds};
pub use measure::{Measure, Scored};
pub use model::{Model, ModelError};
pub use train::{Training, train};
pub use verdict::{Disposition, Reason, Verdict};
