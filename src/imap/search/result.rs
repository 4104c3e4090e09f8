//! How a search result is told: SEARCH or ESEARCH (RFC 9051 §7.3.4, RFC 3501 §7.2.5, RFC 4731, RFC 5182, RFC 7162 §3.1.5).

use super::super::{
    parser::{Parsed, Parser},
    sequence::Addressing,
    write::{push_decimal, push_quoted, push_set},
};
use crate::mail::{ModSeq, Uid};

/// What the client wants to know of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReturnOptions {
    /// MIN
    pub(crate) min: bool,
    /// MAX
    pub(crate) max: bool,
    /// ALL
    pub(crate) all: bool,
    /// COUNT
    pub(crate) count: bool,
    /// SAVE
    pub(crate) save: bool,
}

impl ReturnOptions {
    /// Reads what stands between the parentheses of RETURN; none is ALL (RFC 9051 §6.4.4).
    pub(crate) fn read(parser: &mut Parser<'_>) -> Parsed<Self> {
        let mut options = Self::default();
        parser.list(|parser| {
            let option = [
                ("MIN", &mut options.min),
                ("MAX", &mut options.max),
                ("ALL", &mut options.all),
                ("COUNT", &mut options.count),
                ("SAVE", &mut options.save),
            ]
            .into_iter()
            .find_map(|(name, option)| parser.word(name).then_some(option));
            match option {
                Some(option) => *option = true,
                None => return parser.expected("MIN, MAX, ALL, COUNT or SAVE"),
            }
            Ok(())
        })?;
        if options == Self::default() {
            options.all = true;
        }
        Ok(options)
    }

    /// Whether anything but SAVE is asked.
    pub(crate) fn tells(self) -> bool {
        self.min || self.max || self.all || self.count
    }
}

/// One message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its number or UID, as the command counts.
    pub(crate) number: u32,
    /// Its UID.
    pub(crate) uid: Uid,
    /// Its mod-sequence.
    pub(crate) modseq: ModSeq,
}

/// What is told beside the messages.
#[derive(Clone, Copy)]
pub(crate) struct Telling<'a> {
    /// The command's tag.
    pub(crate) tag: &'a [u8],
    /// How messages are named.
    pub(crate) addressing: Addressing,
    /// Whether a mod-sequence is told: the client asked about one.
    pub(crate) modseq: bool,
}

