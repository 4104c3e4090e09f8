//! Folding for search: text and needle folded alike make SEARCH a comparison of octets.

use memchr::{memchr2, memchr3, memmem};
use unicode_normalization::UnicodeNormalization;

/// Folds text for search, the same for what is searched and what is looked for: a message matches where
/// its folded text contains the folded needle.
///
/// 1. Case: a character and its capital are equal, by the single-character mappings that i;unicode-casemap
///    uses (RFC 5051 §2). So `ß` is not `ss`.
/// 2. Compatibility and composition: forms that look alike are equal (full-width letters, ligatures), and
///    so are composed and decomposed forms (NFKC). The composed form is kept, where RFC 5051 keeps the
///    decomposed one, so that `e` is not found in `é` and a Korean syllable not in another. Two Arabic
///    ligatures that stand for whole sentences stay as they are, so that text never grows much.
/// 3. Every run of white space, no-break spaces and line ends included, is one space; a run at either
///    end too, so that a needle `foo ` asks for the end of a word.
/// 4. Characters without a shape (soft hyphen, zero-width spaces and joiners, byte order mark) are dropped: they
///    stand inside of words, and nobody types them.
///
/// Linear, and idempotent. Folding pieces and joining them gives the same as folding the whole, unless a
/// cut goes through white space or before a combining mark.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|octet| !octet.is_ascii()).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(ascii).unwrap_or((rest, ""));
        push_ascii(run, &mut folded);
        let other = after.bytes().position(|octet| octet.is_ascii()).unwrap_or(after.len());
        let (run, after) = after.split_at_checked(other).unwrap_or((after, ""));
        push_other(run, &mut folded);
        rest = after;
    }
    folded
}

/// The fast path: lines are copied, and lowered in place.
fn push_ascii(run: &str, folded: &mut String) {
    let start = folded.len();
    let mut rest = run;
    while let Some(end) = memchr3(b'\n', b'\r', b'\t', rest.as_bytes()) {
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        push_line(line, folded);
        push_space(folded);
        rest = after.get(1..).unwrap_or_default();
    }
    push_line(rest, folded);
    if let Some(new) = folded.get_mut(start..) {
        new.make_ascii_lowercase();
    }
}

/// A line without line ends and tabs; what other white space there is in it, is rare.
fn push_line(line: &str, folded: &mut String) {
    if memchr2(0x0b, 0x0c, line.as_bytes()).is_some() {
        for piece in line.split_inclusive(['\x0b', '\x0c']) {
            push_spaced(piece.trim_end_matches(['\x0b', '\x0c']), folded);
            if piece.ends_with(['\x0b', '\x0c']) {
                push_space(folded);
            }
        }
    } else {
        push_spaced(line, folded);
    }
}

/// Text with no white space but spaces.
fn push_spaced(text: &str, folded: &mut String) {
    let mut rest = if folded.ends_with(' ') { text.trim_start_matches(' ') } else { text };
    while let Some(double) = memmem::find(rest.as_bytes(), b"  ") {
        let (words, after) = rest.split_at_checked(double + 1).unwrap_or((rest, ""));
        folded.push_str(words);
        rest = after.trim_start_matches(' ');
    }
    folded.push_str(rest);
}

