//! The items of FETCH, as written by the client.

use super::{
    super::parser::{Parsed, Parser},
    section::{BinarySection, BodySection, Form, Section, Seen},
};

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// UID
    Uid,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// MODSEQ (RFC 7162 §3.1.4.2)
    ModSeq,
    /// ENVELOPE
    Envelope,
    /// BODY
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// `BODY[...]`, RFC822 and its parts
    Section(BodySection),
    /// `BINARY[...]`
    Binary(BinarySection),
    /// `BINARY.SIZE[...]`
    BinarySize(Vec<u32>),
}

impl Item {
    /// Whether answering needs more than the mailbox's row.
    pub(crate) fn needs_record(&self) -> bool {
        !matches!(self, Self::Uid | Self::Flags | Self::InternalDate | Self::Size | Self::ModSeq)
    }

    /// Whether the message gains `\Seen` (RFC 9051 §6.4.5).
    pub(crate) fn sets_seen(&self) -> bool {
        match self {
            Self::Section(section) => section.seen == Seen::Set,
            Self::Binary(section) => section.seen == Seen::Set,
            _ => false,
        }
    }
}

/// Reads `macro / fetch-att / "(" fetch-att *(SP fetch-att) ")"`.
pub(crate) fn read_items(parser: &mut Parser<'_>) -> Parsed<Vec<Item>> {
    if parser.peek() == Some(b'(') {
        return parser.list1(read_item);
    }
    for (name, items) in [
        ("ALL", &[Item::Flags, Item::InternalDate, Item::Size, Item::Envelope][..]),
        ("FAST", &[Item::Flags, Item::InternalDate, Item::Size]),
        ("FULL", &[Item::Flags, Item::InternalDate, Item::Size, Item::Envelope, Item::Body]),
    ] {
        if parser.word(name) {
            return Ok(items.to_vec());
        }
    }
    Ok(vec![read_item(parser)?])
}

fn read_item(parser: &mut Parser<'_>) -> Parsed<Item> {
    let mut ahead = parser.clone();
    let name = ahead.any_word("a FETCH item")?;
    let item = match name.as_str() {
        "UID" => Item::Uid,
        "FLAGS" => Item::Flags,
        "INTERNALDATE" => Item::InternalDate,
        "RFC822.SIZE" => Item::Size,
        "MODSEQ" => Item::ModSeq,
        "ENVELOPE" => Item::Envelope,
        "BODYSTRUCTURE" => Item::BodyStructure,
        "RFC822" => whole(Form::Rfc822, Section::WHOLE, Seen::Set),
        "RFC822.HEADER" => whole(Form::Rfc822Header, Section::HEADER, Seen::Keep),
        "RFC822.TEXT" => whole(Form::Rfc822Text, Section::TEXT, Seen::Set),
        "BODY" if ahead.peek() != Some(b'[') => Item::Body,
        "BODY" => Item::Section(BodySection::read(&mut ahead, Seen::Set)?),
        "BODY.PEEK" => Item::Section(BodySection::read(&mut ahead, Seen::Keep)?),
        "BINARY" => Item::Binary(BinarySection::read(&mut ahead, Seen::Set)?),
        "BINARY.PEEK" => Item::Binary(BinarySection::read(&mut ahead, Seen::Keep)?),
        "BINARY.SIZE" => Item::BinarySize(BinarySection::read_path(&mut ahead)?),
        _ => return parser.expected("a FETCH item such as FLAGS or BODY[]"),
    };
    *parser = ahead;
    Ok(item)
}

fn whole(form: Form, section: Section, seen: Seen) -> Item {
    Item::Section(BodySection { form, section, seen, partial: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(written: &str) -> Parsed<Vec<Item>> {
        let mut parser = Parser::new(written.as_bytes());
        let items = read_items(&mut parser)?;
        if parser.rest().is_empty() { Ok(items) } else { parser.expected("the end") }
    }

    #[test]
    fn macros_stand_alone() {
        assert_eq!(items("fast").unwrap(), [Item::Flags, Item::InternalDate, Item::Size]);
        assert_eq!(items("FULL").unwrap().len(), 5);
        assert!(items("(FAST UID)").is_err());
    }

    #[test]
    fn sections_are_read_whole() {
        for written in [
            "BODY[]",
            "body[1.2.3]",
            "BODY.PEEK[HEADER.FIELDS (From \"To\")]",
            "BODY[2.HEADER.FIELDS.NOT (X)]<0.512>",
            "BODY[1.MIME]",
            "BODY[TEXT]<5.7>",
            "BINARY[1]",
            "BINARY.PEEK[]<1.2>",
            "BINARY.SIZE[1.2]",
            "(UID BODY BODYSTRUCTURE RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE MODSEQ)",
        ] {
            assert!(items(written).is_ok(), "{written}: {:?}", items(written));
        }
        for wrong in [
            "",
            "()",
            "BODY[",
            "BODY[0]",
            "BODY[1.]",
            "BODY[.1]",
            "BODY[MIME]",
            "BODY[TEXT.1]",
            "BODY[]<0>",
            "BODY[]<0.0>",
            "BODY[]<.5>",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BINARY",
            "BINARY[TEXT]",
            "BINARY.SIZE[1]<0.1>",
            "FLAGS UID",
            "BODY.PEEK",
            "RFC822.PEEK",
            "X",
        ] {
            assert!(items(wrong).is_err(), "{wrong}");
        }
    }
}