/// Writes SEARCH (RFC 3501 §7.2.5).
pub(crate) fn push_search(out: &mut Vec<u8>, found: &[Found], telling: Telling<'_>) {
    out.extend_from_slice(b"* SEARCH");
    for message in found {
        out.push(b' ');
        push_decimal(out, u64::from(message.number));
    }
    if let Some(highest) = highest(found).filter(|_| telling.modseq) {
        out.extend_from_slice(b" (MODSEQ ");
        push_decimal(out, highest.get());
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes ESEARCH (RFC 9051 §7.3.4).
pub(crate) fn push_esearch(out: &mut Vec<u8>, found: &[Found], options: ReturnOptions, telling: Telling<'_>) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    push_quoted(out, telling.tag);
    out.push(b')');
    if telling.addressing == Addressing::Uid {
        out.extend_from_slice(b" UID");
    }
    for (wanted, name, message) in [(options.min, " MIN ", found.first()), (options.max, " MAX ", found.last())] {
        if let Some(message) = message.filter(|_| wanted) {
            out.extend_from_slice(name.as_bytes());
            push_decimal(out, u64::from(message.number));
        }
    }
    if options.all && !found.is_empty() {
        out.extend_from_slice(b" ALL ");
        push_set(out, found.iter().map(|message| message.number));
    }
    if options.count {
        out.extend_from_slice(b" COUNT ");
        push_decimal(out, found.len() as u64);
    }
    if let Some(modseq) = told_modseq(found, options).filter(|_| telling.modseq) {
        out.extend_from_slice(b" MODSEQ ");
        push_decimal(out, modseq.get());
    }
    out.extend_from_slice(b"\r\n");
}

/// The highest mod-sequence of the messages that are told (RFC 4731 §3.2).
fn told_modseq(found: &[Found], options: ReturnOptions) -> Option<ModSeq> {
    if options.all || options.count {
        return highest(found);
    }
    let ends = [(options.min, found.first()), (options.max, found.last())];
    ends.into_iter()
        .filter(|(wanted, _)| *wanted)
        .filter_map(|(_, message)| message.map(|message| message.modseq))
        .max()
}

fn highest(found: &[Found]) -> Option<ModSeq> {
    found.iter().map(|message| message.modseq).max()
}

/// The messages that SAVE keeps: all, or the ends where only those are asked (RFC 5182 §2.4).
pub(crate) fn saved(found: &[Found], options: ReturnOptions) -> Vec<Uid> {
    let only_ends = (options.min || options.max) && !options.all && !options.count;
    if !only_ends {
        return found.iter().map(|message| message.uid).collect();
    }
    let ends = [(options.min, found.first()), (options.max, found.last())];
    ends.into_iter()
        .filter(|(wanted, _)| *wanted)
        .filter_map(|(_, message)| message.map(|message| message.uid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(numbers: &[(u32, u64)]) -> Vec<Found> {
        let message = |(number, modseq): &(u32, u64)| Found {
            number: *number,
            uid: Uid::new(*number).unwrap(),
            modseq: ModSeq::new(*modseq).unwrap(),
        };
        numbers.iter().map(message).collect()
    }

    fn options(written: &str) -> Parsed<ReturnOptions> {
        ReturnOptions::read(&mut Parser::new(written.as_bytes()))
    }

    fn esearch(numbers: &[(u32, u64)], written: &str, addressing: Addressing) -> String {
        let mut out = Vec::new();
        let telling = Telling { tag: b"a1", addressing, modseq: true };
        push_esearch(&mut out, &found(numbers), options(written).unwrap(), telling);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn results_are_told_as_asked() {
        let numbers = [(2, 9), (3, 20), (4, 5), (9, 7)];
        assert_eq!(
            esearch(&numbers, "(MIN MAX COUNT ALL)", Addressing::Uid),
            "* ESEARCH (TAG \"a1\") UID MIN 2 MAX 9 ALL 2:4,9 COUNT 4 MODSEQ 20\r\n"
        );
        assert_eq!(
            esearch(&numbers, "(MIN MAX)", Addressing::Sequence),
            "* ESEARCH (TAG \"a1\") MIN 2 MAX 9 MODSEQ 9\r\n"
        );
        assert_eq!(esearch(&numbers, "()", Addressing::Sequence), "* ESEARCH (TAG \"a1\") ALL 2:4,9 MODSEQ 20\r\n");
        assert_eq!(esearch(&[], "(MIN MAX COUNT ALL)", Addressing::Sequence), "* ESEARCH (TAG \"a1\") COUNT 0\r\n");
        let mut out = Vec::new();
        push_search(&mut out, &found(&numbers), Telling { tag: b"a1", addressing: Addressing::Sequence, modseq: true });
        assert_eq!(out, b"* SEARCH 2 3 4 9 (MODSEQ 20)\r\n");
    }

    #[test]
    fn saving_follows_what_is_told() {
        let numbers = found(&[(2, 9), (3, 20), (9, 7)]);
        let saved =
            |written: &str| saved(&numbers, options(written).unwrap()).iter().map(|uid| uid.get()).collect::<Vec<_>>();
        assert_eq!(saved("(SAVE)"), [2, 3, 9]);
        assert_eq!(saved("(SAVE MIN)"), [2]);
        assert_eq!(saved("(SAVE MIN MAX)"), [2, 9]);
        assert_eq!(saved("(SAVE MIN COUNT)"), [2, 3, 9]);
        assert!(!options("(SAVE)").unwrap().tells());
        assert!(options("(BOGUS)").is_err());
    }
}
