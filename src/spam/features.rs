//! Hashed features of a message: what the model looks at.
//!
//! Only what the sender wrote counts. Fields that tell which collector or which server a corpus came from
//! are left out (Received, Delivered-To, List-*, Date, X-*, Authentication-Results), or a model learns the collector.

use super::filter::Evidence;
use crate::{
    limits,
    message::{Analysis, Body, HeaderText, Part, SearchText},
};

/// Version of the features: a model says which it was trained on, and is refused by a release with another.
pub(super) const VERSION: u8 = 1;

/// Bits of a feature's hash; a model has a weight for each value.
pub(super) const BITS: u32 = 20;

/// Letters of a word at most; longer ones are counted by their length only.
const WORD_OCTETS_MAX: usize = 24;

/// The features of one message: sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(Vec<u32>);

impl Features {
    /// Reads the features off a message.
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let mut sink = Sink::default();
        headers(evidence.text, &mut sink);
        addresses(evidence.text, &mut sink);
        body(evidence.text, &mut sink);
        structure(&evidence.analysis.root, &mut sink);
        shape(evidence.analysis, evidence.text, &mut sink);
        sink.finish()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Default)]
struct Sink(Vec<u32>);

impl Sink {
    /// Adds a feature of a kind; the kind keeps a word of the subject apart from one of the body.
    fn add(&mut self, kind: &str, value: &str) {
        self.0.push(hash(kind, value, ""));
    }

    fn add_pair(&mut self, kind: &str, first: &str, second: &str) {
        self.0.push(hash(kind, first, second));
    }

    fn finish(mut self) -> Features {
        self.0.sort_unstable();
        self.0.dedup();
        Features(self.0)
    }
}

/// FNV-1a over the three texts with a separator, folded to [`BITS`]. Part of the model's format.
fn hash(kind: &str, first: &str, second: &str) -> u32 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for text in [kind, first, second] {
        for octet in text.bytes().chain([0xff]) {
            state = (state ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let folded = (state >> 44) ^ (state >> 22) ^ state;
    u32::try_from(folded & ((1 << BITS) - 1)).unwrap_or(0)
}

fn header<'a>(text: &'a SearchText, name: &str) -> Option<&'a HeaderText> {
    text.headers.iter().find(|field| field.name == name)
}

fn headers(text: &SearchText, sink: &mut Sink) {
    for (name, kind) in [("subject", "s"), ("x-mailer", "m"), ("user-agent", "m"), ("organization", "o")] {
        if let Some(field) = header(text, name) {
            words(&field.value, kind, sink);
        }
    }
    for name in ["to", "cc", "message-id", "date", "mime-version", "reply-to", "in-reply-to", "references", "x-mailer"]
    {
        if header(text, name).is_none() {
            sink.add("no", name);
        }
    }
}

fn addresses(text: &SearchText, sink: &mut Sink) {
    let Some(from) = header(text, "from") else { return };
    let (name, domain) = from.value.rsplit_once('<').map_or(("", &*from.value), |(name, rest)| (name, rest));
    words(name, "f", sink);
    let domain = domain.rsplit('@').next().unwrap_or_default().trim_end_matches(['>', ' ']).to_lowercase();
    sink.add("fd", registered(&domain));
    sink.add("ft", domain.rsplit('.').next().unwrap_or_default());
    if let Some(reply_to) = header(text, "reply-to") {
        let same = reply_to.value.to_lowercase().contains(registered(&domain));
        sink.add("rt", if same { "same" } else { "other" });
    }
}

/// The last two labels of a host name.
pub(super) fn registered(host: &str) -> &str {
    let second_dot = host.rmatch_indices('.').nth(1).map(|(at, _)| at + 1);
    second_dot.and_then(|at| host.get(at..)).unwrap_or(host)
}

fn body(text: &SearchText, sink: &mut Sink) {
    let looked_at = prefix(&text.body, limits::SPAM_TEXT_OCTETS_MAX);
    words(looked_at, "b", sink);
    let mut links = 0;
    for (at, _) in looked_at.match_indices("://") {
        links += 1;
        let host: String = looked_at
            .get(at + 3..)
            .unwrap_or_default()
            .chars()
            .take(limits::SPAM_HOST_OCTETS_MAX)
            .take_while(|character| character.is_alphanumeric() || matches!(character, '.' | '-' | '@' | '_'))
            .map(|character| character.to_ascii_lowercase())
            .collect();
        link(&host, sink);
    }
    sink.add("links", bucket(links));
}

fn link(host: &str, sink: &mut Sink) {
    if host.contains('@') {
        sink.add("link", "user");
    }
    if !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.') {
        sink.add("link", "address");
        return;
    }
    sink.add("lh", registered(host));
    sink.add("lt", host.rsplit('.').next().unwrap_or_default());
    sink.add("ll", bucket(host.matches('.').count()));
}

