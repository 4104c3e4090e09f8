//! Messages that can be told apart, with words to search for and attachments that several of them share.

use super::random::Random;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::sync::Arc;

/// A message, made once and sent unchanged however often.
pub struct Letter {
    /// Names it; stands in its header as well.
    pub token: u32,
    /// Its octets.
    pub raw: Vec<u8>,
    /// Words of its subject and text.
    pub words: Vec<&'static str>,
}

/// Words that letters are made of. None is part of another, or of anything else in a letter.
pub const WORDS: &[&str] = &[
    "tulip", "anchor", "granite", "violin", "harvest", "lantern", "meadow", "saffron", "walnut", "zephyr", "copper",
    "juniper", "orchid", "pebble", "quartz", "ribbon",
];

/// The field by which a letter is known again.
pub const TOKEN: &str = "X-Token";

impl Letter {
    /// A letter drawn by chance.
    pub fn draw(token: u32, random: &mut Random) -> Arc<Self> {
        let words = random.some(WORDS, 5);
        let text = text(&words, random);
        let mut raw = format!(
            "From: Sender <sender@example.net>\r\nTo: somebody@example.org\r\nSubject: {} {token}\r\n\
             Message-ID: <{token}@example.net>\r\nDate: Mon, 01 Jan 2024 12:00:00 +0000\r\n{TOKEN}: t{token}.\r\n\
             MIME-Version: 1.0\r\n",
            words[0]
        );
        match random.below(8) {
            0..=4 => raw.push_str(&format!("\r\n{text}")),
            5 | 6 => attach(&mut raw, &text, &attachment(random.below(4)), *random.of(&[76, 64, 72])),
            _ => attach(&mut raw, &text, &attachment(4 + random.below(2)), 76),
        }
        Arc::new(Self { token, raw: raw.into_bytes(), words })
    }
}

fn text(words: &[&str], random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(12) {
        text.push_str(&format!("we speak of {} and {}.\r\n", random.of(words), random.of(words)));
    }
    // Every word at least once.
    text.push_str(&format!("{}\r\n.a line that begins with a dot\r\n", words.join(" ")));
    text
}

/// One of the attachments that letters share: small ones, and from number 4 on such as are kept in objects of their own.
fn attachment(number: usize) -> Vec<u8> {
    let mut random = Random::new(number as u64, 77);
    let octets = [5_000, 9_000, 14_000, 40_000, 270_000, 300_000][number];
    match number % 2 {
        0 => (0..octets).map(|_| random.next() as u8).collect(),
        _ => (0..octets).map(|at| (at / 64) as u8).collect(),
    }
}

fn attach(raw: &mut String, text: &str, content: &[u8], width: usize) {
    raw.push_str("Content-Type: multipart/mixed; boundary=frontier\r\n\r\n--frontier\r\n\r\n");
    raw.push_str(text);
    raw.push_str(
        "\r\n--frontier\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    );
    let encoded = STANDARD.encode(content);
    for line in encoded.as_bytes().chunks(width) {
        raw.push_str(std::str::from_utf8(line).unwrap());
        raw.push_str("\r\n");
    }
    raw.push_str("--frontier--\r\n");
}

/// The token that a header names.
pub fn token_of(octets: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(4_000)]).into_owned();
    let (_, rest) = text.split_once(&format!("{TOKEN}: t"))?;
    rest.split_once('.')?.0.parse().ok()
}
