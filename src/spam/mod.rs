//! The spam verdict: signals, a model over hashed features, one written-down combination.

use crate::{
    authentication::Report,
    mail::ReversePath,
    message::{Analysis, SearchText},
};
use std::{net::IpAddr, path::Path};

/// Above which probabilities a message goes to Junk, and is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Junk from this probability on.
    pub junk: f32,
    /// 550 from this probability on.
    pub reject: f32,
}

/// What is judged.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The octets as received.
    pub raw: &'a [u8],
    /// Their analysis.
    pub analysis: &'a Analysis,
    /// Their text.
    pub text: &'a SearchText,
    /// Who sent it; `None` when training or replaying from files.
    pub report: Option<&'a Report>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The reverse path.
    pub reverse_path: Option<&'a ReversePath>,
}

/// What should become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Deliver to INBOX.
    Inbox,
    /// Deliver to Junk.
    Junk,
    /// Refuse with 550.
    Reject,
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    /// The signal's name, such as `dmarc_fail`, or `model`.
    pub signal: String,
    /// What it adds to the log-odds.
    pub weight: f32,
    /// What was seen, in a few words.
    pub evidence: String,
}

/// A verdict with everything needed to explain it and to judge again with another model.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Calibrated probability that it is spam.
    pub probability: f32,
    /// What should become of it.
    pub disposition: Disposition,
    /// The strongest reason's code, for the one log line.
    pub reason: String,
    /// Every reason, strongest first.
    pub reasons: Vec<Reason>,
    /// Name and version of the model.
    pub model: String,
    /// Hashed features seen, for replay.
    pub features: Vec<u32>,
    /// What authentication found.
    pub report: Option<Report>,
}

impl Verdict {
    /// The form kept with the message.
    pub fn to_stored(&self) -> Vec<u8> {
        unimplemented!("frame: spam")
    }

    /// Reads the form kept with the message; `None` for one of an unknown version.
    pub fn from_stored(octets: &[u8]) -> Option<Self> {
        let _ = octets;
        unimplemented!("frame: spam")
    }
}

/// A filter with its model. Clones share it.
#[derive(Clone)]
pub struct Filter(());

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("the model cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is no model of a version we know, or it is damaged.
    #[error("not a model of this release: {0}")]
    Format(String),
}

impl Filter {
    /// The model shipped with this release (compiled in from `spam-models/`).
    pub fn shipped(thresholds: Thresholds) -> Result<Self, ModelError> {
        let _ = thresholds;
        unimplemented!("frame: spam")
    }

    /// A model from a file.
    pub fn load(path: &Path, thresholds: Thresholds) -> Result<Self, ModelError> {
        let _ = (path, thresholds);
        unimplemented!("frame: spam")
    }

    /// Judges one message (CPU only, some 100 µs). Fails open: an error in a signal never makes a verdict.
    pub fn judge(&self, evidence: &Evidence<'_>) -> Verdict {
        let _ = evidence;
        unimplemented!("frame: spam")
    }
}
