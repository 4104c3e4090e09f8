//! The part of RFC 1035 §5 that a zone for mail needs: entries, $ORIGIN, $TTL, parentheses, quoted strings, comments and
//! escapes; of the record types A, AAAA, CNAME, MX, NS, PTR, SOA and TXT.

use hickory_proto::rr::{
    Name, RData, Record,
    rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TXT},
};
use std::{iter::Peekable, str::Chars, str::FromStr};

/// Seconds that a record lives where neither it nor $TTL says so.
const TTL_SECONDS_DEFAULT: u32 = 300;

/// Octets of one string of a TXT record (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;

/// Why a zone cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct ZoneError {
    /// The line, from 1, that the entry begins on.
    pub line: usize,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("a quoted string does not end on its line")]
    OpenQuote,
    #[error("parentheses do not match")]
    Parentheses,
    #[error("an escape is neither \\DDD nor \\X")]
    Escape,
    #[error("{0:?} is not a domain name")]
    Name(String),
    #[error("{0:?} is not a value that may stand here")]
    Value(String),
    #[error("a string has more than 255 octets")]
    LongString,
    #[error("{0:?} is not a record type that is known here")]
    Type(String),
    #[error("{0} is not supported")]
    Directive(String),
    #[error("the entry ends too early")]
    Short,
    #[error("the entry goes on after its data")]
    Long,
}

/// Reads every record of a master file.
pub(super) fn records(text: &str) -> Result<Vec<Record>, ZoneError> {
    let mut reader = Reader { origin: Name::root(), ttl: TTL_SECONDS_DEFAULT, owner: None };
    let mut records = Vec::new();
    for entry in entries(text)? {
        let line = entry.line;
        records.extend(reader.read(entry).map_err(|fault| ZoneError { line, fault })?);
    }
    Ok(records)
}

/// One entry: a line, or more of them inside parentheses.
struct Entry {
    line: usize,
    /// Begins with white space, and so keeps the owner of the entry before.
    indented: bool,
    /// Words and strings, escapes not yet resolved.
    fields: Vec<String>,
}

fn entries(text: &str) -> Result<Vec<Entry>, ZoneError> {
    let (mut entries, mut depth, mut line) = (Vec::new(), 0_usize, 1);
    let mut entry = Entry { line, indented: false, fields: Vec::new() };
    let mut characters = text.chars().peekable();
    let mut line_start = true;
    while let Some(character) = characters.next() {
        let fail = |fault| ZoneError { line, fault };
        match character {
            '\n' => {
                line += 1;
                if depth == 0 {
                    let next = Entry { line, indented: false, fields: Vec::new() };
                    entries.push(std::mem::replace(&mut entry, next));
                    line_start = true;
                    continue;
                }
            }
            ' ' | '\t' if line_start => entry.indented = true,
            white if white.is_ascii_whitespace() => {}
            ';' => while characters.next_if(|next| *next != '\n').is_some() {},
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or_else(|| fail(Fault::Parentheses))?,
            '"' => entry.fields.push(quoted(&mut characters).ok_or_else(|| fail(Fault::OpenQuote))?),
            first => entry.fields.push(word(first, &mut characters)),
        }
        line_start = false;
    }
    if depth > 0 {
        return Err(ZoneError { line: entry.line, fault: Fault::Parentheses });
    }
    entries.push(entry);
    entries.retain(|entry| !entry.fields.is_empty());
    Ok(entries)
}

/// A string up to its closing quote.
fn quoted(characters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut string = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(string),
            '\n' => return None,
            '\\' => string.extend(['\\', characters.next()?]),
            other => string.push(other),
        }
    }
}

fn word(first: char, characters: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    let mut next = Some(first);
    while let Some(character) = next {
        word.push(character);
        if character == '\\' {
            word.extend(characters.next());
        }
        next = characters.next_if(|next| !next.is_ascii_whitespace() && !";()\"".contains(*next));
    }
    word
}

/// What one entry leaves to the next.
struct Reader {
    origin: Name,
    ttl: u32,
    owner: Option<Name>,
}

impl Reader {
    fn read(&mut self, entry: Entry) -> Result<Option<Record>, Fault> {
        let mut fields = Fields(entry.fields.into_iter().peekable());
        match fields.peek().filter(|first| first.starts_with('$')) {
            Some(directive) => {
                let directive = directive.to_ascii_uppercase();
                fields.next()?;
                self.directive(&directive, &mut fields)?;
                fields.end()?;
                Ok(None)
            }
            None => {
                let record = self.record(entry.indented, &mut fields)?;
                fields.end()?;
                Ok(Some(record))
            }
        }
    }