/// A run without ASCII. Most letters stand for themselves; the others are composed with what is around them.
fn push_other(run: &str, folded: &mut String) {
    let mut rest = run;
    while let Some(first) = rest.chars().next() {
        if first == '\u{a0}' {
            push_space(folded);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else if is_plain(first) {
            folded.push(fold_case(first));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else {
            let end = rest.find(|character| is_plain(character) || character == '\u{a0}').unwrap_or(rest.len());
            let (composed, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            push_composed(composed, folded);
            rest = after;
        }
    }
}

/// Runs of other characters. The letter before goes in again, since a mark may combine with it.
fn push_composed(run: &str, folded: &mut String) {
    let base = if folded.ends_with(' ') { None } else { folded.pop() };
    let characters = base.into_iter().chain(run.chars()).filter(|character| !is_shapeless(*character));
    for character in characters.nfkd().map(fold_case).nfc() {
        if character.is_whitespace() { push_space(folded) } else { folded.push(character) }
    }
}

fn push_space(folded: &mut String) {
    if !folded.ends_with(' ') {
        folded.push(' ');
    }
}

/// Lower case of the capital, where both are single characters: so `ς`, `σ` and `Σ` are one.
fn fold_case(character: char) -> char {
    if is_without_case(character) {
        return character;
    }
    let capital = single(character.to_uppercase()).unwrap_or(character);
    single(capital.to_lowercase()).unwrap_or(capital)
}

fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    if characters.next().is_none() { first } else { None }
}

/// The letters of most text, in composed form: normalisation changes none of them, and none combines with
/// the letter before it. All others go the long way.
fn is_plain(character: char) -> bool {
    is_without_case(character)
        || is_sentence(character)
        || matches!(
            character,
            '\u{c0}'..='\u{12f}' | '\u{134}'..='\u{13e}' | '\u{141}'..='\u{148}' | '\u{14a}'..='\u{17e}'
            | 'Α'..='Ω' | 'ά'..='ώ' | '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}'
        )
}

/// One character that decomposes into up to eighteen.
fn is_sentence(character: char) -> bool {
    matches!(character, '\u{fdfa}' | '\u{fdfb}')
}

/// Han, kana, Hangul, Hebrew, Arabic and Thai letters, and the commonest signs.
fn is_without_case(character: char) -> bool {
    matches!(
        character,
        '\u{4e00}'..='\u{9fff}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fc}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{5d0}'..='\u{5ea}' | '\u{621}'..='\u{64a}' | '\u{e01}'..='\u{e30}'
        | '–' | '—' | '‘' | '’' | '“' | '”' | '„' | '•' | '€' | '\u{fffd}' | '、' | '。' | '«' | '»' | '°' | '§'
    )
}

/// Characters that stand in words without being seen.
pub(super) fn is_shapeless(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn equal(one: &str, other: &str) {
        assert_eq!(fold(one), fold(other), "{one} and {other}");
    }

    #[test]
    fn case_is_folded_by_single_characters() {
        equal("ÄÖÜ ΣΊΣΥΦΟΣ ПРИВЕТ", "äöü σίσυφος привет");
        equal("ẞ", "ß");
        equal("\u{212a}elvin", "kelvin");
        assert_ne!(fold("ß"), fold("ss"));
        assert_ne!(fold("e"), fold("é"));
    }

    #[test]
    fn composed_is_decomposed() {
        equal("é", "e\u{301}");
        equal("É", "E\u{301}");
        equal("ậ", "a\u{302}\u{323}");
        equal("각", "\u{1100}\u{1161}\u{11a8}");
        equal("ＡＢＣ ｶﾞ", "abc ガ");
        equal("ﬁn", "fin");
        assert!(!fold("각").contains(&fold("가")));
    }

    #[test]
    fn white_space_is_one_space_and_not_trimmed() {
        assert_eq!(fold("\u{a0}a \t\r\n\u{3000}b "), " a b ");
        assert_eq!(fold("  a"), " a");
        assert_eq!(fold("\r\n"), " ");
        assert_eq!(fold("a \x0b\x0c b\x0c"), "a b ");
        assert_eq!(fold("a   b\t\t c  "), "a b c ");
    }

    #[test]
    fn shapeless_characters_are_dropped() {
        assert_eq!(fold("un\u{ad}sub\u{200b}scribe"), "unsubscribe");
        assert_eq!(fold("a \u{200b} b"), "a b");
        assert_eq!(fold("e\u{200b}\u{301}"), "é");
    }

    /// The fast paths give what the long way gives.
    #[test]
    fn plain_characters_fold_as_all_do() {
        let is_fast = |character: &char| (is_plain(*character) && !is_sentence(*character)) || character.is_ascii();
        for character in ('\0'..=char::MAX).filter(is_fast) {
            let text = character.to_string();
            let mut long_way = String::new();
            push_composed(&text, &mut long_way);
            assert_eq!(fold(&text), long_way, "{character:?}");
            // Behind a letter, no part of it: each of these begins anew.
            let mut behind = String::from("e");
            push_composed(&text, &mut behind);
            assert_eq!(fold(&format!("e{text}")), behind, "{character:?}");
        }
    }

    #[test]
    fn every_character_folds_to_what_stays() {
        for character in '\0'..=char::MAX {
            let once = fold(character.encode_utf8(&mut [0; 4]));
            assert!(once.len() <= 6 * character.len_utf8(), "{character:?} grows");
            assert_eq!(fold(&once), once, "{character:?}");
            let upper: String = character.to_uppercase().collect();
            if upper.chars().count() == 1 {
                assert_eq!(fold(&upper), once, "{character:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(text in "\\PC{0,40}|[a\u{300}\u{301}\u{323}\u{345}\u{1fb3} \u{a0}\u{200b}\u{a8}Aéß각]{0,20}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn a_piece_of_the_text_is_found(before in "[a-z é日\n]{0,10}", needle in "[A-Za-zÉé日 ]{1,10}", after in "[a-z é日\n]{0,10}") {
            let text = fold(&format!("{before}{needle}{after}"));
            prop_assert!(text.contains(&fold(&needle)));
        }
    }
}
