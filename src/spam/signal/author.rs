//! A display name in From that shows another address than the one behind it.

use super::Finding;
use crate::{message::EnvelopeAddress, spam::Evidence};

/// `"service@bank.example" <x@elsewhere.example>`: mail clients that hide addresses show the lie only.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let author = evidence.analysis.envelope.from.first()?;
    shows_other_address(author)
        .then(|| Finding::new(1.5, "the author's name shows an address that is not the author's"))
}

fn shows_other_address(author: &EnvelopeAddress) -> bool {
    let (Some(name), Some(host)) = (&author.name, &author.host) else { return false };
    let name = crate::message::decode_header_value(name).to_lowercase();
    let host = String::from_utf8_lossy(host).to_lowercase();
    let shown = name.split(|character: char| character.is_whitespace() || "<>()\"',;".contains(character));
    let mut hosts =
        shown.filter_map(|word| word.split_once('@')).map(|(_, host)| host).filter(|host| host.contains('.'));
    hosts.any(|shown| !related(shown, &host))
}

/// Whether one host is the other or lies below it.
fn related(one: &str, other: &str) -> bool {
    let below =
        |inner: &str, outer: &str| inner == outer || inner.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'));
    below(one, other) || below(other, one)
}

#[cfg(test)]
mod tests {
    use crate::spam::signal::names_found;

    #[test]
    fn a_name_that_shows_another_address_is_found() {
        for (from, found) in [
            ("\"service@bank.example\" <x@elsewhere.example>", true),
            ("\"alice@example.org\" <alice@mail.example.org>", false),
            ("Alice @ Example <alice@example.org>", false),
        ] {
            let raw = format!("From: {from}\r\nSubject: a\r\n\r\nb\r\n");
            assert_eq!(names_found(raw.as_bytes(), None).contains(&"author".to_owned()), found, "{from}");
        }
    }
}