/// At most so many octets of a text, cut between characters.
fn prefix(text: &str, octets: usize) -> &str {
    let mut end = octets.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Words and pairs of neighbours. Digits are masked; each letter of a script without spaces is a word.
fn words(text: &str, kind: &str, sink: &mut Sink) {
    let pair_kind = format!("{kind}2");
    let (mut word, mut previous) = (String::new(), String::new());
    let mut close = |word: &mut String, sink: &mut Sink| {
        if word.is_empty() {
            return;
        }
        if word.len() > WORD_OCTETS_MAX {
            *word = format!("long{}", bucket(word.len()));
        }
        sink.add(kind, word);
        if !previous.is_empty() {
            sink.add_pair(&pair_kind, &previous, word);
        }
        std::mem::swap(&mut previous, word);
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_digit() {
            word.push('0');
        } else if is_wide(character) {
            close(&mut word, sink);
            word.push(character);
            close(&mut word, sink);
        } else if character.is_alphanumeric() || matches!(character, '\'' | '$' | '!' | '%') {
            word.extend(character.to_lowercase());
        } else {
            close(&mut word, sink);
        }
    }
    close(&mut word, sink);
}

/// Scripts written without spaces between words: kana, Han, Hangul, Thai.
fn is_wide(character: char) -> bool {
    matches!(u32::from(character), 0x0e00..=0x0e7f | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff)
}

fn structure(part: &Part, sink: &mut Sink) {
    sink.add("ct", &format!("{}/{}", part.media_type, part.media_subtype));
    sink.add("cte", &part.encoding);
    for (name, value) in &part.parameters {
        match name.as_str() {
            "charset" => sink.add("cs", &value.to_lowercase()),
            "name" => sink.add("ext", extension(value)),
            _ => {}
        }
    }
    if let Some((kind, parameters)) = &part.disposition {
        sink.add("cd", kind);
        parameters
            .iter()
            .filter(|(name, _)| name == "filename")
            .for_each(|(_, value)| sink.add("ext", extension(value)));
    }
    match &part.content {
        Body::Leaf => {}
        Body::Multipart(parts) => parts.iter().for_each(|part| structure(part, sink)),
        Body::Message(_, inner) => structure(inner, sink),
    }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| prefix(extension, 8))
}

fn shape(analysis: &Analysis, text: &SearchText, sink: &mut Sink) {
    let octets = usize::try_from(analysis.root.body.end - analysis.root.body.start).unwrap_or(usize::MAX);
    sink.add("size", bucket(octets / 256));
    sink.add("text", bucket(text.body.len() / 64));
    if analysis.root.media_type == "text" && analysis.root.media_subtype == "html" {
        sink.add("html", "only");
    }
    let subject = header(text, "subject").map_or("", |field| &*field.value);
    let (upper, lower) = case_counts(subject);
    if upper > 5 && upper > lower * 2 {
        sink.add("subject", "shouts");
    }
    let (upper, lower) = case_counts(prefix(&text.body, 16 * 1024));
    sink.add("caps", bucket((upper * 40).checked_div(upper + lower).unwrap_or(0)));
    if subject.trim_end().ends_with(|last: char| last.is_ascii_digit()) {
        sink.add("subject", "number last");
    }
}

fn case_counts(text: &str) -> (usize, usize) {
    text.chars().fold((0, 0), |(upper, lower), character| {
        (upper + usize::from(character.is_uppercase()), lower + usize::from(character.is_lowercase()))
    })
}

/// The power of two that a count lies under, as a word.
fn bucket(count: usize) -> &'static str {
    const NAMES: [&str; 12] = ["0", "1", "2", "4", "8", "16", "32", "64", "128", "256", "512", "more"];
    let power = usize::try_from(usize::BITS - count.leading_zeros()).unwrap_or(0);
    NAMES.get(power).copied().unwrap_or("more")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<u32> {
        let mut sink = Sink::default();
        words(text, "b", &mut sink);
        sink.finish().0
    }

    #[test]
    fn case_digits_and_punctuation_do_not_tell_words_apart() {
        assert_eq!(words_of("Save 50, now"), words_of("SAVE 99 (Now)"));
        assert_ne!(words_of("save now"), words_of("now save"));
    }

    #[test]
    fn the_hash_is_part_of_the_format() {
        assert_eq!([hash("b", "word", ""), hash("s2", "two", "words")], [747202, 332251]);
    }

    #[test]
    fn counts_fall_into_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1 << 30].map(bucket), ["0", "1", "2", "2", "4", "more"]);
    }
}