    fn directive(&mut self, directive: &str, fields: &mut Fields) -> Result<(), Fault> {
        match directive {
            "$ORIGIN" => self.origin = self.name(&fields.next()?)?,
            "$TTL" => {
                let ttl = fields.next()?;
                self.ttl = seconds(&ttl).ok_or(Fault::Value(ttl))?;
            }
            other => return Err(Fault::Directive(other.to_owned())),
        }
        Ok(())
    }

    fn record(&mut self, indented: bool, fields: &mut Fields) -> Result<Record, Fault> {
        if !indented {
            self.owner = Some(self.name(&fields.next()?)?);
        }
        let owner = self.owner.clone().ok_or(Fault::Short)?;
        let mut ttl = self.ttl;
        // TTL and class come in either order (RFC 1035 §5.1).
        let kind = loop {
            let field = fields.next()?;
            if let Some(seconds) = seconds(&field) {
                ttl = seconds;
            } else if !field.eq_ignore_ascii_case("IN") {
                break field;
            }
        };
        Ok(Record::from_rdata(owner, ttl, self.data(&kind, fields)?))
    }

    fn data(&self, kind: &str, fields: &mut Fields) -> Result<RData, Fault> {
        Ok(match kind.to_ascii_uppercase().as_str() {
            "A" => RData::A(A(fields.value()?)),
            "AAAA" => RData::AAAA(AAAA(fields.value()?)),
            "CNAME" => RData::CNAME(CNAME(self.name(&fields.next()?)?)),
            "NS" => RData::NS(NS(self.name(&fields.next()?)?)),
            "PTR" => RData::PTR(PTR(self.name(&fields.next()?)?)),
            "MX" => RData::MX(MX::new(fields.value()?, self.name(&fields.next()?)?)),
            "SOA" => RData::SOA(self.authority(fields)?),
            "TXT" => RData::TXT(strings(fields)?),
            _ => return Err(Fault::Type(kind.to_owned())),
        })
    }

    fn authority(&self, fields: &mut Fields) -> Result<SOA, Fault> {
        let (primary, contact) = (self.name(&fields.next()?)?, self.name(&fields.next()?)?);
        let serial = fields.value()?;
        let mut time = || -> Result<i32, Fault> {
            let field = fields.next()?;
            let time = seconds(&field).and_then(|seconds| i32::try_from(seconds).ok());
            time.ok_or(Fault::Value(field))
        };
        let (refresh, retry, expire, minimum) = (time()?, time()?, time()?, time()?);
        Ok(SOA::new(primary, contact, serial, refresh, retry, expire, minimum.unsigned_abs()))
    }

    /// A name, relative to the origin without a final dot.
    fn name(&self, text: &str) -> Result<Name, Fault> {
        if text == "@" {
            return Ok(self.origin.clone());
        }
        let bad = || Fault::Name(text.to_owned());
        let (labels, absolute) = labels(text)?;
        if labels.iter().any(Vec::is_empty) {
            return Err(bad());
        }
        let mut name = Name::from_labels(labels).map_err(|_| bad())?;
        if !absolute {
            name = name.append_domain(&self.origin).map_err(|_| bad())?;
        }
        Ok(name.to_lowercase())
    }
}

/// The labels of a name, and whether it ends in a dot. An escaped dot is part of its label.
fn labels(text: &str) -> Result<(Vec<Vec<u8>>, bool), Fault> {
    if text == "." {
        return Ok((Vec::new(), true));
    }
    let mut labels = vec![Vec::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '.' {
            labels.push(Vec::new());
        } else if let Some(label) = labels.last_mut() {
            push_octets(label, character, &mut characters)?;
        }
    }
    let absolute = labels.last().is_some_and(Vec::is_empty);
    if absolute {
        labels.pop();
    }
    Ok((labels, absolute))
}

fn push_octets(octets: &mut Vec<u8>, character: char, rest: &mut Chars<'_>) -> Result<(), Fault> {
    let character = match character {
        '\\' => match rest.next().ok_or(Fault::Escape)? {
            digit if digit.is_ascii_digit() => {
                let digits: String = [Some(digit), rest.next(), rest.next()].into_iter().flatten().collect();
                let octet = (digits.len() == 3).then(|| digits.parse().ok()).flatten();
                octets.push(octet.ok_or(Fault::Escape)?);
                return Ok(());
            }
            other => other,
        },
        other => other,
    };
    octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

fn strings(fields: &mut Fields) -> Result<TXT, Fault> {
    let mut strings = Vec::new();
    loop {
        let field = fields.next()?;
        let mut octets = Vec::new();
        let mut characters = field.chars();
        while let Some(character) = characters.next() {
            push_octets(&mut octets, character, &mut characters)?;
        }
        if octets.len() > STRING_OCTETS_MAX {
            return Err(Fault::LongString);
        }
        strings.push(octets);
        if fields.peek().is_none() {
            return Ok(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()));
        }
    }
}

