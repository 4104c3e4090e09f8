//! Tag lists (RFC 6376 §3.2), as signatures, seals and key records are written.

use crate::limits;

/// `name=value` pairs, each name once.
pub(super) struct TagList<'a>(Vec<(&'a str, &'a str)>);

impl<'a> TagList<'a> {
    /// Parses a whole list. `None` where any of it is not a tag, or a name stands there twice.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?.trim_ascii();
        let text = text.strip_suffix(';').unwrap_or(text);
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for tag in text.split(';') {
            let (name, value) = tag.split_once('=')?;
            let (name, value) = (name.trim_ascii(), value.trim_ascii());
            let known = tags.iter().any(|(other, _)| *other == name);
            if known || tags.len() == limits::TAGS_MAX || !is_tag_name(name) || !is_tag_value(value) {
                return None;
            }
            tags.push((name, value));
        }
        Some(Self(tags))
    }

    /// The value of a tag, folding still in it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The value of a tag without white space.
    pub(super) fn compact(&self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        Some(value.chars().filter(|character| !character.is_ascii_whitespace()).collect())
    }

    /// The parts of a value between colons, white space around them left out.
    pub(super) fn parts(&self, name: &str) -> Option<Vec<&'a str>> {
        Some(self.get(name)?.split(':').map(str::trim_ascii).collect())
    }

    /// The name of the first tag.
    pub(super) fn first_name(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }
}

fn is_tag_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

/// Printable text and folding; UTF-8 as of RFC 8616 §5.
fn is_tag_value(value: &str) -> bool {
    value.chars().all(|character| !character.is_control() || character.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_with_folding_around_them() {
        let tags = TagList::parse(b" v=1;\r\n\th= From : To;b =ab\r\n\tc= ; x=;\r\n").unwrap();
        assert_eq!(tags.get("v"), Some("1"));
        assert_eq!(tags.parts("h"), Some(vec!["From", "To"]));
        assert_eq!(tags.compact("b").as_deref(), Some("abc="));
        assert_eq!((tags.get("x"), tags.get("y"), tags.first_name()), (Some(""), None, Some("v")));
    }

    #[test]
    fn what_is_no_tag_list_is_refused() {
        let many: String = (0..=limits::TAGS_MAX).map(|tag| format!("a{tag}=;")).collect();
        for text in ["", ";", "v", "v=1;;d=2", "v=1;v=1", "1v=1", "=1", "v-w=1", "v=\u{1}", &many] {
            assert!(TagList::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(TagList::parse(b"v=\xff").is_none());
    }
}
