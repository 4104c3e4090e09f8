//! mbox files (RFC 4155): messages behind lines that begin with `From `.

use super::survey::{FileError, Survey, changed_seconds, mailbox_of, sent_seconds, walk};
use crate::{limits, mail::Flags};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    ops::Range,
    path::Path,
};

/// Whether the name is that of an mbox file in a folder of such.
pub(super) fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mbox"))
}

/// Looks through a file, or through every `.mbox` file of a folder, each of which is a mailbox.
pub(super) fn survey(source: &Path, survey: &mut Survey) -> Result<(), FileError> {
    let files = walk(source).map_err(|error| (source.to_owned(), error))?;
    let is_folder = source.is_dir();
    for path in files.iter().filter(|path| !is_folder || is_file(path)) {
        let name = if is_folder { mailbox_of(source, &path.with_extension("")) } else { String::new() };
        let mailbox = if name == "INBOX" { "" } else { &name };
        file(path, mailbox, survey).map_err(|error| (path.clone(), error))?;
    }
    Ok(())
}

/// The message that is being read.
struct Open {
    /// Its octets so far.
    octets: Range<u64>,
    /// By the line before it.
    came: Option<i64>,
    header: Vec<u8>,
    in_header: bool,
    /// Octets of an empty line at its end, which belongs to the next separator.
    trailing: u64,
}

impl Open {
    fn new(start: u64, separator: &[u8]) -> Self {
        Self { octets: start..start, came: date(separator), header: Vec::new(), in_header: true, trailing: 0 }
    }

    fn take(&mut self, line: &[u8]) {
        let is_empty = matches!(line, b"\n" | b"\r\n");
        self.octets.end += line.len() as u64;
        self.trailing = if is_empty { line.len() as u64 } else { 0 };
        self.in_header &= !is_empty && (self.header.len() as u64) < limits::IMPORT_HEADER_OCTETS_MAX;
        if self.in_header {
            self.header.extend_from_slice(line);
        }
    }

    fn close(self, file: usize, mailbox: &str, changed: i64, survey: &mut Survey) -> io::Result<()> {
        let Range { start, end } = self.octets;
        let seconds = self.came.or_else(|| sent_seconds(&self.header)).unwrap_or(changed);
        survey.add(mailbox, (seconds, Flags::default()), (file, start..end - self.trailing))
    }
}

fn file(path: &Path, mailbox: &str, survey: &mut Survey) -> io::Result<()> {
    let input = File::open(path)?;
    let changed = changed_seconds(&input.metadata()?);
    let number = survey.add_file(path);
    survey.add_mailbox(mailbox);
    let mut reader = BufReader::with_capacity(limits::IMPORT_READ_OCTETS, input);
    let (mut line, mut offset) = (Vec::new(), 0_u64);
    let (mut open, mut after_empty, mut at_start): (Option<Open>, bool, bool) = (None, true, true);
    loop {
        line.clear();
        // A line without end is read in pieces, of which only the first can be a separator.
        let octets = reader.by_ref().take(limits::IMPORT_READ_OCTETS as u64).read_until(b'\n', &mut line)? as u64;
        if octets == 0 {
            break;
        }
        offset += octets;
        if at_start && after_empty && is_separator(&line) {
            if let Some(open) = open.replace(Open::new(offset, &line)) {
                open.close(number, mailbox, changed, survey)?;
            }
        } else if let Some(open) = &mut open {
            open.take(&line);
        } else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no mbox file: it does not begin with a From line"));
        }
        after_empty = at_start && matches!(line.as_slice(), b"\n" | b"\r\n");
        at_start = line.ends_with(b"\n");
    }
    open.map_or(Ok(()), |open| open.close(number, mailbox, changed, survey))
}

/// `From `, and a time of day somewhere behind it: writers that do not quote leave lines of text that begin so.
fn is_separator(line: &[u8]) -> bool {
    let is_time = |word: &[u8]| {
        let mut parts = word.split(|octet| *octet == b':');
        let two_digits = |part: Option<&[u8]>| part.is_some_and(|part| part.len() == 2 && part.is_ascii_digits());
        two_digits(parts.next()) && two_digits(parts.next())
    };
    line.strip_prefix(b"From ").is_some_and(|rest| rest.split(u8::is_ascii_whitespace).any(is_time))
}