/// A number of seconds, or with a unit: `30m`, `2h`, `1d`, `1w`.
fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = match text.strip_suffix(|last: char| last.is_ascii_alphabetic()) {
        Some(number) => (number, text.chars().next_back()?),
        None => (text, 's'),
    };
    let factor = match unit.to_ascii_lowercase() {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| number.parse::<u32>().ok()?.checked_mul(factor)).flatten()
}

/// The fields of an entry, first to last.
struct Fields(Peekable<std::vec::IntoIter<String>>);

impl Fields {
    fn peek(&mut self) -> Option<&str> {
        self.0.peek().map(String::as_str)
    }

    fn next(&mut self) -> Result<String, Fault> {
        self.0.next().ok_or(Fault::Short)
    }

    fn value<T: FromStr>(&mut self) -> Result<T, Fault> {
        let field = self.next()?;
        field.parse().map_err(|_| Fault::Value(field))
    }

    fn end(mut self) -> Result<(), Fault> {
        if self.0.next().is_some() { Err(Fault::Long) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: &[&str]) {
        let records = records(text).unwrap_or_else(|error| panic!("{error}"));
        let shown: Vec<String> = records
            .iter()
            .map(|record| format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn owners_ttls_and_origins_carry_over() {
        reads(
            "$ORIGIN example.org.\n$TTL 1h\n@ IN A 192.0.2.1\n  60 MX 10 mx ; our own\nmx\tIN 2m AAAA 2001:db8::1\n$ORIGIN sub\nwww CNAME @\n",
            &[
                "example.org. 3600 A 192.0.2.1",
                "example.org. 60 MX 10 mx.example.org.",
                "mx.example.org. 120 AAAA 2001:db8::1",
                "www.sub.example.org. 3600 CNAME sub.example.org.",
            ],
        );
    }

    #[test]
    fn parentheses_span_lines() {
        reads(
            "example.org. SOA ns.example.org. root.example.org. ( 7 ; serial\n 1h 15m\n\t1w 5m )\nexample.org. TXT ( \"a;b\" c )\n",
            &[
                "example.org. 300 SOA ns.example.org. root.example.org. 7 3600 900 604800 300",
                "example.org. 300 TXT a;bc",
            ],
        );
    }

    #[test]
    fn escapes_make_any_octet() {
        let records = records("a\\.b\\032\\255.example. TXT \"\\\"q\\009\\200\" \"\"").unwrap();
        assert_eq!(records[0].name.iter().next(), Some(&b"a.b \xff"[..]));
        let RData::TXT(txt) = &records[0].data else { panic!() };
        assert_eq!(txt.txt_data.iter().map(|string| &**string).collect::<Vec<_>>(), [&b"\"q\t\xc8"[..], b""]);
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        assert_eq!(records(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn faults_name_their_line() {
        refuses("a. A 192.0.2.1\nb. A 192.0.2\n", "line 2: \"192.0.2\" is not a value that may stand here");
        refuses("a. TXT \"open\n\"", "line 1: a quoted string does not end on its line");
        refuses("a. TXT ( b\n\n", "line 1: parentheses do not match");
        refuses("a. TXT b )", "line 1: parentheses do not match");
        refuses("\n\na..b. A 192.0.2.1", "line 3: \"a..b.\" is not a domain name");
        refuses("a. HINFO x y", "line 1: \"HINFO\" is not a record type that is known here");
        refuses("$INCLUDE other", "line 1: $INCLUDE is not supported");
        refuses(" A 192.0.2.1", "line 1: the entry ends too early");
        refuses("a. MX 10", "line 1: the entry ends too early");
        refuses("a. A 192.0.2.1 extra", "line 1: the entry goes on after its data");
        refuses("a. TXT \\30", "line 1: an escape is neither \\DDD nor \\X");
        refuses("a. TXT \\256", "line 1: an escape is neither \\DDD nor \\X");
        refuses(&format!("a. TXT {}", "x".repeat(256)), "line 1: a string has more than 255 octets");
        refuses(
            &format!("{}. A 192.0.2.1", "x".repeat(64)),
            &format!("line 1: \"{}.\" is not a domain name", "x".repeat(64)),
        );
    }

    proptest::proptest! {
        /// Whatever is written is read or refused with a line that is there.
        #[test]
        fn any_text_is_read_or_refused(text in "((a|@|\\.|\\\\[0-9]{0,3}|\"|;|\\(|\\)|\n| |\t|\\$TTL|\\$ORIGIN|IN|A|MX|TXT|SOA|1h|192\\.0\\.2\\.1|é)){0,60}") {
            match records(&text) {
                Ok(found) => assert_eq!(records(&format!("; comment\n{text}\n; comment")), Ok(found)),
                Err(error) => assert!(error.line <= text.split('\n').count()),
            }
        }
    }
}
