//! An HTML link whose text shows one host and whose target is another.

use super::Finding;
use crate::{
    limits, message,
    spam::{Evidence, features::registered},
};

/// `<a href="http://elsewhere.example">http://bank.example</a>`.
pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let leaves =
        evidence.analysis.root.leaves().filter(|part| part.media_type == "text" && part.media_subtype == "html");
    let hidden = leaves.map(|part| hidden_links(&message::decode_part(evidence.raw, part))).sum::<usize>();
    (hidden > 0).then(|| Finding::new(2.0, format!("{hidden} links lead elsewhere than they show")))
}

fn hidden_links(html: &[u8]) -> usize {
    let html = html.get(..limits::SPAM_TEXT_OCTETS_MAX).unwrap_or(html);
    let html = String::from_utf8_lossy(html).to_lowercase();
    html.split("<a ").skip(1).filter(|element| is_hidden(element)).count()
}

fn is_hidden(element: &str) -> bool {
    let Some((tag, rest)) = element.split_once('>') else { return false };
    let Some((_, target)) = tag.split_once("href=") else { return false };
    let shown = rest.split('<').next().unwrap_or_default().trim();
    match (host(target.trim_start_matches(['"', '\''])), host(shown)) {
        (Some(target), Some(shown)) => !target.ends_with(registered(shown)),
        (_, _) => false,
    }
}

/// The host of a text that begins with an http URL.
fn host(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let host = rest.split(|character: char| !(character.is_alphanumeric() || ".-".contains(character))).next()?;
    host.contains('.').then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lie_are_counted() {
        let html = br#"<a href="http://elsewhere.example/x">http://bank.example/login</a>
            <A HREF='https://www.shop.example'>https://shop.example</A> <a href="http://elsewhere.example">click</a>"#;
        assert_eq!(hidden_links(html), 1);
    }
}
