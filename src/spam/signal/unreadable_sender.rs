//! No author that could be read: From missing or without an address.

use super::Finding;
use crate::spam::Evidence;

/// RFC 5322 §3.6 asks for exactly one From; every mail program writes it.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let readable =
        evidence.analysis.envelope.from.iter().any(|author| author.mailbox.is_some() && author.host.is_some());
    (!readable).then(|| Finding::new(1.0, "no author that can be read"))
}

#[cfg(test)]
mod tests {
    use crate::spam::signal::names_found;

    #[test]
    fn a_message_without_an_author_is_found() {
        assert_eq!(names_found(b"Subject: a\r\n\r\nb\r\n", None), ["unreadable_sender"]);
    }
}
