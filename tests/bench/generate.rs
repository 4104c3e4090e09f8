//! Seeded mail: words of a Zipf-like vocabulary, a few headers, plain text.

use crate::split_mix::SplitMix;

/// The same seed gives the same mail everywhere.
pub struct Random(SplitMix);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(SplitMix(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const ONSETS: [&str; 16] = ["b", "br", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "w"];
const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ea", "ou", "ai"];
const CODAS: [&str; 8] = ["", "n", "r", "s", "l", "t", "nd", "ck"];

/// The word of a rank; frequent ones are short.
fn word(rank: u64) -> String {
    let mut random = Random::new(rank);
    let syllables = 1 + usize::from(rank > 60) + usize::from(rank > 3000);
    (0..syllables)
        .map(|_| {
            let onset = ONSETS[random.below(16) as usize];
            let vowel = VOWELS[random.below(8) as usize];
            format!("{onset}{vowel}{}", CODAS[random.below(8) as usize])
        })
        .collect()
}

/// A rank with a probability that falls about as 1/rank, up to some 22,000.
fn rank(random: &mut Random) -> u64 {
    let uniform = random.below(1 << 32) as f64 / (1_u64 << 32) as f64;
    (10.0_f64 * uniform).exp() as u64
}

/// One message with a marker word of its own, in CRLF lines.
pub fn message(seed: u64, octets: usize, recipient: &str) -> String {
    let mut random = Random::new(seed);
    let mut text = format!(
        "From: Sender {0} <sender{0}@bench.example>\r\nTo: {recipient}\r\nSubject: {1} {2} {3}\r\n\
         Date: Mon, 02 Nov 2026 10:{4:02}:{5:02} +0000\r\nMessage-ID: <{seed}@bench.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nmarker{seed:08x}marker\r\n",
        random.below(200),
        word(rank(&mut random)),
        word(rank(&mut random)),
        word(rank(&mut random)),
        random.below(60),
        random.below(60),
    );
    let mut column = 0;
    while text.len() < octets {
        let next = word(rank(&mut random));
        column += next.len() + 1;
        text.push_str(&next);
        text.push_str(if column > 70 { "\r\n" } else { " " });
        column = if column > 70 { 0 } else { column };
    }
    text.push_str("\r\n");
    text
}

/// A frequent word and one in the middle of the vocabulary, for searches.
pub fn common_and_middling() -> (String, String) {
    (word(3), word(900))
}
