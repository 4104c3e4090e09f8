//! Signals: single facts that speak for or against spam, each in a file of its own.
//!
//! A signal sees the evidence and says what it found, or nothing. It never fails: what it cannot
//! read, it does not find.

mod author;
mod dangerous_attachment;
mod dmarc;
mod hidden_link;
mod reverse_dns;
mod spf;
mod unreadable_sender;

use super::{filter::Evidence, verdict::Reason};

/// What a signal found.
struct Finding {
    /// What it adds to the log-odds of spam.
    weight: f32,
    /// What was seen. Never text of the message.
    evidence: String,
}

impl Finding {
    fn new(weight: f32, evidence: impl Into<String>) -> Self {
        Self { weight, evidence: evidence.into() }
    }
}

/// A signal's name and what it does.
type Signal = (&'static str, fn(&Evidence<'_>) -> Option<Finding>);

const SIGNALS: &[Signal] = &[
    ("dmarc", dmarc::find),
    ("spf", spf::find),
    ("reverse_dns", reverse_dns::find),
    ("author", author::find),
    ("hidden_link", hidden_link::find),
    ("dangerous_attachment", dangerous_attachment::find),
    ("unreadable_sender", unreadable_sender::find),
];

/// What all signals found.
pub(super) fn findings(evidence: &Evidence<'_>) -> impl Iterator<Item = Reason> {
    SIGNALS.iter().filter_map(|(signal, find)| {
        let Finding { weight, evidence } = find(evidence)?;
        Some(Reason { signal: (*signal).to_owned(), weight, evidence })
    })
}

#[cfg(test)]
pub(super) fn names_found(raw: &[u8], report: Option<&crate::authentication::Report>) -> Vec<String> {
    let analysis = crate::message::analyse(raw);
    let text = crate::message::search_text(raw, &analysis);
    let evidence = Evidence { report, ..Evidence::of_file(raw, &analysis, &text) };
    findings(&evidence).map(|reason| reason.signal).collect()
}

#[cfg(test)]
mod tests {
    use super::names_found;

    #[test]
    fn a_plain_letter_raises_no_signal() {
        let raw = b"From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: Lunch\r\n\r\nAt noon?\r\n";
        assert!(names_found(raw, None).is_empty());
    }
}
