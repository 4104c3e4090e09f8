//! Tokens of folded text, and the positions that make a phrase check exact.
//!
//! A token is a run without spaces, so that addresses, URLs and order numbers are one; a letter of a script
//! written without spaces is a token of its own. Tokens that touch are two positions apart, tokens with a
//! space between them three: `a b`, `ab` and `axb` cannot be taken for each other. A run over
//! [`PIECE_OCTETS`] is cut into pieces that overlap by [`OVERLAP_OCTETS`], so that every part of it up to
//! that length lies in one piece.
//!
//! In header text each line begins with a mark and the field's name as a term of a kind of its own; a line never
//! runs into the next.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Before the name of a header field, as the first octet of its term.
pub(super) const NAME: char = '\u{1}';
/// The term at the start of each header line.
pub(super) const LINE: &str = "\u{2}";
/// The term of a text that has a run over [`PIECE_OCTETS`].
pub(super) const LONG: &str = "\u{3}";

/// Octets of one token at most.
pub(super) const PIECE_OCTETS: usize = 256;
/// Octets that neighbouring pieces of a long run share.
pub(super) const OVERLAP_OCTETS: usize = 128;

/// Position from one token to the next where they touch. No sum of these is [`SPACED`].
pub(super) const TOUCHING: usize = 2;
/// The same with a space between them.
const SPACED: usize = 3;
/// The same from line to line.
const LINES: usize = 16;

/// Replaces control characters, some of which mark terms of their own. Needle and text alike.
pub(super) fn without_controls(text: &str) -> std::borrow::Cow<'_, str> {
    if text.bytes().any(|octet| octet < b' ') {
        return text.replace(|character: char| character < ' ', "\u{fffd}").into();
    }
    text.into()
}

/// Whether a character is a token of its own: kana, Han, Hangul, Thai, Lao, Khmer, Burmese.
fn stands_alone(character: char) -> bool {
    matches!(u32::from(character),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af
        | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

/// Cuts a text without spaces at the letters that stand alone.
fn units(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match stands_alone(first) {
            true => first.len_utf8(),
            false => rest.find(stands_alone).unwrap_or(rest.len()),
        };
        let (unit, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(unit)
    })
}

/// The pieces of one unit: itself, or windows over a long one.
fn pieces(unit: &str) -> impl Iterator<Item = &str> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let end = floor(unit, from + PIECE_OCTETS);
        start = (end < unit.len()).then(|| floor(unit, end - OVERLAP_OCTETS));
        unit.get(from..end)
    })
}

/// The next character boundary at or below an offset.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A token of a needle and its distance from the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub(super) text: &'a str,
    pub(super) offset: u32,
}

/// The tokens of a needle. Runs over [`OVERLAP_OCTETS`] are not what an index can answer: `None`.
pub(super) fn needle_tokens(needle: &str) -> Option<Vec<Placed<'_>>> {
    let (mut tokens, mut offset) = (Vec::new(), 0);
    for (index, run) in needle.split(' ').enumerate() {
        let mut step = if index == 0 { 0 } else { SPACED };
        for unit in units(run) {
            if unit.len() > OVERLAP_OCTETS {
                return None;
            }
            offset += step;
            tokens.push(Placed { text: unit, offset: u32::try_from(offset).ok()? });
            step = TOUCHING;
        }
    }
    Some(tokens)
}

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lines `name: value`, separated by line ends.
    Headers,
    /// One text.
    Body,
}

/// The tokenizer under which the fields are indexed. Takes folded text.
#[derive(Clone)]
pub(super) struct Folded(pub(super) Kind);

impl Tokenizer for Folded {
    type TokenStream<'a> = Tokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens<'a> {
        let mut tokens = Vec::new();
        let mut position = 0;
        match self.0 {
            Kind::Body => text_tokens(text, &mut position, &mut tokens),
            Kind::Headers => text.split('\n').for_each(|line| line_tokens(line, &mut position, &mut tokens)),
        }
        Tokens { tokens, next: 0, token: Token::default() }
    }
}

fn line_tokens<'a>(line: &'a str, position: &mut usize, tokens: &mut Vec<(Term<'a>, usize)>) {
    *position += LINES;
    tokens.push((Term::Plain(LINE), *position));
    *position += TOUCHING;
    let (name, value) = line.split_once(' ').unwrap_or((line, ""));
    tokens.push((Term::Name(name), *position));
    *position += SPACED;
    text_tokens(value, position, tokens);
}

/// Tokens of a text whose first one stands at `position`; leaves the position of its last one.
fn text_tokens<'a>(text: &'a str, position: &mut usize, tokens: &mut Vec<(Term<'a>, usize)>) {
    for (index, run) in text.split(' ').enumerate() {
        *position += if index == 0 { 0 } else { SPACED };
        let mut step = 0;
        for unit in units(run) {
            if unit.len() > PIECE_OCTETS {
                tokens.push((Term::Plain(LONG), *position));
            }
            for piece in pieces(unit) {
                *position += step;
                tokens.push((Term::Plain(piece), *position));
                step = TOUCHING;
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Term<'a> {
    Plain(&'a str),
    Name(&'a str),
}

/// The tokens of one text.
pub(super) struct Tokens<'a> {
    tokens: Vec<(Term<'a>, usize)>,
    next: usize,
    token: Token,
}

impl TokenStream for Tokens<'_> {
    fn advance(&mut self) -> bool {
        let Some((term, position)) = self.tokens.get(self.next) else { return false };
        self.next += 1;
        self.token.position = *position;
        self.token.text.clear();
        match term {
            Term::Plain(text) => self.token.text.push_str(text),
            Term::Name(name) => {
                self.token.text.push(NAME);
                self.token.text.push_str(name);
            }
        }
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(kind: Kind, text: &str) -> Vec<(String, usize)> {
        let mut tokenizer = Folded(kind);
        let mut stream = tokenizer.token_stream(text);
        let mut found = Vec::new();
        while stream.advance() {
            found.push((stream.token().text.clone(), stream.token().position));
        }
        found
    }

    #[test]
    fn a_space_sets_tokens_further_apart_than_touching() {
        let found = tokens(Kind::Body, "ab cd日本e f");
        let expected = [("ab", 0), ("cd", 3), ("日", 5), ("本", 7), ("e", 9), ("f", 12)];
        assert_eq!(found, expected.map(|(text, position)| (text.to_owned(), position)));
    }

    #[test]
    fn a_header_line_begins_with_a_mark_and_its_name() {
        let found = tokens(Kind::Headers, "to: a b\nx: c");
        let expected =
            [("\u{2}", 16), ("\u{1}to:", 18), ("a", 21), ("b", 24), ("\u{2}", 40), ("\u{1}x:", 42), ("c", 45)];
        assert_eq!(found, expected.map(|(text, position)| (text.to_owned(), position)));
    }

    #[test]
    fn every_short_part_of_a_long_run_lies_in_one_piece() {
        let run: String = (0..400).map(|index| char::from_u32(0xe0 + index % 90).unwrap()).collect();
        let pieces: Vec<&str> = pieces(&run).collect();
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= PIECE_OCTETS));
        for start in (0..run.len() - OVERLAP_OCTETS + 8).step_by(2) {
            let part = &run[start..start + OVERLAP_OCTETS - 8];
            assert!(pieces.iter().any(|piece| piece.contains(part)), "{start}");
        }
    }
}
