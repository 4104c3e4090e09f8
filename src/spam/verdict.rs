//! The verdict on one message and the form it is kept in.

use crate::authentication::Report;
use serde::{Deserialize, Serialize};

/// Version of the stored form; its first octet.
const STORED_VERSION: u8 = 1;

/// What should become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The signal's name, such as `dmarc`, or `model`.
    pub signal: String,
    /// What it adds to the log-odds of spam; negative speaks for ham.
    pub weight: f32,
    /// What was seen, in a few words. Never text of the message.
    pub evidence: String,
}

/// A verdict with what is needed to explain it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Calibrated probability that it is spam.
    pub probability: f32,
    /// What should become of it.
    pub disposition: Disposition,
    /// The strongest reason's signal, for the one log line.
    pub reason: String,
    /// Every reason, strongest first.
    pub reasons: Vec<Reason>,
    /// Name of the model.
    pub model: String,
    /// What authentication found.
    pub report: Option<Report>,
}

impl Verdict {
    /// The form kept with the message.
    pub fn to_stored(&self) -> Vec<u8> {
        let mut octets = vec![STORED_VERSION];
        serde_json::to_writer(&mut octets, self).expect("a verdict has no map with other than text keys");
        octets
    }

    /// Reads the form kept with the message; `None` for one of an unknown version.
    pub fn from_stored(octets: &[u8]) -> Option<Self> {
        match octets.split_first()? {
            (&STORED_VERSION, json) => serde_json::from_slice(json).ok(),
            (_, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_reads_back() {
        let verdict = Verdict {
            probability: 0.25,
            disposition: Disposition::Inbox,
            reason: "model".to_owned(),
            reasons: vec![Reason { signal: "model".to_owned(), weight: -1.5, evidence: "120 features".to_owned() }],
            model: "base".to_owned(),
            report: None,
        };
        let stored = verdict.to_stored();
        assert_eq!(Verdict::from_stored(&stored), Some(verdict));
        assert_eq!(Verdict::from_stored(&stored[1..]), None);
        assert_eq!(Verdict::from_stored(&[]), None);
    }
}
