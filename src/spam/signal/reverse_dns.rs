//! Whether the client's address has a name that leads back to it (RFC 8601 §2.7.3).

use super::Finding;
use crate::{authentication::Outcome, spam::Evidence};

/// Mail servers have names; most infected machines have none, or one that their provider made from the address.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let (outcome, name) = &evidence.report?.iprev;
    match (outcome, name) {
        (Outcome::Fail | Outcome::PermError | Outcome::None, _) => {
            Some(Finding::new(0.8, "the client's address has no name that leads back"))
        }
        (Outcome::Pass, Some(name)) if looks_made_from_address(name) => {
            Some(Finding::new(0.6, "the client's name is made from its address"))
        }
        (_, _) => None,
    }
}

/// Three or more groups of digits, as in `host-192-0-2-1.pool.example`.
fn looks_made_from_address(name: &str) -> bool {
    let groups = name.split(|character: char| !character.is_ascii_digit()).filter(|group| !group.is_empty());
    groups.count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_made_from_addresses_are_known() {
        assert!(looks_made_from_address("host-192-0-2-1.pool.example"));
        assert!(!looks_made_from_address("mx1.mail24.example.org"));
    }
}