trait AsciiDigits {
    fn is_ascii_digits(&self) -> bool;
}

impl AsciiDigits for [u8] {
    fn is_ascii_digits(&self) -> bool {
        self.iter().all(u8::is_ascii_digit)
    }
}

/// The date of a separator: what stands behind the sender, in the form of `asctime` or near it.
fn date(separator: &[u8]) -> Option<i64> {
    let mut words = separator.strip_prefix(b"From ")?.splitn(2, |octet| *octet == b' ');
    let (_sender, date) = (words.next()?, words.next()?);
    sent_seconds(&[b"Date: ", date.trim_ascii(), b"\r\n\r\n"].concat())
}

/// Whether a line begins with any number of `>` and then `From `.
fn is_quotable(line: &[u8]) -> bool {
    line.iter()
        .position(|octet| *octet != b'>')
        .and_then(|at| line.get(at..))
        .is_some_and(|rest| rest.starts_with(b"From "))
}

/// A message with one `>` put before each line that could be taken for a separator, and an end to its last line.
pub(super) fn quoted(octets: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(octets.len() + 64);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if is_quotable(line) {
            quoted.push(b'>');
        }
        quoted.extend_from_slice(line);
    }
    if !quoted.ends_with(b"\n") {
        quoted.push(b'\n');
    }
    quoted
}

/// The message that was quoted.
pub(super) fn unquoted(octets: Vec<u8>) -> Vec<u8> {
    if !octets.split_inclusive(|octet| *octet == b'\n').any(|line| line.starts_with(b">") && is_quotable(line)) {
        return octets;
    }
    let mut unquoted = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let quoted = line.strip_prefix(b">").filter(|_| is_quotable(line));
        unquoted.extend_from_slice(quoted.unwrap_or(line));
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use super::{super::Form, *};

    fn survey_of(text: &str) -> (tempfile::TempDir, Survey) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail");
        std::fs::write(&path, text).unwrap();
        let survey = Survey::of(&path, Some(Form::Mbox)).unwrap();
        (folder, survey)
    }

    #[test]
    fn messages_end_where_the_next_begins() {
        let text = "From a@example.org Sat Jan  3 01:05:34 1998\nA: 1\n\nFrom here on, text.\n\nFrom there too.\n>From b\n\n\
                    From b@example.org Fri Jan  2 01:05:34 1998\nA: 2\n\nlast";
        let (_folder, survey) = survey_of(text);
        let read: Vec<_> = survey.found.iter().map(|found| survey.read(found).unwrap()).collect();
        // By date: the second message came first.
        assert_eq!(read[0], b"A: 2\r\n\r\nlast");
        assert_eq!(read[1], b"A: 1\r\n\r\nFrom here on, text.\r\n\r\nFrom there too.\r\nFrom b\r\n");
        assert_eq!(survey.found[1].seconds - survey.found[0].seconds, 86_400);
        assert_eq!(survey.found[0].seconds, 883_703_134);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail");
        std::fs::write(&path, "Subject: x\n\nx\n").unwrap();
        let (file, error) = Survey::of(&path, Some(Form::Mbox)).err().unwrap();
        assert_eq!(file, path);
        assert!(error.to_string().contains("does not begin with a From line"), "{error}");
    }

    #[test]
    fn quoting_can_be_undone() {
        for message in ["From a\n>From b\n>>From c\n", "x\n", ">x\nFrom\n", "", "\n"] {
            let quoted = quoted(message.as_bytes());
            assert!(!quoted.split(|octet| *octet == b'\n').any(|line| line.starts_with(b"From ")), "{message}");
            let expected = if message.is_empty() { "\n" } else { message };
            assert_eq!(unquoted(quoted), expected.as_bytes());
        }
    }
}
