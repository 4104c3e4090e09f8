//! What was found out about a message's origin.

use serde::{Deserialize, Serialize};

/// The outcome of one check (RFC 8601 §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to check.
    None,
    /// Checked, and right.
    Pass,
    /// Checked, and wrong.
    Fail,
    /// Wrong, but the domain asks for leniency (SPF `~all`).
    SoftFail,
    /// The domain says nothing either way (SPF `?all`, DKIM not acceptable by policy).
    Neutral,
    /// A name server did not answer; another try may give another outcome.
    TempError,
    /// The published record or the message cannot be evaluated.
    PermError,
}

impl Outcome {
    /// The word of RFC 8601 §2.7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// What a DMARC policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// Only reports.
    None,
    /// Treat with suspicion.
    Quarantine,
    /// Refuse.
    Reject,
}

impl DmarcPolicy {
    /// The word of RFC 9989 §4.7.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// SPF for one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpfResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The domain whose record was looked for.
    pub domain: String,
    /// The explanation of a fail, where the domain gives one.
    pub explanation: Option<String>,
}

/// One DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimResult {
    /// The outcome.
    pub outcome: Outcome,
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// Why it did not pass.
    pub reason: Option<String>,
}

/// DMARC (RFC 9989).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The policy that applies where it failed.
    pub policy: DmarcPolicy,
    /// The domain of the From field; `None` where it has none or several authors.
    pub header_from: Option<String>,
}

/// Everything found out about a message's origin. It is kept with the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether the address's name leads back to the address (RFC 8601 §3), and the name.
    pub iprev: (Outcome, Option<String>),
    /// SPF of the EHLO name.
    pub spf_helo: SpfResult,
    /// SPF of the reverse path.
    pub spf_mail_from: SpfResult,
    /// Each DKIM signature, as far as the bound on their number goes.
    pub dkim: Vec<DkimResult>,
    /// The ARC chain.
    pub arc: Outcome,
    /// DMARC.
    pub dmarc: DmarcResult,
}
