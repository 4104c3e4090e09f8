//! The tail: folded text of messages that no segment holds yet.
//!
//! A value is a row of entries (kind, octets of the text, the text), compressed by zstd. Values may be
//! put one behind the other, so the trace fields of each recipient can stand before a text that all share.

use super::{
    TextKey,
    token::{Kind, without_controls},
};
use crate::message::{SearchText, fold};
use memchr::memmem;

/// Fast, and half the size: a tail row is written once and read until its segment is made.
const ZSTD_LEVEL: i32 = 1;

/// The folded text of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// Header lines as `name: value`.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

impl Text {
    pub(super) fn of(text: &SearchText) -> Self {
        let line = |name: &str, value: &str| clean(&format!("{name}: {}", value.trim()));
        let headers = text.headers.iter().map(|header| line(&header.name, &header.value)).collect();
        Self { headers, body: clean(&text.body) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.body.len() + 512);
        for line in &self.headers {
            put(&mut entries, Kind::Headers, line);
        }
        if !self.body.is_empty() {
            put(&mut entries, Kind::Body, &self.body);
        }
        zstd::bulk::compress(&entries, ZSTD_LEVEL).expect("compressing into memory does not fail")
    }

    /// Reads values that stand one behind the other; `None` where they are damaged.
    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let entries = zstd::stream::decode_all(octets).ok()?;
        let (mut text, mut rest) = (Self::default(), &*entries);
        while let Some((kind, after)) = rest.split_first() {
            let (length, after) = after.split_first_chunk::<4>()?;
            let (content, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            let content = std::str::from_utf8(content).ok()?;
            match kind {
                0 => text.headers.push(content.to_owned()),
                _ => text.body.push_str(content),
            }
            rest = after;
        }
        Some(text)
    }

    /// Octets of text.
    pub(super) fn octets(&self) -> usize {
        self.body.len() + self.headers.iter().map(|line| line.len() + 1).sum::<usize>()
    }

    /// Whether the text fulfils a condition: what the index has to answer too.
    pub(super) fn matches(&self, key: &TextKey) -> bool {
        match key {
            TextKey::Header { name, needle } => {
                let values = self.headers.iter().filter_map(|line| value_of(line, name));
                values.into_iter().any(|value| contains(value, needle))
            }
            TextKey::Body(needle) => contains(&self.body, needle),
            TextKey::Text(needle) => {
                contains(&self.body, needle) || self.headers.iter().any(|line| contains(line, needle))
            }
        }
    }
}

fn clean(text: &str) -> String {
    without_controls(&fold(text)).into_owned()
}

fn put(entries: &mut Vec<u8>, kind: Kind, text: &str) {
    entries.push(match kind {
        Kind::Headers => 0,
        Kind::Body => 1,
    });
    entries.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    entries.extend_from_slice(text.as_bytes());
}

/// The value of a header line that has this name.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?.strip_prefix(':')?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

fn contains(text: &str, needle: &str) -> bool {
    memmem::find(text.as_bytes(), needle.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HeaderText;

    fn text() -> SearchText {
        let header = |name: &str, value: &str| HeaderText { name: name.to_owned(), value: value.to_owned() };
        let headers = vec![header("subject", "Grüße  aus Ulm"), header("to", "bob@example.org")];
        SearchText { headers, body: "One\r\nTWO".to_owned() }
    }

    #[test]
    fn values_one_behind_the_other_read_as_one_text() {
        let trace = SearchText {
            headers: vec![HeaderText { name: "received".into(), value: "by mx".into() }],
            body: String::new(),
        };
        let octets = [Text::of(&trace).encode(), Text::of(&text()).encode()].concat();
        let both = Text::decode(&octets).unwrap();
        assert_eq!(both.headers, ["received: by mx", "subject: grüße aus ulm", "to: bob@example.org"]);
        assert_eq!(both.body, "one two");
        assert_eq!(Text::decode(&octets[..octets.len() - 3]), None);
    }

    #[test]
    fn a_scan_keeps_fields_apart() {
        let text = Text::of(&text());
        let header = |name: &str, needle: &str| TextKey::Header { name: name.into(), needle: needle.into() };
        assert!(text.matches(&header("subject", "ße aus")));
        assert!(!text.matches(&header("subject", "bob")));
        assert!(!text.matches(&header("subject", "subject")));
        assert!(text.matches(&header("to", "")));
        assert!(!text.matches(&header("cc", "")));
        assert!(text.matches(&TextKey::Text("to: bob".into())));
        assert!(text.matches(&TextKey::Body("e t".into())));
        assert!(!text.matches(&TextKey::Body("bob".into())));
    }
}
